#ifndef TENSOR_CHECKPOINT_BINDING_ARRAY_BUFFERS_H_
#define TENSOR_CHECKPOINT_BINDING_ARRAY_BUFFERS_H_

#include "binding/node_api.h"

namespace tensor_checkpoint {

// `allocate` and `free` of the contract.
Napi::Value Allocate(const Napi::CallbackInfo& info);
Napi::Value Free(const Napi::CallbackInfo& info);

// To be called when V8 takes all of an ArrayBuffer of allocate()'s off its count, before or after: such as when it is detached.
void CountWhole(Napi::Env env, void* memory);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_ARRAY_BUFFERS_H_
