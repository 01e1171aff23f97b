#include "format/object_graph.h"

#include <algorithm>
#include <utility>

namespace tensor_checkpoint {
namespace {

bool Starts(std::span<const int32_t> start, size_t nodes, size_t rows) {
  return start.size() == nodes + 1 && start.front() == 0 && static_cast<size_t>(start.back()) == rows &&
         std::ranges::is_sorted(start);
}

bool Ids(std::span<const int32_t> ids, size_t nodes) {
  return std::ranges::all_of(ids, [nodes](int32_t id) { return id >= 0 && static_cast<size_t>(id) < nodes; });
}

// Which nodes have values or slots themselves or lead, over children, to one that has.
std::vector<uint8_t> NodesThatHold(const GraphColumns& graph) {
  const size_t nodes = graph.nodes();
  std::vector<uint8_t> holds(nodes, 0);
  std::vector<int32_t> pending;
  // Parents in the same flat form as the edges, so that going up is as cheap as going down.
  std::vector<int32_t> start(nodes + 2, 0);
  std::vector<int32_t> parents(graph.child_ids.size());
  for (const int32_t child : graph.child_ids) ++start[child + 2];
  for (size_t id = 2; id <= nodes + 1; ++id) start[id] += start[id - 1];
  for (size_t id = 0; id < nodes; ++id) {
    for (int32_t edge = graph.child_start[id]; edge < graph.child_start[id + 1]; ++edge) {
      parents[start[graph.child_ids[edge] + 1]++] = static_cast<int32_t>(id);
    }
    const bool has_values = graph.value_start[id] != graph.value_start[id + 1];
    if (!has_values && graph.slot_start[id] == graph.slot_start[id + 1]) continue;
    holds[id] = 1;
    pending.push_back(static_cast<int32_t>(id));
  }
  while (!pending.empty()) {
    const int32_t id = pending.back();
    pending.pop_back();
    for (int32_t at = start[id]; at < start[id + 1]; ++at) {
      const int32_t parent = parents[at];
      if (holds[parent] != 0) continue;
      holds[parent] = 1;
      pending.push_back(parent);
    }
  }
  return holds;
}

}  // namespace

bool GraphColumns::Valid(size_t attribute_names) const {
  const size_t count = nodes();
  if (child_start.empty()) return false;
  return Starts(child_start, count, child_ids.size()) && Ids(child_ids, count) &&
         Starts(value_start, count, attributes.size()) &&
         std::ranges::all_of(attributes, [attribute_names](uint32_t name) { return name < attribute_names; }) &&
         Starts(slot_start, count, slot_ids.size()) && Ids(slot_ids, count) &&
         slot_variables.size() == slot_ids.size() && Ids(slot_variables, count);
}

GraphWriter::GraphWriter(const GraphColumns& columns, std::vector<std::string> attribute_names, size_t room)
    : columns_(columns), attribute_names_(std::move(attribute_names)), holds_(NodesThatHold(columns)) {
  out_.Zeros(room);
}

bool GraphWriter::Write(GraphNames& names, size_t count) {
  const size_t nodes = columns_.nodes();
  for (size_t work = 0; work < count; ++work) {
    if (id_ == nodes || !ok()) return false;
    if (!begun_) {
      begun_ = true;
      start_ = out_.Open(0x0a);
      edge_ = static_cast<size_t>(columns_.child_start[id_]);
    }
    const auto last = static_cast<size_t>(columns_.child_start[id_ + 1]);
    const size_t end = std::min(last, edge_ + count - work);
    work += end - edge_;
    for (; edge_ < end; ++edge_) WriteEdge(names, edge_);
    if (end < last) return true;
    WriteNode(names, id_);
    out_.Close(start_);
    begun_ = false;
    ++id_;
  }
  return true;
}

void GraphWriter::WriteEdge(GraphNames& names, size_t row) {
  const size_t child = out_.Open(0x0a);
  out_.NumberField(0x08, static_cast<uint64_t>(columns_.child_ids[row]));
  out_.TextField(0x12, names.Child(row));
  out_.Close(child);
}

void GraphWriter::WriteNode(GraphNames& names, size_t id) {
  for (auto row = static_cast<size_t>(columns_.value_start[id]); row < static_cast<size_t>(columns_.value_start[id + 1]);
       ++row) {
    const size_t attribute = out_.Open(0x12);
    out_.TextField(0x0a, attribute_names_[columns_.attributes[row]]);
    out_.TextField(0x1a, names.Key(row));
    out_.Close(attribute);
  }
  for (auto row = static_cast<size_t>(columns_.slot_start[id]); row < static_cast<size_t>(columns_.slot_start[id + 1]);
       ++row) {
    const size_t slot = out_.Open(0x1a);
    out_.NumberField(0x08, static_cast<uint64_t>(columns_.slot_variables[row]));
    out_.TextField(0x12, names.Slot(row));
    out_.NumberField(0x18, static_cast<uint64_t>(columns_.slot_ids[row]));
    out_.Close(slot);
  }
  const size_t holds = out_.Open(0x2a);
  out_.NumberField(0x08, holds_[id]);
  out_.Close(holds);
}

}  // namespace tensor_checkpoint
