#include "device/copy_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <optional>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include "device/cuda_devices.h"
#include "device/standin_for_test.h"

namespace tensor_checkpoint {
namespace {

class CopyQueues : public testing::Test {
 protected:
  static constexpr size_t kBytes = 64 << 10;

  void SetUp() override {
    standin_.Reset();
    before_ = Alive();
    context_ = CudaContext::Retain(standin_.driver(), 0).value();
    queue_ = CopyQueue::Create(context_).value();
    pool_.emplace();
  }
  void TearDown() override {
    queue_.reset();
    pool_.reset();
    context_.reset();
    standin_.Reset();
    EXPECT_EQ(Alive(), before_);
  }
  std::string Alive() {
    const std::string all = standin_.Describe();
    return all.substr(0, all.find(",\"calls\""));
  }
  CopyQueue::Enqueue ToHost(CUdeviceptr from, uint8_t* to) {
    return [this, from, to](CUstream stream) {
      return context_->Check(context_->call().cuMemcpyDtoHAsync(to, from, kBytes, stream), "cuMemcpyDtoHAsync");
    };
  }
  Status SubmitAndWait(CopyQueue::Enqueue enqueue) {
    Status result;
    std::binary_semaphore ended(0);
    queue_->Submit(std::move(enqueue), [&](Status status) {
      result = std::move(status);
      ended.release();
    });
    ended.acquire();
    return result;
  }

  Standin& standin_ = Standin::Get();
  std::string before_;
  std::shared_ptr<const CudaContext> context_;
  std::unique_ptr<CopyQueue> queue_;
  std::optional<PinnedPool> pool_;
};

TEST_F(CopyQueues, TellOfACopyOnceItsBytesHaveArrived) {
  const DeviceBuffer memory = DeviceBuffer::Allocate(context_, kBytes).value();
  const std::vector<uint8_t> bytes(kBytes, 0x5a);
  ASSERT_TRUE(standin_.Write(memory.address(), bytes.data(), kBytes));
  PinnedPool::Buffer host = pool_->Take(context_, kBytes).value();
  standin_.SlowCopies(10'000);
  ASSERT_TRUE(SubmitAndWait(ToHost(memory.address(), host.data())).ok());
  EXPECT_EQ(std::memcmp(host.data(), bytes.data(), kBytes), 0);
}

TEST_F(CopyQueues, TakeWorkFromManyThreadsAndEndEachPieceOnce) {
  const DeviceBuffer memory = DeviceBuffer::Allocate(context_, kBytes).value();
  constexpr int kThreads = 4, kEach = 40;
  std::atomic<int> ended = 0, failed = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < kEach; ++i) {
          auto host = std::make_shared<PinnedPool::Buffer>(pool_->Take(context_, kBytes).value());
          queue_->Submit(ToHost(memory.address(), host->data()), [&, host](Status status) {
            failed += !status.ok();
            ++ended;
          });
        }
      });
    }
  }
  queue_.reset();  // Waits for all of it.
  EXPECT_EQ(ended, kThreads * kEach);
  EXPECT_EQ(failed, 0);
}

TEST_F(CopyQueues, WaitForWhatWasBegunBeforeTheyTellOfAFailure) {
  const DeviceBuffer memory = DeviceBuffer::Allocate(context_, kBytes).value();
  PinnedPool::Buffer host = pool_->Take(context_, kBytes).value();
  standin_.SlowCopies(20'000);
  const Status status = SubmitAndWait([&](CUstream stream) {
    EXPECT_TRUE(ToHost(memory.address(), host.data())(stream).ok());
    return Status(Code::kCudaError, "the second half could not be enqueued");
  });
  EXPECT_EQ(status.code(), Code::kCudaError);
  // If the first half were still under way, the stand-in would end the process here.
  host = PinnedPool::Buffer();
  pool_->Trim();
}

TEST_F(CopyQueues, GoOnAfterAFailure) {
  const DeviceBuffer memory = DeviceBuffer::Allocate(context_, kBytes).value();
  PinnedPool::Buffer host = pool_->Take(context_, kBytes).value();
  for (const char* function : {"cuCtxPushCurrent_v2", "cuEventRecord", "cuEventSynchronize", "cuMemcpyDtoHAsync_v2"}) {
    standin_.Fail(function, 1, CUDA_ERROR_LAUNCH_FAILED);
    const Status status = SubmitAndWait(ToHost(memory.address(), host.data()));
    EXPECT_EQ(status.error_name(), "CUDA_ERROR_LAUNCH_FAILED") << function;
    EXPECT_NE(std::string(status.syscall()), "") << function;
    EXPECT_TRUE(SubmitAndWait(ToHost(memory.address(), host.data())).ok()) << function;
  }
}

TEST_F(CopyQueues, TellOfWorkThatFailsLaterThanItWasBegun) {
  const DeviceBuffer memory = DeviceBuffer::Allocate(context_, kBytes).value();
  PinnedPool::Buffer host = pool_->Take(context_, kBytes).value();
  standin_.Fail("cuMemcpyDtoHAsync_v2", 1, CUDA_ERROR_ILLEGAL_ADDRESS, Standin::kLater);
  EXPECT_EQ(SubmitAndWait(ToHost(memory.address(), host.data())).error_name(), "CUDA_ERROR_ILLEGAL_ADDRESS");
  EXPECT_EQ(SubmitAndWait(ToHost(memory.address(), host.data())).error_name(), "CUDA_ERROR_ILLEGAL_ADDRESS");
}

TEST_F(CopyQueues, SumOnTheDeviceWhatTheHostSums) {
  CudaDevices devices([this] { return Result<const CudaDriver*>(&standin_.driver()); });
  const auto device = devices.Open(0).value();
  auto checksum = device->Checksum(devices.pinned());
  ASSERT_TRUE(checksum.ok()) << checksum.status().message();
  std::vector<uint8_t> bytes(300'000);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 2654435761u >> 24);
  const DeviceBuffer memory = DeviceBuffer::Allocate(context_, bytes.size()).value();
  ASSERT_TRUE(standin_.Write(memory.address(), bytes.data(), bytes.size()));
  // "123456789" is E3069283 by the definition of CRC-32C.
  ASSERT_TRUE(standin_.Write(memory.address(), "123456789", 9));
  std::vector<uint32_t> sums(3);
  std::unique_ptr<DeviceChecksum::Job> job;
  const Status status = SubmitAndWait([&](CUstream stream) {
    auto made = (*checksum)->Enqueue(stream, {{memory.address(), 9, &sums[0]},
                                              {memory.address(), 0, &sums[1]},
                                              {memory.address() + 7, 299'993, &sums[2]}});
    if (!made.ok()) return made.status();
    job = std::move(*made);
    return Status::Ok();
  });
  ASSERT_TRUE(status.ok()) << status.message();
  job->Deliver();
  job.reset();
  EXPECT_EQ(sums[0], 0xE3069283u);
  EXPECT_EQ(sums[1], 0u);
  EXPECT_NE(sums[2], 0u);
}

}  // namespace
}  // namespace tensor_checkpoint
