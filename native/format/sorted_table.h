#ifndef TENSOR_CHECKPOINT_FORMAT_SORTED_TABLE_H_
#define TENSOR_CHECKPOINT_FORMAT_SORTED_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/wire_writer.h"

namespace tensor_checkpoint {

// Writes a sorted string table, LevelDB's format as TensorFlow's bundle writer sets it: data blocks, an empty metaindex, the
// index block, the footer. Equal entries give an equal file. The checksum of each block is left zero, for whoever patches
// values later and sums each block once, when it is final. One owner, not synchronized.
class SortedTable {
 public:
  // The masked CRC-32C of [start, start + length) belongs right behind that.
  struct Seal {
    size_t start;
    size_t length;
  };

  // Keys must increase strictly. Returns where the value ends in the table.
  size_t Add(std::string_view key, std::string_view value);
  // After the last entry, once.
  void Finish();

  bool ok() const { return out_.ok() && index_.ok(); }
  const std::vector<Seal>& seals() const { return seals_; }
  // The finished table, only where ok().
  WrittenBytes Take() { return out_.Finish(); }

 private:
  struct Handle {
    size_t offset;
    size_t size;
  };

  void Flush();
  Handle EndBlock(const std::vector<uint32_t>& restarts);
  void AddToIndex(std::string_view key, Handle handle);

  WireWriter out_;
  WireWriter index_;
  std::vector<uint32_t> index_restarts_;
  std::vector<Seal> seals_;
  std::vector<uint32_t> restarts_{0};
  size_t block_start_ = 0;
  size_t since_restart_ = 0;
  std::string last_;
  // A block that has ended, whose key in the index depends on the one that comes next.
  std::optional<Handle> pending_;
};

// The shortest key in [last, next) that LevelDB's bytewise comparator finds.
std::string_view ShortestSeparator(std::string_view last, std::string_view next, std::string& scratch);
// A short key that isn't less than `last`: its first byte that can be incremented, incremented.
std::string_view ShortSuccessor(std::string_view last, std::string& scratch);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_FORMAT_SORTED_TABLE_H_
