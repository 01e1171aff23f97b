#include "tensorflow/tensor_memory.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

namespace tensor_checkpoint {

// A tensor laid out as TensorFlow's is: a pointer to an object with virtual functions, a shape, and a counted buffer.
namespace {

struct FakeBuffer {
  explicit FakeBuffer(void* data) : data(data) {}
  virtual ~FakeBuffer() = default;
  int64_t references = 1;
  void* const data;
};

struct CallersFakeBuffer : FakeBuffer {
  CallersFakeBuffer(void* data, size_t bytes, TensorFlowApi::Deallocator deallocator, void* argument)
      : FakeBuffer(data), bytes(bytes), deallocator(deallocator), argument(argument) {}
  ~CallersFakeBuffer() override { deallocator(data, bytes, argument); }
  const size_t bytes;
  const TensorFlowApi::Deallocator deallocator;
  void* const argument;
};

struct SliceFakeBuffer : FakeBuffer {
  explicit SliceFakeBuffer(FakeBuffer* root) : FakeBuffer(root->data), root(root) {}
  FakeBuffer* const root;
  int64_t elements = 4;
};

struct FakeAllocator {
  virtual ~FakeAllocator() = default;
};

struct OwnFakeBuffer : FakeBuffer {
  OwnFakeBuffer(void* data, FakeAllocator* allocator) : FakeBuffer(data), allocator(allocator) {}
  FakeAllocator* const allocator;
  int64_t elements = 4;
};

struct FakeInterface {
  explicit FakeInterface(FakeBuffer* buffer) : buffer(buffer) {}
  virtual ~FakeInterface() { delete buffer; }
  int64_t shape[3] = {4, 0, 4};
  FakeBuffer* buffer;
};

void FreeCopy(void* data, size_t, void*) { std::free(data); }
void Nothing(void*, size_t, void*) {}
void Ours(void*, size_t, void*) {}

}  // namespace

struct TF_Tensor {
  FakeInterface* interface;
};

namespace {

TF_Tensor* NewFake(int, const int64_t*, int, void* data, size_t bytes, TensorFlowApi::Deallocator free, void* argument) {
  if (reinterpret_cast<uintptr_t>(data) % 64 != 0) {
    void* copy = std::aligned_alloc(64, 128);
    std::memcpy(copy, data, bytes);
    free(data, bytes, argument);
    return new TF_Tensor{new FakeInterface(new CallersFakeBuffer(copy, bytes, FreeCopy, nullptr))};
  }
  return new TF_Tensor{new FakeInterface(new CallersFakeBuffer(data, bytes, free, argument))};
}

void DeleteFake(TF_Tensor* tensor) {
  delete tensor->interface;
  delete tensor;
}

void* FakeData(const TF_Tensor* tensor) { return tensor->interface->buffer->data; }

TensorFlowApi FakeApi() {
  TensorFlowApi api{};
  api.TF_NewTensor = NewFake;
  api.TF_DeleteTensor = DeleteFake;
  api.TF_TensorData = FakeData;
  return api;
}

alignas(64) char memory[128];

class TensorMemoryTest : public ::testing::Test {
 protected:
  TensorMemoryTest() : memory_(*TensorMemory::Learn(api_)) {}
  bool MayChange(FakeBuffer* buffer) {
    FakeInterface interface(buffer);
    const TF_Tensor tensor{&interface};
    TensorMemory::Seen seen;
    return memory_.MayChange(&tensor, seen);
  }
  TensorFlowApi api_ = FakeApi();
  TensorMemory memory_;
};

TEST_F(TensorMemoryTest, OfTensorFlowsOwnDoesNotChange) {
  FakeAllocator allocator;
  EXPECT_FALSE(MayChange(new OwnFakeBuffer(memory, &allocator)));
  EXPECT_FALSE(MayChange(new OwnFakeBuffer(memory, nullptr)));
  EXPECT_FALSE(MayChange(nullptr));
}

TEST_F(TensorMemoryTest, OfACallerMayChange) {
  EXPECT_TRUE(MayChange(new CallersFakeBuffer(memory, 16, Nothing, nullptr)));
}

TEST_F(TensorMemoryTest, OfACallersSliceMayChange) {
  CallersFakeBuffer callers(memory, 16, Nothing, nullptr);
  EXPECT_TRUE(MayChange(new SliceFakeBuffer(&callers)));
  FakeAllocator allocator;
  OwnFakeBuffer own(memory, &allocator);
  EXPECT_FALSE(MayChange(new SliceFakeBuffer(&own)));
}

TEST_F(TensorMemoryTest, ThatTensorFlowCopiedDoesNotChange) {
  const int64_t dims[] = {16};
  TF_Tensor* tensor = NewFake(4, dims, 1, memory + 1, 16, Nothing, nullptr);
  TensorMemory::Seen seen;
  EXPECT_FALSE(memory_.MayChange(tensor, seen));
  DeleteFake(tensor);
}

TEST_F(TensorMemoryTest, ThatIsTrustedDoesNotChange) {
  EXPECT_TRUE(MayChange(new CallersFakeBuffer(memory, 16, Ours, nullptr)));
  memory_.Trust(Ours);
  EXPECT_FALSE(MayChange(new CallersFakeBuffer(memory, 16, Ours, nullptr)));
  EXPECT_TRUE(MayChange(new CallersFakeBuffer(memory, 16, Nothing, nullptr)));
}

TEST(TensorMemory, IsLearntThoughAnAttemptFailed) {
  static int failures;
  failures = 12;
  TensorFlowApi api = FakeApi();
  api.TF_NewTensor = [](int type, const int64_t* dims, int count, void* data, size_t bytes,
                        TensorFlowApi::Deallocator free, void* argument) -> TF_Tensor* {
    return failures-- > 0 ? nullptr : NewFake(type, dims, count, data, bytes, free, argument);
  };
  EXPECT_TRUE(TensorMemory::Learn(api).ok());
}

TEST(TensorMemory, IsNotLearntFromTensorsOfAnotherLayout) {
  struct Opaque {
    uintptr_t words[16] = {};
  };
  static Opaque opaque;
  TensorFlowApi api = FakeApi();
  api.TF_NewTensor = [](int, const int64_t*, int, void* data, size_t, TensorFlowApi::Deallocator, void*) {
    opaque.words[3] = reinterpret_cast<uintptr_t>(data);  // The data, but no deallocator.
    opaque.words[5] = 0x10;                               // Not a pointer to anything.
    return new TF_Tensor{reinterpret_cast<FakeInterface*>(&opaque)};
  };
  api.TF_DeleteTensor = [](TF_Tensor* tensor) { delete tensor; };
  EXPECT_EQ(TensorMemory::Learn(api).status().code(), Code::kUnsupported);

  api.TF_NewTensor = [](int, const int64_t*, int, void*, size_t, TensorFlowApi::Deallocator, void*) {
    return static_cast<TF_Tensor*>(nullptr);
  };
  EXPECT_EQ(TensorMemory::Learn(api).status().code(), Code::kUnsupported);
}

}  // namespace
}  // namespace tensor_checkpoint
