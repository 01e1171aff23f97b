#include "binding/decoders.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "binding/arrays_to_js.h"
#include "binding/environment.h"
#include "binding/events_to_js.h"
#include "binding/js_reader.h"
#include "binding/wrong_arguments.h"
#include "format/read_graph.h"
#include "format/read_index.h"
#include "io/posix_file_system.h"
#include "io/read_file.h"

namespace tensor_checkpoint {
namespace {

struct FoundIndex {
  std::vector<uint8_t> bytes;
  std::optional<IndexRows> rows;
  uint32_t seed;
  std::vector<uint32_t> slots;
};

Napi::Value IndexToJs(Napi::Env env, FoundIndex& index) {
  Napi::Object found = Napi::Object::New(env);
  if (!index.rows.has_value()) {
    found.Set("bytes", ColumnToJs(env, std::move(index.bytes)));
    return found;
  }
  IndexRows& from = *index.rows;
  Napi::Object rows = Napi::Object::New(env);
  rows.Set("shards", from.shards);
  rows.Set("dtype", ColumnToJs(env, std::move(from.dtype)));
  rows.Set("shape", ColumnToJs(env, std::move(from.shape)));
  rows.Set("dims", ColumnToJs(env, std::move(from.dims)));
  rows.Set("dimEnd", ColumnToJs(env, std::move(from.dim_end)));
  rows.Set("shard", ColumnToJs(env, std::move(from.shard)));
  rows.Set("offset", ColumnToJs(env, std::move(from.offset)));
  rows.Set("size", ColumnToJs(env, std::move(from.size)));
  rows.Set("crc32c", ColumnToJs(env, std::move(from.crc32c)));
  Napi::Object keys = Napi::Object::New(env);
  keys.Set("text", ColumnToJs(env, std::move(from.text)));
  keys.Set("start", ColumnToJs(env, std::move(from.key_start)));
  keys.Set("slots", ColumnToJs(env, std::move(index.slots)));
  keys.Set("seed", index.seed);
  rows.Set("keys", keys);
  found.Set("rows", rows);
  return found;
}

// (path, maxBytes, elementBytes, seed, done)
Napi::Value ReadIndexFile(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 5 || !info[0].IsString() || !info[1].IsNumber() || !info[2].IsTypedArray() || !info[3].IsNumber() ||
      !info[4].IsFunction()) {
    return WrongArguments(env);
  }
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  ElementBytes element_bytes;
  if (napi_get_typedarray_info(env, info[2], &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_uint8_array || length != element_bytes.size()) {
    return WrongArguments(env);
  }
  std::copy_n(static_cast<const uint8_t*>(data), length, element_bytes.begin());
  const double limit = std::clamp(info[1].As<Napi::Number>().DoubleValue(), 0.0, 9007199254740991.0);
  const uint32_t seed = info[3].As<Napi::Number>().Uint32Value();
  Environment::Of(env).RunTask(
      info[4].As<Napi::Function>(),
      [path = info[0].As<Napi::String>().Utf8Value(), limit, element_bytes, seed]() -> Environment::Deliver {
        PosixFileSystem fs(nullptr);
        auto bytes = ReadWholeFile(fs, path, static_cast<uint64_t>(limit));
        if (!bytes.ok()) {
          return [status = bytes.status()](Napi::Env env, const Napi::Function& done) {
            done.Call({ErrorToJs(env, {status})});
          };
        }
        auto found = std::make_shared<FoundIndex>();
        found->rows = ReadIndex({reinterpret_cast<const char*>(bytes->data()), bytes->size()}, element_bytes);
        found->seed = seed;
        if (found->rows.has_value()) found->slots = KeyTable::SlotsOf({found->rows->text, found->rows->key_start}, seed);
        else found->bytes = std::move(*bytes);
        return [found](Napi::Env env, const Napi::Function& done) { done.Call({env.Null(), IndexToJs(env, *found)}); };
      });
  return env.Undefined();
}

Napi::Value TextsToJs(Napi::Env env, TextRows& texts) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("start", ColumnToJs(env, std::move(texts.start)));
  object.Set("end", ColumnToJs(env, std::move(texts.end)));
  return object;
}

Napi::Value GraphToJs(Napi::Env env, std::optional<GraphRows>& graph) {
  if (!graph.has_value()) return env.Null();
  Napi::Object rows = Napi::Object::New(env);
  rows.Set("childStart", ColumnToJs(env, std::move(graph->child_start)));
  rows.Set("childIds", ColumnToJs(env, std::move(graph->child_ids)));
  rows.Set("childNames", TextsToJs(env, graph->child_names));
  rows.Set("attributeStart", ColumnToJs(env, std::move(graph->attribute_start)));
  rows.Set("attributes", ColumnToJs(env, std::move(graph->attributes)));
  rows.Set("attributeNames", TextsToJs(env, graph->attribute_names));
  rows.Set("keys", TextsToJs(env, graph->keys));
  rows.Set("entryRows", ColumnToJs(env, std::move(graph->entry_rows)));
  rows.Set("slotStart", ColumnToJs(env, std::move(graph->slot_start)));
  rows.Set("slotVariables", ColumnToJs(env, std::move(graph->slot_variables)));
  rows.Set("slotNames", TextsToJs(env, graph->slot_names));
  rows.Set("slotIds", ColumnToJs(env, std::move(graph->slot_ids)));
  rows.Set("holds", ColumnToJs(env, std::move(graph->holds)));
  return rows;
}

// ({ bytes, keys }, done)
Napi::Value ReadGraphBytes(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 2 || !info[0].IsObject() || !info[1].IsFunction()) return WrongArguments(env);
  JsReader js(env);
  Napi::Object stored = info[0].As<Napi::Object>();
  Napi::Object of_index = js.Member(stored, "keys");
  const std::span<const uint8_t> given = js.Bytes(stored, "bytes");
  const std::string_view bytes(reinterpret_cast<const char*>(given.data()), given.size());
  const KeyTable keys{.keys = js.Texts(of_index),
                      .slots = js.Words(of_index, "slots"),
                      .seed = static_cast<uint32_t>(js.Number(of_index, "seed"))};
  if (!js.ok()) return env.Undefined();
  // What is read stays where it is, because the object is kept alive, until it is delivered.
  Environment::Of(env).RunTask(
      info[1].As<Napi::Function>(),
      [bytes, keys]() -> Environment::Deliver {
        auto graph = std::make_shared<std::optional<GraphRows>>(keys.Valid() ? ReadGraph(bytes, keys) : std::nullopt);
        return [graph](Napi::Env env, const Napi::Function& done) { done.Call({env.Null(), GraphToJs(env, *graph)}); };
      },
      stored);
  return env.Undefined();
}

}  // namespace

void ExportDecoders(Napi::Env env, Napi::Object exports) {
  exports.Set("readIndex", Napi::Function::New<ReadIndexFile>(env));
  exports.Set("readGraph", Napi::Function::New<ReadGraphBytes>(env));
}

}  // namespace tensor_checkpoint
