#include "format/object_graph.h"

#include "format/check_columns.h"

namespace tensor_checkpoint {
namespace {

bool Starts(std::span<const int32_t> start, size_t nodes, size_t rows) {
  return start.size() == nodes + 1 && start.front() == 0 && static_cast<size_t>(start.back()) == rows &&
         Ascends(start);
}

}  // namespace

bool GraphColumns::Valid() const {
  const size_t count = nodes();
  if (!child_names.Valid() || !attribute_names.Valid() || !keys.Valid() || !slot_names.Valid()) return false;
  if (child_start.empty() || child_names.size() != child_ids.size() || keys.size() < attributes.size()) return false;
  return Starts(child_start, count, child_ids.size()) && AllBelow(child_ids, count) &&
         Starts(value_start, count, attributes.size()) &&
         AllBelow(attributes, attribute_names.size()) &&
         Starts(slot_start, count, slot_ids.size()) && AllBelow(slot_ids, count) &&
         slot_variables.size() == slot_ids.size() && AllBelow(slot_variables, count) && slot_names.size() == slot_ids.size();
}

HoldingNodes::HoldingNodes(const GraphColumns& columns)
    : columns_(columns),
      holds_(columns.nodes()),
      // One more place: while they are filled in, the parents of node n are counted up from start_[n + 1].
      start_(columns.nodes() + 2),
      parents_(columns.child_ids.size()) {}

bool HoldingNodes::Find(size_t count) {
  const GraphColumns& graph = columns_;
  const size_t nodes = graph.nodes();
  for (; count > 0 && counted_ < graph.child_ids.size(); --count) ++start_[graph.child_ids[counted_++] + 2];
  for (; count > 0 && summed_ < nodes; --count, ++summed_) start_[summed_ + 2] += start_[summed_ + 1];
  for (; count > 0 && filled_ < nodes; --count, ++filled_) {
    const size_t id = filled_;
    for (int32_t edge = graph.child_start[id]; edge < graph.child_start[id + 1]; ++edge) {
      parents_[start_[graph.child_ids[edge] + 1]++] = static_cast<int32_t>(id);
    }
    const bool has_values = graph.value_start[id] != graph.value_start[id + 1];
    if (!has_values && graph.slot_start[id] == graph.slot_start[id + 1]) continue;
    holds_[id] = 1;
    pending_.push_back(static_cast<int32_t>(id));
  }
  for (; count > 0 && !pending_.empty(); --count) {
    const int32_t id = pending_.back();
    pending_.pop_back();
    for (int32_t at = start_[id]; at < start_[id + 1]; ++at) {
      const int32_t parent = parents_[at];
      if (holds_[parent] != 0) continue;
      holds_[parent] = 1;
      pending_.push_back(parent);
    }
  }
  return filled_ < nodes || !pending_.empty();
}

GraphWriter::GraphWriter(const GraphColumns& columns, size_t room) : columns_(columns), holding_(columns) {
  out_.Zeros(room);
}

bool GraphWriter::Write(size_t count) {
  // To look at an edge or a node takes a fraction of what it takes to write one.
  constexpr size_t kLooks = 8;
  if (holding_.Find(count * kLooks)) return true;
  for (; count > 0 && !done() && ok(); --count) {
    if (!begun_) {
      begun_ = true;
      start_ = out_.Open(0x0a);
      edge_ = static_cast<size_t>(columns_.child_start[id_]);
      value_ = static_cast<size_t>(columns_.value_start[id_]);
      slot_ = static_cast<size_t>(columns_.slot_start[id_]);
    }
    if (edge_ < static_cast<size_t>(columns_.child_start[id_ + 1])) {
      WriteEdge(edge_++);
    } else if (value_ < static_cast<size_t>(columns_.value_start[id_ + 1])) {
      WriteValue(value_++);
    } else if (slot_ < static_cast<size_t>(columns_.slot_start[id_ + 1])) {
      WriteSlot(slot_++);
    } else {
      const size_t holds = out_.Open(0x2a);
      out_.NumberField(0x08, holding_.Holds(id_) ? 1 : 0);
      out_.Close(holds);
      out_.Close(start_);
      begun_ = false;
      ++id_;
    }
  }
  return !done() && ok();
}

void GraphWriter::WriteEdge(size_t row) {
  const size_t child = out_.Open(0x0a);
  out_.NumberField(0x08, static_cast<uint64_t>(columns_.child_ids[row]));
  out_.TextField(0x12, columns_.child_names[row]);
  out_.Close(child);
}

void GraphWriter::WriteValue(size_t row) {
  const size_t attribute = out_.Open(0x12);
  out_.TextField(0x0a, columns_.attribute_names[columns_.attributes[row]]);
  out_.TextField(0x1a, columns_.keys[row]);
  out_.Close(attribute);
}

void GraphWriter::WriteSlot(size_t row) {
  const size_t slot = out_.Open(0x1a);
  out_.NumberField(0x08, static_cast<uint64_t>(columns_.slot_variables[row]));
  out_.TextField(0x12, columns_.slot_names[row]);
  out_.NumberField(0x18, static_cast<uint64_t>(columns_.slot_ids[row]));
  out_.Close(slot);
}

}  // namespace tensor_checkpoint
