#include "base/slabs.h"

#include <utility>

namespace tensor_checkpoint {
namespace {

size_t RoundUp(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

std::shared_ptr<AlignedBuffer> Zeroed(size_t bytes) {
  AlignedBuffer buffer = AlignedBuffer::AllocateZeroed(bytes);
  return buffer.empty() ? nullptr : std::make_shared<AlignedBuffer>(std::move(buffer));
}

}  // namespace

std::shared_ptr<uint8_t> Slabs::AllocateZeroed(size_t bytes) {
  if (bytes == 0) return nullptr;
  if (bytes >= AlignedBuffer::kHugePage) {
    std::shared_ptr<AlignedBuffer> own = Zeroed(bytes);
    return own == nullptr ? nullptr : std::shared_ptr<uint8_t>(own, own->data());
  }
  const size_t alignment = bytes < AlignedBuffer::kPage ? kLine : AlignedBuffer::kPage;
  std::shared_ptr<AlignedBuffer> full;  // Freed, if nobody has a piece of it any more, outside of the lock.
  std::lock_guard lock(mutex_);
  size_t start = RoundUp(used_, alignment);
  if (slab_ == nullptr || start + bytes > kSlab) {
    std::shared_ptr<AlignedBuffer> next = Zeroed(kSlab);
    if (next == nullptr) return nullptr;
    full = std::exchange(slab_, std::move(next));
    start = 0;
  }
  used_ = start + bytes;
  return {slab_, slab_->data() + start};
}

}  // namespace tensor_checkpoint
