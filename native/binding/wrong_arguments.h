#ifndef TENSOR_CHECKPOINT_BINDING_WRONG_ARGUMENTS_H_
#define TENSOR_CHECKPOINT_BINDING_WRONG_ARGUMENTS_H_

#include "binding/node_api.h"

namespace tensor_checkpoint {

// What a function of the addon answers to arguments that break the contract: an exception, and nothing.
inline Napi::Value WrongArguments(Napi::Env env) {
  Napi::TypeError::New(env, "wrong arguments for a native function").ThrowAsJavaScriptException();
  return env.Undefined();
}

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_WRONG_ARGUMENTS_H_
