#ifndef TENSOR_CHECKPOINT_FORMAT_OBJECT_GRAPH_H_
#define TENSOR_CHECKPOINT_FORMAT_OBJECT_GRAPH_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/wire_writer.h"

namespace tensor_checkpoint {

// The object graph to be stored, as columns. What belongs to node n are the rows from `…_start[n]` up to `…_start[n + 1]`.
struct GraphColumns {
  std::span<const int32_t> child_start;
  std::span<const int32_t> child_ids;
  std::span<const int32_t> value_start;
  // By value: the number of its attribute's name.
  std::span<const uint32_t> attributes;
  std::span<const int32_t> slot_start;
  std::span<const int32_t> slot_variables;
  std::span<const int32_t> slot_ids;

  size_t nodes() const { return child_start.empty() ? 0 : child_start.size() - 1; }
  // Whether all columns have the lengths that belong together, starts ascend, and numbers are those of nodes and names.
  bool Valid(size_t attribute_names) const;
};

// The names of a graph that are many, asked for row by row, each once. What a call returns is valid until the next.
class GraphNames {
 public:
  virtual ~GraphNames() = default;
  virtual std::string_view Child(size_t row) = 0;
  // The key under which a value is stored.
  virtual std::string_view Key(size_t row) = 0;
  virtual std::string_view Slot(size_t row) = 0;
};

// Serializes TensorFlow's TrackableObjectGraph, piece by piece, also within a node: one may have a million children.
// Deterministic: fields in order, zero values left out. One owner, not synchronized; the columns must outlive it.
class GraphWriter {
 public:
  // `columns` must be Valid() for so many attribute names. `room`: bytes that are left free before the graph.
  GraphWriter(const GraphColumns& columns, std::vector<std::string> attribute_names, size_t room);

  // Writes about so many edges and nodes; false once all are there.
  bool Write(GraphNames& names, size_t count);

  bool ok() const { return out_.ok(); }
  // Once all is written, and only where ok().
  WrittenBytes Take() { return out_.Finish(); }

 private:
  void WriteEdge(GraphNames& names, size_t row);
  // What a node has beside its edges, which come first.
  void WriteNode(GraphNames& names, size_t id);

  const GraphColumns columns_;
  const std::vector<std::string> attribute_names_;
  // By node: whether it or one below it has values, or a slot variable.
  std::vector<uint8_t> holds_;
  WireWriter out_;
  // The node being written, where its content begins, and its next edge.
  size_t id_ = 0;
  bool begun_ = false;
  size_t start_ = 0;
  size_t edge_ = 0;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_FORMAT_OBJECT_GRAPH_H_
