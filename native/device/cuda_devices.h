#ifndef TENSOR_CHECKPOINT_DEVICE_CUDA_DEVICES_H_
#define TENSOR_CHECKPOINT_DEVICE_CUDA_DEVICES_H_

#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "device/copy_queue.h"
#include "device/cuda_context.h"
#include "device/cufile.h"
#include "device/device_buffer.h"
#include "device/device_checksum.h"
#include "device/earlier_work.h"
#include "device/pinned_pool.h"
#include "device/registered_pool.h"

namespace tensor_checkpoint {

// One device as programs use it. Held by shared_ptr; any thread.
class CudaDevice {
 public:
  static Result<std::shared_ptr<CudaDevice>> Open(const CudaDriver& driver, uint32_t ordinal);

  const std::shared_ptr<const CudaContext>& context() const { return context_; }
  CopyQueue& queue() { return *queue_; }
  AllEarlierWork& earlier_work() { return earlier_work_; }
  RegisteredPool& registered() { return registered_; }
  // The first call compiles the kernel. The pool must outlive the device.
  Result<std::shared_ptr<DeviceChecksum>> Checksum(PinnedPool& pinned);

  // Memory for a copy of a state. Kept when it is given back, for the next save: freeing device memory makes the driver
  // wait for all of the device's work, the training's included.
  Result<DeviceBuffer> TakeShadow(size_t bytes);
  void GiveShadow(DeviceBuffer buffer);
  void Trim();

 private:
  CudaDevice() = default;

  std::shared_ptr<const CudaContext> context_;
  AllEarlierWork earlier_work_;
  RegisteredPool registered_;
  std::mutex mutex_;
  DeviceBuffer shadow_;
  std::shared_ptr<DeviceChecksum> checksum_;
  std::unique_ptr<CopyQueue> queue_;  // Goes first: it waits for what is under way.
};

// The devices that programs have used so far, and the memory locked for them. Owned by the engine; programs and buffers
// must end before it. Nothing is loaded before the first Open(). Any thread.
class CudaDevices {
 public:
  using Loader = std::function<Result<const CudaDriver*>()>;
  using CuFileLoader = std::function<Result<const CuFile*>()>;
  explicit CudaDevices(Loader loader = CudaDriver::Shared, CuFileLoader cufile_loader = CuFile::Shared)
      : loader_(std::move(loader)), cufile_loader_(std::move(cufile_loader)) {}
  ~CudaDevices();

  // kCudaUnavailable, kInvalidArgument (no such device) or kCudaError.
  Result<std::shared_ptr<CudaDevice>> Open(uint32_t ordinal);
  // A program failed on this device: the next one opens it anew.
  void Distrust(const std::shared_ptr<CudaDevice>& device);
  PinnedPool& pinned() { return pinned_; }
  // kUnsupported with the reason. Loaded when first asked for; a device must be open.
  Result<const CuFile*> cufile() const { return cufile_loader_(); }
  // Gives back what is only kept for programs to come.
  void Trim();

 private:
  const Loader loader_;
  const CuFileLoader cufile_loader_;
  std::mutex mutex_;
  PinnedPool pinned_;
  std::map<uint32_t, std::shared_ptr<CudaDevice>> devices_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_DEVICE_CUDA_DEVICES_H_
