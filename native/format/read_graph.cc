#include "format/read_graph.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "format/wire_reader.h"

namespace tensor_checkpoint {
namespace {

// Different names of attributes; a program has two or three. They are searched one by one.
constexpr size_t kMaxAttributeNames = 256;

// The fields of a small message, by their numbers. Of several with one number the last wins, as protocol buffers have it.
struct Fields {
  std::array<uint32_t, 4> numbers{};
  std::array<std::string_view, 4> texts{};
};

class GraphReader {
 public:
  GraphReader(std::string_view bytes, const KeyTable& keys) : bytes_(bytes), keys_(keys) {}

  std::optional<GraphRows> Read() {
    // So that all positions and rows fit.
    if (bytes_.size() > INT32_MAX) return std::nullopt;
    WireReader reader(bytes_);
    while (!reader.done()) {
      if (reader.Varint() == 0x0a) TakeNode(reader);
      else reader.Fail();
    }
    if (!reader.ok() || rows_.holds.empty()) return std::nullopt;
    for (const auto* ids : {&rows_.child_ids, &rows_.slot_variables, &rows_.slot_ids}) {
      const auto nodes = static_cast<int32_t>(rows_.holds.size());
      if (std::ranges::any_of(*ids, [nodes](int32_t id) { return id >= nodes; })) return std::nullopt;
    }
    return std::move(rows_);
  }

 private:
  void TakeNode(WireReader& outer) {
    uint8_t holds = kHoldsUnknown;
    WireReader reader(outer.Bytes());
    while (!reader.done()) {
      const uint64_t tag = reader.Varint();
      switch (tag) {
        case 0x0a: {
          const Fields child = Read(reader);
          rows_.child_ids.push_back(static_cast<int32_t>(child.numbers[1]));
          Add(rows_.child_names, child.texts[2]);
          break;
        }
        case 0x12: {
          const Fields attribute = Read(reader);
          rows_.attributes.push_back(NumberOf(attribute.texts[1], reader));
          Add(rows_.keys, attribute.texts[3]);
          rows_.entry_rows.push_back(keys_.Find(attribute.texts[3]));
          break;
        }
        case 0x1a: {
          const Fields slot = Read(reader);
          rows_.slot_variables.push_back(static_cast<int32_t>(slot.numbers[1]));
          Add(rows_.slot_names, slot.texts[2]);
          rows_.slot_ids.push_back(static_cast<int32_t>(slot.numbers[3]));
          break;
        }
        case 0x2a:
          holds = Read(reader).numbers[1] == 0 ? kHoldsNothing : kHoldsValues;
          break;
        default:
          // 0x22: objects that TensorFlow saves by registered functions.
          reader.Fail();
      }
    }
    if (!reader.ok()) return outer.Fail();
    rows_.holds.push_back(holds);
    rows_.child_start.push_back(static_cast<int32_t>(rows_.child_ids.size()));
    rows_.attribute_start.push_back(static_cast<int32_t>(rows_.attributes.size()));
    rows_.slot_start.push_back(static_cast<int32_t>(rows_.slot_ids.size()));
  }

  static Fields Read(WireReader& outer) {
    Fields fields;
    WireReader reader(outer.Bytes());
    while (!reader.done()) {
      const uint64_t tag = reader.Varint();
      const uint64_t field = tag >> 3;
      if (field == 0 || tag > UINT32_MAX) {
        reader.Fail();
      } else if (field < fields.numbers.size() && tag % 8 == 0) {
        fields.numbers[field] = reader.Int32();
      } else if (field < fields.texts.size() && tag % 8 == 2) {
        fields.texts[field] = reader.Bytes();
        if (!IsAscii(fields.texts[field])) reader.Fail();
      } else {
        reader.Skip(tag);
      }
    }
    if (!reader.ok()) outer.Fail();
    return fields;
  }

  void Add(TextRows& rows, std::string_view text) const {
    const size_t before = rows.end.empty() ? 0 : rows.end.back();
    const size_t start = text.empty() ? before : static_cast<size_t>(text.data() - bytes_.data());
    rows.start.push_back(static_cast<uint32_t>(start));
    rows.end.push_back(static_cast<uint32_t>(start + text.size()));
  }

  uint32_t NumberOf(std::string_view name, WireReader& reader) {
    if (last_name_ < names_.size() && names_[last_name_] == name) return last_name_;
    last_name_ = static_cast<uint32_t>(std::ranges::find(names_, name) - names_.begin());
    if (last_name_ < names_.size()) return last_name_;
    if (names_.size() == kMaxAttributeNames) {
      reader.Fail();
      return 0;
    }
    names_.push_back(name);
    Add(rows_.attribute_names, name);
    return last_name_;
  }

  const std::string_view bytes_;
  const KeyTable& keys_;
  GraphRows rows_;
  std::vector<std::string_view> names_;
  uint32_t last_name_ = 0;
};

}  // namespace

std::optional<GraphRows> ReadGraph(std::string_view bytes, const KeyTable& keys) { return GraphReader(bytes, keys).Read(); }

}  // namespace tensor_checkpoint
