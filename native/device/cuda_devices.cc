#include "device/cuda_devices.h"

#include <utility>
#include <vector>

namespace tensor_checkpoint {

Result<std::shared_ptr<CudaDevice>> CudaDevice::Open(const CudaDriver& driver, uint32_t ordinal) {
  auto context = CudaContext::Retain(driver, ordinal);
  if (!context.ok()) return context.status();
  auto queue = CopyQueue::Create(*context);
  if (!queue.ok()) return queue.status();
  std::shared_ptr<CudaDevice> device(new CudaDevice);
  device->context_ = std::move(*context);
  device->queue_ = std::move(*queue);
  return device;
}

Result<std::shared_ptr<DeviceChecksum>> CudaDevice::Checksum(PinnedPool& pinned) {
  std::lock_guard lock(mutex_);
  if (checksum_ != nullptr) return checksum_;
  auto checksum = DeviceChecksum::Load(context_, pinned);
  if (checksum.ok()) checksum_ = *checksum;
  return checksum;
}

Result<DeviceBuffer> CudaDevice::TakeShadow(size_t bytes) {
  DeviceBuffer kept;
  {
    std::lock_guard lock(mutex_);
    kept = std::move(shadow_);
  }
  if (kept.size() >= bytes) return kept;
  // Freed before more is asked for: both may not fit.
  kept = DeviceBuffer();
  return DeviceBuffer::Allocate(context_, bytes);
}

void CudaDevice::GiveShadow(DeviceBuffer buffer) {
  if (context_->distrusted()) return;
  std::lock_guard lock(mutex_);
  if (buffer.size() > shadow_.size()) std::swap(buffer, shadow_);
}

void CudaDevice::Trim() {
  registered_.Trim();
  DeviceBuffer freed;
  std::lock_guard lock(mutex_);
  if (checksum_ != nullptr) checksum_->Trim();
  freed = std::move(shadow_);
}

CudaDevices::~CudaDevices() {
  // Locked memory is freed in the contexts, so they go last.
  pinned_.Trim();
}

Result<std::shared_ptr<CudaDevice>> CudaDevices::Open(uint32_t ordinal) {
  std::lock_guard lock(mutex_);
  if (const auto found = devices_.find(ordinal); found != devices_.end()) return found->second;
  auto driver = loader_();
  if (!driver.ok()) return driver.status();
  auto device = CudaDevice::Open(**driver, ordinal);
  if (device.ok()) devices_.emplace(ordinal, *device);
  return device;
}

void CudaDevices::Distrust(const std::shared_ptr<CudaDevice>& device) {
  device->context()->Distrust();
  {
    std::lock_guard lock(mutex_);
    const auto found = devices_.find(device->context()->ordinal());
    if (found != devices_.end() && found->second == device) devices_.erase(found);
  }
  pinned_.TrimDistrusted();
}

void CudaDevices::Trim() {
  std::vector<std::shared_ptr<CudaDevice>> devices;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [ordinal, device] : devices_) devices.push_back(device);
  }
  for (const auto& device : devices) device->Trim();
  pinned_.Trim();
}

}  // namespace tensor_checkpoint
