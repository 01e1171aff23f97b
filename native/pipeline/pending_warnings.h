#ifndef TENSOR_CHECKPOINT_PIPELINE_PENDING_WARNINGS_H_
#define TENSOR_CHECKPOINT_PIPELINE_PENDING_WARNINGS_H_

#include <atomic>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "pipeline/program.h"

namespace tensor_checkpoint {

// Warnings of threads that must not emit events themselves, because those go out one at a time. Add() by any thread,
// Emit() where it is some thread's turn to emit.
class PendingWarnings {
 public:
  void Add(Event event) {
    std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    any_ = true;
  }
  void Emit(const std::function<void(Event)>& emit) {
    if (!any_) return;
    std::vector<Event> events;
    {
      std::lock_guard lock(mutex_);
      events.swap(events_);
      any_ = false;
    }
    for (Event& event : events) emit(std::move(event));
  }

 private:
  std::mutex mutex_;
  std::vector<Event> events_;
  std::atomic<bool> any_ = false;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_PIPELINE_PENDING_WARNINGS_H_
