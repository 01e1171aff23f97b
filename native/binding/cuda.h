#ifndef TENSOR_CHECKPOINT_BINDING_CUDA_H_
#define TENSOR_CHECKPOINT_BINDING_CUDA_H_

#include "binding/node_api.h"

namespace tensor_checkpoint {

// The functions of `NativeAddon` that begin with cuda and dlpack. Nothing of CUDA is loaded before one is called.
void ExportCuda(Napi::Env env, Napi::Object exports);
void ExportDLPack(Napi::Env env, Napi::Object exports);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_CUDA_H_
