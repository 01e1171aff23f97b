#include "pipeline/task_runner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "base/thread_pool.h"

namespace tensor_checkpoint {
namespace {

using Resource = Scheduler::Resource;
using Start = Scheduler::Start;

std::vector<Scheduler::Task> Tasks(size_t count, uint64_t bytes = 4 << 20, uint8_t phases = 3) {
  return std::vector(count, Scheduler::Task{.phase_count = phases,
                                            .phases = {Resource::kProcessor, Resource::kLane, Resource::kProcessor},
                                            .shares = Scheduler::SharesOf(bytes)});
}

// Performs every phase by `body`, and counts.
struct Counted {
  explicit Counted(size_t tasks) : phases(tasks) {}
  std::vector<std::atomic<uint8_t>> phases;
  std::atomic<size_t> reported{0};
};

TEST(TaskRunner, PerformsEveryPhaseOfEveryTaskOnceAndInOrder) {
  ThreadPool pool(8);
  for (const uint64_t bytes : {uint64_t{1}, uint64_t{4096}, uint64_t{100000}, uint64_t{4 << 20}}) {
    Counted counted(5000);
    TaskRunner* self = nullptr;
    TaskRunner runner(
        pool, Scheduler(Tasks(5000, bytes), 1, {.processors = 4, .lanes = 4}),
        [&](Start start) {
          EXPECT_EQ(counted.phases[start.task].fetch_add(1), start.phase);
          self->Done(start);
        },
        [&](Start, const Scheduler&) {
          ++counted.reported;
          return true;
        });
    self = &runner;
    runner.Run();
    EXPECT_EQ(counted.reported, 15000u);
    EXPECT_TRUE(std::all_of(counted.phases.begin(), counted.phases.end(), [](const auto& n) { return n == 3; }));
  }
}

TEST(TaskRunner, NeverRunsMoreOnProcessorsAtOnceThanThereAre) {
  ThreadPool pool(16);
  std::atomic<int> running{0}, most{0};
  TaskRunner* self = nullptr;
  TaskRunner runner(
      pool, Scheduler(Tasks(300), 1, {.processors = 3, .lanes = 8}),
      [&](Start start) {
        if (start.phase == 1) return pool.Run([&, start] { self->Done(start); });
        const int now = ++running;
        for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
        }
        std::this_thread::yield();
        --running;
        self->Done(start);
      },
      [](Start, const Scheduler&) { return true; });
  self = &runner;
  runner.Run();
  EXPECT_GE(most, 1);
  EXPECT_LE(most, 3);
}

TEST(TaskRunner, TakesPhasesThatEndOnOtherThreads) {
  ThreadPool pool(4), device(4);
  std::atomic<size_t> reported{0};
  TaskRunner* self = nullptr;
  TaskRunner runner(
      pool, Scheduler(Tasks(2000, 4096), 1, {.processors = 2, .lanes = 2}),
      [&](Start start) {
        if (start.phase == 1) device.Run([&, start] { self->Done(start); });
        else self->Done(start);
      },
      [&](Start, const Scheduler&) {
        ++reported;
        return true;
      });
  self = &runner;
  runner.Run();
  EXPECT_EQ(reported, 6000u);
}

TEST(TaskRunner, ReportsOnePhaseAtATime) {
  ThreadPool pool(8);
  std::atomic<int> inside{0};
  TaskRunner* self = nullptr;
  TaskRunner runner(
      pool, Scheduler(Tasks(2000, 4096), 1, {.processors = 8, .lanes = 8}),
      [&](Start start) {
        if (start.task % 3 == 0) pool.Run([&, start] { self->Done(start); });
        else self->Done(start);
      },
      [&](Start, const Scheduler&) {
        EXPECT_EQ(++inside, 1);
        --inside;
        return true;
      });
  self = &runner;
  runner.Run();
}

TEST(TaskRunner, StopsWhenToldToAndWaitsForWhatIsUnderWay) {
  ThreadPool pool(4);
  std::atomic<size_t> performed{0}, reported{0};
  TaskRunner* self = nullptr;
  TaskRunner runner(
      pool, Scheduler(Tasks(100000, 4096), 1, {.processors = 2, .lanes = 2}),
      [&](Start start) {
        ++performed;
        self->Done(start);
      },
      [&](Start, const Scheduler&) { return ++reported < 1000; });
  self = &runner;
  runner.Run();
  EXPECT_EQ(performed, reported);
  EXPECT_GE(reported, 1000u);
  EXPECT_LT(reported, 3000u);
}

TEST(TaskRunner, ReturnsAtOnceWithoutTasks) {
  ThreadPool pool(1);
  TaskRunner runner(pool, Scheduler({}, 1, {}), [](Start) { FAIL(); }, [](Start, const Scheduler&) { return true; });
  runner.Run();
}

TEST(TaskRunner, WorksOnTheCallersThreadFirst) {
  // Requests that end at once, and processors enough for one: no other thread has anything to do.
  ThreadPool pool(4);
  std::set<std::thread::id> threads;
  TaskRunner* self = nullptr;
  TaskRunner runner(
      pool, Scheduler(Tasks(100), 1, {.processors = 1, .lanes = 1}),
      [&](Start start) {
        threads.insert(std::this_thread::get_id());
        self->Done(start);
      },
      [](Start, const Scheduler&) { return true; });
  self = &runner;
  runner.Run();
  EXPECT_EQ(threads, std::set{std::this_thread::get_id()});
}

TEST(TaskRunner, LeavesAllWorkToTheExecutorWhereTheCallerWaits) {
  ThreadPool pool(4);
  std::mutex mutex;
  std::set<std::thread::id> threads;
  TaskRunner* self = nullptr;
  TaskRunner runner(
      pool, Scheduler(Tasks(100), 1, {.processors = 2, .lanes = 2}),
      [&](Start start) {
        if (start.phase != 1) {  // A request may be made on any thread.
          std::lock_guard lock(mutex);
          threads.insert(std::this_thread::get_id());
        }
        self->Done(start);
      },
      [](Start, const Scheduler&) { return true; }, TaskRunner::Caller::kWaits);
  self = &runner;
  runner.Run();
  EXPECT_EQ(threads.count(std::this_thread::get_id()), 0u);
  EXPECT_FALSE(threads.empty());
}

TEST(TaskRunner, ComesToItsEndOnTheCallersThreadAlone) {
  // An executor whose threads are all taken.
  ThreadPool pool(1), device(1);
  std::latch over(1);
  pool.Run([&] { over.wait(); });
  std::atomic<size_t> reported{0};
  TaskRunner* self = nullptr;
  TaskRunner runner(
      pool, Scheduler(Tasks(50), 1, {.processors = 1, .lanes = 4}),
      [&](Start start) {
        if (start.phase == 1) device.Run([&, start] { self->Done(start); });
        else self->Done(start);
      },
      [&](Start, const Scheduler&) {
        ++reported;
        return true;
      });
  self = &runner;
  runner.Run();
  over.count_down();
  EXPECT_EQ(reported, 150u);
}

TEST(TaskRunner, RunsWithinAPhaseOfAnotherRunner) {
  // A worker of one runner can complete a phase of another one: neither may take the other's for its own.
  ThreadPool pool(4);
  std::atomic<size_t> inner_reported{0}, outer_reported{0};
  TaskRunner* outer_self = nullptr;
  TaskRunner outer(
      pool, Scheduler(Tasks(20), 1, {.processors = 1, .lanes = 1}),
      [&](Start start) {
        if (start.phase == 0) {
          TaskRunner* inner_self = nullptr;
          TaskRunner inner(
              pool, Scheduler(Tasks(10, 4096), 1, {.processors = 2, .lanes = 1}),
              [&](Start s) { inner_self->Done(s); },
              [&](Start, const Scheduler&) {
                ++inner_reported;
                return true;
              });
          inner_self = &inner;
          inner.Run();
        }
        outer_self->Done(start);
      },
      [&](Start, const Scheduler&) {
        ++outer_reported;
        return true;
      });
  outer_self = &outer;
  outer.Run();
  EXPECT_EQ(outer_reported, 60u);
  EXPECT_EQ(inner_reported, 600u);
}

}  // namespace
}  // namespace tensor_checkpoint
