#ifndef TENSOR_CHECKPOINT_DEVICE_CUDA_DRIVER_H_
#define TENSOR_CHECKPOINT_DEVICE_CUDA_DRIVER_H_

#include <memory>
#include <string>

#include "base/status.h"
#include "device/cuda_types.h"

namespace tensor_checkpoint {

// The driver functions this package calls: name here, symbol in the library, parameters. A symbol with a version is a
// promise about the binary interface (`cuMemAlloc` without one is the 32-bit function of 2007).
// clang-format off
#define TENSOR_CHECKPOINT_CUDA_FUNCTIONS(F)                                                                            \
  F(cuInit, "cuInit", (unsigned flags))                                                                                \
  F(cuDriverGetVersion, "cuDriverGetVersion", (int* version))                                                          \
  F(cuGetErrorName, "cuGetErrorName", (CUresult error, const char** name))                                             \
  F(cuGetErrorString, "cuGetErrorString", (CUresult error, const char** text))                                         \
  F(cuDeviceGetCount, "cuDeviceGetCount", (int* count))                                                                \
  F(cuDeviceGet, "cuDeviceGet", (CUdevice* device, int ordinal))                                                       \
  F(cuDeviceGetName, "cuDeviceGetName", (char* name, int length, CUdevice device))                                     \
  F(cuDeviceTotalMem, "cuDeviceTotalMem_v2", (size_t* bytes, CUdevice device))                                         \
  F(cuDeviceGetPCIBusId, "cuDeviceGetPCIBusId", (char* id, int length, CUdevice device))                               \
  F(cuDeviceGetAttribute, "cuDeviceGetAttribute", (int* value, int attribute, CUdevice device))                        \
  F(cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain", (CUcontext* context, CUdevice device))                       \
  F(cuDevicePrimaryCtxRelease, "cuDevicePrimaryCtxRelease_v2", (CUdevice device))                                      \
  F(cuCtxPushCurrent, "cuCtxPushCurrent_v2", (CUcontext context))                                                      \
  F(cuCtxPopCurrent, "cuCtxPopCurrent_v2", (CUcontext* context))                                                       \
  F(cuCtxGetCurrent, "cuCtxGetCurrent", (CUcontext* context))                                                          \
  F(cuCtxSynchronize, "cuCtxSynchronize", ())                                                                          \
  F(cuMemAlloc, "cuMemAlloc_v2", (CUdeviceptr* pointer, size_t bytes))                                                 \
  F(cuMemFree, "cuMemFree_v2", (CUdeviceptr pointer))                                                                  \
  F(cuMemGetInfo, "cuMemGetInfo_v2", (size_t* free, size_t* total))                                                    \
  F(cuMemHostAlloc, "cuMemHostAlloc", (void** memory, size_t bytes, unsigned flags))                                   \
  F(cuMemFreeHost, "cuMemFreeHost", (void* memory))                                                                    \
  F(cuMemHostRegister, "cuMemHostRegister_v2", (void* memory, size_t bytes, unsigned flags))                           \
  F(cuMemHostUnregister, "cuMemHostUnregister", (void* memory))                                                        \
  F(cuMemcpyHtoDAsync, "cuMemcpyHtoDAsync_v2", (CUdeviceptr to, const void* from, size_t bytes, CUstream stream))      \
  F(cuMemcpyDtoHAsync, "cuMemcpyDtoHAsync_v2", (void* to, CUdeviceptr from, size_t bytes, CUstream stream))            \
  F(cuMemcpyDtoDAsync, "cuMemcpyDtoDAsync_v2", (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream))      \
  F(cuMemsetD8Async, "cuMemsetD8Async", (CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream))          \
  F(cuStreamCreate, "cuStreamCreate", (CUstream* stream, unsigned flags))                                              \
  F(cuStreamDestroy, "cuStreamDestroy_v2", (CUstream stream))                                                          \
  F(cuStreamSynchronize, "cuStreamSynchronize", (CUstream stream))                                                     \
  F(cuStreamQuery, "cuStreamQuery", (CUstream stream))                                                                 \
  F(cuStreamWaitEvent, "cuStreamWaitEvent", (CUstream stream, CUevent event, unsigned flags))                          \
  F(cuEventCreate, "cuEventCreate", (CUevent* event, unsigned flags))                                                  \
  F(cuEventDestroy, "cuEventDestroy_v2", (CUevent event))                                                              \
  F(cuEventRecord, "cuEventRecord", (CUevent event, CUstream stream))                                                  \
  F(cuEventQuery, "cuEventQuery", (CUevent event))                                                                     \
  F(cuEventSynchronize, "cuEventSynchronize", (CUevent event))                                                         \
  F(cuLaunchHostFunc, "cuLaunchHostFunc", (CUstream stream, CUhostFn function, void* user_data))                       \
  F(cuPointerGetAttributes, "cuPointerGetAttributes",                                                                  \
    (unsigned count, int* attributes, void** data, CUdeviceptr pointer))                                               \
  F(cuModuleLoadData, "cuModuleLoadData", (CUmodule* module, const void* image))                                       \
  F(cuModuleUnload, "cuModuleUnload", (CUmodule module))                                                               \
  F(cuModuleGetFunction, "cuModuleGetFunction", (CUfunction* function, CUmodule module, const char* name))             \
  F(cuLaunchKernel, "cuLaunchKernel",                                                                                  \
    (CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,       \
     unsigned block_z, unsigned shared_bytes, CUstream stream, void** parameters, void** extra))
// clang-format on

// The functions as they were found in one library.
struct CudaFunctions {
#define TENSOR_CHECKPOINT_CUDA_MEMBER(name, symbol, parameters) CUresult(*name) parameters = nullptr;
  TENSOR_CHECKPOINT_CUDA_FUNCTIONS(TENSOR_CHECKPOINT_CUDA_MEMBER)
#undef TENSOR_CHECKPOINT_CUDA_MEMBER
};

// A driver that was loaded, is initialized and has at least one device. Any thread; never unloaded: the driver keeps
// threads of its own, and other libraries of the process use the same one.
class CudaDriver {
 public:
  // Loads `library` and initializes it. kCudaUnavailable with the reason: no such library, a symbol that is missing
  // (the driver is too old), what cuInit says by name, or no device.
  static Result<std::unique_ptr<CudaDriver>> Load(const std::string& library);

  // The process's driver: libcuda.so.1, or what TENSOR_CHECKPOINT_CUDA_LIBRARY names. The first call loads it, on the
  // calling thread (this may take a second on a machine with GPUs); all others get the same answer.
  static Result<const CudaDriver*> Shared();

  const CudaFunctions& call() const { return functions_; }
  int device_count() const { return device_count_; }
  int version() const { return version_; }  // 12040 is CUDA 12.4.
  const std::string& library() const { return library_; }

  // CUDA_SUCCESS becomes Ok, anything else kCudaError with the driver's own name for it. `function` must be a literal;
  // `what` completes "… failed", e.g. "4096 bytes from device 0".
  Status Check(CUresult result, const char* function, const std::string& what = {}) const;
  // "CUDA_ERROR_OUT_OF_MEMORY"; "CUDA error 1234" for one that this driver does not know.
  std::string ErrorName(CUresult result) const;

 private:
  CudaDriver() = default;

  CudaFunctions functions_;
  std::string library_;
  int device_count_ = 0;
  int version_ = 0;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_DEVICE_CUDA_DRIVER_H_
