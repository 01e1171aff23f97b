#include "binding/external_count.h"

#include <uv.h>

#include <algorithm>

namespace tensor_checkpoint {

namespace {

// V8 collects garbage each time this much has come to its count.
constexpr double kCollectedAfter = 64 << 20;

// The memory of the machine, or what a control group leaves of it.
double MachineMemory() {
  static const double bytes = [] {
    const uint64_t constrained = uv_get_constrained_memory();
    return static_cast<double>(std::min(uv_get_total_memory(), constrained == 0 ? UINT64_MAX : constrained));
  }();
  return bytes;
}

}  // namespace

size_t ExternalCount::Part(size_t bytes) { return PartBy(bytes, 1 << 30); }

size_t ExternalCount::PartBy(size_t bytes, double step) {
  const double collected_after = std::max(kCollectedAfter, std::min(step, MachineMemory() / 16));
  return static_cast<size_t>(static_cast<double>(bytes) * (kCollectedAfter / collected_after));
}

}  // namespace tensor_checkpoint
