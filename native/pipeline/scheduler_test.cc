#include "pipeline/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <queue>
#include <random>
#include <utility>
#include <vector>

namespace tensor_checkpoint {
namespace {

using Resource = Scheduler::Resource;
using Limits = Scheduler::Limits;
using Start = Scheduler::Start;

constexpr uint64_t kChunk = 4 << 20;

// Through staging: copied by a processor, written by the device.
Scheduler::Task Copied(uint32_t device = 0, uint64_t staging = kChunk) {
  return {.staging = staging,
          .device = device,
          .phase_count = 2,
          .phases = {Resource::kProcessor, Resource::kLane},
          .releases_source_after = 0};
}

// In place: summed, written, summed again.
Scheduler::Task InPlace(uint32_t device = 0) {
  return {.device = device,
          .phase_count = 3,
          .phases = {Resource::kProcessor, Resource::kLane, Resource::kProcessor},
          .releases_source_after = 2};
}

// Runs a scheduler on a virtual clock and checks, at every moment, that no limit is exceeded.
class Simulation {
 public:
  // Seconds that a phase of a task takes.
  using Cost = std::function<double(uint32_t task, uint8_t phase)>;

  Simulation(std::vector<Scheduler::Task> tasks, uint32_t devices, Limits limits, Cost cost)
      : finished_on(devices), tasks_(tasks), limits_(limits), cost_(std::move(cost)),
        scheduler_(std::move(tasks), devices, limits), lanes_(devices), under_way_(devices), phase_(tasks_.size()) {}

  void Run() {
    StartAll();
    while (!ends_.empty()) {
      const End end = ends_.top();
      ends_.pop();
      now = end.time;
      on_end(end.start, now);
      Finish(end.start);
      if (stop_at > 0 && now >= stop_at) scheduler_.Stop();
      StartAll();
    }
  }

  Scheduler& scheduler() { return scheduler_; }
  // At work, in shares.
  uint64_t processors() const { return processors_; }

  double now = 0;
  double captured_at = -1;
  std::function<void(Start, double)> on_end = [](Start, double) {};
  double stop_at = 0;
  uint64_t most_staging = 0;
  std::vector<uint32_t> order;  // Of first phases.
  std::vector<size_t> finished_on;  // Tasks, by device.

 private:
  struct End {
    double time;
    uint64_t sequence;
    Start start;
    bool operator<(const End& other) const {
      return time != other.time ? time > other.time : sequence > other.sequence;
    }
  };

  void StartAll() {
    std::vector<Start> starts;
    scheduler_.Next(starts);
    for (const Start& start : starts) {
      const Scheduler::Task& task = tasks_[start.task];
      ASSERT_EQ(start.phase, phase_[start.task]) << "phases of a task run in order, each once";
      if (start.phase == 0) {
        order.push_back(start.task);
        staging_ += task.staging;
        staged_tasks_ += task.staging > 0;
        under_way_[task.device] += task.shares;
      }
      const bool lane = task.phases[start.phase] == Resource::kLane;
      (lane ? lanes_[task.device] : processors_) += task.shares;
      ends_.push({now + cost_(start.task, start.phase), sequence_++, start});
      EXPECT_LE(processors_, uint64_t{limits_.processors} * Scheduler::kWhole);
      EXPECT_LE(lanes_[task.device], uint64_t{limits_.lanes} * Scheduler::kWhole);
      EXPECT_LE(under_way_[task.device], uint64_t{limits_.window} * Scheduler::kWhole);
    }
    // One task that is larger than the budget goes alone; otherwise the budget holds.
    EXPECT_TRUE(staging_ <= limits_.staging || staged_tasks_ == 1) << staging_;
    most_staging = std::max(most_staging, staging_);
    EXPECT_EQ(scheduler_.staging_used(), staging_);
  }

  void Finish(Start start) {
    const Scheduler::Task& task = tasks_[start.task];
    (task.phases[start.phase] == Resource::kLane ? lanes_[task.device] : processors_) -= task.shares;
    if (++phase_[start.task] == task.phase_count) {
      staging_ -= task.staging;
      staged_tasks_ -= task.staging > 0;
      under_way_[task.device] -= task.shares;
      ++finished_on[task.device];
    }
    scheduler_.Done(start.task);
    if (captured_at < 0 && scheduler_.sources_released()) captured_at = now;
  }

