#ifndef TENSOR_CHECKPOINT_DEVICE_REGISTERED_POOL_H_
#define TENSOR_CHECKPOINT_DEVICE_REGISTERED_POOL_H_

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "device/cuda_context.h"
#include "device/cufile.h"
#include "device/device_buffer.h"

namespace tensor_checkpoint {

// Memory of one device that cuFile has made known to the disks: chunks are put together in it and written, or read into
// it and taken apart. So alignment is ours to choose, what is summed is what is written, and nothing has to be
// registered but this: registering takes milliseconds, and how much of a device can be registered is limited (BAR1).
// What was once taken is kept for the next program, until Trim().
//
// Owned by a CudaDevice; any thread. Buffers must go before it.
class RegisteredPool {
  struct Region {
    Region(std::shared_ptr<const CudaContext> of, const CuFile& with) : context(std::move(of)), cufile(with) {}
    ~Region();
    const std::shared_ptr<const CudaContext> context;
    const CuFile& cufile;
    DeviceBuffer memory;
    bool registered = false;
  };

 public:
  // Memory in use; goes back to the pool when it is destroyed.
  class Buffer {
   public:
    Buffer() = default;
    ~Buffer() { Return(); }
    Buffer(Buffer&& other) noexcept { *this = std::move(other); }
    Buffer& operator=(Buffer&& other) noexcept {
      std::swap(pool_, other.pool_);
      std::swap(region_, other.region_);
      return *this;
    }
    bool empty() const { return region_ == nullptr; }
    CUdeviceptr address() const { return region_->memory.address(); }

   private:
    friend class RegisteredPool;
    void Return();
    RegisteredPool* pool_ = nullptr;
    std::unique_ptr<Region> region_;
  };

  ~RegisteredPool() { Trim(); }

  // At least so many bytes, aligned to 4 KiB at least. kCudaError: the device has not so much, or cuFile can't register it.
  Result<Buffer> Take(const std::shared_ptr<const CudaContext>& context, const CuFile& cufile, size_t bytes);
  // Frees what is idle.
  void Trim();

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Region>> idle_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_DEVICE_REGISTERED_POOL_H_
