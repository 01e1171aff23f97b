#ifndef TENSOR_CHECKPOINT_FORMAT_OBJECT_KEYS_H_
#define TENSOR_CHECKPOINT_FORMAT_OBJECT_KEYS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "format/text_column.h"

namespace tensor_checkpoint {

// What the keys of a tree's values follow from. Node 0 is the root; every other one was reached first over an edge, or is a
// slot variable: it belongs to an optimizer and to a variable.
struct PathColumns {
  // By node: the node above it; of a slot variable −1 − its optimizer. A smaller number than its own.
  std::span<const int32_t> above;
  // By node: its row in `edge_names`, or, of a slot variable, in `slot_variables` and `slot_names`.
  std::span<const int32_t> name;
  TextColumn edge_names;
  std::span<const int32_t> slot_variables;
  TextColumn slot_names;
  // The values of node n are those from value_start[n] up to value_start[n + 1].
  std::span<const int32_t> value_start;
  // By value: the row of its attribute in `suffixes`, which is what follows the node's path.
  std::span<const uint32_t> attributes;
  TextColumn suffixes;

  size_t nodes() const { return above.size(); }
  // Whether all columns have the lengths that belong together, and numbers are those of nodes and rows.
  bool Valid() const;
};

// Composes the keys under which TensorFlow stores the values of a tree, piece by piece: the path of the node, each name of it
// escaped, and the attribute. One owner, not synchronized; the columns must be Valid() and outlive it.
class ObjectKeys {
 public:
  explicit ObjectKeys(const PathColumns& columns) : columns_(columns) {}

  // Looks at about so many nodes and values; false once all keys are there.
  bool Write(size_t count);
  // In the order of the values.
  TextColumnWriter& keys() { return keys_; }

 private:
  void AppendPath(int32_t id);
  void AppendName(std::string_view name);

  const PathColumns columns_;
  TextColumnWriter keys_;
  size_t id_ = 0;
  // The nodes from one up to the root.
  std::vector<int32_t> way_up_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_FORMAT_OBJECT_KEYS_H_
