#include "format/stored_string.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "checksum/crc32c.h"

namespace tensor_checkpoint {
namespace {

uint32_t Crc(uint32_t crc, std::string_view bytes) { return Crc32c(crc, bytes.data(), bytes.size()); }

}  // namespace

StoredString::StoredString(WrittenBytes memory) : memory_(std::move(memory)) {
  const uint64_t length = memory_.size - kMaxHead;
  // As the checksum sees it: four bytes, or eight where it needs them.
  WireWriter fixed;
  fixed.Fixed32(static_cast<uint32_t>(length));
  if (length >> 32 != 0) fixed.Fixed32(static_cast<uint32_t>(length >> 32));
  const uint32_t of_length = Crc(0, fixed.view());
  WireWriter head;
  head.Varint(length);
  head.Fixed32(MaskCrc32c(of_length));
  checksum_ = Crc(of_length, head.view().substr(head.size() - 4));
  start_ = kMaxHead - head.size();
  std::memcpy(memory_.data.get() + start_, head.view().data(), head.size());
}

bool StoredString::Sum(size_t count) {
  const size_t bytes = std::min(count, memory_.size - summed_);
  checksum_ = Crc32c(checksum_, memory_.data.get() + summed_, bytes);
  summed_ += bytes;
  return summed_ < memory_.size;
}

}  // namespace tensor_checkpoint
