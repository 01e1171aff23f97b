#ifndef TENSOR_CHECKPOINT_BINDING_TENSORFLOW_H_
#define TENSOR_CHECKPOINT_BINDING_TENSORFLOW_H_

#include "binding/node_api.h"

namespace tensor_checkpoint {

// The part of `NativeAddon` in src/native/contract.ts that is about a TensorFlow runtime in this process.
void ExportTensorFlow(Napi::Env env, Napi::Object exports);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_TENSORFLOW_H_
