#ifndef TENSOR_CHECKPOINT_FORMAT_BUNDLE_INDEX_H_
#define TENSOR_CHECKPOINT_FORMAT_BUNDLE_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "format/sorted_table.h"
#include "format/wire_writer.h"

namespace tensor_checkpoint {

// What BundleEntryProto says of a tensor, but for its checksum.
struct BundleEntry {
  // TensorFlow's DataType number.
  uint8_t dtype;
  std::span<const double> dims;
  uint32_t shard;
  uint64_t offset;
  uint64_t size;
};

// Writes the index file of a tensor bundle: BundleHeaderProto under the empty key, a BundleEntryProto for each tensor. All
// checksums are left open. One owner, not synchronized.
class BundleIndex {
 public:
  explicit BundleIndex(uint32_t shards);

  // Keys must increase strictly and not be empty. Returns where the tensor's masked CRC-32C belongs, a fixed32. It is an
  // entry's last field, and always present: zero, which proto3 would leave out, is legal to every reader.
  size_t Add(std::string_view key, const BundleEntry& entry);

  bool ok() const { return table_.ok() && value_.ok() && head_.ok(); }
  // To be finished and taken.
  SortedTable& table() { return table_; }

 private:
  SortedTable table_;
  WireWriter value_;
  // What the last dtype and shape were encoded to: the next tensor often has the same.
  WireWriter head_;
  uint8_t head_dtype_ = 0;
  std::span<const double> head_dims_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_FORMAT_BUNDLE_INDEX_H_
