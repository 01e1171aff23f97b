#ifndef TENSOR_CHECKPOINT_BINDING_JS_READER_H_
#define TENSOR_CHECKPOINT_BINDING_JS_READER_H_

#include <cstdint>
#include <span>
#include <string>

#include "binding/node_api.h"
#include "format/text_column.h"

namespace tensor_checkpoint {

// Reads the objects that a program consists of. The first thing that is wrong becomes the pending exception, and all later
// reads are void. For one call from JS, on its thread.
class JsReader {
 public:
  explicit JsReader(Napi::Env env) : env_(env) {}

  Napi::Env env() const { return env_; }
  bool ok() const { return ok_; }
  void Fail(const std::string& what);

  Napi::Object Object(Napi::Value value, const char* name);
  Napi::Object Member(Napi::Object object, const char* name) { return Object(Get(object, name), name); }
  Napi::Value Get(Napi::Object object, const char* name);
  Napi::Array List(Napi::Object object, const char* name);
  std::string Path(Napi::Value value);
  bool Flag(Napi::Object object, const char* name);
  uint64_t Whole(double value, const char* name);
  uint64_t Number(Napi::Object object, const char* name);
  // A whole number below `count`.
  uint32_t Index(Napi::Object object, const char* name, size_t count);

  // The elements of a typed array of exactly this type. Asking for them has V8 move those of a small array out of its heap:
  // from then on they stay where they are, as long as the array lives and isn't transferred.
  std::span<const double> Doubles(Napi::Object object, const char* name) {
    return Typed<double>(object, name, napi_float64_array);
  }
  std::span<const uint32_t> Words(Napi::Object object, const char* name) {
    return Typed<uint32_t>(object, name, napi_uint32_array);
  }
  std::span<const int32_t> Integers(Napi::Object object, const char* name) {
    return Typed<int32_t>(object, name, napi_int32_array);
  }
  std::span<const uint8_t> Bytes(Napi::Object object, const char* name) {
    return Typed<uint8_t>(object, name, napi_uint8_array);
  }
  // `text` and `start` of a column, which may not be Valid().
  TextColumn Texts(Napi::Object column);

 private:
  template <typename T>
  std::span<const T> Typed(Napi::Object object, const char* name, napi_typedarray_type type);

  const Napi::Env env_;
  bool ok_ = true;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_JS_READER_H_
