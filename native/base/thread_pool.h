#ifndef TENSOR_CHECKPOINT_BASE_THREAD_POOL_H_
#define TENSOR_CHECKPOINT_BASE_THREAD_POOL_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "base/executor.h"
#include "base/thread.h"

namespace tensor_checkpoint {

// Threads that run tasks in the order of their arrival. They start with the first task that finds none idle, and end
// when more are idle than are to be kept, and with the pool: the destructor runs what is still queued, then joins; it must
// not run on one of the threads.
class ThreadPool final : public Executor {
 public:
  struct Options {
    Priority priority = Priority::kNormal;
    // A literal of at most 15 characters, for the system's tools.
    const char* name = "tensor-ckpt";
    // Threads that stay when there is nothing to do.
    size_t kept = SIZE_MAX;
  };
  explicit ThreadPool(size_t threads) : ThreadPool(threads, Options()) {}
  ThreadPool(size_t threads, const Options& options) : options_(options), limit_(threads) {}
  ~ThreadPool() override;

  void Run(std::function<void()> task) override;

  // Allows for at least so many threads from now on.
  void Reserve(size_t threads);
  size_t limit() const;

 private:
  void Work();
  void StartIfNeeded();
  // The calling thread is to end: whoever starts the next one joins it.
  void Leave();

  const Options options_;
  mutable std::mutex mutex_;  // Guards what follows.
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
  std::vector<std::thread> threads_;
  std::vector<std::thread> left_;
  size_t limit_;
  size_t idle_ = 0;
  bool ending_ = false;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BASE_THREAD_POOL_H_
