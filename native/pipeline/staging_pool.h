#ifndef TENSOR_CHECKPOINT_PIPELINE_STAGING_POOL_H_
#define TENSOR_CHECKPOINT_PIPELINE_STAGING_POOL_H_

#include <array>
#include <bit>
#include <cstddef>
#include <mutex>
#include <vector>

#include "base/aligned_buffer.h"

namespace tensor_checkpoint {

// Staging buffers, kept from program to program: the first touch of memory costs more than the copy into it. How many
// are in use at once is the scheduler's business (SizeOf() says what a chunk takes of its budget); here they are only
// kept, up to a bound. The engine has one for all programs. Any thread.
class StagingPool {
 public:
  // What Take() gives for so many bytes: powers of two, so that a buffer fits the next program as well.
  static constexpr size_t SizeOf(size_t bytes) {
    return bytes <= kSmallest || bytes > kLargest ? bytes : std::bit_ceil(bytes);
  }

  // At least so many bytes, content unspecified; empty() where there is no memory.
  AlignedBuffer Take(size_t bytes);
  void Give(AlignedBuffer buffer);

  // No program is running: the system may have the memory when it needs it, without swapping, and until then the next
  // program finds it as it was.
  void Rest();

  size_t kept_bytes() const;

 private:
  // Smaller ones come from the heap, which keeps them itself; larger ones are rare.
  static constexpr size_t kSmallest = size_t{32} << 10;
  static constexpr size_t kLargest = size_t{4} << 20;
  static constexpr size_t kKeptBytes = size_t{256} << 20;

  static constexpr bool Kept(size_t size) { return size > kSmallest && size <= kLargest && std::has_single_bit(size); }
  static constexpr size_t ClassOf(size_t size) { return static_cast<size_t>(std::countr_zero(size)); }

  mutable std::mutex mutex_;
  std::array<std::vector<AlignedBuffer>, std::countr_zero(kLargest) + 1> free_;  // By size.
  size_t kept_bytes_ = 0;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_PIPELINE_STAGING_POOL_H_
