#ifndef TENSOR_CHECKPOINT_DEVICE_POINTER_INFO_H_
#define TENSOR_CHECKPOINT_DEVICE_POINTER_INFO_H_

#include <cstdint>

#include "base/status.h"
#include "device/cuda_driver.h"

namespace tensor_checkpoint {

// What the driver knows of a pointer that somebody else gave us.
struct PointerInfo {
  enum class Kind : uint8_t { kUnknown, kHost, kDevice, kManaged };
  Kind kind = Kind::kUnknown;
  int device = -1;
  // Bytes from the pointer on that are mapped on the same device without a gap, as far as they were asked for.
  uint64_t bytes = 0;
};

// Looks at [pointer, pointer + bytes). Memory of one address range may consist of several mappings (that of allocators
// which grow their segments by cuMemMap): all of them are looked at. kCudaError: the driver fails. Any thread.
Result<PointerInfo> DescribePointer(const CudaDriver& driver, CUdeviceptr pointer, uint64_t bytes);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_DEVICE_POINTER_INFO_H_
