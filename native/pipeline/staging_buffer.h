#ifndef TENSOR_CHECKPOINT_PIPELINE_STAGING_BUFFER_H_
#define TENSOR_CHECKPOINT_PIPELINE_STAGING_BUFFER_H_

#include <cstdint>

#include "base/aligned_buffer.h"
#include "device/pinned_pool.h"

namespace tensor_checkpoint {

// What a chunk is staged in: ordinary memory, which the StagingPool gets back, or locked memory that devices copy to and
// from, which returns to where it came from by itself.
struct StagingBuffer {
  AlignedBuffer memory;
  PinnedPool::Buffer locked;

  uint8_t* data() const { return locked.empty() ? memory.data() : locked.data(); }
  bool empty() const { return data() == nullptr; }
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_PIPELINE_STAGING_BUFFER_H_
