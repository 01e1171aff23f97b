#include "pipeline/plan.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace tensor_checkpoint {
namespace {

constexpr DirectAlignment kDirect = {512, 512};

uint8_t* At(uintptr_t address) { return reinterpret_cast<uint8_t*>(address); }

Extent Make(uintptr_t address, uint64_t bytes, uint64_t offset, uint32_t tensor = 0) {
  Extent extent;
  extent.memory = At(address);
  extent.bytes = bytes;
  extent.file_offset = offset;
  extent.tensor = tensor;
  return extent;
}

TEST(PlanTest, AlignedMemoryIsWrittenWhereItLies) {
  auto plan = PlanTransfer({Make(1 << 20, 8 << 20, 4096)}, {kDirect}, {4096 + (8 << 20)}, {});
  ASSERT_TRUE(plan.ok());
  for (const Chunk& chunk : plan->chunks) {
    EXPECT_FALSE(chunk.staged);
    EXPECT_TRUE(chunk.direct);
  }
}

TEST(PlanTest, MisalignedMemoryAndCopyModeAreStaged) {
  PlanOptions copy;
  copy.copy = true;
  for (const auto& [address, options] : {std::pair{uintptr_t{(1 << 20) + 4}, PlanOptions()}, {uintptr_t{1 << 20}, copy}}) {
    auto plan = PlanTransfer({Make(address, 8 << 20, 0)}, {kDirect}, {8 << 20}, options);
    ASSERT_TRUE(plan.ok());
    for (const Chunk& chunk : plan->chunks) EXPECT_TRUE(chunk.staged);
  }
}

TEST(PlanTest, AHundredThousandSmallTensorsShareFewRequests) {
  std::vector<Extent> extents;
  for (uint32_t i = 0; i < 100'000; ++i) extents.push_back(Make(0x10000 + 3 * i, 1024, uint64_t{1024} * i, i));
  auto plan = PlanTransfer(extents, {kDirect}, {102'400'000}, {});
  ASSERT_TRUE(plan.ok());
  EXPECT_LE(plan->chunks.size(), 27u);
}

TEST(PlanTest, OverlappingExtentsAreRefusedWhenWriting) {
  auto plan = PlanTransfer({Make(4096, 100, 0), Make(8192, 100, 99)}, {kDirect}, {199}, {});
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.status().code(), Code::kInvalidArgument);
}

// The invariants that make chunks independent, over random layouts.
TEST(PlanTest, ChunksOfAnyLayoutTileTheirPiecesWithoutTouchingEachOther) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<Extent> extents;
    uint64_t end = random() % 5000;
    for (uint32_t i = 0; i < 40; ++i) {
      const uint64_t bytes = random() % 4 == 0 ? random() % (3 << 20) : random() % 6000;
      const uintptr_t address = (1ull << 40) + random() % 16 * (random() % 2 ? 512 : 4);
      extents.push_back(Make(address, bytes, end, i));
      end += bytes + (random() % 3 == 0 ? random() % 200'000 : random() % 3 == 0 ? 4096 - (end + bytes) % 4096 : 0);
    }
    const uint64_t size = end;
    const bool direct = round % 3 != 0;
    PlanOptions options;
    options.chunk_bytes = round % 2 ? 4 << 20 : 64 << 10;
    options.copy = round % 5 == 0;
    auto plan = PlanTransfer(extents, {direct ? kDirect : DirectAlignment()}, {size}, options);
    ASSERT_TRUE(plan.ok());
    uint64_t last = 0;
    for (const Chunk& chunk : plan->chunks) {
      EXPECT_GE(chunk.offset, last);
      last = chunk.offset + chunk.bytes;
      EXPECT_LE(last, size);
      EXPECT_LE(chunk.bytes, options.chunk_bytes);
      if (chunk.direct) {
        EXPECT_EQ(chunk.offset % 4096, 0u);
        EXPECT_EQ(chunk.bytes % 4096, 0u);
      }
      if (!chunk.staged) {
        ASSERT_EQ(chunk.piece_count, 1u);
        if (chunk.direct) {
          EXPECT_EQ(reinterpret_cast<uintptr_t>(plan->pieces[chunk.first_piece].memory) % 512, 0u);
        }
      }
      for (uint32_t i = chunk.first_piece; i < chunk.first_piece + chunk.piece_count; ++i) {
        EXPECT_LE(plan->pieces[i].at + plan->pieces[i].bytes, chunk.bytes);
      }
    }
    // Every byte of every extent, once and in order.
    for (uint32_t e = 0; e < extents.size(); ++e) {
      uint64_t moved = 0;
      for (uint32_t i = plan->first_piece_of[e]; i < plan->first_piece_of[e] + plan->piece_count_of[e]; ++i) {
        EXPECT_EQ(plan->pieces[i].memory, extents[e].memory + moved);
        moved += plan->pieces[i].bytes;
      }
      EXPECT_EQ(moved, extents[e].bytes);
    }
  }
}

}  // namespace
}  // namespace tensor_checkpoint
