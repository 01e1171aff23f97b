#include "pipeline/scheduler.h"

#include <algorithm>
#include <utility>

namespace tensor_checkpoint {

Scheduler::Scheduler(std::vector<Task> tasks, uint32_t devices, const Limits& limits, uint32_t copiers)
    : tasks_(std::move(tasks)),
      phase_(tasks_.size(), 0),
      lanes_(devices),
      windows_(devices),
      copiers_(copiers),
      queues_(size_t{devices} * (copiers + 1)),
      limits_(limits) {
  for (Stage& lanes : lanes_) lanes.slots.limit = uint64_t{limits.lanes} * kWhole;
  for (Slots& window : windows_) window.limit = uint64_t{limits.window} * kWhole;
  for (Stage& copier : copiers_) copier.slots.limit = uint64_t{limits.copier_lanes} * kWhole;
  staging_.limit = limits.staging;
  snapshot_.limit = limits.snapshot;
  for (uint32_t i = 0; i < tasks_.size(); ++i) {
    QueueOf(tasks_[i]).tasks.push_back(i);
    if (tasks_[i].phases[0] != Resource::kLane) lanes_[tasks_[i].device].begins = false;
    sources_ += tasks_[i].releases_source_after != kNoSource;
  }
}

void Scheduler::Next(std::vector<Start>& starts) {
  if (stopped_) return;
  for (bool progress = true; progress;) {
    progress = false;
    // Requests first: a free lane is the only thing that can't be made up for.
    for (Stage& lanes : lanes_) {
      while (StartReady(lanes, starts)) progress = true;
    }
    for (Stage& copier : copiers_) {
      while (StartReady(copier, starts)) progress = true;
    }
    const uint32_t processors = LanesNeedProcessors() ? UINT32_MAX : limits_.processors_beside_lanes;
    processors_.slots.limit = uint64_t{std::min(processors, limits_.processors)} * kWhole;
    // Then what gives memory back, then new tasks, of the queue that has least under way.
    while (StartReady(processors_, starts)) progress = true;
    Queue* least = nullptr;
    for (Queue& queue : queues_) {
      if (CanBegin(queue) && (least == nullptr || queue.under_way < least->under_way)) least = &queue;
    }
    if (least != nullptr) {
      Begin(*least, starts);
      progress = true;
    }
  }
}

// Whether a lane is idle, or would be when the next request ends.
bool Scheduler::LanesNeedProcessors() const {
  return std::ranges::any_of(lanes_, [](const Stage& lanes) {
    return lanes.ready.empty() && !(lanes.begins && lanes.slots.used == lanes.slots.limit);
  });
}

bool Scheduler::StartReady(Stage& stage, std::vector<Start>& starts) {
  if (stage.ready.empty() || !stage.slots.Fit(tasks_[stage.ready.front()])) return false;
  const uint32_t task = stage.ready.front();
  stage.ready.pop_front();
  Launch(task, starts);
  return true;
}

bool Scheduler::CanBegin(const Queue& queue) {
  if (queue.begun == queue.tasks.size()) return false;
  const Task& task = tasks_[queue.tasks[queue.begun]];
  return windows_[task.device].Fit(task) && BudgetOf(task).Fit(task.staging) && StageOf(task, 0).slots.Fit(task);
}

void Scheduler::Begin(Queue& queue, std::vector<Start>& starts) {
  const uint32_t task = queue.tasks[queue.begun++];
  const Task& t = tasks_[task];
  windows_[t.device].used += t.shares;
  queue.under_way += t.shares;
  BudgetOf(t).used += t.staging;
  Launch(task, starts);
}

void Scheduler::Launch(uint32_t task, std::vector<Start>& starts) {
  const Task& t = tasks_[task];
  StageOf(t, phase_[task]).slots.used += t.shares;
  ++running_;
  starts.push_back({task, phase_[task]});
}

void Scheduler::Done(uint32_t task) {
  const Task& t = tasks_[task];
  const uint8_t phase = phase_[task]++;
  StageOf(t, phase).slots.used -= t.shares;
  --running_;
  if (phase == t.releases_source_after) --sources_;
  if (phase_[task] == t.phase_count) {
    windows_[t.device].used -= t.shares;
    QueueOf(t).under_way -= t.shares;
    BudgetOf(t).used -= t.staging;
    ++finished_;
  } else {
    StageOf(t, phase_[task]).ready.push_back(task);
  }
}

}  // namespace tensor_checkpoint
