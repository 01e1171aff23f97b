#ifndef TENSOR_CHECKPOINT_PIPELINE_LIMITS_H_
#define TENSOR_CHECKPOINT_PIPELINE_LIMITS_H_

#include <algorithm>
#include <thread>

#include "pipeline/program.h"
#include "pipeline/scheduler.h"

namespace tensor_checkpoint {

// Requests under way per device and bytes per request where the program doesn't say: what an NVMe disk needs to be
// busy. Found by measurement (docs/performance.md): 16 requests of 4 MiB reach what fio reaches at its best, 8 lose 5 %.
inline constexpr uint32_t kDefaultLanes = 16;
inline constexpr uint32_t kLargestChunk = 4 << 20;
inline constexpr uint32_t kSmallestChunk = 64 << 10;

// A program that moves as much is carried out at kBulk, unless it is in the background.
inline constexpr uint64_t kBulkBytes = 64 << 20;

// A budget that is small must still hold several chunks, so that copying and writing overlap.
inline uint32_t ChunkBytes(const TransferOptions& options) {
  const uint64_t quarter = std::max(options.staging_bytes, options.snapshot_pool_bytes) / 4;
  const auto bytes = static_cast<uint32_t>(std::min<uint64_t>(quarter, kLargestChunk));
  return std::max(bytes - bytes % kSmallestChunk, kSmallestChunk);
}

// Asked for once: the answer takes system calls.
inline uint32_t Processors() {
  static const uint32_t processors = std::max(std::thread::hardware_concurrency(), 1u);
  return processors;
}

// `eager`: fill the whole staging budget as fast as memory allows, because the caller waits for the capture.
inline Scheduler::Limits LimitsFor(const TransferOptions& options, bool eager) {
  Scheduler::Limits limits;
  limits.lanes = options.threads > 0 ? options.threads : kDefaultLanes;
  limits.processors = std::min(Processors(), limits.lanes);
  limits.staging = options.staging_bytes;
  // One core sums several times what a disk takes.
  if (!eager) limits.processors_beside_lanes = (limits.processors + 3) / 4;
  // Virtual disks tell of all requests at once, when the last of them is done: the next ones lie summed by then, so that
  // none waits for a processor.
  if (!eager) limits.window = 2 * limits.lanes + limits.processors;
  return limits;
}

// Chunks on their way between a device and the host: one copied on each of two streams, and one waiting behind it.
inline constexpr uint32_t kCopierLanes = 4;

// Adds what the devices of a program take.
inline void ExtendForDevices(Scheduler::Limits& limits, uint32_t devices) {
  limits.copier_lanes = kCopierLanes;
  if (limits.window != UINT32_MAX) limits.window += kCopierLanes * devices;
}

// Threads that a program needs so that a blocking call on every lane leaves one for every processor.
inline uint32_t ThreadsFor(const TransferOptions& options) {
  const Scheduler::Limits limits = LimitsFor(options, false);
  return limits.lanes + limits.processors;
}

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_PIPELINE_LIMITS_H_
