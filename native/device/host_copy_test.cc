#include "device/host_copy.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "device/device_buffer.h"
#include "device/standin_for_test.h"

namespace tensor_checkpoint {
namespace {

class HostCopy : public testing::Test {
 protected:
  void SetUp() override {
    standin_.Reset();
    context_ = CudaContext::Retain(standin_.driver(), 0).value();
  }
  void TearDown() override {
    standin_.Reset();
    pool_.Trim();
    context_.reset();
    EXPECT_EQ(standin_.TakeViolations(), "");
  }
  static std::vector<uint8_t> Pattern(size_t bytes) {
    std::vector<uint8_t> pattern(bytes);
    for (size_t i = 0; i < bytes; ++i) pattern[i] = static_cast<uint8_t>(i * 2654435761u >> 13);
    return pattern;
  }

  Standin& standin_ = Standin::Get();
  std::shared_ptr<const CudaContext> context_;
  PinnedPool pool_;
};

constexpr size_t kMiB = 1 << 20;

TEST_F(HostCopy, IsExactForEveryNumberOfParts) {
  for (const size_t bytes : {size_t{1}, size_t{64 << 10}, (size_t{64} << 10) + 1, 4 * kMiB, 4 * kMiB + 1, 8 * kMiB, 13 * kMiB + 7}) {
    SCOPED_TRACE(bytes);
    auto memory = DeviceBuffer::Allocate(context_, bytes).value();
    const std::vector<uint8_t> pattern = Pattern(bytes);
    ASSERT_TRUE(CopyToDevice(context_, pool_, {}, pattern.data(), memory.address(), bytes).ok());
    std::vector<uint8_t> found(bytes);
    ASSERT_TRUE(standin_.Read(memory.address(), found.data(), bytes));
    EXPECT_EQ(std::memcmp(found.data(), pattern.data(), bytes), 0);
    std::fill(found.begin(), found.end(), uint8_t{0});
    const uint64_t copies = standin_.Calls("cuMemcpyDtoHAsync_v2");
    ASSERT_TRUE(CopyToHost(context_, pool_, 0, memory.address(), found.data(), bytes).ok());
    EXPECT_EQ(standin_.Calls("cuMemcpyDtoHAsync_v2") - copies, (bytes + 4 * kMiB - 1) / (4 * kMiB));
    EXPECT_EQ(std::memcmp(found.data(), pattern.data(), bytes), 0);
  }
}

TEST_F(HostCopy, GoesOnWhereNoMemoryCanBeLocked) {
  const size_t bytes = 9 * kMiB;
  auto memory = DeviceBuffer::Allocate(context_, bytes).value();
  const std::vector<uint8_t> pattern = Pattern(bytes);
  standin_.LimitLocked(0);
  ASSERT_TRUE(CopyToDevice(context_, pool_, {}, pattern.data(), memory.address(), bytes).ok());
  std::vector<uint8_t> found(bytes);
  ASSERT_TRUE(CopyToHost(context_, pool_, {}, memory.address(), found.data(), bytes).ok());
  EXPECT_EQ(std::memcmp(found.data(), pattern.data(), bytes), 0);
}

TEST_F(HostCopy, SaysWhichCallFailedAndLeavesNothingBehind) {
  const size_t bytes = 13 * kMiB;
  auto memory = DeviceBuffer::Allocate(context_, bytes).value();
  std::vector<uint8_t> host = Pattern(bytes);
  ASSERT_TRUE(CopyToDevice(context_, pool_, {}, host.data(), memory.address(), bytes).ok());
  const auto alive = [&] {
    const std::string all = standin_.Describe();
    return all.substr(0, all.find(",\"calls\""));
  };
  const std::string before = alive();
  for (const char* function : {"cuMemcpyDtoHAsync_v2", "cuMemcpyHtoDAsync_v2", "cuEventRecord", "cuEventSynchronize", "cuEventCreate",
                               "cuStreamCreate", "cuStreamSynchronize", "cuCtxSynchronize"}) {
    for (uint64_t nth = 1; nth <= 3; ++nth) {
      SCOPED_TRACE(std::string(function) + " #" + std::to_string(nth));
      const uint64_t calls = standin_.Calls(function);
      standin_.Fail(function, nth, CUDA_ERROR_LAUNCH_FAILED);
      const Status in = CopyToDevice(context_, pool_, {}, host.data(), memory.address(), bytes);
      const Status out = CopyToHost(context_, pool_, {}, memory.address(), host.data(), bytes);
      const bool called = standin_.Calls(function) >= calls + nth;
      standin_.Reset();
      EXPECT_EQ(called, !in.ok() || !out.ok());
      for (const Status& status : {in, out}) {
        EXPECT_TRUE(status.ok() || status.error_name() == "CUDA_ERROR_LAUNCH_FAILED") << status.message();
      }
      EXPECT_EQ(alive(), before);
    }
  }
}

}  // namespace
}  // namespace tensor_checkpoint
