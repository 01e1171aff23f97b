#include "base/aligned_buffer.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

namespace tensor_checkpoint {
namespace {

constexpr size_t kPage = AlignedBuffer::kPage;
constexpr size_t kHuge = AlignedBuffer::kHugePage;

bool IsMultiple(const uint8_t* data, size_t unit) { return reinterpret_cast<uintptr_t>(data) % unit == 0; }

TEST(AlignedBuffer, IsAlignedForDirectIo) {
  for (const size_t bytes : {size_t{1}, kPage - 1, kPage, kPage + 1, size_t{100000}, kHuge - 1}) {
    const AlignedBuffer buffer = AlignedBuffer::Allocate(bytes);
    ASSERT_FALSE(buffer.empty());
    EXPECT_EQ(buffer.size(), bytes);
    EXPECT_TRUE(IsMultiple(buffer.data(), kPage)) << bytes;
    std::memset(buffer.data(), 0xff, bytes);
  }
}

TEST(AlignedBuffer, IsAlignedForHugePagesFromTwoMebibytesOn) {
  for (const size_t bytes : {kHuge, kHuge + 1, 3 * kHuge, 5 * kHuge + kPage}) {
    const AlignedBuffer buffer = AlignedBuffer::Allocate(bytes);
    ASSERT_FALSE(buffer.empty());
    EXPECT_EQ(buffer.size(), bytes);
    EXPECT_TRUE(IsMultiple(buffer.data(), kHuge)) << bytes;
    std::memset(buffer.data(), 0xff, bytes);
  }
}

TEST(AlignedBuffer, ReachesToTheEndOfItsLastPage) {
  // Direct I/O rounds its length up to the alignment.
  for (const size_t bytes : {size_t{1}, kPage + 1, kHuge + 1}) {
    const AlignedBuffer buffer = AlignedBuffer::Allocate(bytes);
    std::memset(buffer.data(), 0xff, (bytes + kPage - 1) / kPage * kPage);
  }
}

TEST(AlignedBuffer, ZeroedMemoryIsZeroAlsoWhereMemoryIsReused) {
  for (const size_t bytes : {size_t{1000}, size_t{70000}, kHuge + 5}) {
    for (int round = 0; round < 3; ++round) {
      const AlignedBuffer buffer = AlignedBuffer::AllocateZeroed(bytes);
      EXPECT_TRUE(std::all_of(buffer.data(), buffer.data() + bytes, [](uint8_t byte) { return byte == 0; })) << bytes;
      std::memset(buffer.data(), 0xff, bytes);
    }
  }
}

TEST(AlignedBuffer, OfZeroBytesIsEmpty) {
  EXPECT_TRUE(AlignedBuffer::Allocate(0).empty());
  EXPECT_TRUE(AlignedBuffer::AllocateZeroed(0).empty());
  EXPECT_EQ(AlignedBuffer::Allocate(0).size(), 0u);
}

TEST(AlignedBuffer, IsEmptyWhereThereIsNotEnoughMemory) {
  EXPECT_TRUE(AlignedBuffer::Allocate(SIZE_MAX).empty());
  EXPECT_TRUE(AlignedBuffer::Allocate(SIZE_MAX / 2 + 1).empty());
  EXPECT_TRUE(AlignedBuffer::Allocate(size_t{1} << 60).empty());
}

TEST(AlignedBuffer, MovesWithoutMovingItsMemory) {
  AlignedBuffer first = AlignedBuffer::Allocate(5000);
  uint8_t* const data = first.data();
  AlignedBuffer second = std::move(first);
  EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move): promised.
  EXPECT_EQ(first.size(), 0u);
  EXPECT_EQ(second.data(), data);
  AlignedBuffer third = AlignedBuffer::Allocate(kHuge);
  third = std::move(second);
  EXPECT_EQ(third.data(), data);
  EXPECT_EQ(third.size(), 5000u);
}

TEST(AlignedBuffer, ReturnsLargeMemoryToTheSystem) {
  uint8_t* data;
  {
    const AlignedBuffer buffer = AlignedBuffer::Allocate(4 * kHuge + 1);
    data = buffer.data();
  }
  unsigned char resident;
  EXPECT_EQ(mincore(data, kPage, &resident), -1);
  EXPECT_EQ(errno, ENOMEM);
  EXPECT_EQ(mincore(data + 4 * kHuge, kPage, &resident), -1);
}

TEST(AlignedBuffer, ReleasedMemoryIsFreedByItsNewOwner) {
  for (const size_t bytes : {size_t{100}, kHuge}) {
    AlignedBuffer buffer = AlignedBuffer::Allocate(bytes);
    uint8_t* const data = buffer.Release();
    EXPECT_TRUE(buffer.empty());
    EXPECT_EQ(buffer.size(), 0u);
    std::memset(data, 0xff, bytes);
    AlignedBuffer::Free(data, bytes);
  }
}

}  // namespace
}  // namespace tensor_checkpoint
