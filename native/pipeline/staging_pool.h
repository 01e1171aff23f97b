#ifndef TENSOR_CHECKPOINT_PIPELINE_STAGING_POOL_H_
#define TENSOR_CHECKPOINT_PIPELINE_STAGING_POOL_H_

#include <mutex>
#include <utility>
#include <vector>

#include "base/aligned_buffer.h"

namespace tensor_checkpoint {

// Staging buffers of one program. How many exist at once is the scheduler's business; here they are only reused, since
// the first touch of memory costs as much as the copy. Any thread.
class StagingPool {
 public:
  // empty() where there is no memory. May be larger than asked for.
  AlignedBuffer Take(size_t bytes) {
    {
      std::lock_guard lock(mutex_);
      for (AlignedBuffer& buffer : free_) {
        if (buffer.size() < bytes) continue;
        AlignedBuffer taken = std::move(buffer);
        buffer = std::move(free_.back());
        free_.pop_back();
        return taken;
      }
    }
    return AlignedBuffer::Allocate(bytes);
  }
  void Give(AlignedBuffer buffer) {
    std::lock_guard lock(mutex_);
    if (free_.size() < kKept) free_.push_back(std::move(buffer));
  }

 private:
  static constexpr size_t kKept = 16;
  std::mutex mutex_;
  std::vector<AlignedBuffer> free_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_PIPELINE_STAGING_POOL_H_
