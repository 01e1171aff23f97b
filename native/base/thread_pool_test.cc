#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <deque>
#include <filesystem>
#include <fstream>
#include <latch>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace tensor_checkpoint {
namespace {

TEST(ThreadPool, RunsEveryTaskOnce) {
  constexpr int kTasks = 5000;
  std::vector<std::atomic<int>> runs(kTasks);
  {
    ThreadPool pool(4);
    for (int task = 0; task < kTasks; ++task) pool.Run([&runs, task] { ++runs[task]; });
  }
  for (const auto& count : runs) ASSERT_EQ(count, 1);
}

TEST(ThreadPool, RunsWhatIsQueuedBeforeItEnds) {
  std::atomic<int> runs{0};
  std::latch started(1);
  std::latch proceed(1);
  {
    ThreadPool pool(1);
    pool.Run([&] {
      started.count_down();
      proceed.wait();
      ++runs;
    });
    for (int task = 0; task < 10; ++task) pool.Run([&] { ++runs; });
    started.wait();
    proceed.count_down();
  }
  EXPECT_EQ(runs, 11);
}

TEST(ThreadPool, KeepsTheOrderOfTasksOnOneThread) {
  std::vector<int> order;
  {
    ThreadPool pool(1);
    for (int task = 0; task < 100; ++task) pool.Run([&order, task] { order.push_back(task); });
  }
  ASSERT_EQ(order.size(), 100u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(ThreadPool, RunsAsManyTasksAtOnceAsItHasThreads) {
  constexpr int kThreads = 4;
  std::latch together(kThreads);
  ThreadPool pool(kThreads);
  // Deadlocks with fewer.
  for (int task = 0; task < kThreads; ++task) pool.Run([&] { together.arrive_and_wait(); });
  together.wait();
}

TEST(ThreadPool, NeverHasMoreThreadsThanItsLimit) {
  std::mutex mutex;
  std::set<std::thread::id> threads;
  {
    ThreadPool pool(3);
    EXPECT_EQ(pool.limit(), 3u);
    for (int task = 0; task < 500; ++task) {
      pool.Run([&] {
        std::lock_guard lock(mutex);
        threads.insert(std::this_thread::get_id());
      });
    }
  }
  EXPECT_LE(threads.size(), 3u);
  EXPECT_EQ(threads.count(std::this_thread::get_id()), 0u);
}

TEST(ThreadPool, TakesTasksFromTasks) {
  std::atomic<int> depth{0};
  std::latch done(1);
  ThreadPool pool(1);
  std::function<void()> next = [&] {
    if (++depth == 100) return done.count_down();
    pool.Run(next);
  };
  pool.Run(next);
  done.wait();
  EXPECT_EQ(depth, 100);
}

TEST(ThreadPool, GrowsToWhatIsReservedAndNeverShrinks) {
  ThreadPool pool(1);
  pool.Reserve(3);
  EXPECT_EQ(pool.limit(), 3u);
  pool.Reserve(2);
  EXPECT_EQ(pool.limit(), 3u);
  std::latch together(3);
  for (int task = 0; task < 3; ++task) pool.Run([&] { together.arrive_and_wait(); });
  together.wait();
}

// Of this process.
size_t ThreadsNamed(const std::string& name) {
  size_t count = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string found;
    std::getline(std::ifstream(task.path() / "comm"), found);
    count += found == name;
  }
  return count;
}

TEST(ThreadPool, EndsThreadsThatAreIdleBesideThoseThatItKeeps) {
  constexpr size_t kThreads = 8;
  std::deque<std::latch> together;
  ThreadPool pool(kThreads, {.name = "kept-by-test", .kept = 2});
  for (int round = 0; round < 3; ++round) {
    std::latch& latch = together.emplace_back(kThreads);
    for (size_t task = 0; task < kThreads; ++task) pool.Run([&latch] { latch.arrive_and_wait(); });
    latch.wait();
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    size_t count = 0;
    // One look may miss a thread: the directory is read while others end.
    while ((count = ThreadsNamed("kept-by-test")) != 2 && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    EXPECT_EQ(count, 2u);
  }
}

TEST(ThreadPool, EndsACapturesLifeWithItsTask) {
  auto value = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = value;
  std::latch ran(1);
  ThreadPool pool(1);
  pool.Run([value = std::move(value), &ran]() mutable { ran.count_down(); });
  ran.wait();
  std::latch next(1);
  pool.Run([&] { next.count_down(); });
  next.wait();
  EXPECT_TRUE(watched.expired());
}

TEST(ThreadPool, BlocksSignalsOnItsThreadsAndLeavesTheCallersAlone) {
  sigset_t before, after, inside;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  std::latch done(1);
  ThreadPool pool(1);
  pool.Run([&] {
    pthread_sigmask(SIG_SETMASK, nullptr, &inside);
    done.count_down();
  });
  done.wait();
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (const int signal : {SIGINT, SIGTERM, SIGCHLD, SIGUSR1}) {
    EXPECT_EQ(sigismember(&inside, signal), 1) << signal;
    EXPECT_EQ(sigismember(&after, signal), sigismember(&before, signal)) << signal;
  }
}

TEST(ThreadPool, GivesThreadsThePriorityItWasMadeWith) {
#ifdef SYS_sched_setattr
  // A kernel that has it refuses these arguments; a sandbox, the call.
  if (syscall(SYS_sched_setattr, 0, nullptr, 0) == -1 && errno != EINVAL) GTEST_SKIP() << "sched_setattr is forbidden here";
#endif
  const int own_niceness = getpriority(PRIO_PROCESS, 0);
  const auto own_slice = Slice();
  const bool has_slices = own_slice.count() != 0;
  const auto long_slice = has_slices ? std::max<std::chrono::nanoseconds>(own_slice, std::chrono::milliseconds(20)) : own_slice;
  const struct {
    Priority priority;
    int niceness;
    std::chrono::nanoseconds slice;
  } expected[] = {
      {Priority::kNormal, own_niceness, own_slice},
      {Priority::kBulk, own_niceness, long_slice},
      {Priority::kBackground, std::max(own_niceness, 15), long_slice},
  };
  for (const auto& [priority, niceness, slice] : expected) {
    int niceness_inside = -1;
    std::chrono::nanoseconds slice_inside{-1};
    std::latch done(1);
    ThreadPool pool(1, {.priority = priority});
    pool.Run([&] {
      niceness_inside = getpriority(PRIO_PROCESS, 0);
      slice_inside = Slice();
      done.count_down();
    });
    done.wait();
    EXPECT_EQ(niceness_inside, niceness);
    EXPECT_EQ(slice_inside, slice);
  }
  EXPECT_EQ(getpriority(PRIO_PROCESS, 0), own_niceness);
  EXPECT_EQ(Slice(), own_slice);
}

}  // namespace
}  // namespace tensor_checkpoint
