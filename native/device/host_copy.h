#ifndef TENSOR_CHECKPOINT_DEVICE_HOST_COPY_H_
#define TENSOR_CHECKPOINT_DEVICE_HOST_COPY_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "device/cuda_context.h"
#include "device/pinned_pool.h"

namespace tensor_checkpoint {

// A copy of one tensor between a device and ordinary host memory. It passes two pieces of locked memory in turn: while the
// device is at one, the other is copied. Where the system lets no memory be locked, the driver copies as it can.
//
// Both wait: for what was submitted before on `stream` (a stream of the context; 0 the legacy default stream), or for all
// of the context's work without one; and for the copy itself. Any thread but one whose time is precious.
Status CopyToHost(const std::shared_ptr<const CudaContext>& context, PinnedPool& pinned, std::optional<uint64_t> stream,
                  CUdeviceptr from, void* to, size_t bytes);
Status CopyToDevice(const std::shared_ptr<const CudaContext>& context, PinnedPool& pinned, std::optional<uint64_t> stream,
                    const void* from, CUdeviceptr to, size_t bytes);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_DEVICE_HOST_COPY_H_
