#include "pipeline/scheduler.h"

#include <utility>

namespace tensor_checkpoint {

Scheduler::Scheduler(std::vector<Task> tasks, uint32_t devices, const Limits& limits)
    : tasks_(std::move(tasks)), phase_(tasks_.size(), 0), devices_(devices), limits_(limits), sources_(tasks_.size()) {
  processors_.limit = uint64_t{limits.processors} * kWhole;
  for (Device& device : devices_) {
    device.lanes.limit = uint64_t{limits.lanes} * kWhole;
    device.window.limit = uint64_t{limits.window} * kWhole;
  }
  for (uint32_t i = 0; i < tasks_.size(); ++i) devices_[tasks_[i].device].tasks.push_back(i);
}

void Scheduler::Next(std::vector<Start>& starts) {
  if (stopped_) return;
  for (bool progress = true; progress;) {
    progress = false;
    // Requests first: a free lane is the only thing that can't be made up for.
    for (Device& device : devices_) {
      while (StartReady(device.ready, device.lanes, starts)) progress = true;
    }
    // Then what gives memory back, then new tasks, on the device that has least under way.
    while (StartReady(ready_, processors_, starts)) progress = true;
    Device* least = nullptr;
    for (Device& device : devices_) {
      if (CanBegin(device) && (least == nullptr || device.window.used < least->window.used)) least = &device;
    }
    if (least != nullptr) {
      Begin(*least, starts);
      progress = true;
    }
  }
}

bool Scheduler::StartReady(std::deque<uint32_t>& ready, Slots& slots, std::vector<Start>& starts) {
  if (ready.empty() || !slots.Fit(tasks_[ready.front()])) return false;
  const uint32_t task = ready.front();
  ready.pop_front();
  Launch(task, starts);
  return true;
}

bool Scheduler::CanBegin(const Device& device) const {
  if (device.begun == device.tasks.size()) return false;
  const Task& task = tasks_[device.tasks[device.begun]];
  if (!device.window.Fit(task)) return false;
  // A task that is larger than the whole budget goes alone.
  if (task.staging > 0 && staging_used_ > 0 && staging_used_ + task.staging > limits_.staging) return false;
  return task.phases[0] == Resource::kProcessor ? processors_.Fit(task) : device.lanes.Fit(task);
}

void Scheduler::Begin(Device& device, std::vector<Start>& starts) {
  const uint32_t task = device.tasks[device.begun++];
  device.window.used += tasks_[task].shares;
  staging_used_ += tasks_[task].staging;
  Launch(task, starts);
}

void Scheduler::Launch(uint32_t task, std::vector<Start>& starts) {
  const Task& t = tasks_[task];
  SlotsOf(t, phase_[task]).used += t.shares;
  ++running_;
  starts.push_back({task, phase_[task]});
}

void Scheduler::Done(uint32_t task) {
  const Task& t = tasks_[task];
  Device& device = devices_[t.device];
  const uint8_t phase = phase_[task]++;
  SlotsOf(t, phase).used -= t.shares;
  --running_;
  if (phase == t.releases_source_after) --sources_;
  if (phase_[task] == t.phase_count) {
    device.window.used -= t.shares;
    ++finished_;
    staging_used_ -= t.staging;
  } else if (t.phases[phase_[task]] == Resource::kProcessor) {
    ready_.push_back(task);
  } else {
    device.ready.push_back(task);
  }
}

}  // namespace tensor_checkpoint
