#ifndef TENSOR_CHECKPOINT_DEVICE_HOST_COPY_H_
#define TENSOR_CHECKPOINT_DEVICE_HOST_COPY_H_

#include <cstdint>
#include <optional>

#include "device/cuda_context.h"

namespace tensor_checkpoint {

// A copy of one tensor between a device and ordinary host memory, for what happens seldom: programs have their own way
// through pinned staging. Both wait: for what was submitted before on `stream` (a stream of the context; 0 the legacy
// default stream), or for all of the context's work without one; and for the copy itself. Any thread but one whose time
// is precious.
Status CopyToHost(const CudaContext& context, std::optional<uint64_t> stream, CUdeviceptr from, void* to, size_t bytes);
Status CopyToDevice(const CudaContext& context, std::optional<uint64_t> stream, const void* from, CUdeviceptr to,
                    size_t bytes);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_DEVICE_HOST_COPY_H_
