#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>
#include <vector>

#include "standin-cuda/fixture_for_test.h"

namespace tensor_checkpoint {
namespace {

TEST_F(StandinTest, CopiesFromPinnedMemoryHappenLaterAndInOrder) {
  standin_.SlowCopies(20'000);
  const CUdeviceptr device = Allocate(4);
  uint8_t* const host = AllocatePinned(8);
  const CUstream stream = MakeStream();
  std::memcpy(host, "abcd", 4);
  ASSERT_EQ(call_.cuMemcpyHtoDAsync(device, host, 4, stream), CUDA_SUCCESS);
  ASSERT_EQ(call_.cuMemcpyDtoHAsync(host + 4, device, 4, stream), CUDA_SUCCESS);
  EXPECT_EQ(call_.cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
  char now[4];
  ASSERT_TRUE(standin_.Read(device, now, 4));
  EXPECT_EQ(std::memcmp(now, "\xCD\xCD\xCD\xCD", 4), 0);
  EXPECT_EQ(call_.cuStreamSynchronize(stream), CUDA_SUCCESS);
  EXPECT_EQ(std::memcmp(host + 4, "abcd", 4), 0);
  call_.cuStreamDestroy(stream);
  call_.cuMemFree(device);
  call_.cuMemFreeHost(host);
}

TEST_F(StandinTest, CopiesFromOtherHostMemoryAreDoneWhenTheCallReturns) {
  standin_.SlowCopies(5000);
  const CUdeviceptr device = Allocate(4);
  char host[4] = {'a', 'b', 'c', 'd'};
  const CUstream stream = MakeStream();
  ASSERT_EQ(call_.cuMemcpyHtoDAsync(device, host, 4, stream), CUDA_SUCCESS);
  EXPECT_EQ(call_.cuStreamQuery(stream), CUDA_SUCCESS);
  char now[4];
  ASSERT_TRUE(standin_.Read(device, now, 4));
  EXPECT_EQ(std::memcmp(now, "abcd", 4), 0);
  call_.cuStreamDestroy(stream);
  call_.cuMemFree(device);
}

TEST_F(StandinTest, StreamsAreOrderedByEventsOnly) {
  standin_.SlowCopies(20'000);
  const CUdeviceptr device = Allocate(4);
  uint8_t* const host = AllocatePinned(8);
  std::memcpy(host, "abcd----", 8);
  const CUstream writer = MakeStream();
  const CUstream reader = MakeStream();
  CUevent written = nullptr;
  ASSERT_EQ(call_.cuEventCreate(&written, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS);
  ASSERT_EQ(call_.cuMemcpyHtoDAsync(device, host, 4, writer), CUDA_SUCCESS);
  ASSERT_EQ(call_.cuEventRecord(written, writer), CUDA_SUCCESS);
  EXPECT_EQ(call_.cuEventQuery(written), CUDA_ERROR_NOT_READY);
  ASSERT_EQ(call_.cuStreamWaitEvent(reader, written, 0), CUDA_SUCCESS);
  ASSERT_EQ(call_.cuMemcpyDtoHAsync(host + 4, device, 4, reader), CUDA_SUCCESS);
  EXPECT_EQ(call_.cuStreamSynchronize(reader), CUDA_SUCCESS);
  EXPECT_EQ(std::memcmp(host + 4, "abcd", 4), 0);
  EXPECT_EQ(call_.cuEventQuery(written), CUDA_SUCCESS);
  call_.cuEventDestroy(written);
  call_.cuStreamDestroy(writer);
  call_.cuStreamDestroy(reader);
  call_.cuMemFree(device);
  call_.cuMemFreeHost(host);
}

TEST_F(StandinTest, TheDefaultStreamWaitsForBlockingStreamsAndTheyForIt) {
  standin_.SlowCopies(10'000);
  const CUdeviceptr device = Allocate(4);
  uint8_t* const host = AllocatePinned(12);
  std::memcpy(host, "abcd", 4);
  const CUstream first = MakeStream(0);
  const CUstream last = MakeStream(0);
  ASSERT_EQ(call_.cuMemcpyHtoDAsync(device, host, 4, first), CUDA_SUCCESS);
  ASSERT_EQ(call_.cuMemcpyDtoHAsync(host + 4, device, 4, nullptr), CUDA_SUCCESS);
  ASSERT_EQ(call_.cuMemcpyHtoDAsync(device, host + 4, 4, last), CUDA_SUCCESS);
  EXPECT_EQ(call_.cuStreamSynchronize(last), CUDA_SUCCESS);
  EXPECT_EQ(std::memcmp(host + 4, "abcd", 4), 0);
  call_.cuStreamDestroy(first);
  call_.cuStreamDestroy(last);
  call_.cuMemFree(device);
  call_.cuMemFreeHost(host);
}

TEST_F(StandinTest, HostFunctionsRunInTheirPlace) {
  standin_.SlowCopies(10'000);
  const CUdeviceptr device = Allocate(4);
  uint8_t* const host = AllocatePinned(4);
  std::memset(host, 0, 4);
  ASSERT_TRUE(standin_.Write(device, "abcd", 4));
  const CUstream stream = MakeStream();
  struct Seen {
    const uint8_t* memory;
    std::atomic<int> value{-1};
  } seen{host};
  ASSERT_EQ(call_.cuMemcpyDtoHAsync(host, device, 4, stream), CUDA_SUCCESS);
  ASSERT_EQ(call_.cuLaunchHostFunc(
                stream, [](void* data) { static_cast<Seen*>(data)->value = static_cast<Seen*>(data)->memory[0]; }, &seen),
            CUDA_SUCCESS);
  EXPECT_EQ(call_.cuStreamSynchronize(stream), CUDA_SUCCESS);
  EXPECT_EQ(seen.value, 'a');
  call_.cuStreamDestroy(stream);
  call_.cuMemFree(device);
  call_.cuMemFreeHost(host);
}

TEST_F(StandinTest, DeviceMemoryCanNotBeTouchedByTheHost) {
  const CUdeviceptr device = Allocate(4096);
  // Writing from such an address by a system call fails, where touching it would end this process.
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_EQ(write(ends[1], reinterpret_cast<void*>(device), 1), -1);
  EXPECT_EQ(errno, EFAULT);
  close(ends[0]);
  close(ends[1]);
  call_.cuMemFree(device);
}

TEST_F(StandinTest, AViolationEndsTheProcess) {
  const CUdeviceptr device = Allocate(4);
  call_.cuMemFree(device);
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_DEATH(Standin::Get().call().cuMemFree(0x1234), "cuMemFree_v2: .*(no context is current|not the start)");
}

TEST_F(StandinTest, UseAfterFreeIsFoundAlsoWhenMemoryWasAllocatedSince) {
  standin_.AbortOnViolation(false);
  const CUdeviceptr gone = Allocate(64);
  EXPECT_EQ(call_.cuMemFree(gone), CUDA_SUCCESS);
  const CUdeviceptr other = Allocate(64);
  char host[64];
  EXPECT_EQ(call_.cuMemcpyDtoHAsync(host, gone, 64, nullptr), CUDA_ERROR_INVALID_VALUE);
  EXPECT_NE(Violations().find("not in device memory that is alive"), std::string::npos);
  EXPECT_EQ(call_.cuMemFree(gone), CUDA_ERROR_INVALID_VALUE);
  EXPECT_NE(Violations().find("not the start"), std::string::npos);
  call_.cuMemFree(other);
}

TEST_F(StandinTest, CopiesBeyondAnAllocationAreFound) {
  standin_.AbortOnViolation(false);
  const CUdeviceptr device = Allocate(64);
  uint8_t* const pinned = AllocatePinned(64);
  std::vector<char> host(65);
  EXPECT_EQ(call_.cuMemcpyDtoHAsync(host.data(), device, 65, nullptr), CUDA_ERROR_INVALID_VALUE);
  EXPECT_NE(Violations().find("ends beyond its allocation"), std::string::npos);
  EXPECT_EQ(call_.cuMemcpyDtoHAsync(pinned + 1, device, 64, nullptr), CUDA_ERROR_INVALID_VALUE);
  EXPECT_NE(Violations().find("pinned only in its first part"), std::string::npos);
  call_.cuMemFree(device);
  call_.cuMemFreeHost(pinned);
}

TEST_F(StandinTest, MemoryFreedUnderACopyIsFound) {
  standin_.AbortOnViolation(false);
  standin_.SlowCopies(20'000);
  const CUdeviceptr device = Allocate(64);
  uint8_t* const pinned = AllocatePinned(64);
  ASSERT_EQ(call_.cuMemcpyDtoHAsync(pinned, device, 64, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(call_.cuMemFree(device), CUDA_ERROR_INVALID_VALUE);
  EXPECT_NE(Violations().find("work under way"), std::string::npos);
  EXPECT_EQ(call_.cuMemFreeHost(pinned), CUDA_ERROR_INVALID_VALUE);
  EXPECT_NE(Violations().find("copy under way"), std::string::npos);
  EXPECT_EQ(call_.cuStreamSynchronize(nullptr), CUDA_SUCCESS);
  EXPECT_EQ(call_.cuMemFree(device), CUDA_SUCCESS);
  EXPECT_EQ(call_.cuMemFreeHost(pinned), CUDA_SUCCESS);
}

TEST_F(StandinTest, AHostFunctionThatCallsTheDriverIsFound) {
  standin_.AbortOnViolation(false);
  static std::atomic<int> result{0};
  ASSERT_EQ(call_.cuLaunchHostFunc(
                nullptr, [](void*) { result = Standin::Get().call().cuStreamQuery(nullptr); }, nullptr),
            CUDA_SUCCESS);
  EXPECT_EQ(call_.cuStreamSynchronize(nullptr), CUDA_SUCCESS);
  EXPECT_EQ(result, CUDA_ERROR_NOT_PERMITTED);
  EXPECT_NE(Violations().find("called from a host function"), std::string::npos);
}

TEST_F(StandinTest, WithoutACurrentContextNothingWorks) {
  standin_.AbortOnViolation(false);
  std::thread([this] {
    CUdeviceptr pointer = 0;
    EXPECT_EQ(call_.cuMemAlloc(&pointer, 1), CUDA_ERROR_INVALID_CONTEXT);
  }).join();
  EXPECT_NE(Violations().find("no context is current"), std::string::npos);
}

TEST_F(StandinTest, MemoryAndStreamsBelongToOneDevice) {
  standin_.AbortOnViolation(false);
  const CUdeviceptr first = Allocate(64);
  const CUstream stream = MakeStream();
  CUcontext second = nullptr;
  ASSERT_EQ(call_.cuDevicePrimaryCtxRetain(&second, 1), CUDA_SUCCESS);
  ASSERT_EQ(call_.cuCtxPushCurrent(second), CUDA_SUCCESS);
  char host[64];
  EXPECT_EQ(call_.cuMemcpyDtoHAsync(host, first, 64, nullptr), CUDA_ERROR_INVALID_VALUE);
  EXPECT_NE(Violations().find("memory of another device"), std::string::npos);
  const CUdeviceptr own = Allocate(64);
  EXPECT_EQ(call_.cuMemcpyDtoHAsync(host, own, 64, stream), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_NE(Violations().find("no stream of the current context"), std::string::npos);
  int device = -1;
  CUdeviceptr start = 0;
  size_t bytes = 0;
  int attributes[] = {CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR,
                      CU_POINTER_ATTRIBUTE_RANGE_SIZE};
  void* data[] = {&device, &start, &bytes};
  ASSERT_EQ(call_.cuPointerGetAttributes(3, attributes, data, own + 10), CUDA_SUCCESS);
  EXPECT_EQ(device, 1);
  EXPECT_EQ(start, own);
  EXPECT_EQ(bytes, 64u);
  call_.cuMemFree(own);
  call_.cuCtxPopCurrent(nullptr);
  call_.cuDevicePrimaryCtxRelease(1);
  call_.cuMemFree(first);
  call_.cuStreamDestroy(stream);
}

TEST_F(StandinTest, LimitsOfMemoryAreKept) {
  CUdeviceptr pointer = 0;
  EXPECT_EQ(call_.cuMemAlloc(&pointer, size_t{5} << 30), CUDA_ERROR_OUT_OF_MEMORY);
  standin_.LimitLocked(10'000);
  uint8_t* const pinned = AllocatePinned(6000);
  void* more = nullptr;
  EXPECT_EQ(call_.cuMemHostAlloc(&more, 6000, 0), CUDA_ERROR_OUT_OF_MEMORY);
  std::vector<char> own(8192);
  EXPECT_EQ(call_.cuMemHostRegister(own.data(), 6000, 0), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(call_.cuMemHostRegister(own.data(), 100, 0), CUDA_SUCCESS);
  EXPECT_EQ(call_.cuMemHostRegister(own.data() + 50, 100, 0), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
  EXPECT_EQ(call_.cuMemHostUnregister(own.data()), CUDA_SUCCESS);
  EXPECT_EQ(call_.cuMemHostUnregister(own.data()), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
  call_.cuMemFreeHost(pinned);
}

TEST_F(StandinTest, TheNthCallFails) {
  standin_.Fail("cuMemAlloc_v2", 2, CUDA_ERROR_ECC_UNCORRECTABLE);
  const CUdeviceptr first = Allocate(1);
  CUdeviceptr second = 0;
  EXPECT_EQ(call_.cuMemAlloc(&second, 1), CUDA_ERROR_ECC_UNCORRECTABLE);
  EXPECT_EQ(standin_.driver().ErrorName(CUDA_ERROR_ECC_UNCORRECTABLE), "CUDA_ERROR_ECC_UNCORRECTABLE");
  EXPECT_EQ(call_.cuMemAlloc(&second, 1), CUDA_SUCCESS);
  call_.cuMemFree(first);
  call_.cuMemFree(second);
}

TEST_F(StandinTest, ALostDeviceFailsEveryCallAndReleasesItsMemory) {
  const CUdeviceptr device = Allocate(64);
  standin_.Fail("cuStreamSynchronize", 1, CUDA_ERROR_UNKNOWN, Standin::kDeviceLost);
  EXPECT_EQ(call_.cuStreamSynchronize(nullptr), CUDA_ERROR_UNKNOWN);
  char host[64];
  EXPECT_EQ(call_.cuMemcpyDtoHAsync(host, device, 64, nullptr), CUDA_ERROR_UNKNOWN);
  int count = 0;
  EXPECT_EQ(call_.cuDeviceGetCount(&count), CUDA_ERROR_UNKNOWN);
  EXPECT_EQ(call_.cuMemFree(device), CUDA_ERROR_UNKNOWN);
}

TEST_F(StandinTest, WorkThatFailsLaterFailsTheContextAndItsHostFunctionsDoNotRun) {
  const CUdeviceptr device = Allocate(64);
  uint8_t* const pinned = AllocatePinned(64);
  std::memset(pinned, 'x', 64);
  const CUstream stream = MakeStream();
  standin_.Fail("cuMemcpyDtoHAsync_v2", 1, CUDA_ERROR_ILLEGAL_ADDRESS, Standin::kLater);
  static std::atomic<bool> ran{false};
  EXPECT_EQ(call_.cuMemcpyDtoHAsync(pinned, device, 64, stream), CUDA_SUCCESS);
  const CUresult launched = call_.cuLaunchHostFunc(stream, [](void*) { ran = true; }, nullptr);
  EXPECT_TRUE(launched == CUDA_SUCCESS || launched == CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(call_.cuStreamSynchronize(stream), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_FALSE(ran);
  EXPECT_EQ(pinned[0], 'x');
  EXPECT_EQ(call_.cuMemFree(device), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(call_.cuMemFreeHost(pinned), CUDA_ERROR_ILLEGAL_ADDRESS);
  call_.cuStreamDestroy(stream);
}

TEST(StandinOldDriver, LacksFunctionsOfLaterVersions) {
  const auto loaded = CudaDriver::Load(STANDIN_CUDA_OLD);
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.status().code(), Code::kCudaUnavailable);
  EXPECT_NE(loaded.status().message().find("too old: it has no cuLaunchHostFunc"), std::string::npos);
}

}  // namespace
}  // namespace tensor_checkpoint
