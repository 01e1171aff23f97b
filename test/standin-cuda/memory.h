#ifndef STANDIN_CUDA_MEMORY_H_
#define STANDIN_CUDA_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "abi.h"

namespace standin {

// A run of memory that the driver knows. `users`: operations under way that read or write it.
struct Memory {
  uint64_t address;  // What the caller holds. For device memory nothing can be read or written there.
  size_t bytes;
  uint8_t* host;  // Where its bytes really are.
  int device;     // -1: host memory.
  bool registered = false;  // Host memory of the caller's, made known by cuMemHostRegister.
  int users = 0;
};

// The memory of all devices, and the host memory that is pinned. Not for several threads at once: State's mutex guards it.
class MemoryMap {
 public:
  // nullptr: the device has not so much left.
  std::shared_ptr<Memory> AllocateDevice(int device, size_t bytes);
  // nullptr: beyond what can be locked.
  std::shared_ptr<Memory> AllocateHost(size_t bytes);
  // nullptr and `code`: already registered in part, or beyond what can be locked.
  std::shared_ptr<Memory> Register(void* memory, size_t bytes, Result& code);
  // What holds `address`, or nullptr.
  std::shared_ptr<Memory> FindDevice(uint64_t address) const { return Find(device_, address); }
  std::shared_ptr<Memory> FindHost(const void* address) const {
    return Find(host_, reinterpret_cast<uintptr_t>(address));
  }
  // Whether a piece of [address, address + bytes) is pinned.
  bool TouchesHost(const void* address, size_t bytes) const;
  void Remove(const Memory& memory);

  size_t used(int device) const;
  size_t locked() const { return locked_; }
  size_t device_allocations() const { return device_.size(); }
  size_t host_allocations() const { return host_.size(); }

 private:
  using Map = std::map<uint64_t, std::shared_ptr<Memory>>;
  static std::shared_ptr<Memory> Find(const Map& map, uint64_t address);
  bool Fits(size_t bytes) const;

  Map device_;
  Map host_;
  size_t locked_ = 0;
  struct Range {
    uint64_t next;
    uint64_t end;
  };
  std::vector<Range> ranges_;  // By device: addresses that were never given out yet.
};

}  // namespace standin

#endif  // STANDIN_CUDA_MEMORY_H_
