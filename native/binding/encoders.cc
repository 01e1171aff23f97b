#include "binding/encoders.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "binding/arrays_to_js.h"
#include "binding/js_reader.h"
#include "binding/whole_number.h"
#include "binding/wrong_arguments.h"
#include "format/bundle_index.h"
#include "format/object_graph.h"

namespace tensor_checkpoint {
namespace {

// Reads the strings of an array one by one into memory of its own, for one call from JS. After something that is no string
// all are empty, and there is an exception.
class JsTexts {
 public:
  JsTexts(Napi::Env env, Napi::Value array) : env_(env), array_(array) {}

  // Valid until the next call.
  std::string_view At(uint32_t row) {
    napi_value text;
    size_t size = 0;
    if (!ok_ || napi_get_element(env_, array_, row, &text) != napi_ok || !Read(text, size)) {
      if (std::exchange(ok_, false) && !env_.IsExceptionPending()) {
        Napi::TypeError::New(env_, "native encoder: a name is no string").ThrowAsJavaScriptException();
      }
      return {};
    }
    return {memory_.data(), size};
  }
  bool ok() const { return ok_; }

 private:
  bool Read(napi_value text, size_t& size) {
    if (napi_get_value_string_utf8(env_, text, memory_.data(), memory_.size(), &size) != napi_ok) return false;
    // A character takes four bytes at most: with so many left, and the zero at the end, nothing was cut off.
    if (size + 5 <= memory_.size()) return true;
    if (napi_get_value_string_utf8(env_, text, nullptr, 0, &size) != napi_ok) return false;
    if (memory_.size() < size + 5) memory_.resize(size + 5);
    return napi_get_value_string_utf8(env_, text, memory_.data(), memory_.size(), &size) == napi_ok;
  }

  const Napi::Env env_;
  const napi_value array_;
  std::string memory_ = std::string(512, '\0');
  bool ok_ = true;
};

Napi::Value BytesToJs(Napi::Env env, WrittenBytes bytes) {
  auto owner = std::make_unique<WrittenBytes>(std::move(bytes));
  const size_t size = owner->size;
  const uint8_t* const data = owner->data.get();
  return ViewOf<uint8_t>(env, BufferToJs(env, std::move(owner), data, size), size);
}

Napi::Value NoMemory(Napi::Env env) {
  Napi::RangeError::New(env, "native encoder: there is not enough memory").ThrowAsJavaScriptException();
  return env.Undefined();
}

// An index under way. Owned by the functions that JS has of it until it is finished; on its thread.
struct IndexUnderWay {
  IndexUnderWay(JsReader& js, Napi::Object columns)
      : held(Napi::Persistent(columns)),
        order(js.Words(columns, "order")),
        tensor(js.Words(columns, "tensor")),
        dtype(js.Bytes(columns, "dtype")),
        dims(js.Doubles(columns, "dims")),
        dim_end(js.Words(columns, "dimEnd")),
        size(js.Doubles(columns, "size")),
        shard(js.Words(columns, "shard")),
        offset(js.Doubles(columns, "offset")),
        checksum_at(order.size()),
        index(static_cast<uint32_t>(js.Number(columns, "shards"))) {
    const size_t count = order.size();
    const bool fits = tensor.size() == count && dtype.size() == count && dim_end.size() == count &&
                      size.size() == count && shard.size() == count && offset.size() == count &&
                      std::ranges::is_sorted(dim_end) &&
                      (count == 0 || dim_end.back() <= dims.size()) &&
                      std::ranges::all_of(tensor, [count](uint32_t number) { return number < count; });
    if (!fits) js.Fail("the columns of an index don't fit together");
  }

  // Adds the next entry.
  void Add(JsTexts& keys) {
    const size_t entry = added;
    const std::string_view key = keys.At(order[entry]);
    if (!keys.ok()) return;
    ++added;
    const uint32_t number = tensor[entry];
    const size_t first_dim = entry == 0 ? 0 : dim_end[entry - 1];
    const size_t at = index.Add(key, {.dtype = dtype[entry],
                                      .dims = dims.subspan(first_dim, dim_end[entry] - first_dim),
                                      .shard = shard[number],
                                      .offset = static_cast<uint64_t>(offset[number]),
                                      .size = static_cast<uint64_t>(size[entry])});
    checksum_at[number] = static_cast<double>(at);
  }

