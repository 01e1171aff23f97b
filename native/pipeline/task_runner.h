#ifndef TENSOR_CHECKPOINT_PIPELINE_TASK_RUNNER_H_
#define TENSOR_CHECKPOINT_PIPELINE_TASK_RUNNER_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "base/executor.h"
#include "base/thread.h"
#include "pipeline/scheduler.h"

namespace tensor_checkpoint {

// Carries out what a Scheduler decides, until nothing is under way. Phases that take a processor run on workers: the
// thread that calls Run(), which has nothing else to do (unless it is told to wait), and with more to do than that one
// can, threads of the executor.
// Other phases run on whatever thread finds that they may start, and must not block it.
//
// At most so many workers exist at once as the scheduler has processors. A worker takes its part of what is ready, and
// reports all that ended meanwhile in one go: with tiny tasks the lock is taken once for dozens of them.
class TaskRunner {
 public:
  // Performs one phase and has Done(start) called when it has ended, on any thread, perhaps before it returns.
  using Perform = std::function<void(Scheduler::Start)>;
  // Called after each phase, one call at a time. false: stop, let what is under way end.
  using AfterPhase = std::function<bool(Scheduler::Start, const Scheduler&)>;

  // What the thread that calls Run() does meanwhile.
  enum class Caller { kWorks, kWaits };
  // It has the normal priority, and leaves what is to have another one to the executor.
  static Caller CallerBeside(Priority executor) { return executor == Priority::kNormal ? Caller::kWorks : Caller::kWaits; }

  // The executor must outlive the runner.
  TaskRunner(Executor& executor, Scheduler scheduler, Perform perform, AfterPhase after, Caller caller = Caller::kWorks);

  // Once.
  void Run();
  // Any thread.
  void Done(Scheduler::Start ended);

 private:
  // The worker that runs on this thread, and what has ended on it since it last held the lock.
  struct Worker {
    TaskRunner* runner;
    std::vector<Scheduler::Start> ended;
    Worker* outer;
  };

  void Advance(std::span<const Scheduler::Start> ended);
  // Where a worker runs.
  enum class Place { kCaller, kExecutor };
  void Work(Place place);
  // Under the lock. `requests` gets what takes no processor.
  void Decide(std::span<const Scheduler::Start> ended, std::vector<Scheduler::Start>& requests);
  bool NeedsThread();
  bool over() const { return scheduler_.idle() && advancing_ == 0 && workers_ == 0; }

  static thread_local Worker* worker_;

  Executor& executor_;
  std::mutex mutex_;  // Guards what follows.
  std::condition_variable wake_;  // The thread in Run().
  Scheduler scheduler_;
  std::vector<Scheduler::Start> starts_;
  std::deque<Scheduler::Start> ready_;  // Started by the scheduler, not yet taken by a worker.
  size_t workers_ = 0;
  size_t advancing_ = 0;
  bool caller_works_ = false;  // Or has been told to.
  const Caller caller_;
  const Perform perform_;
  const AfterPhase after_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_PIPELINE_TASK_RUNNER_H_
