#ifndef TENSOR_CHECKPOINT_BINDING_EVENTS_TO_JS_H_
#define TENSOR_CHECKPOINT_BINDING_EVENTS_TO_JS_H_

#include "binding/node_api.h"
#include "pipeline/program.h"

// C++ results as the objects of src/native/contract.ts. On the JS thread.
namespace tensor_checkpoint {

Napi::Object ErrorToJs(Napi::Env env, const Failure& failure);
// What a function returns that has failed and doesn't throw: { error }.
Napi::Object FailureToJs(Napi::Env env, Status status);
Napi::Object SaveEventToJs(Napi::Env env, const Event& event);
Napi::Object LoadEventToJs(Napi::Env env, const Event& event);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_EVENTS_TO_JS_H_
