#include "io/cached_bytes.h"

#if defined(__linux__)
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <vector>
#endif

namespace tensor_checkpoint {

#if defined(__linux__)
namespace {

// cachestat(2), Linux 6.5; C libraries and headers of older systems lack it, the number is the same everywhere.
constexpr long kSysCachestat = 451;
struct CachestatRange {
  uint64_t offset, length;
};
struct Cachestat {
  uint64_t cached, dirty, writeback, evicted, recently_evicted;  // Pages.
};

// mincore(2) says of files that belong to others that all of it is cached.
bool MincoreTellsTheTruth(const struct stat& info) { return info.st_uid == geteuid(); }

uint64_t ByMincore(int fd, uint64_t offset, uint64_t bytes, uint64_t page) {
  struct stat info;
  if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode) || !MincoreTellsTheTruth(info)) return 0;
  const uint64_t size = static_cast<uint64_t>(info.st_size);
  if (offset >= size) return 0;
  const uint64_t begin = offset - offset % page, end = std::min(size, bytes > size - offset ? size : offset + bytes);
  uint64_t cached = 0;
  // In parts: a file may be larger than what can be mapped and asked about at once.
  constexpr uint64_t kPart = uint64_t{256} << 20;
  for (uint64_t at = begin; at < end; at += kPart) {
    const uint64_t length = std::min(kPart, end - at);
    void* const mapping = mmap(nullptr, length, PROT_READ, MAP_SHARED, fd, static_cast<off_t>(at));
    if (mapping == MAP_FAILED) return 0;
    std::vector<unsigned char> pages((length + page - 1) / page);
    const bool told = mincore(mapping, length, pages.data()) == 0;
    munmap(mapping, length);
    if (!told) return 0;
    cached += static_cast<uint64_t>(std::count_if(pages.begin(), pages.end(), [](auto p) { return (p & 1) != 0; })) * page;
  }
  return cached;
}

}  // namespace

uint64_t CachedBytes(int fd, uint64_t offset, uint64_t bytes) {
  static const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  static std::atomic<bool> has_cachestat = true;
  if (bytes == 0) return 0;
  if (has_cachestat.load(std::memory_order_relaxed)) {
    CachestatRange range = {offset, bytes};
    Cachestat result = {};
    if (syscall(kSysCachestat, fd, &range, &result, 0) == 0) return result.cached * page;
    if (errno != ENOSYS && errno != EPERM && errno != EOPNOTSUPP) return 0;
    if (errno == ENOSYS) has_cachestat = false;
  }
  return ByMincore(fd, offset, bytes, page);
}

#else

uint64_t CachedBytes(int, uint64_t, uint64_t) { return 0; }

#endif

}  // namespace tensor_checkpoint
