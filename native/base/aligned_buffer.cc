#include "base/aligned_buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

namespace tensor_checkpoint {
namespace {

size_t RoundUp(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

// A mapping of `bytes` (a multiple of the page size) that starts at a 2 MiB boundary: mmap promises only 4 KiB, so
// more is mapped and what lies before and behind is given back.
uint8_t* MapHuge(size_t bytes) {
  constexpr size_t kHuge = AlignedBuffer::kHugePage;
  const size_t mapped = bytes + kHuge;
  void* raw = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  uint8_t* const start = static_cast<uint8_t*>(raw);
  uint8_t* const data = start + (RoundUp(reinterpret_cast<uintptr_t>(start), kHuge) - reinterpret_cast<uintptr_t>(start));
  const size_t head = static_cast<size_t>(data - start);
  const size_t tail = mapped - head - bytes;
  if (head > 0) munmap(start, head);
  if (tail > 0) munmap(data + bytes, tail);
#ifdef MADV_HUGEPAGE
  // Advice: where the kernel has no huge pages, small ones serve.
  madvise(data, bytes, MADV_HUGEPAGE);
#endif
  return data;
}

}  // namespace

AlignedBuffer::~AlignedBuffer() { Free(data_, size_); }

AlignedBuffer AlignedBuffer::Allocate(size_t bytes) {
  if (bytes == 0 || bytes > SIZE_MAX / 2) return AlignedBuffer();
  const size_t whole = RoundUp(bytes, kPage);
  uint8_t* const data = bytes >= kHugePage ? MapHuge(whole) : static_cast<uint8_t*>(std::aligned_alloc(kPage, whole));
  return data == nullptr ? AlignedBuffer() : AlignedBuffer(data, bytes);
}

AlignedBuffer AlignedBuffer::AllocateZeroed(size_t bytes) {
  AlignedBuffer buffer = Allocate(bytes);
  // What comes from mmap is zero already.
  if (!buffer.empty() && bytes < kHugePage) std::memset(buffer.data(), 0, RoundUp(bytes, kPage));
  return buffer;
}

void AlignedBuffer::Free(uint8_t* data, size_t bytes) {
  if (data == nullptr) return;
  if (bytes >= kHugePage) {
    munmap(data, RoundUp(bytes, kPage));
  } else {
    std::free(data);
  }
}

}  // namespace tensor_checkpoint
