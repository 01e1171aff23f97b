#include "base/slabs.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

namespace tensor_checkpoint {
namespace {

constexpr size_t kPage = AlignedBuffer::kPage;
constexpr size_t kHuge = AlignedBuffer::kHugePage;

bool IsMultiple(const uint8_t* data, size_t unit) { return reinterpret_cast<uintptr_t>(data) % unit == 0; }
bool IsZero(const uint8_t* data, size_t bytes) {
  return std::all_of(data, data + bytes, [](uint8_t byte) { return byte == 0; });
}
// Whether the page is mapped at all.
bool IsMapped(uint8_t* data) {
  unsigned char page;
  return mincore(data - reinterpret_cast<uintptr_t>(data) % kPage, kPage, &page) == 0;
}

TEST(Slabs, GivesZeroedMemoryAlignedForDirectIoFromAPageOn) {
  Slabs slabs;
  std::vector<std::pair<std::shared_ptr<uint8_t>, size_t>> pieces;
  for (const size_t bytes : {size_t{1}, kPage, size_t{100}, kPage - 1, kPage + 1, size_t{1} << 20, kHuge - 1, kHuge, 3 * kHuge,
                             size_t{7}, size_t{65536}}) {
    std::shared_ptr<uint8_t> piece = slabs.AllocateZeroed(bytes);
    ASSERT_NE(piece, nullptr);
    EXPECT_TRUE(IsMultiple(piece.get(), bytes < kPage ? Slabs::kLine : kPage)) << bytes;
    EXPECT_TRUE(IsZero(piece.get(), bytes)) << bytes;
    std::memset(piece.get(), 0xff, bytes);
    pieces.emplace_back(std::move(piece), bytes);
  }
  std::sort(pieces.begin(), pieces.end());
  for (size_t i = 1; i < pieces.size(); ++i) {
    EXPECT_LE(pieces[i - 1].first.get() + pieces[i - 1].second, pieces[i].first.get());
  }
}

TEST(Slabs, TakesLittleMoreThanTheBytesOfTinyPieces) {
  Slabs slabs;
  const auto first = slabs.AllocateZeroed(1), second = slabs.AllocateZeroed(1);
  EXPECT_EQ(second.get() - first.get(), static_cast<ptrdiff_t>(Slabs::kLine));
}

TEST(Slabs, GivesASlabBackWithItsLastPiece) {
  Slabs slabs;
  constexpr size_t kHalf = size_t{1} << 20;
  std::vector<std::shared_ptr<uint8_t>> pieces;
  for (size_t i = 0; i < Slabs::kSlab / kHalf; ++i) pieces.push_back(slabs.AllocateZeroed(kHalf));
  uint8_t* const start = pieces.front().get();
  ASSERT_EQ(pieces.back().get(), start + Slabs::kSlab - kHalf);
  const auto next = slabs.AllocateZeroed(kHalf);  // The slabs let go of the full one.
  pieces.resize(1);
  pieces.front().get()[0] = 1;
  EXPECT_TRUE(IsMapped(start));
  pieces.clear();
  EXPECT_FALSE(IsMapped(start));
}

TEST(Slabs, NeverGivesUsedMemoryAgainAsZeroed) {
  Slabs slabs;
  for (size_t i = 0; i < 5 * Slabs::kSlab / 500000; ++i) {
    const auto piece = slabs.AllocateZeroed(500000);
    ASSERT_TRUE(IsZero(piece.get(), 500000));
    std::memset(piece.get(), 0xff, 500000);
  }
}

TEST(Slabs, LetsPiecesOutliveThem) {
  std::shared_ptr<uint8_t> piece;
  {
    Slabs slabs;
    piece = slabs.AllocateZeroed(5000);
  }
  std::memset(piece.get(), 1, 5000);
}

TEST(Slabs, ServesManyThreads) {
  Slabs slabs;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 2000; ++i) {
        const size_t bytes = 1 + i * 37 % 20000;
        const auto piece = slabs.AllocateZeroed(bytes);
        std::memset(piece.get(), t, bytes);
        EXPECT_TRUE(std::all_of(piece.get(), piece.get() + bytes, [&](uint8_t byte) { return byte == t; }));
      }
    });
  }
}

TEST(Slabs, SaysWhenThereIsNotEnoughMemory) {
  Slabs slabs;
  EXPECT_EQ(slabs.AllocateZeroed(0), nullptr);
  EXPECT_EQ(slabs.AllocateZeroed(SIZE_MAX), nullptr);
  EXPECT_EQ(slabs.AllocateZeroed(SIZE_MAX / 4), nullptr);
  EXPECT_NE(slabs.AllocateZeroed(1), nullptr);
}

}  // namespace
}  // namespace tensor_checkpoint
