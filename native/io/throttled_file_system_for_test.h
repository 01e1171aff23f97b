#ifndef TENSOR_CHECKPOINT_IO_THROTTLED_FILE_SYSTEM_FOR_TEST_H_
#define TENSOR_CHECKPOINT_IO_THROTTLED_FILE_SYSTEM_FOR_TEST_H_

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "io/null_file_system_for_test.h"

namespace tensor_checkpoint {

// An emulated device in real time: it takes so many bytes a second, one request after the other, and touches none of
// them. A request ends when its last byte would have been taken, on the device's own thread. Any thread.
class ThrottledFileSystem final : public NullFileSystem {
 public:
  explicit ThrottledFileSystem(double bytes_per_second)
      : seconds_per_byte_(1 / bytes_per_second), thread_([this] { Work(); }) {}
  ~ThrottledFileSystem() override {
    {
      std::lock_guard lock(mutex_);
      ending_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  void Submit(const IoRequest& request, IoDone done) override {
    {
      std::lock_guard lock(mutex_);
      free_at_ = std::max(free_at_, Clock::now()) +
                 std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(
                     static_cast<double>(request.bytes) * seconds_per_byte_));
      queue_.push_back({free_at_, request.bytes, std::move(done)});
    }
    wake_.notify_one();
  }

 private:
  using Clock = std::chrono::steady_clock;
  struct Waiting {
    Clock::time_point at;
    size_t bytes;
    IoDone done;
  };

  void Work() {
    // Sleeping takes about this much longer than asked for; the rest is waited for by looking at the clock.
    constexpr auto kOversleep = std::chrono::microseconds(60);
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return ending_ || !queue_.empty(); });
      if (queue_.empty()) return;
      const auto at = queue_.front().at;
      lock.unlock();
      if (at - Clock::now() > kOversleep) std::this_thread::sleep_until(at - kOversleep);
      while (Clock::now() < at) std::this_thread::yield();
      lock.lock();
      while (!queue_.empty() && queue_.front().at <= Clock::now()) {
        Waiting ended = std::move(queue_.front());
        queue_.pop_front();
        lock.unlock();
        ended.done({Status::Ok(), ended.bytes});
        lock.lock();
      }
    }
  }

  const double seconds_per_byte_;
  std::mutex mutex_;  // Guards what follows.
  std::condition_variable wake_;
  std::deque<Waiting> queue_;
  Clock::time_point free_at_ = Clock::now();
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_IO_THROTTLED_FILE_SYSTEM_FOR_TEST_H_
