#include <memory>
#include <string>

#include "binding/arrays_to_js.h"
#include "binding/encoder_to_js.h"
#include "binding/encoders.h"
#include "binding/js_reader.h"
#include "binding/wrong_arguments.h"
#include "format/object_keys.h"
#include "format/text_column.h"
#include "format/text_order.h"

namespace tensor_checkpoint {
namespace {

Napi::Value TextsToJs(Napi::Env env, TextColumnWriter& texts) {
  Napi::Object column = Napi::Object::New(env);
  column.Set("text", BytesToJs(env, texts.TakeText()));
  column.Set("start", ColumnToJs(env, texts.TakeStart()));
  return column;
}

constexpr char kTooMuchText[] = "native encoder: there is not enough memory, or the texts take more than 4 GiB";

// The strings of an array as a column.
class Strings {
 public:
  static constexpr const char* kFailure = kTooMuchText;

  explicit Strings(Napi::Array strings) : strings_(Napi::Persistent(strings.As<Napi::Object>())), count_(strings.Length()) {}

  bool Write(Napi::Env env, size_t count) {
    const napi_value strings = strings_.Value();
    for (; count > 0 && texts_.size() < count_ && texts_.ok(); --count) {
      napi_value text;
      size_t size = 0;
      if (napi_get_element(env, strings, static_cast<uint32_t>(texts_.size()), &text) != napi_ok || !Read(env, text, size)) {
        if (!env.IsExceptionPending()) {
          Napi::TypeError::New(env, "native encoder: a name is no string").ThrowAsJavaScriptException();
        }
        return false;
      }
      texts_.Append({memory_.data(), size});
      texts_.EndRow();
    }
    return texts_.size() < count_ && texts_.ok();
  }
  bool ok() const { return texts_.ok(); }
  Napi::Value Finish(Napi::Env env) { return TextsToJs(env, texts_); }

 private:
  bool Read(Napi::Env env, napi_value text, size_t& size) {
    if (napi_get_value_string_utf8(env, text, memory_.data(), memory_.size(), &size) != napi_ok) return false;
    // A character takes four bytes at most: with so many left, and the zero at the end, nothing was cut off.
    if (size + 5 <= memory_.size()) return true;
    if (napi_get_value_string_utf8(env, text, nullptr, 0, &size) != napi_ok) return false;
    if (memory_.size() < size + 5) memory_.resize(size + 5);
    return napi_get_value_string_utf8(env, text, memory_.data(), memory_.size(), &size) == napi_ok;
  }

  const Napi::ObjectReference strings_;
  const size_t count_;
  std::string memory_ = std::string(512, '\0');
  TextColumnWriter texts_;
};

Napi::Value EncodeTexts(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsArray()) return WrongArguments(env);
  return EncoderToJs(env, std::make_unique<Strings>(info[0].As<Napi::Array>()));
}

// What it is made from stays where it is, because the object is kept alive.
class Keys {
 public:
  static constexpr const char* kFailure = kTooMuchText;

  Keys(Napi::Object columns, const PathColumns& parts, const TextColumn& others)
      : held_(Napi::Persistent(columns)), keys_(parts), others_(others) {}

  bool Write(Napi::Env, size_t count) {
    if (keys_.Write(count)) return true;
    for (size_t row = 0; row < others_.size(); ++row) {
      keys_.keys().Append(others_[row]);
      keys_.keys().EndRow();
    }
    return false;
  }
  bool ok() { return keys_.keys().ok(); }
  Napi::Value Finish(Napi::Env env) { return TextsToJs(env, keys_.keys()); }

 private:
  const Napi::ObjectReference held_;
  ObjectKeys keys_;
  const TextColumn others_;
};

Napi::Value EncodeKeys(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  JsReader js(env);
  Napi::Object columns = js.Object(info.Length() > 0 ? info[0] : env.Undefined(), "columns");
  const PathColumns parts = {
      .above = js.Integers(columns, "above"),
      .name = js.Integers(columns, "name"),
      .edge_names = js.Texts(js.Member(columns, "edgeNames")),
      .slot_variables = js.Integers(columns, "slotVariables"),
      .slot_names = js.Texts(js.Member(columns, "slotNames")),
      .value_start = js.Integers(columns, "valueStart"),
      .attributes = js.Words(columns, "attributes"),
      .suffixes = js.Texts(js.Member(columns, "suffixes")),
  };
  const TextColumn others = js.Texts(js.Member(columns, "others"));
  if (js.ok() && !(parts.Valid() && others.Valid())) js.Fail("the columns of keys don't fit together");
  if (!js.ok()) return env.Undefined();
  return EncoderToJs(env, std::make_unique<Keys>(columns, parts, others));
}

// Likewise.
class Order {
 public:
  static constexpr const char* kFailure = "";

  Order(Napi::Object column, const TextColumn& texts) : held_(Napi::Persistent(column)), order_(texts) {}

  bool Write(Napi::Env, size_t count) { return order_.Sort(count); }
  bool ok() const { return true; }
  Napi::Value Finish(Napi::Env env) {
    Napi::Object sorted = Napi::Object::New(env);
    sorted.Set("repeated", order_.repeated() ? Napi::Number::New(env, *order_.repeated()) : env.Null());
    sorted.Set("rows", ColumnToJs(env, order_.Take()));
    return sorted;
  }

 private:
  const Napi::ObjectReference held_;
  TextOrder order_;
};

Napi::Value SortTexts(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  JsReader js(env);
  Napi::Object column = js.Object(info.Length() > 0 ? info[0] : env.Undefined(), "column");
  const TextColumn texts = js.Texts(column);
  if (js.ok() && !texts.Valid()) js.Fail("the rows of a column don't fit its text");
  if (!js.ok()) return env.Undefined();
  return EncoderToJs(env, std::make_unique<Order>(column, texts));
}

}  // namespace

void ExportTextEncoders(Napi::Env env, Napi::Object exports) {
  exports.Set("encodeTexts", Napi::Function::New<EncodeTexts>(env));
  exports.Set("encodeKeys", Napi::Function::New<EncodeKeys>(env));
  exports.Set("sortTexts", Napi::Function::New<SortTexts>(env));
}

}  // namespace tensor_checkpoint
