#include "binding/external_count.h"

#include <uv.h>

#include <algorithm>

namespace tensor_checkpoint {

size_t ExternalCount::Part(size_t bytes) {
  constexpr double kMost = 1 << 30;
  static const double whole = std::clamp(MachineMemory() / 16, kCollectedAfter, kMost);
  return static_cast<size_t>(static_cast<double>(bytes) * (kCollectedAfter / whole));
}

double ExternalCount::MachineMemory() {
  static const double bytes = [] {
    const uint64_t constrained = uv_get_constrained_memory();
    return static_cast<double>(std::min(uv_get_total_memory(), constrained == 0 ? UINT64_MAX : constrained));
  }();
  return bytes;
}

}  // namespace tensor_checkpoint
