#include "binding/js_reader.h"

#include <utility>

#include "binding/whole_number.h"

namespace tensor_checkpoint {

void JsReader::Fail(const std::string& what) {
  if (std::exchange(ok_, false) && !env_.IsExceptionPending()) {
    Napi::TypeError::New(env_, "native call: " + what).ThrowAsJavaScriptException();
  }
}

Napi::Object JsReader::Object(Napi::Value value, const char* name) {
  if (ok_ && !value.IsEmpty() && value.IsObject()) return value.As<Napi::Object>();
  Fail(std::string(name) + " must be an object");
  return Napi::Object::New(env_);
}

Napi::Value JsReader::Get(Napi::Object object, const char* name) {
  if (!ok_) return env_.Undefined();
  Napi::Value value = object.Get(name);
  if (value.IsEmpty()) {
    Fail(std::string(name) + " can't be read");
    return env_.Undefined();
  }
  return value;
}

Napi::Array JsReader::List(Napi::Object object, const char* name) {
  Napi::Value value = Get(object, name);
  if (ok_ && value.IsArray()) return value.As<Napi::Array>();
  Fail(std::string(name) + " must be an array");
  return Napi::Array::New(env_);
}

std::string JsReader::Path(Napi::Value value) {
  if (!ok_ || !value.IsString()) {
    Fail("paths must be strings");
    return {};
  }
  std::string path = value.As<Napi::String>().Utf8Value();
  if (path.empty() || path.find('\0') != std::string::npos) Fail("a path is empty or contains a NUL");
  return path;
}

bool JsReader::Flag(Napi::Object object, const char* name) {
  Napi::Value value = Get(object, name);
  // No conversion while an exception is pending.
  return ok_ && value.IsBoolean() && value.As<Napi::Boolean>().Value();
}

uint64_t JsReader::Whole(double value, const char* name) {
  uint64_t whole = 0;
  if (!WholeNumber(value, whole)) Fail(NotWhole(name));
  return whole;
}

uint64_t JsReader::Number(Napi::Object object, const char* name) {
  Napi::Value value = Get(object, name);
  return Whole(value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1, name);
}

uint32_t JsReader::Index(Napi::Object object, const char* name, size_t count) {
  const uint64_t value = Number(object, name);
  if (value >= count) Fail(std::string(name) + " is out of range");
  return ok_ ? static_cast<uint32_t>(value) : 0;
}

TextColumn JsReader::Texts(Napi::Object column) {
  const std::span<const uint8_t> text = Bytes(column, "text");
  return {{reinterpret_cast<const char*>(text.data()), text.size()}, Words(column, "start")};
}

template <typename T>
std::span<const T> JsReader::Typed(Napi::Object object, const char* name, napi_typedarray_type type) {
  Napi::Value value = Get(object, name);
  if (ok_ && value.IsTypedArray()) {
    napi_typedarray_type actual;
    size_t length = 0;
    void* data = nullptr;
    if (napi_get_typedarray_info(env_, value, &actual, &length, &data, nullptr, nullptr) == napi_ok && actual == type) {
      return {static_cast<const T*>(data), length};
    }
  }
  Fail(std::string(name) + " is not the typed array that the contract asks for");
  return {};
}

template std::span<const double> JsReader::Typed(Napi::Object, const char*, napi_typedarray_type);
template std::span<const uint32_t> JsReader::Typed(Napi::Object, const char*, napi_typedarray_type);
template std::span<const int32_t> JsReader::Typed(Napi::Object, const char*, napi_typedarray_type);
template std::span<const uint8_t> JsReader::Typed(Napi::Object, const char*, napi_typedarray_type);

}  // namespace tensor_checkpoint
