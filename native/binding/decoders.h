#ifndef TENSOR_CHECKPOINT_BINDING_DECODERS_H_
#define TENSOR_CHECKPOINT_BINDING_DECODERS_H_

#include "binding/node_api.h"

namespace tensor_checkpoint {

// The functions of src/native/contract-decode.ts.
void ExportDecoders(Napi::Env env, Napi::Object exports);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_DECODERS_H_
