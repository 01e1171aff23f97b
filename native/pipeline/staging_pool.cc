#include "pipeline/staging_pool.h"

#include <sys/mman.h>

#include <utility>

namespace tensor_checkpoint {

AlignedBuffer StagingPool::Take(size_t bytes) {
  const size_t size = SizeOf(bytes);
  if (Kept(size)) {
    std::lock_guard lock(mutex_);
    auto& free = free_[ClassOf(size)];
    if (!free.empty()) {
      AlignedBuffer taken = std::move(free.back());
      free.pop_back();
      kept_bytes_ -= size;
      return taken;
    }
  }
  return AlignedBuffer::Allocate(size);
}

void StagingPool::Give(AlignedBuffer buffer) {
  const size_t size = buffer.size();
  if (buffer.empty() || !Kept(size)) return;
  std::lock_guard lock(mutex_);
  if (kept_bytes_ + size > kKeptBytes) return;
  kept_bytes_ += size;
  free_[ClassOf(size)].push_back(std::move(buffer));
}

void StagingPool::Rest() {
  std::lock_guard lock(mutex_);
  for (auto& free : free_) {
#ifdef MADV_FREE
    // Those of the heap share their pages' neighbourhood with others, but not the pages.
    for (AlignedBuffer& buffer : free) madvise(buffer.data(), buffer.size(), MADV_FREE);
#else
    for (AlignedBuffer& buffer : free) kept_bytes_ -= buffer.size();
    free.clear();
#endif
  }
}

size_t StagingPool::kept_bytes() const {
  std::lock_guard lock(mutex_);
  return kept_bytes_;
}

}  // namespace tensor_checkpoint
