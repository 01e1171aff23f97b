#ifndef TENSOR_CHECKPOINT_DEVICE_DLPACK_H_
#define TENSOR_CHECKPOINT_DEVICE_DLPACK_H_

#include <cstdint>

// DLPack's binary interface (https://dmlc.github.io/dlpack/latest/c_api.html), by which libraries hand tensors to each
// other without a copy. Declared here as far as it is used; it never changes within a major version.
namespace tensor_checkpoint {

struct DLDevice {
  int32_t device_type;
  int32_t device_id;
};
inline constexpr int32_t kDLCUDA = 2;

struct DLDataType {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
};

struct DLTensor {
  void* data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t* shape;
  int64_t* strides;  // nullptr: row-major.
  uint64_t byte_offset;
};

struct DLManagedTensor {
  DLTensor dl_tensor;
  void* manager_ctx;
  void (*deleter)(DLManagedTensor* self);
};

struct DLPackVersion {
  uint32_t major;
  uint32_t minor;
};
inline constexpr uint32_t kDLPackMajor = 1;
inline constexpr uint64_t kDLPackReadOnly = 1;

struct DLManagedTensorVersioned {
  DLPackVersion version;
  void* manager_ctx;
  void (*deleter)(DLManagedTensorVersioned* self);
  uint64_t flags;
  DLTensor dl_tensor;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_DEVICE_DLPACK_H_
