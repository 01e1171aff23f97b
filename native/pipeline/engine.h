#ifndef TENSOR_CHECKPOINT_PIPELINE_ENGINE_H_
#define TENSOR_CHECKPOINT_PIPELINE_ENGINE_H_

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>

#include "base/thread_pool.h"
#include "device/cuda_devices.h"
#include "io/make_file_system.h"
#include "pipeline/limits.h"
#include "pipeline/program.h"
#include "pipeline/staging_pool.h"

namespace tensor_checkpoint {

class Engine;

// Handle on a program under way. The destructor waits until it has ended.
class RunningProgram {
 public:
  explicit RunningProgram(Engine& engine);
  ~RunningProgram();
  // Any thread; the program then fails with kAborted, unless it is past the point of no return.
  void Abort() { aborted_ = true; }

 private:
  friend class Engine;
  Engine& engine_;
  std::atomic<bool> aborted_ = false;
  bool ended_ = false;  // Guarded by the engine's mutex.
};

// Threads of one priority, and the file system whose requests they carry out.
struct Crew {
  explicit Crew(Priority priority) : pool(ThreadsFor({}), {.priority = priority}), file_system(MakeFileSystem(&pool)) {}
  ThreadPool pool;
  ChosenFileSystem file_system;
};

// The process's threads and file system, shared by all environments (main thread and workers), which hold it by
// shared_ptr: the last one to let go ends the threads. Threads start when there is work. Must not be released on one of
// its own threads.
class Engine {
 public:
  static std::shared_ptr<Engine> Shared();

  // `sink` must live until the program has sent its last event and the handle is gone. `complete`, if there is one, adds
  // what takes long to the program, on its own thread and before anything is done; if it fails, the program does.
  template <typename Program>
  using Complete = std::function<Status(Program&)>;
  std::unique_ptr<RunningProgram> StartSave(SaveProgram program, EventSink& sink, Complete<SaveProgram> complete = {});
  std::unique_ptr<RunningProgram> StartLoad(LoadProgram program, EventSink& sink, Complete<LoadProgram> complete = {});

  // For the end of the process: aborts all programs and waits until each has ended, cleanly undone or committed.
  void AbortAllAndWait();

  ThreadPool& pool() { return crew_.pool; }
  // How many threads a program may have.
  size_t threads() const { return std::max({crew_.pool.limit(), bulk_.pool.limit(), background_.pool.limit()}); }
  FileSystem& fs() { return *crew_.file_system.fs; }
  // How direct transfers are made: "threads" or "uring".
  const char* io() const { return crew_.file_system.io; }
  CudaDevices& devices() { return devices_; }

 private:
  friend class RunningProgram;
  template <typename Body>
  std::unique_ptr<RunningProgram> Start(Body body);
  // Chooses whose threads carry out a program, and sees to it that there are enough; the program's options say which priority.
  template <typename Program>
  Crew& CrewFor(Program& program);

  bool AllEnded() const;  // Under the lock.

  Crew crew_{Priority::kNormal};
  Crew bulk_{Priority::kBulk};
  Crew background_{Priority::kBackground};
  StagingPool staging_;
  CudaDevices devices_;
  std::mutex mutex_;  // Guards what follows.
  std::condition_variable ended_;
  std::set<RunningProgram*> programs_;
  // One for each program under way, and some that stay for the next ones: hundreds of tensors asked for at once would start
  // and end a thread each. Of normal priority also for programs of another one, which leave all work to their crew: what a
  // driver starts lives on, such as the threads of devices, and would never get out of the background again.
  // Ends first: drivers use all of the above.
  ThreadPool drivers_{SIZE_MAX, {.name = "tensor-ckpt-run", .kept = 4}};
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_PIPELINE_ENGINE_H_
