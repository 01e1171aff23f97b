#ifndef TENSOR_CHECKPOINT_DEVICE_CRC32C_PTX_H_
#define TENSOR_CHECKPOINT_DEVICE_CRC32C_PTX_H_

namespace tensor_checkpoint {

// The kernel of crc32c_kernel.h for cuModuleLoadData: PTX 7.0 for sm_75, which drivers since CUDA 11.0 compile for
// whatever device they have.
extern const char kCrc32cPtx[];

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_DEVICE_CRC32C_PTX_H_
