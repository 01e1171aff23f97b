#include <string>

#include "abi.h"
#include "call.h"
#include "settings.h"
#include "stream.h"

// Primary contexts, and which is current on a thread.
using namespace standin;

STANDIN_CUDA_EXPORT Result cuDevicePrimaryCtxRetain(Context** context, Device device) {
  Call call("cuDevicePrimaryCtxRetain", Call::Needs::kDriver);
  if (call.refused() != kSuccess) return call.refused();
  if (context == nullptr) return kInvalidValue;
  if (device < 0 || device >= Settings::Get().devices) return kInvalidDevice;
  Context& own = call.state().contexts[static_cast<size_t>(device)];
  if (own.retained++ == 0) {
    own.error = kSuccess;
    own.legacy = std::make_shared<Stream>(&own, 0);
    own.per_thread = std::make_shared<Stream>(&own, 0);
  }
  *context = &own;
  return kSuccess;
}

STANDIN_CUDA_EXPORT Result cuDevicePrimaryCtxRelease_v2(Device device) {
  Call call("cuDevicePrimaryCtxRelease_v2", Call::Needs::kDriver);
  if (call.keeps()) return call.refused();
  if (device < 0 || device >= Settings::Get().devices) return kInvalidDevice;
  State& state = call.state();
  Context& own = state.contexts[static_cast<size_t>(device)];
  if (own.retained == 0) return call.Violation("released more often than retained", kInvalidContext);
  if (--own.retained > 0) return call.refused();
  // The driver would free all of it under whoever still uses it.
  if (state.memory.used(device) > 0) {
    return call.Violation("the last release, with device memory still allocated", kInvalidContext);
  }
  for (const Stream* stream : state.streams) {
    if (stream->context == &own) return call.Violation("the last release, with streams alive", kInvalidContext);
  }
  for (const auto& stream : {own.legacy, own.per_thread}) stream->destroyed = true;
  state.changed.notify_all();
  return call.refused();
}

STANDIN_CUDA_EXPORT Result cuCtxPushCurrent_v2(Context* context) {
  Call call("cuCtxPushCurrent_v2", Call::Needs::kDriver);
  // That of a device that is lost can still be made current: what was made in it could not be released otherwise.
  if (call.keeps()) return call.refused();
  if (!IsAlive(call.state(), context)) return call.Violation("not a context that is retained", kInvalidContext);
  ContextStack().push_back(context);
  return kSuccess;
}

STANDIN_CUDA_EXPORT Result cuCtxPopCurrent_v2(Context** context) {
  Call call("cuCtxPopCurrent_v2", Call::Needs::kDriver);
  if (call.keeps()) return call.refused();
  if (ContextStack().empty()) return call.Violation("no context is current on this thread", kInvalidContext);
  if (context != nullptr) *context = ContextStack().back();
  ContextStack().pop_back();
  return call.refused();
}

STANDIN_CUDA_EXPORT Result cuCtxGetCurrent(Context** context) {
  Call call("cuCtxGetCurrent", Call::Needs::kDriver);
  if (call.refused() != kSuccess) return call.refused();
  if (context == nullptr) return kInvalidValue;
  *context = ContextStack().empty() ? nullptr : ContextStack().back();
  return kSuccess;
}

STANDIN_CUDA_EXPORT Result cuCtxSynchronize() {
  Call call("cuCtxSynchronize", Call::Needs::kContext);
  if (call.refused() != kSuccess) return call.refused();
  State& state = call.state();
  Context& own = *call.context();
  std::vector<Moment> moments = {{own.legacy, own.legacy->submitted}, {own.per_thread, own.per_thread->submitted}};
  for (Stream* stream : state.streams) {
    if (stream->context == &own) moments.push_back({stream->shared_from_this(), stream->submitted});
  }
  for (const Moment& moment : moments) {
    if (const Result result = Await(call.lock(), state, moment, own); result != kSuccess) return result;
  }
  return kSuccess;
}
