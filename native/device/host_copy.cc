#include "device/host_copy.h"

#include <string>

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
  // Also after a failure: nothing is under way afterwards.
  Status Wait() const { return context_.Check(context_.call().cuStreamSynchronize(stream_), "cuStreamSynchronize"); }

 private:
  const CudaContext& context_;
  CUstream stream_ = nullptr;
  CUevent event_ = nullptr;
};

template <typename Copy>
Status Transfer(const CudaContext& context, std::optional<uint64_t> behind, const char* function, size_t bytes,
                Copy copy) {
  CurrentContext current(context);
  if (!current.status().ok()) return current.status();
  OrderedStream ordered(context);
  if (Status status = ordered.Open(behind); !status.ok()) return status;
  const Status copied = context.Check(copy(ordered.stream()), function, std::to_string(bytes) + " bytes");
  const Status waited = ordered.Wait();
  return copied.ok() ? waited : copied;
}

}  // namespace

Status CopyToHost(const CudaContext& context, std::optional<uint64_t> stream, CUdeviceptr from, void* to,
                  size_t bytes) {
  return Transfer(context, stream, "cuMemcpyDtoHAsync", bytes, [&](CUstream own) {
    return context.call().cuMemcpyDtoHAsync(to, from, bytes, own);
  });
}

Status CopyToDevice(const CudaContext& context, std::optional<uint64_t> stream, const void* from, CUdeviceptr to,
                    size_t bytes) {
  return Transfer(context, stream, "cuMemcpyHtoDAsync", bytes, [&](CUstream own) {
    return context.call().cuMemcpyHtoDAsync(to, from, bytes, own);
  });
}

}  // namespace tensor_checkpoint
