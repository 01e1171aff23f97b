#ifndef TENSOR_CHECKPOINT_BINDING_ARRAYS_TO_JS_H_
#define TENSOR_CHECKPOINT_BINDING_ARRAYS_TO_JS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <type_traits>
#include <utility>

#include "binding/external_count.h"
#include "binding/node_api.h"
#include "format/wire_writer.h"

// Memory for JS. A thread that is being terminated can't be given any, at whatever point that happens to it: then these return
// undefined, which nobody will see. By Node-API's own functions, because an empty Napi::Value ends the process as soon as it is
// asked for anything.
namespace tensor_checkpoint {

// How much of its memory V8 is told of: it collects garbage for what it is told of.
enum class Told {
  kAll,
  // Of what saves and restores are made of: ExternalCount::Part().
  kPart,
};

// `data`, which `owner` owns, as an ArrayBuffer: without a copy where that pays.
template <typename Owner>
Napi::Value BufferToJs(Napi::Env env, std::unique_ptr<Owner> owner, const void* data, size_t bytes, Told told = Told::kAll) {
  // Below, a copy costs less than an owner. Node 20 has no larger external buffers.
  constexpr size_t kCopied = 1 << 16;
  constexpr size_t kMost = std::numeric_limits<uint32_t>::max();
  struct Kept {
    std::unique_ptr<Owner> owner;
    int64_t untold;
  };
  napi_value buffer = nullptr;
  if (bytes >= kCopied && bytes <= kMost) {
    const bool in_part = told == Told::kPart && ExternalCount::MayBeLess(env);
    const auto untold = static_cast<int64_t>(in_part ? bytes - ExternalCount::Part(bytes) : 0);
    std::unique_ptr<Kept> kept(new Kept{std::move(owner), untold});
    const auto finalize = [](napi_env env, void*, void* hint) {
      const std::unique_ptr<Kept> kept(static_cast<Kept*>(hint));
      ExternalCount::Change(env, kept->untold);
    };
    if (napi_create_external_arraybuffer(env, const_cast<void*>(data), bytes, finalize, kept.get(), &buffer) == napi_ok) {
      kept.release();
      ExternalCount::Change(env, -untold);
      return Napi::Value(env, buffer);
    }
    // A runtime that has no memory but its own.
    owner = std::move(kept->owner);
    napi_value refused;
    napi_get_and_clear_last_exception(env, &refused);
  }
  void* copy = nullptr;
  if (napi_create_arraybuffer(env, bytes, &copy, &buffer) != napi_ok) return env.Undefined();
  if (bytes > 0) std::memcpy(copy, data, bytes);
  return Napi::Value(env, buffer);
}

template <typename T>
constexpr napi_typedarray_type TypedArrayOf() {
  if constexpr (std::is_same_v<T, double>) return napi_float64_array;
  else if constexpr (std::is_same_v<T, uint32_t>) return napi_uint32_array;
  else if constexpr (std::is_same_v<T, int32_t>) return napi_int32_array;
  else return napi_uint8_array;
}

// The whole of an ArrayBuffer.
template <typename T>
Napi::Value ViewOf(Napi::Env env, Napi::Value buffer, size_t count) {
  napi_value view = nullptr;
  const bool made = !buffer.IsUndefined() &&
                    napi_create_typedarray(env, TypedArrayOf<T>(), count, buffer, 0, &view) == napi_ok;
  return made ? Napi::Value(env, view) : env.Undefined();
}

// The elements of a vector or string as a typed array, of which V8 is told a part.
template <typename Column>
Napi::Value ColumnToJs(Napi::Env env, Column column) {
  using Element = typename Column::value_type;
  static_assert(sizeof(Element) == 1 || TypedArrayOf<Element>() != napi_uint8_array);
  auto owner = std::make_unique<Column>(std::move(column));
  const Column& elements = *owner;
  const size_t count = elements.size();
  const void* const data = elements.data();
  return ViewOf<Element>(env, BufferToJs(env, std::move(owner), data, count * sizeof(Element), Told::kPart), count);
}

// Bytes that were written, as a Uint8Array. Likewise.
inline Napi::Value BytesToJs(Napi::Env env, WrittenBytes bytes) {
  auto owner = std::make_unique<WrittenBytes>(std::move(bytes));
  const size_t size = owner->size;
  const uint8_t* const data = owner->data.get();
  return ViewOf<uint8_t>(env, BufferToJs(env, std::move(owner), data, size, Told::kPart), size);
}

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_ARRAYS_TO_JS_H_
