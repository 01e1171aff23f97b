#ifndef TENSOR_CHECKPOINT_BINDING_ARRAY_BUFFERS_H_
#define TENSOR_CHECKPOINT_BINDING_ARRAY_BUFFERS_H_

#include "binding/node_api.h"

namespace tensor_checkpoint {

// `allocate` of the contract.
Napi::Value Allocate(const Napi::CallbackInfo& info);

// To be called before an ArrayBuffer of allocate()'s is detached: V8 will take all of it off its count.
void CountWhole(Napi::Env env, void* memory);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_ARRAY_BUFFERS_H_
