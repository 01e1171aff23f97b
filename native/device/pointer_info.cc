#include "device/pointer_info.h"

#include <algorithm>

namespace tensor_checkpoint {
namespace {

// One mapping, and what lies in it from the pointer on.
Result<PointerInfo> DescribeMapping(const CudaDriver& driver, CUdeviceptr pointer) {
  unsigned type = 0;
  unsigned managed = 0;
  int device = -1;
  CUdeviceptr start = 0;
  size_t size = 0;
  int attributes[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_IS_MANAGED,
                      CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR,
                      CU_POINTER_ATTRIBUTE_RANGE_SIZE};
  void* data[] = {&type, &managed, &device, &start, &size};
  // Of a pointer that CUDA doesn't know it says zeros, and success.
  Status status = driver.Check(driver.call().cuPointerGetAttributes(5, attributes, data, pointer),
                               "cuPointerGetAttributes");
  if (!status.ok()) return status;
  PointerInfo info;
  if (managed != 0) {
    info.kind = PointerInfo::Kind::kManaged;
  } else if (type == CU_MEMORYTYPE_DEVICE) {
    info.kind = PointerInfo::Kind::kDevice;
  } else if (type == CU_MEMORYTYPE_HOST) {
    info.kind = PointerInfo::Kind::kHost;
  } else {
    return info;
  }
  info.device = device;
  info.bytes = pointer >= start && pointer - start < size ? size - (pointer - start) : 0;
  return info;
}

}  // namespace

Result<PointerInfo> DescribePointer(const CudaDriver& driver, CUdeviceptr pointer, uint64_t bytes) {
  auto first = DescribeMapping(driver, pointer);
  if (!first.ok()) return first;
  PointerInfo info = *first;
  while (info.bytes > 0 && info.bytes < bytes) {
    auto next = DescribeMapping(driver, pointer + info.bytes);
    if (!next.ok()) return next;
    if (next->kind != info.kind || next->device != info.device || next->bytes == 0) break;
    info.bytes += next->bytes;
  }
  info.bytes = std::min(info.bytes, bytes);
  return info;
}

}  // namespace tensor_checkpoint