  const Napi::ObjectReference held;
  const std::span<const uint32_t> order;
  const std::span<const uint32_t> tensor;
  const std::span<const uint8_t> dtype;
  const std::span<const double> dims;
  const std::span<const uint32_t> dim_end;
  const std::span<const double> size;
  const std::span<const uint32_t> shard;
  const std::span<const double> offset;
  // By tensor.
  std::vector<double> checksum_at;
  BundleIndex index;
  size_t added = 0;
};

Napi::Value SealsToJs(Napi::Env env, const std::vector<SortedTable::Seal>& seals) {
  std::vector<double> start, length, position;
  for (const SortedTable::Seal& seal : seals) {
    start.push_back(static_cast<double>(seal.start));
    length.push_back(static_cast<double>(seal.length));
    position.push_back(static_cast<double>(seal.start + seal.length));
  }
  Napi::Object object = Napi::Object::New(env);
  object.Set("start", ColumnToJs(env, std::move(start)));
  object.Set("length", ColumnToJs(env, std::move(length)));
  object.Set("position", ColumnToJs(env, std::move(position)));
  return object;
}

Napi::Value EncodeIndex(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  JsReader js(env);
  Napi::Object columns = js.Object(info.Length() > 0 ? info[0] : env.Undefined(), "columns");
  js.List(columns, "keys");
  auto state = std::make_unique<IndexUnderWay>(js, columns);
  if (!js.ok()) return env.Undefined();

  // What it holds goes when it is finished, or with the functions.
  const auto shared = std::make_shared<std::unique_ptr<IndexUnderWay>>(std::move(state));
  Napi::Object encoder = Napi::Object::New(env);
  encoder.Set("add", Napi::Function::New(env, [shared](const Napi::CallbackInfo& call) -> Napi::Value {
                Napi::Env env = call.Env();
                IndexUnderWay* const state = shared->get();
                if (state == nullptr || call.Length() < 2 || !call[0].IsNumber() || !call[1].IsNumber()) {
                  return WrongArguments(env);
                }
                uint64_t first = 0, end = 0;
                if (!WholeNumber(call[0].As<Napi::Number>().DoubleValue(), first) || first != state->added ||
                    !WholeNumber(call[1].As<Napi::Number>().DoubleValue(), end) || end > state->order.size()) {
                  return WrongArguments(env);
                }
                JsTexts keys(env, state->held.Get("keys"));
                while (state->added < end && keys.ok()) state->Add(keys);
                return env.Undefined();
              }));
  encoder.Set("finish", Napi::Function::New(env, [shared](const Napi::CallbackInfo& call) -> Napi::Value {
                Napi::Env env = call.Env();
                if (*shared == nullptr || (*shared)->added < (*shared)->order.size()) return WrongArguments(env);
                const auto state = std::move(*shared);
                SortedTable& table = state->index.table();
                table.Finish();
                if (!state->index.ok()) return NoMemory(env);
                Napi::Object encoded = Napi::Object::New(env);
                encoded.Set("checksumAt", ColumnToJs(env, std::move(state->checksum_at)));
                encoded.Set("seals", SealsToJs(env, table.seals()));
                encoded.Set("bytes", BytesToJs(env, table.Take()));
                return encoded;
              }));
  return encoder;
}

// A graph under way. Owned by the functions that JS has of it until it is finished; on its thread.
struct GraphUnderWay {
  GraphUnderWay(Napi::Object columns, const GraphColumns& graph, std::vector<std::string> attributes, size_t room)
      : held(Napi::Persistent(columns)), writer(graph, std::move(attributes), room) {}

  const Napi::ObjectReference held;
  GraphWriter writer;
};

class JsGraphNames : public GraphNames {
 public:
  JsGraphNames(Napi::Env env, const Napi::ObjectReference& columns)
      : children_(env, columns.Get("childNames")),
        keys_(env, columns.Get("keys")),
        slots_(env, columns.Get("slotNames")) {}

  std::string_view Child(size_t row) override { return children_.At(static_cast<uint32_t>(row)); }
  std::string_view Key(size_t row) override { return keys_.At(static_cast<uint32_t>(row)); }
  std::string_view Slot(size_t row) override { return slots_.At(static_cast<uint32_t>(row)); }

 private:
  JsTexts children_;
  JsTexts keys_;
  JsTexts slots_;
};

Napi::Value EncodeGraph(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  JsReader js(env);
  Napi::Object columns = js.Object(info.Length() > 0 ? info[0] : env.Undefined(), "columns");
  for (const char* names : {"childNames", "keys", "slotNames"}) js.List(columns, names);
  const GraphColumns graph = {
      .child_start = js.Integers(columns, "childStart"),
      .child_ids = js.Integers(columns, "childIds"),
      .value_start = js.Integers(columns, "valueStart"),
      .attributes = js.Words(columns, "attributes"),
      .slot_start = js.Integers(columns, "slotStart"),
      .slot_variables = js.Integers(columns, "slotVariables"),
      .slot_ids = js.Integers(columns, "slotIds"),
  };
  const uint64_t room = js.Number(columns, "room");
  Napi::Array names = js.List(columns, "attributeNames");
  std::vector<std::string> attributes;
  JsTexts texts(env, names);
  for (uint32_t i = 0; i < names.Length() && js.ok() && texts.ok(); ++i) attributes.emplace_back(texts.At(i));
  if (js.ok() && !graph.Valid(attributes.size())) js.Fail("the columns of a graph don't fit together");
  if (!js.ok() || !texts.ok()) return env.Undefined();
  const auto shared = std::make_shared<std::unique_ptr<GraphUnderWay>>(
      std::make_unique<GraphUnderWay>(columns, graph, std::move(attributes), room));
  Napi::Object encoder = Napi::Object::New(env);
  encoder.Set("write", Napi::Function::New(env, [shared](const Napi::CallbackInfo& call) -> Napi::Value {
                Napi::Env env = call.Env();
                if (*shared == nullptr || call.Length() < 1 || !call[0].IsNumber()) return WrongArguments(env);
                const uint32_t count = call[0].As<Napi::Number>().Uint32Value();
                if (count == 0) return WrongArguments(env);
                JsGraphNames names(env, (*shared)->held);
                return Napi::Boolean::New(env, (*shared)->writer.Write(names, count));
              }));
  encoder.Set("finish", Napi::Function::New(env, [shared](const Napi::CallbackInfo& call) -> Napi::Value {
                Napi::Env env = call.Env();
                if (*shared == nullptr) return WrongArguments(env);
                const auto state = std::move(*shared);
                if (!state->writer.ok()) return NoMemory(env);
                return state->writer.done() ? BytesToJs(env, state->writer.Take()) : WrongArguments(env);
              }));
  return encoder;
}

}  // namespace

void ExportEncoders(Napi::Env env, Napi::Object exports) {
  exports.Set("encodeIndex", Napi::Function::New<EncodeIndex>(env));
  exports.Set("encodeGraph", Napi::Function::New<EncodeGraph>(env));
}

}  // namespace tensor_checkpoint
