#ifndef TENSOR_CHECKPOINT_DEVICE_DEVICE_CHECKSUM_H_
#define TENSOR_CHECKPOINT_DEVICE_DEVICE_CHECKSUM_H_

#include <memory>
#include <mutex>
#include <vector>

#include "base/aligned_buffer.h"
#include "device/cuda_context.h"
#include "device/device_buffer.h"
#include "device/pinned_pool.h"

namespace tensor_checkpoint {

// CRC-32C of device memory, computed by the device (crc32c_kernel.h): what was there, before anything was copied. Held
// by shared_ptr; any thread. Jobs must go before it.
class DeviceChecksum {
 public:
  struct Range {
    CUdeviceptr address;
    uint64_t bytes;
    uint32_t* crc;  // Where the result goes.
  };

  // One launch. Owned by whoever waits for the stream: it must live until the stream is through with it.
  class Job {
   public:
    ~Job();
    // The stream is through with it: hands the results out.
    void Deliver() const;

   private:
    friend class DeviceChecksum;
    explicit Job(DeviceChecksum& owner) : owner_(owner) {}
    uint8_t* host() const { return locked_.empty() ? unlocked_.data() : locked_.data(); }

    DeviceChecksum& owner_;
    std::vector<Range> ranges_;
    size_t results_at_ = 0;
    DeviceBuffer tables_;
    PinnedPool::Buffer locked_;  // The tables on the host; unlocked where the system allows no more.
    AlignedBuffer unlocked_;
  };

  // Compiles the kernel for the device. The pool must outlive it.
  static Result<std::shared_ptr<DeviceChecksum>> Load(std::shared_ptr<const CudaContext> context, PinnedPool& pinned);
  ~DeviceChecksum();

  // Sums ranges on the stream, of which there is at least one. The context is the calling thread's current one.
  Result<std::unique_ptr<Job>> Enqueue(CUstream stream, std::vector<Range> ranges);
  // Frees what is only kept for jobs to come.
  void Trim();

 private:
  DeviceChecksum(std::shared_ptr<const CudaContext> context, PinnedPool& pinned)
      : context_(std::move(context)), pinned_(pinned) {}
  Status TakeMemory(Job& job, size_t bytes);
  Status Launch(const Job& job, CUstream stream, unsigned tiles);

  const std::shared_ptr<const CudaContext> context_;
  PinnedPool& pinned_;
  CUmodule module_ = nullptr;
  CUfunction function_ = nullptr;
  unsigned most_blocks_ = 1;

  std::mutex mutex_;
  std::vector<DeviceBuffer> idle_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_DEVICE_DEVICE_CHECKSUM_H_
