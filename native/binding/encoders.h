#ifndef TENSOR_CHECKPOINT_BINDING_ENCODERS_H_
#define TENSOR_CHECKPOINT_BINDING_ENCODERS_H_

#include "binding/node_api.h"

namespace tensor_checkpoint {

// `encodeIndex` and `encodeGraph` of `NativeAddon` in src/native/contract.ts.
void ExportEncoders(Napi::Env env, Napi::Object exports);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_ENCODERS_H_
