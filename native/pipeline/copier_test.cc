#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "pipeline/plan.h"
#include "pipeline/scheduler.h"

namespace tensor_checkpoint {
namespace {

using Resource = Scheduler::Resource;
using Start = Scheduler::Start;

constexpr uint64_t kChunk = 4 << 20;

// Copied from an accelerator, summed, written.
Scheduler::Task FromDevice(uint32_t copier, bool snapshot = false) {
  Scheduler::Task task{.staging = kChunk, .copier = copier, .phase_count = 3};
  task.phases = {Resource::kCopier, Resource::kProcessor, Resource::kLane};
  task.from_snapshot = snapshot;
  return task;
}

std::vector<Start> Next(Scheduler& scheduler) {
  std::vector<Start> starts;
  scheduler.Next(starts);
  return starts;
}

TEST(Copiers, DoNotWaitForEachOther) {
  // All of the first one's tasks come first in the file.
  std::vector<Scheduler::Task> tasks(10, FromDevice(0));
  for (int i = 0; i < 10; ++i) tasks.push_back(FromDevice(1));
  Scheduler scheduler(tasks, 1, {.processors = 1, .lanes = 1, .copier_lanes = 2, .staging = 100 * kChunk}, 2);
  std::array<int, 2> started{};
  for (const Start& start : Next(scheduler)) ++started[start.task / 10];
  EXPECT_EQ(started[0], 2);
  EXPECT_EQ(started[1], 2);
}

TEST(Copiers, GiveTheirLaneBackBeforeTheChunkIsWritten) {
  Scheduler scheduler(std::vector(10, FromDevice(0)), 1, {.processors = 1, .lanes = 1, .copier_lanes = 2, .staging = 100 * kChunk}, 1);
  ASSERT_EQ(Next(scheduler).size(), 2u);
  scheduler.Done(0);
  const auto starts = Next(scheduler);  // The first is summed, the third copied.
  ASSERT_EQ(starts.size(), 2u);
  EXPECT_EQ(starts[0].task, 0u);
  EXPECT_EQ(starts[0].phase, 1);
  EXPECT_EQ(starts[1].task, 2u);
}

TEST(Copiers, FillTheSnapshotPoolBesideTheStagingBudget) {
  std::vector<Scheduler::Task> tasks(10, FromDevice(0, true));
  Scheduler::Task host{.staging = kChunk, .phase_count = 2};
  host.phases = {Resource::kProcessor, Resource::kLane};
  tasks.push_back(host);
  tasks.push_back(host);
  Scheduler scheduler(tasks, 1, {.processors = 4, .lanes = 1, .copier_lanes = 10, .staging = kChunk, .snapshot = 3 * kChunk}, 1);
  size_t from_devices = 0, from_host = 0;
  for (const Start& start : Next(scheduler)) ++(start.task < 10 ? from_devices : from_host);
  EXPECT_EQ(from_devices, 3u);
  EXPECT_EQ(from_host, 1u);
}

TEST(Copiers, NeedNoSourceWhereAShadowWasMade) {
  Scheduler::Task shadowed = FromDevice(0);
  shadowed.releases_source_after = Scheduler::kNoSource;
  Scheduler scheduler({shadowed, FromDevice(0)}, 1, {.copier_lanes = 2, .staging = 100 * kChunk}, 1);
  EXPECT_FALSE(scheduler.sources_released());
  ASSERT_EQ(Next(scheduler).size(), 2u);
  scheduler.Done(0);
  EXPECT_FALSE(scheduler.sources_released());
  scheduler.Done(1);
  EXPECT_TRUE(scheduler.sources_released());
}

TEST(Copiers, FinishEveryTaskUnderTheTightestLimits) {
  std::vector<Scheduler::Task> tasks;
  for (uint32_t i = 0; i < 60; ++i) {
    tasks.push_back(FromDevice(i % 3));
    // A load: read, summed, copied.
    if (i % 2 == 0) tasks.back().phases = {Resource::kLane, Resource::kProcessor, Resource::kCopier};
  }
  Scheduler scheduler(tasks, 1, {.processors = 1, .lanes = 1, .copier_lanes = 1, .staging = 0, .window = 2}, 3);
  std::vector<Start> under_way;
  for (size_t done = 0; done < 3 * tasks.size(); ++done) {
    scheduler.Next(under_way);
    ASSERT_FALSE(under_way.empty()) << "after " << done;
    scheduler.Done(under_way.front().task);
    under_way.erase(under_way.begin());
  }
  EXPECT_TRUE(scheduler.finished());
  EXPECT_TRUE(scheduler.idle());
  EXPECT_EQ(scheduler.staging_used(), 0u);
}

uint8_t* At(uint64_t address) { return reinterpret_cast<uint8_t*>(static_cast<uintptr_t>(address)); }

TEST(PlansOfDevices, StageWhatLiesOnADeviceHoweverItIsAligned) {
  const std::vector<Extent> extents = {
      {.memory = At(0x7f0000000000), .bytes = 9 << 20, .file_offset = 0, .device = 1, .mutable_memory = false}};
  const auto plan = PlanTransfer(extents, {{512, 512}}, {9 << 20}, {});
  ASSERT_TRUE(plan.ok());
  ASSERT_EQ(plan->chunks.size(), 3u);
  for (const Chunk& chunk : plan->chunks) {
    EXPECT_TRUE(chunk.staged);
    EXPECT_TRUE(chunk.direct);
    EXPECT_EQ(chunk.device, 1u);
  }
}

TEST(PlansOfDevices, LetSmallTensorsOfHostAndDevicesShareAChunk) {
  std::array<uint8_t, 100> host{};
  const std::vector<Extent> extents = {
      {.memory = host.data(), .bytes = 100, .file_offset = 0, .tensor = 0},
      {.memory = At(0x7f0000000000), .bytes = 100, .file_offset = 100, .tensor = 1, .device = 1},
      {.memory = At(0x7f0000001000), .bytes = 100, .file_offset = 200, .tensor = 2, .device = 0},
  };
  const auto plan = PlanTransfer(extents, {{512, 512}}, {300}, {});
  ASSERT_TRUE(plan.ok());
  ASSERT_EQ(plan->chunks.size(), 1u);
  EXPECT_EQ(plan->chunks[0].device, 1u);
  EXPECT_EQ(plan->chunks[0].piece_count, 3u);
  EXPECT_EQ(plan->pieces[0].device, kHost);
  EXPECT_EQ(plan->pieces[2].device, 0u);
}

TEST(PlansOfDevices, KeepHostMemoryInPlaceBesideThem) {
  alignas(4096) static std::array<uint8_t, 1 << 20> host{};
  const std::vector<Extent> extents = {
      {.memory = At(0x7f0000000000), .bytes = 1 << 20, .file_offset = 0, .tensor = 0, .device = 0},
      {.memory = host.data(), .bytes = host.size(), .file_offset = 1 << 20, .tensor = 1},
  };
  const auto plan = PlanTransfer(extents, {{512, 512}}, {2 << 20}, {});
  ASSERT_TRUE(plan.ok());
  ASSERT_EQ(plan->chunks.size(), 2u);
  EXPECT_TRUE(plan->chunks[0].staged);
  EXPECT_FALSE(plan->chunks[1].staged);
  EXPECT_EQ(plan->chunks[1].device, kHost);
}

}  // namespace
}  // namespace tensor_checkpoint
