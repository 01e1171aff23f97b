#include "binding/encoders.h"

#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/zeroed_column.h"
#include "binding/arrays_to_js.h"
#include "binding/encoder_to_js.h"
#include "binding/js_reader.h"
#include "binding/native_bytes.h"
#include "format/bundle_index.h"
#include "format/check_columns.h"
#include "format/object_graph.h"
#include "format/stored_string.h"
#include "format/text_column.h"

namespace tensor_checkpoint {
namespace {

constexpr char kNoMemory[] = "native encoder: there is not enough memory";

struct IndexColumns {
  IndexColumns(JsReader& js, Napi::Object columns)
      : keys(js.Texts(js.Member(columns, "keys"))),
        order(js.Words(columns, "order")),
        tensor(js.Words(columns, "tensor")),
        dtype(js.Bytes(columns, "dtype")),
        dims(js.Doubles(columns, "dims")),
        dim_end(js.Words(columns, "dimEnd")),
        size(js.Doubles(columns, "size")),
        shard(js.Words(columns, "shard")),
        offset(js.Doubles(columns, "offset")),
        shards(static_cast<uint32_t>(js.Number(columns, "shards"))) {}

  bool Valid() const {
    const size_t count = order.size();
    return keys.Valid() && tensor.size() == count && dtype.size() == count && dim_end.size() == count &&
           size.size() == count && shard.size() == count && offset.size() == count && Ascends(dim_end) &&
           (count == 0 || dim_end.back() <= dims.size()) &&
           AllBelow(order, keys.size()) && AllBelow(tensor, count);
  }

  const TextColumn keys;
  const std::span<const uint32_t> order;
  const std::span<const uint32_t> tensor;
  const std::span<const uint8_t> dtype;
  const std::span<const double> dims;
  const std::span<const uint32_t> dim_end;
  const std::span<const double> size;
  const std::span<const uint32_t> shard;
  const std::span<const double> offset;
  const uint32_t shards;
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

// What it is made from stays where it is, because the object is kept alive.
class Index {
 public:
  static constexpr const char* kFailure = kNoMemory;

  Index(Napi::Object columns, const IndexColumns& entries)
      : held_(Napi::Persistent(columns)), entries_(entries), checksum_at_(entries.order.size()), index_(entries.shards) {}

  bool Write(Napi::Env, size_t count) {
    for (; count > 0 && added_ < entries_.order.size(); --count) Add(added_++);
    if (added_ < entries_.order.size()) return true;
    index_.table().Finish();
    return false;
  }
  bool ok() const { return index_.ok(); }
  Napi::Value Finish(Napi::Env env) {
    SortedTable& table = index_.table();
    Napi::Object encoded = Napi::Object::New(env);
    encoded.Set("checksumAt", ColumnToJs(env, std::move(checksum_at_)));
    encoded.Set("seals", SealsToJs(env, table.seals()));
    encoded.Set("bytes", NativeBytesToJs(env, table.Take()));
    return encoded;
  }

 private:
  void Add(size_t entry) {
    const uint32_t number = entries_.tensor[entry];
    const size_t first_dim = entry == 0 ? 0 : entries_.dim_end[entry - 1];
    const size_t at =
        index_.Add(entries_.keys[entries_.order[entry]],
                   {.dtype = entries_.dtype[entry],
                    .dims = entries_.dims.subspan(first_dim, entries_.dim_end[entry] - first_dim),
                    .shard = entries_.shard[number],
                    .offset = static_cast<uint64_t>(entries_.offset[number]),
                    .size = static_cast<uint64_t>(entries_.size[entry])});
    checksum_at_[number] = static_cast<double>(at);
  }

  const Napi::ObjectReference held_;
  const IndexColumns entries_;
  // By tensor.
  ZeroedColumn<double> checksum_at_;
  BundleIndex index_;
  size_t added_ = 0;
};

Napi::Value EncodeIndex(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  JsReader js(env);
  Napi::Object columns = js.Object(info.Length() > 0 ? info[0] : env.Undefined(), "columns");
  const IndexColumns entries(js, columns);
  if (js.ok() && !entries.Valid()) js.Fail("the columns of an index don't fit together");
  if (!js.ok()) return env.Undefined();
  return EncoderToJs(env, std::make_unique<Index>(columns, entries));
}

// Likewise. First the graph is written, then it is summed as the string tensor that it is.
class Graph {
 public:
  static constexpr const char* kFailure = kNoMemory;

  Graph(Napi::Object columns, const GraphColumns& graph)
      : held_(Napi::Persistent(columns)), writer_(graph, StoredString::kMaxHead) {}

  bool Write(Napi::Env, size_t count) {
    if (!stored_) {
      if (writer_.Write(count)) return true;
      if (!writer_.ok()) return false;
      stored_.emplace(writer_.Take());
    }
    return stored_->Sum(count * kSummed);
  }
  bool ok() const { return writer_.ok(); }
  Napi::Value Finish(Napi::Env env) {
    Napi::Object encoded = Napi::Object::New(env);
    encoded.Set("checksum", Napi::Number::New(env, stored_->checksum()));
    encoded.Set("bytes", NativeBytesToJs(env, stored_->Take(), stored_->start()));
    return encoded;
  }

 private:
  // Bytes that are summed in about the time that it takes to write a row.
  static constexpr size_t kSummed = 512;

  const Napi::ObjectReference held_;
  GraphWriter writer_;
  std::optional<StoredString> stored_;
};

Napi::Value EncodeGraph(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  JsReader js(env);
  Napi::Object columns = js.Object(info.Length() > 0 ? info[0] : env.Undefined(), "columns");
  const GraphColumns graph = {
      .child_start = js.Integers(columns, "childStart"),
      .child_ids = js.Integers(columns, "childIds"),
      .child_names = js.Texts(js.Member(columns, "childNames")),
      .value_start = js.Integers(columns, "valueStart"),
      .attributes = js.Words(columns, "attributes"),
      .attribute_names = js.Texts(js.Member(columns, "attributeNames")),
      .keys = js.Texts(js.Member(columns, "keys")),
      .slot_start = js.Integers(columns, "slotStart"),
      .slot_variables = js.Integers(columns, "slotVariables"),
      .slot_names = js.Texts(js.Member(columns, "slotNames")),
      .slot_ids = js.Integers(columns, "slotIds"),
  };
  if (js.ok() && !graph.Valid()) js.Fail("the columns of a graph don't fit together");
  if (!js.ok()) return env.Undefined();
  return EncoderToJs(env, std::make_unique<Graph>(columns, graph));
}

}  // namespace

void ExportEncoders(Napi::Env env, Napi::Object exports) {
  exports.Set("encodeIndex", Napi::Function::New<EncodeIndex>(env));
  exports.Set("encodeGraph", Napi::Function::New<EncodeGraph>(env));
}

}  // namespace tensor_checkpoint
