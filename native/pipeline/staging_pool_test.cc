#include "pipeline/staging_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <utility>
#include <vector>

namespace tensor_checkpoint {
namespace {

TEST(StagingPool, GivesAtLeastWhatIsAskedForAndSaysHowMuch) {
  StagingPool pool;
  for (const size_t bytes : {size_t{1}, size_t{4096}, size_t{40000}, size_t{65536}, size_t{65537}, size_t{3} << 20,
                             size_t{4} << 20, size_t{9} << 20}) {
    AlignedBuffer buffer = pool.Take(bytes);
    ASSERT_FALSE(buffer.empty());
    EXPECT_GE(buffer.size(), bytes);
    EXPECT_EQ(buffer.size(), StagingPool::SizeOf(bytes));
    std::memset(buffer.data(), 0x11, buffer.size());
    pool.Give(std::move(buffer));
  }
}

TEST(StagingPool, GivesTheSameMemoryAgainToWhoeverComesNext) {
  StagingPool pool;
  AlignedBuffer first = pool.Take(4 << 20);
  const uint8_t* const address = first.data();
  pool.Give(std::move(first));
  EXPECT_EQ(pool.kept_bytes(), size_t{4} << 20);
  pool.Rest();
  AlignedBuffer again = pool.Take(3 << 20);
  EXPECT_EQ(again.data(), address);
  EXPECT_EQ(pool.kept_bytes(), 0u);
  std::memset(again.data(), 0x22, again.size());
  EXPECT_EQ(again.data()[again.size() - 1], 0x22);
}

TEST(StagingPool, KeepsNoMoreThanItsBound) {
  StagingPool pool;
  std::vector<AlignedBuffer> buffers;
  for (int i = 0; i < 100; ++i) buffers.push_back(pool.Take(4 << 20));
  for (AlignedBuffer& buffer : buffers) pool.Give(std::move(buffer));
  EXPECT_EQ(pool.kept_bytes(), size_t{256} << 20);
}

TEST(StagingPool, IgnoresWhatIsEmptyOrNotOfItsSizes) {
  StagingPool pool;
  pool.Give(AlignedBuffer());
  pool.Give(AlignedBuffer::Allocate(100));
  pool.Give(AlignedBuffer::Allocate(5 << 20));
  EXPECT_EQ(pool.kept_bytes(), 0u);
}

TEST(StagingPool, ServesManyThreads) {
  StagingPool pool;
  std::vector<std::thread> threads;
  for (uint8_t t = 1; t <= 4; ++t) {
    threads.emplace_back([&pool, t] {
      for (int i = 0; i < 500; ++i) {
        AlignedBuffer buffer = pool.Take(65536);
        std::memset(buffer.data(), t, 65536);
        EXPECT_EQ(buffer.data()[65535], t);
        pool.Give(std::move(buffer));
        if (i % 50 == 0) pool.Rest();
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace tensor_checkpoint
