#ifndef TENSOR_CHECKPOINT_PIPELINE_STAGING_BUFFER_H_
#define TENSOR_CHECKPOINT_PIPELINE_STAGING_BUFFER_H_

#include <cstdint>

#include "base/aligned_buffer.h"
#include "device/pinned_pool.h"
#include "device/registered_pool.h"

namespace tensor_checkpoint {

// What a chunk is staged in: ordinary memory, which the StagingPool gets back, locked memory that devices copy to and
// from, or memory of a device that disks reach. The latter two return to where they came from by themselves.
struct StagingBuffer {
  AlignedBuffer memory;
  PinnedPool::Buffer locked;
  RegisteredPool::Buffer on_device;

  // On the host; nullptr for memory of a device.
  uint8_t* data() const { return locked.empty() ? memory.data() : locked.data(); }
  bool empty() const { return data() == nullptr && on_device.empty(); }
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_PIPELINE_STAGING_BUFFER_H_
