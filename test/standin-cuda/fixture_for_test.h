#ifndef STANDIN_CUDA_FIXTURE_FOR_TEST_H_
#define STANDIN_CUDA_FIXTURE_FOR_TEST_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "device/standin_for_test.h"

namespace tensor_checkpoint {

// A test with device 0's context current, that leaves nothing behind.
class StandinTest : public testing::Test {
 protected:
  void SetUp() override {
    standin_.Reset();
    EXPECT_EQ(call_.cuDevicePrimaryCtxRetain(&context_, 0), CUDA_SUCCESS);
    EXPECT_EQ(call_.cuCtxPushCurrent(context_), CUDA_SUCCESS);
    before_ = Alive();
  }
  void TearDown() override {
    standin_.Reset();
    EXPECT_EQ(call_.cuCtxSynchronize(), CUDA_SUCCESS);
    EXPECT_EQ(Alive(), before_);
    EXPECT_EQ(call_.cuCtxPopCurrent(nullptr), CUDA_SUCCESS);
    EXPECT_EQ(call_.cuDevicePrimaryCtxRelease(0), CUDA_SUCCESS);
  }
  // All but the counts of calls.
  std::string Alive() {
    const std::string all = standin_.Describe();
    return all.substr(0, all.find(",\"calls\""));
  }
  // What was violated since the last time, in a test that lets violations pass.
  std::string Violations() { return standin_.TakeViolations(); }

  CUdeviceptr Allocate(size_t bytes) {
    CUdeviceptr pointer = 0;
    EXPECT_EQ(call_.cuMemAlloc(&pointer, bytes), CUDA_SUCCESS);
    return pointer;
  }
  uint8_t* AllocatePinned(size_t bytes) {
    void* memory = nullptr;
    EXPECT_EQ(call_.cuMemHostAlloc(&memory, bytes, CU_MEMHOSTALLOC_PORTABLE), CUDA_SUCCESS);
    return static_cast<uint8_t*>(memory);
  }
  CUstream MakeStream(unsigned flags = CU_STREAM_NON_BLOCKING) {
    CUstream stream = nullptr;
    EXPECT_EQ(call_.cuStreamCreate(&stream, flags), CUDA_SUCCESS);
    return stream;
  }

  Standin& standin_ = Standin::Get();
  const CudaFunctions& call_ = standin_.call();
  CUcontext context_ = nullptr;
  std::string before_;
};

}  // namespace tensor_checkpoint

#endif  // STANDIN_CUDA_FIXTURE_FOR_TEST_H_
