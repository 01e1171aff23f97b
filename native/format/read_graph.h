#ifndef TENSOR_CHECKPOINT_FORMAT_READ_GRAPH_H_
#define TENSOR_CHECKPOINT_FORMAT_READ_GRAPH_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "format/key_table.h"

namespace tensor_checkpoint {

// Texts that lie, each after the last one, in the bytes that were read.
struct TextRows {
  std::vector<uint32_t> start;
  std::vector<uint32_t> end;
};

// A stored object graph as columns. What belongs to node n are the rows from `…_start[n]` up to `…_start[n + 1]`.
struct GraphRows {
  std::vector<int32_t> child_start{0};
  std::vector<int32_t> child_ids;
  TextRows child_names;
  std::vector<int32_t> attribute_start{0};
  std::vector<uint32_t> attributes;  // Each a number in attribute_names.
  TextRows attribute_names;
  TextRows keys;
  std::vector<int32_t> entry_rows;  // The key's row in the index, −1 where it has none.
  std::vector<int32_t> slot_start{0};
  std::vector<int32_t> slot_variables;
  TextRows slot_names;
  std::vector<int32_t> slot_ids;
  // Whether a node or one below it has values: kHoldsNothing and so on.
  std::vector<uint8_t> holds;
};

inline constexpr uint8_t kHoldsNothing = 0;
inline constexpr uint8_t kHoldsValues = 1;
inline constexpr uint8_t kHoldsUnknown = 2;

// Reads a TrackableObjectGraph of the plain kind, which is what training writes. nullopt for one that is damaged, and for one
// with anything else in it: names beyond ASCII, registered savers, hundreds of different attributes. decode-object-graph.ts,
// which reads them all and says what is wrong, accepts whatever this accepts, and understands the same.
std::optional<GraphRows> ReadGraph(std::string_view bytes, const KeyTable& keys);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_FORMAT_READ_GRAPH_H_