  const std::vector<Scheduler::Task> tasks_;
  const Limits limits_;
  const Cost cost_;
  Scheduler scheduler_;
  std::priority_queue<End> ends_;
  uint64_t sequence_ = 0;
  uint64_t processors_ = 0;  // In shares, as what follows.
  std::vector<uint64_t> lanes_;
  std::vector<uint64_t> under_way_;
  uint64_t staging_ = 0;
  uint32_t staged_tasks_ = 0;
  std::vector<uint8_t> phase_;
};

TEST(Scheduler, HasNothingToDoWithoutTasks) {
  Scheduler scheduler({}, 1, {.staging = kChunk});
  std::vector<Start> starts;
  scheduler.Next(starts);
  EXPECT_TRUE(starts.empty());
  EXPECT_TRUE(scheduler.idle());
  EXPECT_TRUE(scheduler.finished());
  EXPECT_TRUE(scheduler.sources_released());
}

TEST(Scheduler, StartsTasksOfADeviceInTheirOrder) {
  Simulation simulation(std::vector(50, Copied()), 1, {.processors = 1, .lanes = 4, .staging = 8 * kChunk},
                        [](uint32_t, uint8_t) { return 1.0; });
  simulation.Run();
  EXPECT_TRUE(simulation.scheduler().finished());
  EXPECT_EQ(simulation.order.size(), 50u);
  EXPECT_TRUE(std::is_sorted(simulation.order.begin(), simulation.order.end()));
}

TEST(Scheduler, OverlapsCopyingAndWriting) {
  // Both take a second a chunk: a pipeline needs one second more than the chunks, not twice their number.
  Simulation simulation(std::vector(20, Copied()), 1, {.processors = 1, .lanes = 1, .staging = 2 * kChunk},
                        [](uint32_t, uint8_t) { return 1.0; });
  simulation.Run();
  EXPECT_DOUBLE_EQ(simulation.now, 21.0);
}

TEST(Scheduler, KeepsEveryLaneBusyWhileThereIsWork) {
  constexpr int kLanes = 8;
  Simulation simulation(std::vector(80, InPlace()), 1, {.processors = 2, .lanes = kLanes, .staging = 0},
                        [](uint32_t, uint8_t phase) { return phase == 1 ? 1.0 : 0.05; });
  simulation.Run();
  EXPECT_TRUE(simulation.scheduler().finished());
  // 80 seconds of writing on 8 lanes, and the ramps before and behind it.
  EXPECT_LT(simulation.now, 80.0 / kLanes * 1.15);
}

TEST(Scheduler, TakesFewProcessorsWhileNoLaneWaitsForOne) {
  Simulation simulation(std::vector(80, InPlace()), 1,
                        {.processors = 4, .processors_beside_lanes = 1, .lanes = 8, .window = 20},
                        [](uint32_t task, uint8_t phase) { return phase == 1 ? 1.0 + 0.03 * (task % 8) : 0.01; });
  uint64_t most = 0;
  // Not while the lanes are filled, nor when there is nothing left for them.
  simulation.on_end = [&](Start, double now) {
    if (now > 0.5 && now < 9.5) most = std::max(most, simulation.processors());
  };
  simulation.Run();
  EXPECT_TRUE(simulation.scheduler().finished());
  EXPECT_EQ(most, Scheduler::kWhole);
  EXPECT_LT(simulation.now, 80.0 / 8 * 1.25);
}

TEST(Scheduler, TakesEveryProcessorWhereFewCannotKeepTheLanesBusy) {
  Simulation simulation(std::vector(80, InPlace()), 1,
                        {.processors = 4, .processors_beside_lanes = 1, .lanes = 8, .window = 20},
                        [](uint32_t, uint8_t phase) { return phase == 1 ? 1.0 : 0.5; });
  simulation.Run();
  // A second of four processors for each of 80 tasks.
  EXPECT_LT(simulation.now, 80.0 / 4 * 1.15);
}

TEST(Scheduler, NeverExceedsTheStagingBudget) {
  Simulation simulation(std::vector(100, Copied()), 1, {.processors = 8, .lanes = 8, .staging = 5 * kChunk + 1},
                        [](uint32_t, uint8_t phase) { return phase == 0 ? 0.01 : 1.0; });
  simulation.Run();
  EXPECT_TRUE(simulation.scheduler().finished());
  EXPECT_EQ(simulation.most_staging, 5 * kChunk);
}

TEST(Scheduler, LetsATaskLargerThanTheBudgetGoAlone) {
  std::vector<Scheduler::Task> tasks(10, Copied());
  tasks[4].staging = 10 * kChunk;
  Simulation simulation(tasks, 1, {.processors = 4, .lanes = 4, .staging = 3 * kChunk},
                        [](uint32_t, uint8_t) { return 1.0; });
  simulation.Run();
  EXPECT_TRUE(simulation.scheduler().finished());
  EXPECT_EQ(simulation.most_staging, 10 * kChunk);
}

TEST(Scheduler, FinishesWithoutAnyStagingAtAll) {
  Simulation simulation(std::vector(10, Copied()), 1, {.processors = 2, .lanes = 2, .staging = 0},
                        [](uint32_t, uint8_t) { return 1.0; });
  simulation.Run();
  EXPECT_TRUE(simulation.scheduler().finished());
  EXPECT_EQ(simulation.most_staging, kChunk);
}

TEST(Scheduler, KeepsTheWindowOfADevice) {
  Simulation simulation(std::vector(30, InPlace()), 1, {.processors = 8, .lanes = 8, .window = 3},
                        [](uint32_t, uint8_t) { return 1.0; });
  simulation.Run();  // Checks the window at every start.
  EXPECT_TRUE(simulation.scheduler().finished());
}

TEST(Scheduler, GivesADeviceThatIsTwiceAsFastTwiceTheWorkInTheSameTime) {
  std::vector<Scheduler::Task> tasks;
  for (int i = 0; i < 400; ++i) tasks.push_back(Copied(i % 2));
  Simulation simulation(tasks, 2, {.processors = 4, .lanes = 2, .staging = 16 * kChunk, .window = 6},
                        [&](uint32_t task, uint8_t phase) { return phase == 0 ? 0.01 : task % 2 == 0 ? 1.0 : 2.0; });
  simulation.stop_at = 100;
  simulation.Run();
  const double fast = static_cast<double>(simulation.finished_on[0]);
  const double slow = static_cast<double>(simulation.finished_on[1]);
  EXPECT_NEAR(fast / slow, 2.0, 0.2);
  EXPECT_GT(fast, 180);
}

TEST(Scheduler, IsNotHeldUpByADeviceThatHangs) {
  std::vector<Scheduler::Task> tasks;
  for (int i = 0; i < 60; ++i) tasks.push_back(Copied(i % 2));
  Simulation simulation(tasks, 2, {.processors = 2, .lanes = 2, .staging = 16 * kChunk, .window = 4},
                        [](uint32_t task, uint8_t phase) { return phase == 1 && task % 2 == 1 ? 1e6 : 0.1; });
  simulation.stop_at = 1e5;
  simulation.Run();
  EXPECT_EQ(simulation.finished_on[0], 30u);
}

TEST(Scheduler, CapturesAsSoonAsTheBudgetAllows) {
  // Copying is a hundred times faster than writing. With room for all, the sources are free after copying alone.
  const auto cost = [](uint32_t, uint8_t phase) { return phase == 0 ? 0.01 : 1.0; };
  Simulation roomy(std::vector(50, Copied()), 1, {.processors = 1, .lanes = 1, .staging = 50 * kChunk}, cost);
  roomy.Run();
  EXPECT_NEAR(roomy.captured_at, 0.5, 1e-6);
  EXPECT_NEAR(roomy.now, 50.01, 0.1);
  Simulation tight(std::vector(50, Copied()), 1, {.processors = 1, .lanes = 1, .staging = 10 * kChunk}, cost);
  tight.Run();
  EXPECT_NEAR(tight.captured_at, 40.0, 1.1);  // When all but the ten in staging are written.
}

TEST(Scheduler, NeedsSourcesUntilTheLastPhaseOfWhatIsWrittenInPlace) {
  Simulation simulation(std::vector(5, InPlace()), 1, {.processors = 1, .lanes = 1},
                        [](uint32_t, uint8_t) { return 1.0; });
  simulation.Run();
  EXPECT_DOUBLE_EQ(simulation.captured_at, simulation.now);
}

TEST(Scheduler, StartsNothingMoreOnceStopped) {
  Simulation simulation(std::vector(100, Copied()), 1, {.processors = 2, .lanes = 4, .staging = 8 * kChunk},
                        [](uint32_t, uint8_t) { return 1.0; });
  simulation.stop_at = 5;
  simulation.Run();
  EXPECT_TRUE(simulation.scheduler().idle());
  EXPECT_FALSE(simulation.scheduler().finished());
  EXPECT_LE(simulation.now, 6.0);
}

TEST(Scheduler, CountsSmallTasksByTheirBytes) {
  EXPECT_EQ(Scheduler::SharesOf(0), 1);
  EXPECT_EQ(Scheduler::SharesOf(4096), 1);
  EXPECT_EQ(Scheduler::SharesOf(4097), 2);
  EXPECT_EQ(Scheduler::SharesOf((256 << 10) - 1), Scheduler::kWhole);
  EXPECT_EQ(Scheduler::SharesOf(uint64_t{1} << 40), Scheduler::kWhole);
}

TEST(Scheduler, StartsManySmallTasksWhereOneLargeOneWouldGo) {
  std::vector<Scheduler::Task> tasks(1000, InPlace());
  for (auto& task : tasks) task.shares = Scheduler::SharesOf(4096);
  Scheduler scheduler(tasks, 1, {.processors = 2, .lanes = 8});
  std::vector<Start> starts;
  scheduler.Next(starts);
  EXPECT_EQ(starts.size(), 2u * Scheduler::kWhole);
}

TEST(Scheduler, LetsNoStreamOfSmallTasksKeepALargeOneWaiting) {
  std::vector<Scheduler::Task> tasks(5000, InPlace());
  for (size_t i = 0; i < tasks.size(); ++i) tasks[i].shares = i == 100 ? Scheduler::kWhole : uint8_t{1};
  double large_ended = 0;
  Simulation simulation(tasks, 1, {.processors = 1, .lanes = 1, .window = 4},
                        [&](uint32_t task, uint8_t phase) { return 1.0 + 0.001 * ((task + phase) % 7); });
  simulation.on_end = [&](Start start, double now) {
    if (start.task == 100 && start.phase == 2) large_ended = now;
  };
  simulation.Run();
  EXPECT_GT(large_ended, 0);
  EXPECT_LT(large_ended, 20);
}

TEST(Scheduler, FinishesEveryMixOfTasksUnderEveryLimit) {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    const uint32_t devices = 1 + static_cast<uint32_t>(random() % 4);
    std::vector<Scheduler::Task> tasks;
    for (auto left = random() % 60; left > 0; --left) {
      Scheduler::Task task{.staging = random() % 3 == 0 ? 0 : random() % (2 * kChunk), .device = static_cast<uint32_t>(random() % devices)};
      task.phase_count = static_cast<uint8_t>(1 + random() % 3);
      for (Resource& phase : task.phases) phase = random() % 2 == 0 ? Resource::kProcessor : Resource::kLane;
      task.releases_source_after = static_cast<uint8_t>(random() % task.phase_count);
      task.shares = Scheduler::SharesOf(random() % (512 << 10));
      tasks.push_back(task);
    }
    const Limits limits{.processors = 1 + static_cast<uint32_t>(random() % 4),
                        .processors_beside_lanes = 1 + static_cast<uint32_t>(random() % 4),
                        .lanes = 1 + static_cast<uint32_t>(random() % 4),
                        .staging = random() % (4 * kChunk),
                        .window = 1 + static_cast<uint32_t>(random() % 8)};
    const uint32_t seed = static_cast<uint32_t>(random());
    Simulation simulation(tasks, devices, limits, [&](uint32_t task, uint8_t phase) {
      return 0.001 * (1 + (task * 2654435761u + phase * 40503u + seed) % 1000);
    });
    simulation.Run();
    ASSERT_TRUE(simulation.scheduler().finished()) << "round " << round;
    ASSERT_TRUE(simulation.scheduler().idle());
    ASSERT_TRUE(simulation.scheduler().sources_released());
    ASSERT_EQ(simulation.scheduler().staging_used(), 0u);
  }
}

}  // namespace
}  // namespace tensor_checkpoint
