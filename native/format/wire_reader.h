#ifndef TENSOR_CHECKPOINT_FORMAT_WIRE_READER_H_
#define TENSOR_CHECKPOINT_FORMAT_WIRE_READER_H_

#include <cstdint>
#include <string_view>

namespace tensor_checkpoint {

// Whether all characters are ASCII, so that bytes, characters and UTF-16 units are the same.
inline bool IsAscii(std::string_view text) {
  uint8_t bits = 0;
  for (const char character : text) bits |= static_cast<uint8_t>(character);
  return bits < 0x80;
}

// Reads the wire format of protocol buffers from memory that may hold anything. After the first thing that can't be read it is
// not ok() but done(), and all it reads is zero and empty. One owner, not synchronized; the memory must outlive it.
class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool ok() const { return ok_; }
  bool done() const { return at_ == end_; }
  const char* position() const { return at_; }
  uint64_t left() const { return static_cast<uint64_t>(end_ - at_); }
  void Fail() {
    ok_ = false;
    at_ = end_;
  }

  // Up to 2^53, exclusive: what a double holds. Larger ones, and negative ones, are not ok().
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 56 && at_ != end_; shift += 7) {
      const auto byte = static_cast<uint8_t>(*at_++);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte >= 0x80) continue;
      if (value >> 53 == 0) return value;
      break;
    }
    Fail();
    return 0;
  }
  uint32_t Int32() {
    const uint64_t value = Varint();
    if (value >> 31 == 0) return static_cast<uint32_t>(value);
    Fail();
    return 0;
  }
  // Little-endian.
  uint32_t Fixed32() {
    uint32_t value = 0;
    const std::string_view bytes = Take(4);
    for (size_t i = 0; i < bytes.size(); ++i) value |= static_cast<uint32_t>(static_cast<uint8_t>(bytes[i])) << (8 * i);
    return value;
  }
  // A length-delimited field.
  std::string_view Bytes() { return Take(Varint()); }
  std::string_view Take(uint64_t size) {
    if (size > left()) {
      Fail();
      return {};
    }
    const std::string_view taken(at_, size);
    at_ += size;
    return taken;
  }

  // Passes over the value of a field that means nothing here.
  void Skip(uint64_t tag) {
    switch (tag % 8) {
      case 0:
        Varint();
        break;
      case 1:
        Take(8);
        break;
      case 2:
        Bytes();
        break;
      case 5:
        Take(4);
        break;
      default:
        Fail();
    }
  }

 private:
  const char* at_;
  const char* end_;
  bool ok_ = true;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_FORMAT_WIRE_READER_H_
