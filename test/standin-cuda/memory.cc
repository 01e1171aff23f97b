#include "memory.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "settings.h"

namespace standin {
namespace {

#ifdef __SANITIZE_THREAD__
constexpr uint64_t kRangeBytes = uint64_t{1} << 36;  // ThreadSanitizer leaves little.
#else
constexpr uint64_t kRangeBytes = uint64_t{1} << 40;
#endif
constexpr uint64_t kGranule = 512;  // cuMemAlloc aligns to 256 at least.
// Between allocations, so that a copy that runs over the end is never inside the next one.
constexpr uint64_t kGap = 64 * 1024;

uint64_t RoundUp(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }

}  // namespace

std::shared_ptr<Memory> MemoryMap::Find(const Map& map, uint64_t address) {
  auto after = map.upper_bound(address);
  if (after == map.begin()) return nullptr;
  const auto& memory = std::prev(after)->second;
  return address - memory->address < memory->bytes ? memory : nullptr;
}

std::shared_ptr<Memory> MemoryMap::AllocateDevice(int device, size_t bytes) {
  const uint64_t capacity = Settings::Get().device_memory;
  if (bytes > capacity || used(device) > capacity - bytes) return nullptr;
  while (ranges_.size() <= static_cast<size_t>(device)) {
    // Addresses only: no memory, no access.
    void* const reserved =
        mmap(nullptr, kRangeBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED) {
      std::perror("stand-in CUDA driver: no addresses for device memory");
      std::abort();
    }
    ranges_.push_back({reinterpret_cast<uint64_t>(reserved), reinterpret_cast<uint64_t>(reserved) + kRangeBytes});
  }
  Range& range = ranges_[static_cast<size_t>(device)];
  if (range.end - range.next < bytes + 2 * kGap) return nullptr;
  auto* const host = static_cast<uint8_t*>(std::malloc(bytes));
  if (host == nullptr) return nullptr;
  // New device memory holds what was there before. Zeros would hide a kernel or copy that was forgotten.
  std::memset(host, 0xCD, bytes);
  auto memory = std::make_shared<Memory>(Memory{range.next, bytes, host, device});
  range.next = RoundUp(range.next + bytes + kGap, kGranule);
  device_[memory->address] = memory;
  return memory;
}

bool MemoryMap::Fits(size_t bytes) const {
  const uint64_t limit = Settings::Get().locked_limit;
  return bytes <= limit && locked_ <= limit - bytes;
}

std::shared_ptr<Memory> MemoryMap::AllocateHost(size_t bytes) {
  if (!Fits(bytes)) return nullptr;
  auto* const host = static_cast<uint8_t*>(std::aligned_alloc(4096, RoundUp(bytes, 4096)));
  if (host == nullptr) return nullptr;
  auto memory = std::make_shared<Memory>(Memory{reinterpret_cast<uint64_t>(host), bytes, host, -1});
  host_[memory->address] = memory;
  locked_ += bytes;
  return memory;
}

std::shared_ptr<Memory> MemoryMap::Register(void* address, size_t bytes, Result& code) {
  code = TouchesHost(address, bytes) ? kAlreadyRegistered : !Fits(bytes) ? kOutOfMemory : kSuccess;
  if (code != kSuccess) return nullptr;
  auto memory = std::make_shared<Memory>(
      Memory{reinterpret_cast<uint64_t>(address), bytes, static_cast<uint8_t*>(address), -1, true});
  host_[memory->address] = memory;
  locked_ += bytes;
  return memory;
}

bool MemoryMap::TouchesHost(const void* address, size_t bytes) const {
  const auto start = reinterpret_cast<uint64_t>(address);
  if (FindHost(address) != nullptr) return true;
  const auto next = host_.lower_bound(start);
  return next != host_.end() && next->first - start < bytes;
}

void MemoryMap::Remove(const Memory& memory) {
  if (memory.device >= 0) {
    std::free(memory.host);
    device_.erase(memory.address);
    return;
  }
  locked_ -= memory.bytes;
  if (!memory.registered) std::free(memory.host);
  host_.erase(memory.address);
}

size_t MemoryMap::used(int device) const {
  size_t bytes = 0;
  for (const auto& [address, memory] : device_) {
    if (memory->device == device) bytes += memory->bytes;
  }
  return bytes;
}

}  // namespace standin
