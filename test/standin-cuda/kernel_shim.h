#ifndef STANDIN_CUDA_KERNEL_SHIM_H_
#define STANDIN_CUDA_KERNEL_SHIM_H_

#include <atomic>
#include <cstdint>
#include <cstring>

// Makes CUDA C of our own kernels C++ for the host: a block's threads are a loop from one barrier to the next.
#define __global__
#define __device__
#define __host__
#define __constant__
#define __launch_bounds__(threads, blocks)
#define __shared__ static thread_local
#define EACH_THREAD(t) for (unsigned t = 0; t < tensor_checkpoint::kThreads; ++t)
#define BARRIER static_cast<void>(0)

namespace standin {
struct Index {
  unsigned x;
};
// From an address as the kernel sees it to the memory behind it.
using Translate = const uint8_t* (*)(uint64_t address, unsigned bytes);
inline thread_local Translate translate = nullptr;
}  // namespace standin

inline thread_local standin::Index blockIdx;
inline thread_local standin::Index gridDim;

inline unsigned atomicXor(unsigned* target, unsigned value) {
  return std::atomic_ref<unsigned>(*target).fetch_xor(value, std::memory_order_relaxed);
}

namespace tensor_checkpoint {
namespace {

inline void Load(unsigned long long address, unsigned (&word)[4]) {
  if (address % 16 != 0) __builtin_trap();  // A device's load of 16 bytes must be aligned.
  std::memcpy(word, standin::translate(address, 16), 16);
}

inline unsigned LoadByte(unsigned long long address) { return *standin::translate(address, 1); }

}  // namespace
}  // namespace tensor_checkpoint

#endif  // STANDIN_CUDA_KERNEL_SHIM_H_
