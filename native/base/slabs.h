#ifndef TENSOR_CHECKPOINT_BASE_SLABS_H_
#define TENSOR_CHECKPOINT_BASE_SLABS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include "base/aligned_buffer.h"

namespace tensor_checkpoint {

// Zeroed memory that is owned piece by piece. Pieces below a huge page are cut from slabs of a few of them: so they lie in
// huge pages too, cost no system call each, and nobody has to zero them, because a slab is never used twice. A slab goes
// back to the system with its last piece; pieces that are made together usually end together.
//
// Pieces are aligned for direct I/O, but for those smaller than a page: they are too small to be written on their own, and
// a page for each would be many times their size. Any thread; pieces may outlive it.
class Slabs {
 public:
  static constexpr size_t kSlab = 4 * AlignedBuffer::kHugePage;
  static constexpr size_t kLine = 64;

  // nullptr where there is not enough memory, or no bytes were asked for.
  std::shared_ptr<uint8_t> AllocateZeroed(size_t bytes);

 private:
  std::mutex mutex_;  // Guards what follows.
  std::shared_ptr<AlignedBuffer> slab_;
  size_t used_ = 0;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BASE_SLABS_H_
