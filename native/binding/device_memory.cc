#include "binding/device_memory.h"

#include <utility>

#include "binding/environment.h"
#include "binding/events_to_js.h"
#include "binding/wrong_arguments.h"
#include "pipeline/limits.h"

namespace tensor_checkpoint {
namespace {

constexpr double kMostBytes = 9007199254740991;  // 2^53 − 1

Environment::Deliver Outcome(Status status) {
  return [status = std::move(status)](Napi::Env env, const Napi::Function& done) {
    done.Call({status.ok() ? env.Null() : Napi::Value(ErrorToJs(env, {status}))});
  };
}

Napi::Value ReserveSnapshotPool(const Napi::CallbackInfo& info) {
  if (info.Length() < 3 || !info[0].IsNumber() || !info[1].IsNumber() || !info[2].IsFunction()) {
    return WrongArguments(info.Env());
  }
  const double bytes = info[0].As<Napi::Number>().DoubleValue();
  const double device = info[1].As<Napi::Number>().DoubleValue();
  if (!(bytes >= 0 && bytes <= kMostBytes) || !(device >= 0 && device <= 0xffff)) return WrongArguments(info.Env());
  Environment& environment = Environment::Of(info.Env());
  environment.RunTask(info[2].As<Napi::Function>(), [&engine = environment.engine(), bytes, device] {
    auto opened = engine.devices().Open(static_cast<uint32_t>(device));
    if (!opened.ok()) return Outcome(opened.status());
    return Outcome(engine.devices().pinned().Reserve((*opened)->context(), static_cast<uint64_t>(bytes), kLargestChunk,
                                                     engine.pool()));
  });
  return info.Env().Undefined();
}

Napi::Value ReleaseDeviceMemory(const Napi::CallbackInfo& info) {
  if (info.Length() < 1 || !info[0].IsFunction()) return WrongArguments(info.Env());
  Environment& environment = Environment::Of(info.Env());
  environment.RunTask(info[0].As<Napi::Function>(), [&engine = environment.engine()] {
    engine.devices().Trim();
    return Outcome(Status::Ok());
  });
  return info.Env().Undefined();
}

}  // namespace

void AddDeviceMemory(Napi::Env env, Napi::Object exports) {
  exports.Set("reserveSnapshotPool", Napi::Function::New<ReserveSnapshotPool>(env));
  exports.Set("releaseDeviceMemory", Napi::Function::New<ReleaseDeviceMemory>(env));
}

}  // namespace tensor_checkpoint
