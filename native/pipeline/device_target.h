#ifndef TENSOR_CHECKPOINT_PIPELINE_DEVICE_TARGET_H_
#define TENSOR_CHECKPOINT_PIPELINE_DEVICE_TARGET_H_

#include <functional>
#include <memory>
#include <vector>

#include "pipeline/device_session.h"
#include "pipeline/device_staging.h"
#include "pipeline/gpu_direct.h"
#include "pipeline/plan.h"
#include "pipeline/scheduler.h"

namespace tensor_checkpoint {

// The devices' part in one load: staging that they copy from, the copies, and their own checksums of what arrived.
// Owned by the reader, like the plan; any thread, one at a time for each chunk.
class DeviceTarget {
 public:
  // `warn` from any thread.
  DeviceTarget(std::unique_ptr<DeviceSession> session, std::unique_ptr<GpuDirect> direct, StagingPool& pool,
               const LoadProgram& program, const Plan& plan, std::function<void(Event)> warn);

  uint32_t device_count() const { return session_->device_count(); }
  // Adds the phase that copies.
  void Describe(const Chunk& chunk, Scheduler::Task& task) const;
  // May lock memory, which takes a while.
  Result<StagingBuffer> Take(const Chunk& chunk);
  // Reads the chunk into staging on its device, on the calling thread.
  IoResult Read(const Chunk& chunk, const StagingBuffer& staging) const {
    return direct_->Transfer(IoRequest::Kind::kRead, chunk, staging.on_device.address());
  }
  // Copies what `read` bytes of the chunk, which are staged, hold whole; `touch` is told of each piece before.
  void Copy(const Chunk& chunk, const StagingBuffer& staging, uint64_t read, const std::function<void(const Piece&)>& touch,
            std::function<void(Status)> done);
  // The device's own checksum of what it has; 0 where it was not asked for.
  uint32_t Sum(uint32_t piece) const { return sums_.empty() ? 0 : sums_[piece]; }
  // Whether the device has what was read, whose checksum this is, once it was copied.
  Status Check(uint32_t piece, uint32_t crc) const;
  // The load has ended like this.
  void End(const Status& status) const { session_->Failed(status); }

 private:
  bool Checks(const Piece& piece) const { return !sums_.empty() && piece.device != kHost && program_.verify[piece.tensor] != 0; }

  const std::unique_ptr<DeviceSession> session_;
  const std::unique_ptr<GpuDirect> direct_;  // nullptr: all goes through the host.
  const LoadProgram& program_;
  const Plan& plan_;
  const std::function<void(Event)> warn_;
  DeviceStaging staging_;
  std::vector<uint32_t> sums_;  // Per piece, where devices sum.
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_PIPELINE_DEVICE_TARGET_H_
