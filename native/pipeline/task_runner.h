#ifndef TENSOR_CHECKPOINT_PIPELINE_TASK_RUNNER_H_
#define TENSOR_CHECKPOINT_PIPELINE_TASK_RUNNER_H_

#include <condition_variable>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "pipeline/scheduler.h"

namespace tensor_checkpoint {

// Carries out what a Scheduler decides. The thread that calls Run() waits until nothing is under way any more.
class TaskRunner {
 public:
  // Performs one phase and has Done(task) called when it has ended, on any thread, perhaps before it returns.
  using Perform = std::function<void(Scheduler::Start)>;
  // Called after each phase, one call at a time. false: stop, let what is under way end.
  using AfterPhase = std::function<bool(Scheduler::Start, const Scheduler&)>;

  TaskRunner(Scheduler scheduler, Perform perform, AfterPhase after)
      : scheduler_(std::move(scheduler)), perform_(std::move(perform)), after_(std::move(after)) {}

  void Run() {
    Advance(nullptr);
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return scheduler_.idle() && advancing_ == 0; });
  }

  void Done(Scheduler::Start ended) { Advance(&ended); }

 private:
  void Advance(const Scheduler::Start* ended) {
    std::vector<Scheduler::Start> starts;
    {
      std::lock_guard lock(mutex_);
      ++advancing_;
      if (ended != nullptr) {
        scheduler_.Done(ended->task);
        if (!after_(*ended, scheduler_)) scheduler_.Stop();
      }
      scheduler_.Next(starts);
    }
    for (const Scheduler::Start& start : starts) perform_(start);
    // Notified under the lock: Run() returns, and its owner goes, only when this thread has let go of it.
    std::lock_guard lock(mutex_);
    --advancing_;
    if (scheduler_.idle() && advancing_ == 0) idle_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable idle_;
  Scheduler scheduler_;
  size_t advancing_ = 0;
  const Perform perform_;
  const AfterPhase after_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_PIPELINE_TASK_RUNNER_H_
