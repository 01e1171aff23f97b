#include <vector>

#include "plugin.h"

namespace standin_gpu {
namespace {

// The op Relu, for tensors without negative values: a copy, which the device makes later, as a GPU computes later.
void ComputeRelu(void*, TF_OpKernelContext* context) {
  TF_Status* status = tensorflow.TF_NewStatus();
  TF_Tensor* input = nullptr;
  TF_Tensor* output = nullptr;
  tensorflow.TF_GetInput(context, 0, &input, status);
  if (tensorflow.TF_GetCode(status) == TF_OK) {
    std::vector<int64_t> dims;
    for (int i = 0; i < tensorflow.TF_NumDims(input); ++i) dims.push_back(tensorflow.TF_Dim(input, i));
    const size_t bytes = tensorflow.TF_TensorByteSize(input);
    output = tensorflow.TF_AllocateOutput(context, 0, tensorflow.TF_TensorType(input), dims.data(),
                                          static_cast<int>(dims.size()), bytes, status);
    SP_Stream stream = nullptr;
    if (tensorflow.TF_GetCode(status) == TF_OK) stream = tensorflow.TF_GetStream(context, status);
    if (tensorflow.TF_GetCode(status) == TF_OK && bytes > 0) {
      CopyOnDevice(stream, tensorflow.TF_TensorData(output), tensorflow.TF_TensorData(input), bytes);
    }
  }
  if (tensorflow.TF_GetCode(status) != TF_OK) tensorflow.TF_OpKernelContext_Failure(context, status);
  if (input != nullptr) tensorflow.TF_DeleteTensor(input);
  if (output != nullptr) tensorflow.TF_DeleteTensor(output);
  tensorflow.TF_DeleteStatus(status);
}

}  // namespace

void RegisterKernels() {
  TF_Status* status = tensorflow.TF_NewStatus();
  TF_KernelBuilder* kernel = tensorflow.TF_NewKernelBuilder("Relu", "GPU", nullptr, ComputeRelu, nullptr);
  tensorflow.TF_KernelBuilder_TypeConstraint(kernel, "T", TF_FLOAT, status);
  tensorflow.TF_RegisterKernelBuilder("StandinRelu", kernel, status);
  tensorflow.TF_DeleteStatus(status);
}

}  // namespace standin_gpu
