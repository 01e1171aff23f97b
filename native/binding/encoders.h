#ifndef TENSOR_CHECKPOINT_BINDING_ENCODERS_H_
#define TENSOR_CHECKPOINT_BINDING_ENCODERS_H_

#include "binding/node_api.h"

namespace tensor_checkpoint {

// `EncoderAddon` of src/native/contract-encode.ts: what is made of strings and columns of texts,
void ExportTextEncoders(Napi::Env env, Napi::Object exports);
// and the index and the graph.
void ExportEncoders(Napi::Env env, Napi::Object exports);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_ENCODERS_H_
