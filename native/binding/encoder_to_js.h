#ifndef TENSOR_CHECKPOINT_BINDING_ENCODER_TO_JS_H_
#define TENSOR_CHECKPOINT_BINDING_ENCODER_TO_JS_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "binding/node_api.h"
#include "binding/whole_number.h"
#include "binding/wrong_arguments.h"

namespace tensor_checkpoint {

// `Encoder` of src/native/contract-encode.ts: what JS has of something that is made piece by piece. `Making` has Write(), which
// says whether there is more to do, ok(), which is false where kFailure says why, and Finish(). It lives until it is finished,
// or as long as JS has the functions, and is used by their thread.
template <typename Making>
Napi::Value EncoderToJs(Napi::Env env, std::unique_ptr<Making> making) {
  struct State {
    std::unique_ptr<Making> making;
    bool done = false;
  };
  const auto state = std::make_shared<State>(State{std::move(making)});
  Napi::Object encoder = Napi::Object::New(env);
  encoder.Set("write", Napi::Function::New(env, [state](const Napi::CallbackInfo& call) -> Napi::Value {
                Napi::Env env = call.Env();
                uint64_t count = 0;
                if (state->making == nullptr || state->done || call.Length() < 1 || !call[0].IsNumber() ||
                    !WholeNumber(call[0].As<Napi::Number>().DoubleValue(), count) || count == 0) {
                  return WrongArguments(env);
                }
                const bool more = state->making->Write(env, count);
                state->done = !more && !env.IsExceptionPending();
                return Napi::Boolean::New(env, more);
              }));
  encoder.Set("finish", Napi::Function::New(env, [state](const Napi::CallbackInfo& call) -> Napi::Value {
                Napi::Env env = call.Env();
                if (state->making == nullptr || !state->done) return WrongArguments(env);
                const auto making = std::move(state->making);
                if (making->ok()) return making->Finish(env);
                Napi::RangeError::New(env, Making::kFailure).ThrowAsJavaScriptException();
                return env.Undefined();
              }));
  return encoder;
}

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_ENCODER_TO_JS_H_
