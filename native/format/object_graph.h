#ifndef TENSOR_CHECKPOINT_FORMAT_OBJECT_GRAPH_H_
#define TENSOR_CHECKPOINT_FORMAT_OBJECT_GRAPH_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/zeroed_column.h"
#include "format/text_column.h"
#include "format/wire_writer.h"

namespace tensor_checkpoint {

// The object graph to be stored, as columns. What belongs to node n are the rows from `…_start[n]` up to `…_start[n + 1]`.
struct GraphColumns {
  std::span<const int32_t> child_start;
  std::span<const int32_t> child_ids;
  TextColumn child_names;
  std::span<const int32_t> value_start;
  // By value: the row of its attribute's name.
  std::span<const uint32_t> attributes;
  TextColumn attribute_names;
  // By value: the key under which it is stored. There may be more.
  TextColumn keys;
  std::span<const int32_t> slot_start;
  std::span<const int32_t> slot_variables;
  TextColumn slot_names;
  std::span<const int32_t> slot_ids;

  size_t nodes() const { return child_start.empty() ? 0 : child_start.size() - 1; }
  // Whether all columns have the lengths that belong together, starts ascend, and numbers are those of nodes and names.
  bool Valid() const;
};

// Finds which nodes have values or slot variables themselves or lead, over children, to one that has; piece by piece. One
// owner, not synchronized; the columns must outlive it.
class HoldingNodes {
 public:
  explicit HoldingNodes(const GraphColumns& columns);

  // Looks at about so many edges and nodes; false once all were.
  bool Find(size_t count);
  bool Holds(size_t node) const { return holds_[node] != 0; }

 private:
  const GraphColumns columns_;
  ZeroedColumn<uint8_t> holds_;
  // Parents in the same flat form as the edges, so that going up is as cheap as going down: those of node n are
  // parents_[start_[n] … start_[n + 1]), once all edges were counted and then filled in.
  ZeroedColumn<int32_t> start_;
  ZeroedColumn<int32_t> parents_;
  size_t counted_ = 0;
  size_t summed_ = 0;
  size_t filled_ = 0;
  // Found, and their parents not looked at.
  std::vector<int32_t> pending_;
};

// Serializes TensorFlow's TrackableObjectGraph, piece by piece, also within a node: one may have a million children.
// Deterministic: fields in order, zero values left out. One owner, not synchronized; the columns must outlive it.
class GraphWriter {
 public:
  // `columns` must be Valid(). `room`: bytes that are left free before the graph.
  GraphWriter(const GraphColumns& columns, size_t room);

  // Writes about so many edges, values, slots and nodes; false once all are there.
  bool Write(size_t count);

  bool done() const { return id_ == columns_.nodes(); }
  bool ok() const { return out_.ok(); }
  // Once all is written, and only where ok().
  WrittenBytes Take() { return out_.Finish(); }

 private:
  void WriteEdge(size_t row);
  void WriteValue(size_t row);
  void WriteSlot(size_t row);

  const GraphColumns columns_;
  HoldingNodes holding_;
  WireWriter out_;
  // The node being written, where its content begins, and its next rows.
  size_t id_ = 0;
  bool begun_ = false;
  size_t start_ = 0;
  size_t edge_ = 0;
  size_t value_ = 0;
  size_t slot_ = 0;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_FORMAT_OBJECT_GRAPH_H_
