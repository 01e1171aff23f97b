#include "pipeline/scheduler.h"

#include <algorithm>
#include <utility>

namespace tensor_checkpoint {

Scheduler::Scheduler(std::vector<Task> tasks, uint32_t devices, const Limits& limits)
    : tasks_(std::move(tasks)), phase_(tasks_.size(), 0), devices_(devices), limits_(limits), sources_(tasks_.size()) {
  for (uint32_t i = 0; i < tasks_.size(); ++i) devices_[tasks_[i].device].waiting.push_back(i);
}

void Scheduler::Next(std::vector<Start>& starts) {
  if (stopped_) return;
  for (bool progress = true; progress;) {
    progress = false;
    // Requests first: a free lane is the only thing that can't be made up for.
    for (Device& device : devices_) {
      while (!device.ready.empty() && device.lanes_used < limits_.lanes) {
        const uint32_t task = device.ready.front();
        device.ready.pop_front();
        Launch(task, starts);
        progress = true;
      }
    }
    // Then what gives memory back, then new tasks, on the device that has least under way.
    while (StartOnProcessor(starts)) progress = true;
    Device* least = nullptr;
    for (Device& device : devices_) {
      if (CanBegin(device) && (least == nullptr || device.under_way < least->under_way)) least = &device;
    }
    if (least != nullptr && Begin(*least, starts)) progress = true;
  }
}

bool Scheduler::StartOnProcessor(std::vector<Start>& starts) {
  if (ready_.empty() || processors_used_ >= limits_.processors) return false;
  const uint32_t task = ready_.front();
  ready_.pop_front();
  Launch(task, starts);
  return true;
}

bool Scheduler::CanBegin(const Device& device) const {
  if (device.waiting.empty() || device.under_way >= limits_.window) return false;
  const Task& task = tasks_[device.waiting.front()];
  // A task that is larger than the whole budget goes alone.
  if (task.staging > 0 && staging_used_ > 0 && staging_used_ + task.staging > limits_.staging) return false;
  return task.phases[0] == Resource::kProcessor ? processors_used_ < limits_.processors
                                                : device.lanes_used < limits_.lanes;
}

bool Scheduler::Begin(Device& device, std::vector<Start>& starts) {
  const uint32_t task = device.waiting.front();
  device.waiting.pop_front();
  ++device.under_way;
  staging_used_ += tasks_[task].staging;
  Launch(task, starts);
  return true;
}

void Scheduler::Launch(uint32_t task, std::vector<Start>& starts) {
  const Task& t = tasks_[task];
  if (t.phases[phase_[task]] == Resource::kProcessor) ++processors_used_;
  else ++devices_[t.device].lanes_used;
  ++running_;
  starts.push_back({task, phase_[task]});
}

void Scheduler::Done(uint32_t task) {
  const Task& t = tasks_[task];
  Device& device = devices_[t.device];
  const uint8_t phase = phase_[task]++;
  if (t.phases[phase] == Resource::kProcessor) --processors_used_;
  else --device.lanes_used;
  --running_;
  if (phase == t.releases_source_after) --sources_;
  if (phase_[task] == t.phase_count) {
    --device.under_way;
    ++finished_;
    staging_used_ -= t.staging;
  } else if (t.phases[phase_[task]] == Resource::kProcessor) {
    ready_.push_back(task);
  } else {
    device.ready.push_back(task);
  }
}

}  // namespace tensor_checkpoint
