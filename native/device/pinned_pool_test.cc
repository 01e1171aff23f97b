#include "device/pinned_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/thread_pool.h"
#include "device/standin_for_test.h"

namespace tensor_checkpoint {
namespace {

class PinnedPools : public testing::Test {
 protected:
  void SetUp() override {
    standin_.Reset();
    before_ = Alive();
    context_ = CudaContext::Retain(standin_.driver(), 0).value();
    pool_.emplace();
  }
  void TearDown() override {
    pool_.reset();
    context_.reset();
    standin_.Reset();
    EXPECT_EQ(Alive(), before_);
  }
  std::string Alive() {
    const std::string all = standin_.Describe();
    return all.substr(0, all.find(",\"calls\""));
  }
  PinnedPool::Buffer Take(size_t bytes) { return pool_->Take(context_, bytes).value(); }

  Standin& standin_ = Standin::Get();
  std::string before_;
  std::shared_ptr<const CudaContext> context_;
  std::optional<PinnedPool> pool_;
  ThreadPool threads_{3};
};

TEST_F(PinnedPools, LockMemoryOnceForOneUseAfterTheOther) {
  const uint64_t calls = standin_.Calls("cuMemHostRegister_v2");
  uint8_t* first = nullptr;
  for (int round = 0; round < 10; ++round) {
    PinnedPool::Buffer buffer = Take(64 << 10);
    ASSERT_FALSE(buffer.empty());
    std::memset(buffer.data(), round, buffer.size());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 4096, 0u) << "for direct I/O";
    if (first == nullptr) first = buffer.data();
    EXPECT_EQ(buffer.data(), first);
  }
  EXPECT_EQ(standin_.Calls("cuMemHostRegister_v2"), calls + 1);
}

TEST_F(PinnedPools, GiveDifferentMemoryToThoseWhoHaveItAtOnce) {
  std::vector<PinnedPool::Buffer> buffers;
  for (int i = 0; i < 5; ++i) {
    buffers.push_back(Take(4096));
    std::memset(buffers.back().data(), i, 4096);
  }
  for (int i = 0; i < 5; ++i) EXPECT_EQ(buffers[i].data()[4095], i);
}

TEST_F(PinnedPools, LockNothingMoreWhileReservedMemoryLasts) {
  ASSERT_TRUE(pool_->Reserve(context_, 10 << 20, 2 << 20, threads_).ok());
  EXPECT_EQ(pool_->reserved(), 10u << 20);
  const uint64_t calls = standin_.Calls("cuMemHostRegister_v2");
  std::vector<PinnedPool::Buffer> buffers;
  for (int i = 0; i < 5; ++i) buffers.push_back(Take(2 << 20));
  EXPECT_EQ(standin_.Calls("cuMemHostRegister_v2"), calls);
  EXPECT_TRUE(pool_->Take(context_, 2 << 20, false)->empty());
}

TEST_F(PinnedPools, ReserveOnlyWhatIsMissing) {
  ASSERT_TRUE(pool_->Reserve(context_, 4 << 20, 2 << 20, threads_).ok());
  const uint64_t calls = standin_.Calls("cuMemHostRegister_v2");
  ASSERT_TRUE(pool_->Reserve(context_, 4 << 20, 2 << 20, threads_).ok());
  EXPECT_EQ(standin_.Calls("cuMemHostRegister_v2"), calls);
  ASSERT_TRUE(pool_->Reserve(context_, 8 << 20, 2 << 20, threads_).ok());
  EXPECT_EQ(pool_->reserved(), 8u << 20);
}

TEST_F(PinnedPools, CanBeReservedFromAllThreadsOfTheExecutorAtOnce) {
  ThreadPool one(1);
  std::vector<std::jthread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] { EXPECT_TRUE(pool_->Reserve(context_, 8 << 20, 2 << 20, one).ok()); });
  }
  callers.clear();
  EXPECT_EQ(pool_->reserved(), 8u << 20);
}

TEST_F(PinnedPools, KeepReservedMemoryThatCanNotBeLocked) {
  standin_.LimitLocked(0);
  const Status status = pool_->Reserve(context_, 4 << 20, 2 << 20, threads_);
  EXPECT_EQ(status.error_name(), "CUDA_ERROR_OUT_OF_MEMORY");
  EXPECT_TRUE(PinnedPool::IsLimit(status));
  PinnedPool::Buffer buffer = pool_->Take(context_, 1 << 20, false).value();
  ASSERT_FALSE(buffer.empty());
  std::memset(buffer.data(), 1, buffer.size());
}

TEST_F(PinnedPools, SayThatAReservationBeyondAllMemoryIsTooLarge) {
  const Status status = pool_->Reserve(context_, uint64_t{1} << 60, uint64_t{1} << 59, threads_);
  EXPECT_EQ(status.code(), Code::kOutOfRange);
  EXPECT_EQ(pool_->reserved(), 0u);
}

TEST_F(PinnedPools, FreeWhatIsIdleWhenTrimmed) {
  ASSERT_TRUE(pool_->Reserve(context_, 4 << 20, 2 << 20, threads_).ok());
  {
    PinnedPool::Buffer used = Take(1 << 20);
    pool_->Trim();
    std::memset(used.data(), 1, used.size());
    EXPECT_EQ(pool_->reserved(), 2u << 20);
  }
  EXPECT_FALSE(pool_->Take(context_, 1 << 20, false)->empty()) << "what was in use is idle again";
  pool_->Trim();
  EXPECT_EQ(pool_->reserved(), 0u);
  EXPECT_NE(standin_.Describe().find("\"lockedBytes\":0"), std::string::npos);
}

TEST_F(PinnedPools, UseNothingAgainThatWasLockedInAContextThatFailed) {
  {
    PinnedPool::Buffer used = Take(1 << 20);
    context_->Distrust();
    pool_->TrimDistrusted();
  }
  EXPECT_TRUE(pool_->Take(context_, 1 << 20, false)->empty());
}

TEST_F(PinnedPools, HandFailuresThatAreNoLimitToTheCaller) {
  standin_.Fail("cuMemHostRegister_v2", 1, CUDA_ERROR_LAUNCH_FAILED);
  const auto taken = pool_->Take(context_, 4096);
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.status().error_name(), "CUDA_ERROR_LAUNCH_FAILED");
  EXPECT_FALSE(PinnedPool::IsLimit(taken.status()));
}

}  // namespace
}  // namespace tensor_checkpoint
