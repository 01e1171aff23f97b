#ifndef TENSOR_CHECKPOINT_BINDING_ENCODERS_H_
#define TENSOR_CHECKPOINT_BINDING_ENCODERS_H_

#include "binding/node_api.h"

namespace tensor_checkpoint {

// `encodeTexts`, `sortTexts` and `encodeKeys` of src/native/contract-encode.ts.
void ExportTextEncoders(Napi::Env env, Napi::Object exports);
// `encodeIndex` and `encodeGraph`.
void ExportEncoders(Napi::Env env, Napi::Object exports);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_ENCODERS_H_
