#ifndef TENSOR_CHECKPOINT_PIPELINE_DEVICE_STAGING_H_
#define TENSOR_CHECKPOINT_PIPELINE_DEVICE_STAGING_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <functional>
#include <utility>

#include "pipeline/device_session.h"
#include "pipeline/staging_buffer.h"
#include "pipeline/staging_pool.h"

namespace tensor_checkpoint {

// Takes staging memory for chunks of devices: locked, and where the system allows no more of that, unlocked, with one
// warning. Owned by a transfer; any thread.
class DeviceStaging {
 public:
  DeviceStaging(const DeviceSession& session, StagingPool& pool, std::function<void(Event)> warn)
      : session_(session), pool_(pool), warn_(std::move(warn)) {}

  // Sizes in which memory is locked: few, so that what is given back serves the next chunk.
  static uint64_t SizeFor(uint64_t bytes) { return std::bit_ceil(std::max<uint64_t>(bytes, 64 << 10)); }

  // kOutOfRange: there is no memory at all.
  Result<StagingBuffer> Take(uint32_t row, uint64_t bytes) {
    PinnedPool& pinned = session_.devices().pinned();
    auto locked = pinned.Take(session_.device(session_.DeviceOf(row)).context(), SizeFor(bytes), !limited_);
    if (!locked.ok()) {
      if (!PinnedPool::IsLimit(locked.status())) return locked.status();
      if (!limited_.exchange(true)) {
        warn_({.type = Event::Type::kWarning, .warning = "unlocked", .failure = {locked.status()}});
      }
    } else if (!locked->empty()) {
      return StagingBuffer{{}, std::move(*locked), {}};
    }
    StagingBuffer buffer{pool_.Take(bytes), {}, {}};
    if (buffer.empty()) return Status(Code::kOutOfRange, "there is no memory for " + std::to_string(bytes) + " bytes of staging");
    return buffer;
  }

 private:
  const DeviceSession& session_;
  StagingPool& pool_;
  const std::function<void(Event)> warn_;
  std::atomic<bool> limited_ = false;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_PIPELINE_DEVICE_STAGING_H_
