#include "base/thread_pool.h"

#include <algorithm>
#include <utility>

namespace tensor_checkpoint {

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::Run(std::function<void()> task) {
  {
    std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    StartIfNeeded();
  }
  wake_.notify_one();
}

void ThreadPool::Reserve(size_t threads) {
  std::lock_guard lock(mutex_);
  limit_ = std::max(limit_, threads);
}

size_t ThreadPool::limit() const {
  std::lock_guard lock(mutex_);
  return limit_;
}

void ThreadPool::StartIfNeeded() {
  if (tasks_.size() <= idle_ || threads_.size() >= limit_) return;
  threads_.push_back(StartThread("tensor-ckpt", [this] { Work(); }, priority_));
}

void ThreadPool::Work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    wake_.wait(lock, [this] { return ending_ || !tasks_.empty(); });
    --idle_;
    if (tasks_.empty()) return;
    {
      std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      // The task's captures end here, outside of the lock.
    }
    lock.lock();
  }
}

}  // namespace tensor_checkpoint
