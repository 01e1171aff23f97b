#include "binding/array_buffers.h"

#include <string>

#include "binding/allocations.h"
#include "binding/external_count.h"
#include "binding/wrong_arguments.h"

namespace tensor_checkpoint {
namespace {

// How many of `size` new bytes V8 is told of, with `live` bytes there already. Told of all, it would look through its whole
// heap 64 times while a state of 4 GiB is made, in which nothing is garbage. So it collects when there is half as much again,
// as other heaps do, or a sixteenth of the machine's memory more: what was dropped must not push out what is in use.
// (A buffer of more than that is counted as a whole first, and may still set off a collection of its own.)
size_t Counted(size_t size, size_t live) {
  return ExternalCount::PartBy(size, static_cast<double>(live) / 2);
}

// V8 has taken all of the buffer off its count by now.
void Finalize(napi_env env, void* memory, void*) {
  CountWhole(env, memory);
  Allocations::Release(memory);
}

}  // namespace

Napi::Value Allocate(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const double bytes = info.Length() > 0 && info[0].IsNumber() ? info[0].As<Napi::Number>().DoubleValue() : -1;
  if (!(bytes >= 0 && bytes <= 9007199254740991.0)) {
    return WrongArguments(env);
  }
  const auto size = static_cast<size_t>(bytes);
  if (size == 0) return Napi::ArrayBuffer::New(env, 0);
  const std::string use = info.Length() > 1 && info[1].IsString() ? info[1].As<Napi::String>().Utf8Value() : "";
  // Collecting garbage is in vain where the memory belongs to another owner before long.
  const bool adopted = use == "adopt";
  const size_t counted = adopted ? 0 : use == "column" ? ExternalCount::Part(size) : Counted(size, Allocations::Bytes());
  const size_t uncounted = ExternalCount::MayBeLess(env) ? size - counted : 0;
  uint8_t* const data = Allocations::New(size, adopted);
  if (data == nullptr) {
    Napi::RangeError::New(env, "can't allocate " + std::to_string(size) + " bytes").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  napi_value result;
  if (napi_create_external_arraybuffer(env, data, size, Finalize, nullptr, &result) == napi_ok) {
    if (uncounted > 0) {
      Allocations::Uncount(data, uncounted);
      ExternalCount::Change(env, -static_cast<int64_t>(uncounted));
    }
    return Napi::Value(env, result);
  }
  Allocations::Release(data);
  // Beyond Node 20's 4 GiB for an external buffer, or in a runtime that has none (V8's memory cage): unaligned memory of
  // V8's own, which is staged when saved.
  napi_value refused;
  napi_get_and_clear_last_exception(env, &refused);
  return Napi::ArrayBuffer::New(env, size);
}

Napi::Value Free(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  void* data = nullptr;
  size_t bytes = 0;
  if (info.Length() < 1 || napi_get_arraybuffer_info(env, info[0], &data, &bytes) != napi_ok) return WrongArguments(env);
  if (Allocations::Find(data) == nullptr) return env.Undefined();
  CountWhole(env, data);
  napi_detach_arraybuffer(env, info[0]);
  return env.Undefined();
}

void CountWhole(Napi::Env env, void* memory) {
  if (const size_t uncounted = Allocations::CountAgain(memory); uncounted > 0) {
    ExternalCount::Change(env, static_cast<int64_t>(uncounted));
  }
}

}  // namespace tensor_checkpoint
