#include "pipeline/task_runner.h"

#include <algorithm>
#include <utility>

namespace tensor_checkpoint {

thread_local TaskRunner::Worker* TaskRunner::worker_ = nullptr;

TaskRunner::TaskRunner(Executor& executor, Scheduler scheduler, Perform perform, AfterPhase after, Caller caller)
    : executor_(executor),
      scheduler_(std::move(scheduler)),
      caller_(caller),
      perform_(std::move(perform)),
      after_(std::move(after)) {}

void TaskRunner::Run() {
  Advance({});
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return caller_works_ || over(); });
    if (!caller_works_) return;
    lock.unlock();
    Work(Place::kCaller);
    lock.lock();
  }
}

void TaskRunner::Done(Scheduler::Start ended) {
  if (worker_ != nullptr && worker_->runner == this) return worker_->ended.push_back(ended);
  Advance({&ended, 1});
}

void TaskRunner::Advance(std::span<const Scheduler::Start> ended) {
  std::vector<Scheduler::Start> requests;
  bool start_worker;
  {
    std::lock_guard lock(mutex_);
    ++advancing_;
    Decide(ended, requests);
    start_worker = NeedsThread();
  }
  if (start_worker) executor_.Run([this] { Work(Place::kExecutor); });
  for (const Scheduler::Start& request : requests) perform_(request);
  // Notified under the lock: Run() returns, and its owner goes, only when this thread has let go of it.
  std::lock_guard lock(mutex_);
  --advancing_;
  if (over()) wake_.notify_all();
}

void TaskRunner::Work(Place place) {
  Worker self{this, {}, worker_};
  worker_ = &self;
  std::vector<Scheduler::Start> requests, mine;
  std::unique_lock lock(mutex_);
  for (;;) {
    requests.clear();
    Decide(self.ended, requests);
    self.ended.clear();
    // Its part of what all processors could do at once: the others come for theirs.
    const size_t part = std::min(ready_.size(), std::max<size_t>(1, ready_.size() / scheduler_.limits().processors));
    mine.assign(ready_.begin(), ready_.begin() + static_cast<ptrdiff_t>(part));
    ready_.erase(ready_.begin(), ready_.begin() + static_cast<ptrdiff_t>(part));
    if (mine.empty() && requests.empty()) break;
    const bool start_worker = NeedsThread();
    lock.unlock();
    if (start_worker) executor_.Run([this] { Work(Place::kExecutor); });
    for (const Scheduler::Start& request : requests) perform_(request);
    for (const Scheduler::Start& start : mine) perform_(start);
    lock.lock();
  }
  --workers_;
  // With the same lock: whoever finds work from here on wakes the caller again, instead of asking for another thread.
  if (place == Place::kCaller) caller_works_ = false;
  worker_ = self.outer;
  if (over()) wake_.notify_all();
}

void TaskRunner::Decide(std::span<const Scheduler::Start> ended, std::vector<Scheduler::Start>& requests) {
  for (const Scheduler::Start& start : ended) {
    scheduler_.Done(start.task);
    if (!after_(start, scheduler_)) scheduler_.Stop();
  }
  starts_.clear();
  scheduler_.Next(starts_);
  for (const Scheduler::Start& start : starts_) {
    if (scheduler_.ResourceOf(start) == Scheduler::Resource::kProcessor) ready_.push_back(start);
    else requests.push_back(start);
  }
}

// Whether a worker is to start on the executor, if one is of use at all: the thread in Run() comes first. One at a time:
// each that comes finds out whether another one is of use.
bool TaskRunner::NeedsThread() {
  if (ready_.empty() || workers_ >= scheduler_.limits().processors) return false;
  ++workers_;
  if (caller_works_ || caller_ == Caller::kWaits) return true;
  caller_works_ = true;
  wake_.notify_all();
  return false;
}

}  // namespace tensor_checkpoint
