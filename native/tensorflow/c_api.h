#ifndef TENSOR_CHECKPOINT_TENSORFLOW_C_API_H_
#define TENSOR_CHECKPOINT_TENSORFLOW_C_API_H_

#include <cstddef>
#include <cstdint>

// The little of TensorFlow's C API that is used here, declared by hand: no header of TensorFlow's is needed to build,
// and nothing is linked. Authority: tensorflow/c/{tf_tensor,tf_status,ops,kernels}.h, unchanged in these parts from
// 2.4 to 2.21. Enumerations are passed as the int that they are.
namespace tensor_checkpoint {

struct TF_Tensor;
struct TF_Status;
struct TF_OpDefinitionBuilder;
struct TF_KernelBuilder;
struct TF_OpKernelConstruction;
struct TF_OpKernelContext;

inline constexpr int kTfOk = 0;
inline constexpr int kTfFailedPrecondition = 9;
inline constexpr int kTfFloat = 1;
inline constexpr int kTfInt32 = 3;
inline constexpr int kTfUint8 = 4;
inline constexpr int kTfComplex64 = 8;
inline constexpr int kTfBool = 10;

// The symbols, found at run time. Any thread, as the C API itself.
struct TensorFlowApi {
  using Deallocator = void (*)(void* data, size_t bytes, void* argument);
  using CreateKernel = void* (*)(TF_OpKernelConstruction*);
  using ComputeKernel = void (*)(void* kernel, TF_OpKernelContext*);
  using DeleteKernel = void (*)(void* kernel);

  const char* (*TF_Version)();

  TF_Status* (*TF_NewStatus)();
  void (*TF_DeleteStatus)(TF_Status*);
  void (*TF_SetStatus)(TF_Status*, int code, const char* message);
  int (*TF_GetCode)(const TF_Status*);
  const char* (*TF_Message)(const TF_Status*);

  // Copies at once, and deallocates, memory that isn't aligned as TensorFlow wants it (64 bytes).
  TF_Tensor* (*TF_NewTensor)(int type, const int64_t* dims, int dim_count, void* data, size_t bytes, Deallocator, void*);
  void (*TF_DeleteTensor)(TF_Tensor*);
  int (*TF_TensorType)(const TF_Tensor*);
  size_t (*TF_TensorByteSize)(const TF_Tensor*);
  void* (*TF_TensorData)(const TF_Tensor*);

  TF_OpDefinitionBuilder* (*TF_NewOpDefinitionBuilder)(const char* name);
  void (*TF_OpDefinitionBuilderAddAttr)(TF_OpDefinitionBuilder*, const char*);
  void (*TF_OpDefinitionBuilderAddInput)(TF_OpDefinitionBuilder*, const char*);
  void (*TF_OpDefinitionBuilderAddOutput)(TF_OpDefinitionBuilder*, const char*);
  void (*TF_OpDefinitionBuilderSetIsStateful)(TF_OpDefinitionBuilder*, bool);
  void (*TF_RegisterOpDefinition)(TF_OpDefinitionBuilder*, TF_Status*);

  TF_KernelBuilder* (*TF_NewKernelBuilder)(const char* op, const char* device, CreateKernel, ComputeKernel, DeleteKernel);
  void (*TF_KernelBuilder_TypeConstraint)(TF_KernelBuilder*, const char* attr, int type, TF_Status*);
  // This argument lies on the host, wherever the kernel runs.
  void (*TF_KernelBuilder_HostMemory)(TF_KernelBuilder*, const char* argument);
  // Takes the builder, also where it fails.
  void (*TF_RegisterKernelBuilder)(const char* name, TF_KernelBuilder*, TF_Status*);

