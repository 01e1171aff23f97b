#include "format/object_keys.h"

#include <algorithm>

#include "format/check_columns.h"

namespace tensor_checkpoint {

bool PathColumns::Valid() const {
  const size_t count = nodes();
  if (count == 0 || name.size() != count || value_start.size() != count + 1) return false;
  if (!edge_names.Valid() || !slot_names.Valid() || !suffixes.Valid()) return false;
  if (value_start.front() != 0 || static_cast<size_t>(value_start.back()) != attributes.size() ||
      !Ascends(value_start) || slot_variables.size() != slot_names.size()) {
    return false;
  }
  for (size_t id = 1; id < count; ++id) {
    const bool is_slot = above[id] < 0;
    const auto before = static_cast<size_t>(is_slot ? -1 - above[id] : above[id]);
    const size_t row = static_cast<size_t>(name[id]);
    if (before >= id || name[id] < 0 || row >= (is_slot ? slot_names : edge_names).size()) return false;
    // What a path leads over has been reached over edges.
    if (before > 0 && above[before] < 0) return false;
    if (!is_slot) continue;
    const int32_t variable = slot_variables[row];
    if (variable < 0 || static_cast<size_t>(variable) >= id || (variable > 0 && above[variable] < 0)) return false;
  }
  return AllBelow(attributes, suffixes.size());
}

bool ObjectKeys::Write(size_t count) {
  for (; count > 0 && id_ < columns_.nodes() && keys_.ok(); ++id_) {
    const size_t first = keys_.size();
    const auto end = static_cast<size_t>(columns_.value_start[id_ + 1]);
    count -= std::min(count, 1 + end - first);
    for (size_t row = first; row < end; ++row) {
      AppendPath(static_cast<int32_t>(id_));
      keys_.Append(columns_.suffixes[columns_.attributes[row]]);
      keys_.EndRow();
    }
  }
  return id_ < columns_.nodes() && keys_.ok();
}

void ObjectKeys::AppendPath(int32_t id) {
  if (id > 0 && columns_.above[id] < 0) {
    AppendPath(columns_.slot_variables[columns_.name[id]]);
    keys_.Append("/.OPTIMIZER_SLOT/");
    AppendPath(-1 - columns_.above[id]);
    keys_.Append("/");
    AppendName(columns_.slot_names[columns_.name[id]]);
    return;
  }
  way_up_.clear();
  for (; id > 0; id = columns_.above[id]) way_up_.push_back(id);
  for (size_t at = way_up_.size(); at > 0; --at) {
    if (at < way_up_.size()) keys_.Append("/");
    AppendName(columns_.edge_names[columns_.name[way_up_[at - 1]]]);
  }
}

// By the rules of src/checkpoint/keys.ts: `.` → `..`, `/` → `.S`. No two names become the same, and none begins like
// `.ATTRIBUTES`.
void ObjectKeys::AppendName(std::string_view name) {
  for (;;) {
    const size_t plain = std::min(name.find_first_of("./"), name.size());
    keys_.Append(name.substr(0, plain));
    if (plain == name.size()) return;
    keys_.Append(name[plain] == '.' ? ".." : ".S");
    name.remove_prefix(plain + 1);
  }
}

}  // namespace tensor_checkpoint
