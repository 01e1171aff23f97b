#ifndef TENSOR_CHECKPOINT_FORMAT_STORED_STRING_H_
#define TENSOR_CHECKPOINT_FORMAT_STORED_STRING_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "format/wire_writer.h"

namespace tensor_checkpoint {

// A string tensor of a single element, as the bundle stores it: the element's length as a varint, the masked CRC-32C of that
// length as a fixed-width integer, the element. One owner, not synchronized.
class StoredString {
 public:
  // What stands before the element, at most.
  static constexpr size_t kMaxHead = 14;

  // `memory`: kMaxHead bytes of room, and the element.
  explicit StoredString(WrittenBytes memory);

  // Sums about so many bytes of the element; false once all are.
  bool Sum(size_t count);

  // The entry's, unmasked: of the fixed-width length, its checksum and the element. Once all is summed.
  uint32_t checksum() const { return checksum_; }
  // Where the tensor begins in the memory.
  size_t start() const { return start_; }
  WrittenBytes Take() { return std::move(memory_); }

 private:
  WrittenBytes memory_;
  size_t start_;
  size_t summed_ = kMaxHead;
  uint32_t checksum_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_FORMAT_STORED_STRING_H_
