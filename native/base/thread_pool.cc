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
  // None leaves any more: with the end in sight they stay where they are listed.
  for (std::thread& thread : threads_) thread.join();
  for (std::thread& thread : left_) thread.join();
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
  // They have nothing left to do but to end.
  for (std::thread& thread : left_) thread.join();
  left_.clear();
  threads_.push_back(StartThread(options_.name, [this] { Work(); }, options_.priority));
}

void ThreadPool::Leave() {
  const auto own = std::find_if(threads_.begin(), threads_.end(),
                                [](const std::thread& thread) { return thread.get_id() == std::this_thread::get_id(); });
  left_.push_back(std::move(*own));
  threads_.erase(own);
}

void ThreadPool::Work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (tasks_.empty() && idle_ >= options_.kept && !ending_) return Leave();
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
