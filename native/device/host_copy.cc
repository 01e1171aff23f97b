#include "device/host_copy.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>

namespace tensor_checkpoint {
namespace {

// A stream of our own and the event that orders it behind somebody else's, for one copy. In the current context.
class OrderedStream {
 public:
  explicit OrderedStream(const CudaContext& context) : context_(context) {}
  ~OrderedStream() {
    if (event_ != nullptr) (void)context_.call().cuEventDestroy(event_);
    if (stream_ != nullptr) (void)context_.call().cuStreamDestroy(stream_);
  }
  OrderedStream(const OrderedStream&) = delete;
  OrderedStream& operator=(const OrderedStream&) = delete;

  Status Open(std::optional<uint64_t> behind) {
    const CudaFunctions& call = context_.call();
    Status status = context_.Check(call.cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
    if (!status.ok()) {
      stream_ = nullptr;
      return status;
    }
    if (!behind.has_value()) return context_.Check(call.cuCtxSynchronize(), "cuCtxSynchronize");
    status = context_.Check(call.cuEventCreate(&event_, CU_EVENT_DISABLE_TIMING), "cuEventCreate");
    if (!status.ok()) {
      event_ = nullptr;
      return status;
    }
    status = context_.Check(call.cuEventRecord(event_, reinterpret_cast<CUstream>(*behind)), "cuEventRecord",
                            "the tensor's stream");
    if (!status.ok()) return status;
    return context_.Check(call.cuStreamWaitEvent(stream_, event_, 0), "cuStreamWaitEvent");
  }
  CUstream stream() const { return stream_; }
  // Also after a failure nothing is under way afterwards: where the stream's own call fails, the context's waits for all.
  Status Wait() const {
    const Status status = context_.Check(context_.call().cuStreamSynchronize(stream_), "cuStreamSynchronize");
    if (!status.ok()) (void)context_.call().cuCtxSynchronize();
    return status;
  }

 private:
  const CudaContext& context_;
  CUstream stream_ = nullptr;
  CUevent event_ = nullptr;
};

// Locked memory for a part of a tensor, and the event behind the device's last work on it. In the current context.
class Part {
 public:
  explicit Part(const CudaContext& context) : context_(context) {}
  ~Part() {
    if (event_ != nullptr) (void)context_.call().cuEventDestroy(event_);
  }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;

  Status Open(const std::shared_ptr<const CudaContext>& context, PinnedPool& pinned, size_t bytes) {
    auto memory = pinned.Take(context, bytes);
    if (!memory.ok()) return memory.status();
    memory_ = std::move(*memory);
    Status status = context_.Check(context_.call().cuEventCreate(&event_, CU_EVENT_DISABLE_TIMING | CU_EVENT_BLOCKING_SYNC), "cuEventCreate");
    if (!status.ok()) event_ = nullptr;
    return status;
  }
  uint8_t* data() const { return memory_.data(); }
  Status Record(CUstream stream) const { return context_.Check(context_.call().cuEventRecord(event_, stream), "cuEventRecord"); }
  Status Wait() const { return context_.Check(context_.call().cuEventSynchronize(event_), "cuEventSynchronize"); }

 private:
  const CudaContext& context_;
  PinnedPool::Buffer memory_;
  CUevent event_ = nullptr;
};

constexpr size_t kPart = 4 << 20;
// Up to this the driver's own way through its own staging is as fast.
constexpr size_t kSmall = 64 << 10;

struct Tensor {
  CUdeviceptr device;
  uint8_t* host;  // Only read where it goes to the device.
  size_t bytes;
  bool to_host;
};

Status Enqueue(const CudaContext& context, const Tensor& tensor, size_t at, void* host, size_t bytes, CUstream stream) {
  const CudaFunctions& call = context.call();
  const CUresult result = tensor.to_host ? call.cuMemcpyDtoHAsync(host, tensor.device + at, bytes, stream)
                                         : call.cuMemcpyHtoDAsync(tensor.device + at, host, bytes, stream);
  return context.Check(result, tensor.to_host ? "cuMemcpyDtoHAsync" : "cuMemcpyHtoDAsync", std::to_string(bytes) + " bytes");
}

// May leave work under way.
Status CopyInParts(const CudaContext& context, const Tensor& tensor, const std::array<Part, 2>& parts, CUstream stream) {
  Status status;
  const size_t count = (tensor.bytes + kPart - 1) / kPart;
  const auto size = [&](size_t i) { return std::min(kPart, tensor.bytes - i * kPart); };
  const auto take = [&](size_t i) {
    status = parts[i % 2].Wait();
    if (status.ok()) std::memcpy(tensor.host + i * kPart, parts[i % 2].data(), size(i));
  };
  for (size_t i = 0; i < count && status.ok(); ++i) {
    const Part& part = parts[i % 2];
    if (!tensor.to_host) {
      if (i >= 2) status = part.Wait();
      if (!status.ok()) return status;
      std::memcpy(part.data(), tensor.host + i * kPart, size(i));
    }
    status = Enqueue(context, tensor, i * kPart, part.data(), size(i), stream);
    if (status.ok()) status = part.Record(stream);
    // While the device is at this part, the one before is taken out.
    if (status.ok() && tensor.to_host && i > 0) take(i - 1);
  }
  if (status.ok() && tensor.to_host) take(count - 1);
  return status;
}

Status Transfer(const std::shared_ptr<const CudaContext>& context, PinnedPool& pinned, std::optional<uint64_t> behind, const Tensor& tensor) {
  CurrentContext current(*context);
  if (!current.status().ok()) return current.status();
  std::array<Part, 2> parts{Part(*context), Part(*context)};
  Status locked;
  for (Part& part : parts) {
    if (tensor.bytes > kSmall && locked.ok()) locked = part.Open(context, pinned, std::min(tensor.bytes, kPart));
  }
  if (!locked.ok() && !PinnedPool::IsLimit(locked)) return locked;
  OrderedStream ordered(*context);
  if (Status status = ordered.Open(behind); !status.ok()) return status;
  const bool in_parts = tensor.bytes > kSmall && locked.ok();
  const Status copied = in_parts ? CopyInParts(*context, tensor, parts, ordered.stream())
                                 : Enqueue(*context, tensor, 0, tensor.host, tensor.bytes, ordered.stream());
  const Status waited = ordered.Wait();
  return copied.ok() ? waited : copied;
}

}  // namespace

Status CopyToHost(const std::shared_ptr<const CudaContext>& context, PinnedPool& pinned, std::optional<uint64_t> stream,
                  CUdeviceptr from, void* to, size_t bytes) {
  return Transfer(context, pinned, stream, {from, static_cast<uint8_t*>(to), bytes, true});
}

Status CopyToDevice(const std::shared_ptr<const CudaContext>& context, PinnedPool& pinned, std::optional<uint64_t> stream,
                    const void* from, CUdeviceptr to, size_t bytes) {
  return Transfer(context, pinned, stream, {to, static_cast<uint8_t*>(const_cast<void*>(from)), bytes, false});
}

}  // namespace tensor_checkpoint
