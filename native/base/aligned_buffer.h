#ifndef TENSOR_CHECKPOINT_BASE_ALIGNED_BUFFER_H_
#define TENSOR_CHECKPOINT_BASE_ALIGNED_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <utility>

namespace tensor_checkpoint {

// Owned memory that any file system takes for direct I/O: aligned to 4 KiB, and from 2 MiB on to 2 MiB and advised to
// be backed by huge pages. The size is exactly the one asked for; the memory behind it reaches to the next page.
//
// One owner; moving hands the memory on, the address stays. Not synchronized.
class AlignedBuffer {
 public:
  static constexpr size_t kPage = 4096;
  static constexpr size_t kHugePage = size_t{2} << 20;

  AlignedBuffer() = default;
  ~AlignedBuffer();
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;

  // Memory whose content is unspecified, or zeroed; empty() where there is not enough. Zeroed memory costs nothing
  // until it is touched. Zero bytes give a buffer that is empty() as well.
  static AlignedBuffer Allocate(size_t bytes);
  static AlignedBuffer AllocateZeroed(size_t bytes);

  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return data_ == nullptr; }

  // Gives the memory up to the caller, who returns it with Free(data, size) — for owners that can hold no C++ object,
  // such as an ArrayBuffer.
  uint8_t* Release() {
    size_ = 0;
    return std::exchange(data_, nullptr);
  }
  static void Free(uint8_t* data, size_t bytes);

 private:
  AlignedBuffer(uint8_t* data, size_t size) : data_(data), size_(size) {}

  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BASE_ALIGNED_BUFFER_H_
