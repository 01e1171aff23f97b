#ifndef STANDIN_GPU_PLUGIN_H_
#define STANDIN_GPU_PLUGIN_H_

#include "tensorflow/c/c_api_experimental.h"
#include "tensorflow/c/experimental/stream_executor/stream_executor.h"
#include "tensorflow/c/kernels.h"
#include "tensorflow/c/tf_status.h"
#include "tensorflow/c/tf_tensor.h"

namespace standin_gpu {

// What is called of TensorFlow. Looked up, not linked: Node loads addons apart from each other.
#define STANDIN_GPU_TENSORFLOW_FUNCTIONS(F) \
  F(TF_NewStatus);                          \
  F(TF_DeleteStatus);                       \
  F(TF_SetStatus);                          \
  F(TF_GetCode);                            \
  F(TF_Message);                            \
  F(TF_LoadPluggableDeviceLibrary);         \
  F(TF_NewKernelBuilder);                   \
  F(TF_KernelBuilder_TypeConstraint);       \
  F(TF_RegisterKernelBuilder);              \
  F(TF_GetInput);                           \
  F(TF_AllocateOutput);                     \
  F(TF_GetStream);                          \
  F(TF_OpKernelContext_Failure);            \
  F(TF_NumDims);                            \
  F(TF_Dim);                                \
  F(TF_TensorType);                         \
  F(TF_TensorByteSize);                     \
  F(TF_TensorData);                         \
  F(TF_DeleteTensor)

struct TensorFlow {
#define STANDIN_GPU_MEMBER(name) decltype(&::name) name = nullptr
  STANDIN_GPU_TENSORFLOW_FUNCTIONS(STANDIN_GPU_MEMBER);
#undef STANDIN_GPU_MEMBER
};
extern TensorFlow tensorflow;

// Enqueues a copy on the device, which happens later.
void CopyOnDevice(SP_Stream stream, void* to, const void* from, size_t bytes);

void RegisterKernels();

}  // namespace standin_gpu

#endif  // STANDIN_GPU_PLUGIN_H_
