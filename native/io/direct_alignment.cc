#include "io/direct_alignment.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

namespace tensor_checkpoint {
namespace {

// The kernel's struct statx, laid out here because C libraries and headers older than Linux 6.1 lack its last fields;
// the syscall itself is there since 4.11 and leaves fields that it doesn't know at zero.
struct KernelStatx {
  uint32_t mask;
  uint32_t block_size;
  uint64_t attributes;
  uint8_t not_needed[136];
  uint32_t direct_memory_align;
  uint32_t direct_offset_align;
  uint8_t reserved[96];
};
static_assert(offsetof(KernelStatx, direct_memory_align) == 0x98);
static_assert(sizeof(KernelStatx) == 0x100);

constexpr unsigned kStatxDioAlign = 0x2000;
constexpr DirectAlignment kSafe = {4096, 4096};

}  // namespace

DirectAlignment QueryDirectAlignment(int fd) {
#ifdef SYS_statx
  KernelStatx info;
  std::memset(&info, 0, sizeof info);
  if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, kStatxDioAlign, &info) == 0 && (info.mask & kStatxDioAlign) != 0) {
    return {info.direct_memory_align, info.direct_offset_align};
  }
#endif
  return kSafe;
}

}  // namespace tensor_checkpoint
