#include "binding/native_bytes.h"

#include <cstring>
#include <memory>
#include <utility>

#include "binding/external_count.h"

namespace tensor_checkpoint {
namespace {

// Tells our objects from those that other addons have wrapped something in.
constexpr napi_type_tag kTag = {0x8c0f3e5a71d24b96ull, 0xb27d09e4c61f8a53ull};

struct Held {
  WrittenBytes memory;
  size_t start;

  std::span<const uint8_t> bytes() const { return {memory.data.get() + start, memory.size - start}; }
  int64_t told() const { return static_cast<int64_t>(ExternalCount::Part(memory.size)); }
};

const Held* HeldBy(napi_env env, napi_value value) {
  bool ours = false;
  void* held = nullptr;
  if (napi_check_object_type_tag(env, value, &kTag, &ours) != napi_ok || !ours ||
      napi_unwrap(env, value, &held) != napi_ok) {
    return nullptr;
  }
  return static_cast<const Held*>(held);
}

napi_value Copy(napi_env env, napi_callback_info info) {
  napi_value object = nullptr;
  if (napi_get_cb_info(env, info, nullptr, nullptr, &object, nullptr) != napi_ok) return nullptr;
  const Held* held = HeldBy(env, object);
  if (held == nullptr) {
    napi_throw_type_error(env, nullptr, "native: copy() is a method of native's bytes");
    return nullptr;
  }
  const auto bytes = held->bytes();
  void* data = nullptr;
  napi_value copy = nullptr;
  if (napi_create_arraybuffer(env, bytes.size(), &data, &copy) != napi_ok) return nullptr;
  if (!bytes.empty()) std::memcpy(data, bytes.data(), bytes.size());
  return copy;
}

void Free(napi_env env, void* data, void*) {
  const std::unique_ptr<Held> held(static_cast<Held*>(data));
  ExternalCount::Change(env, -held->told());
}

}  // namespace

Napi::Value NativeBytesToJs(Napi::Env env, WrittenBytes bytes, size_t start) {
  auto held = std::make_unique<Held>(Held{std::move(bytes), start});
  napi_value object, address, length;
  const auto place = static_cast<double>(reinterpret_cast<uintptr_t>(held->bytes().data()));
  if (napi_create_object(env, &object) != napi_ok || napi_create_double(env, place, &address) != napi_ok ||
      napi_create_double(env, static_cast<double>(held->bytes().size()), &length) != napi_ok) {
    return env.Undefined();
  }
  const napi_property_descriptor properties[] = {
      {"address", nullptr, nullptr, nullptr, nullptr, address, napi_enumerable, nullptr},
      {"byteLength", nullptr, nullptr, nullptr, nullptr, length, napi_enumerable, nullptr},
      {"copy", nullptr, Copy, nullptr, nullptr, nullptr, napi_default, nullptr},
  };
  if (napi_define_properties(env, object, std::size(properties), properties) != napi_ok ||
      napi_type_tag_object(env, object, &kTag) != napi_ok ||
      napi_wrap(env, object, held.get(), Free, nullptr, nullptr) != napi_ok) {
    return env.Undefined();
  }
  ExternalCount::Change(env, held.release()->told());
  return Napi::Value(env, object);
}

std::optional<std::span<const uint8_t>> NativeBytesFromJs(Napi::Value value) {
  if (value.IsEmpty() || !value.IsObject()) return std::nullopt;
  const Held* held = HeldBy(value.Env(), value);
  if (held == nullptr) return std::nullopt;
  return held->bytes();
}

}  // namespace tensor_checkpoint