  int (*TF_NumInputs)(TF_OpKernelContext*);
  int (*TF_NumOutputs)(TF_OpKernelContext*);
  // Shares the input's buffer, which lives until the tensor is deleted.
  void (*TF_GetInput)(TF_OpKernelContext*, int index, TF_Tensor**, TF_Status*);
  void (*TF_SetOutput)(TF_OpKernelContext*, int index, const TF_Tensor*, TF_Status*);
  // Memory of the device that the kernel runs on; the tensor shares it with the output.
  TF_Tensor* (*TF_AllocateOutput)(TF_OpKernelContext*, int index, int type, const int64_t* dims, int dim_count,
                                  size_t bytes, TF_Status*);
  void (*TF_OpKernelContext_Failure)(TF_OpKernelContext*, TF_Status*);
};

// Calls visit(name, slot) for each of them.
template <typename Visit>
void ForEachSymbol(TensorFlowApi& api, Visit visit) {
#define TENSOR_CHECKPOINT_SYMBOL(name) visit(#name, reinterpret_cast<void**>(&api.name))
  TENSOR_CHECKPOINT_SYMBOL(TF_Version);
  TENSOR_CHECKPOINT_SYMBOL(TF_NewStatus);
  TENSOR_CHECKPOINT_SYMBOL(TF_DeleteStatus);
  TENSOR_CHECKPOINT_SYMBOL(TF_SetStatus);
  TENSOR_CHECKPOINT_SYMBOL(TF_GetCode);
  TENSOR_CHECKPOINT_SYMBOL(TF_Message);
  TENSOR_CHECKPOINT_SYMBOL(TF_NewTensor);
  TENSOR_CHECKPOINT_SYMBOL(TF_DeleteTensor);
  TENSOR_CHECKPOINT_SYMBOL(TF_TensorType);
  TENSOR_CHECKPOINT_SYMBOL(TF_TensorByteSize);
  TENSOR_CHECKPOINT_SYMBOL(TF_TensorData);
  TENSOR_CHECKPOINT_SYMBOL(TF_NewOpDefinitionBuilder);
  TENSOR_CHECKPOINT_SYMBOL(TF_OpDefinitionBuilderAddAttr);
  TENSOR_CHECKPOINT_SYMBOL(TF_OpDefinitionBuilderAddInput);
  TENSOR_CHECKPOINT_SYMBOL(TF_OpDefinitionBuilderAddOutput);
  TENSOR_CHECKPOINT_SYMBOL(TF_OpDefinitionBuilderSetIsStateful);
  TENSOR_CHECKPOINT_SYMBOL(TF_RegisterOpDefinition);
  TENSOR_CHECKPOINT_SYMBOL(TF_NewKernelBuilder);
  TENSOR_CHECKPOINT_SYMBOL(TF_KernelBuilder_TypeConstraint);
  TENSOR_CHECKPOINT_SYMBOL(TF_KernelBuilder_HostMemory);
  TENSOR_CHECKPOINT_SYMBOL(TF_RegisterKernelBuilder);
  TENSOR_CHECKPOINT_SYMBOL(TF_NumInputs);
  TENSOR_CHECKPOINT_SYMBOL(TF_NumOutputs);
  TENSOR_CHECKPOINT_SYMBOL(TF_GetInput);
  TENSOR_CHECKPOINT_SYMBOL(TF_SetOutput);
  TENSOR_CHECKPOINT_SYMBOL(TF_AllocateOutput);
  TENSOR_CHECKPOINT_SYMBOL(TF_OpKernelContext_Failure);
#undef TENSOR_CHECKPOINT_SYMBOL
}

// A TF_Status of one scope.
class ScopedStatus {
 public:
  explicit ScopedStatus(const TensorFlowApi& api) : api_(api), status_(api.TF_NewStatus()) {}
  ~ScopedStatus() { api_.TF_DeleteStatus(status_); }
  ScopedStatus(const ScopedStatus&) = delete;
  ScopedStatus& operator=(const ScopedStatus&) = delete;

  TF_Status* get() const { return status_; }
  bool ok() const { return api_.TF_GetCode(status_) == kTfOk; }
  const char* message() const { return api_.TF_Message(status_); }

 private:
  const TensorFlowApi& api_;
  TF_Status* const status_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_TENSORFLOW_C_API_H_
