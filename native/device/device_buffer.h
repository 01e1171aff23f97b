#ifndef TENSOR_CHECKPOINT_DEVICE_DEVICE_BUFFER_H_
#define TENSOR_CHECKPOINT_DEVICE_DEVICE_BUFFER_H_

#include <memory>
#include <string>
#include <utility>

#include "device/cuda_context.h"

namespace tensor_checkpoint {

// Owned memory of a device. One owner; moving hands it on. Not synchronized.
class DeviceBuffer {
 public:
  static Result<DeviceBuffer> Allocate(std::shared_ptr<const CudaContext> context, size_t bytes) {
    CurrentContext current(*context);
    if (!current.status().ok()) return current.status();
    DeviceBuffer buffer;
    Status status = context->Check(context->call().cuMemAlloc(&buffer.address_, bytes), "cuMemAlloc", std::to_string(bytes) + " bytes");
    if (!status.ok()) {
      buffer.address_ = 0;
      return status;
    }
    buffer.context_ = std::move(context);
    buffer.size_ = bytes;
    return buffer;
  }

  DeviceBuffer() = default;
  // Waits for the device to be done with it.
  ~DeviceBuffer() {
    if (address_ == 0) return;
    ReleaseIn(*context_, [this](const CudaFunctions& call) { (void)call.cuMemFree(address_); });
  }
  DeviceBuffer(DeviceBuffer&& other) noexcept { *this = std::move(other); }
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    std::swap(context_, other.context_);
    std::swap(address_, other.address_);
    std::swap(size_, other.size_);
    return *this;
  }

  CUdeviceptr address() const { return address_; }
  size_t size() const { return size_; }
  bool empty() const { return address_ == 0; }

 private:
  std::shared_ptr<const CudaContext> context_;
  CUdeviceptr address_ = 0;
  size_t size_ = 0;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_DEVICE_DEVICE_BUFFER_H_
