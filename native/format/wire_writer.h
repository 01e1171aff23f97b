#ifndef TENSOR_CHECKPOINT_FORMAT_WIRE_WRITER_H_
#define TENSOR_CHECKPOINT_FORMAT_WIRE_WRITER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

namespace tensor_checkpoint {

struct FreeMemory {
  void operator()(uint8_t* memory) const { std::free(memory); }
};

// Bytes from malloc, handed over.
struct WrittenBytes {
  std::unique_ptr<uint8_t, FreeMemory> data;
  size_t size = 0;
};

// Appends the wire format of protocol buffers, as much of it as the bundle's messages need, to memory that grows. Where there
// is none left it drops what comes, and is no longer ok(). One owner, not synchronized.
class WireWriter {
 public:
  WireWriter() = default;
  WireWriter(const WireWriter&) = delete;
  WireWriter& operator=(const WireWriter&) = delete;
  ~WireWriter() { std::free(data_); }

  bool ok() const { return ok_; }
  size_t size() const { return size_; }
  // Valid until the next call.
  std::string_view view() const { return {reinterpret_cast<const char*>(data_), size_}; }
  void Clear() { size_ = 0; }

  void Byte(uint8_t value) {
    if (Reserve(1)) data_[size_++] = value;
  }
  void Zeros(size_t count) {
    if (count == 0 || !Reserve(count)) return;
    std::memset(data_ + size_, 0, count);
    size_ += count;
  }
  void Append(std::string_view bytes) {
    if (!Reserve(bytes.size()) || bytes.empty()) return;
    std::memcpy(data_ + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
  }
  void Varint(uint64_t value) {
    if (!Reserve(kMaxVarint)) return;
    for (; value > 127; value >>= 7) data_[size_++] = static_cast<uint8_t>(value | 0x80);
    data_[size_++] = static_cast<uint8_t>(value);
  }
  // Little-endian.
  void Fixed32(uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8) Byte(static_cast<uint8_t>(value >> shift));
  }

  // Fields are left out where the value is zero or empty, as proto3 has it.
  void NumberField(uint8_t tag, uint64_t value) {
    if (value == 0) return;
    Byte(tag);
    Varint(value);
  }
  void TextField(uint8_t tag, std::string_view text) {
    if (text.empty()) return;
    Byte(tag);
    Varint(text.size());
    Append(text);
  }

  // Begins a length-delimited field, whose content is what is written until Close(), which takes the position that Open()
  // returns. Fields may contain fields.
  size_t Open(uint8_t tag) {
    Byte(tag);
    Byte(0);
    return size_;
  }
  // The length takes its place before the content, which moves where that needs more than the byte that is there.
  void Close(size_t start) {
    if (!ok_) return;
    const uint64_t length = size_ - start;
    size_t more = 0;
    for (uint64_t rest = length >> 7; rest > 0; rest >>= 7) ++more;
    if (!Reserve(more + kMaxVarint)) return;
    if (more > 0) std::memmove(data_ + start + more, data_ + start, length);
    const size_t end = size_ + more;
    size_ = start - 1;
    Varint(length);
    size_ = end;
  }

  // Hands over what was written, only where ok(); the writer is empty again.
  WrittenBytes Finish() {
    // What was asked for and not used is given back.
    if (auto* fitting = static_cast<uint8_t*>(std::realloc(data_, size_ == 0 ? 1 : size_))) data_ = fitting;
    capacity_ = 0;
    return {std::unique_ptr<uint8_t, FreeMemory>(std::exchange(data_, nullptr)), std::exchange(size_, 0)};
  }

 private:
  static constexpr size_t kMaxVarint = 10;

  // Room for `count` more bytes, or no longer ok().
  bool Reserve(size_t count) {
    if (capacity_ - size_ >= count && ok_) return true;
    return Grow(count);
  }
  bool Grow(size_t count) {
    const size_t wanted = std::max(size_ + count, std::max<size_t>(capacity_ * 2, 256));
    // Large memory is remapped, not copied.
    auto* const grown = ok_ ? static_cast<uint8_t*>(std::realloc(data_, wanted)) : nullptr;
    ok_ = grown != nullptr;
    if (!ok_) return false;
    data_ = grown;
    capacity_ = wanted;
    return true;
  }

  uint8_t* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
  bool ok_ = true;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_FORMAT_WIRE_WRITER_H_
