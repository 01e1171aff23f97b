#include "device/cuda_context.h"

namespace tensor_checkpoint {
namespace {

std::string OnDevice(uint32_t ordinal) { return "device " + std::to_string(ordinal); }

}  // namespace

Result<std::shared_ptr<const CudaContext>> CudaContext::Retain(const CudaDriver& driver, uint32_t ordinal) {
  if (ordinal >= static_cast<uint32_t>(driver.device_count())) {
    return Status(Code::kInvalidArgument, "there is no CUDA " + OnDevice(ordinal) + ": the driver has " +
                                              std::to_string(driver.device_count()) + ", counted from 0");
  }
  CUdevice device = 0;
  Status status = driver.Check(driver.call().cuDeviceGet(&device, static_cast<int>(ordinal)), "cuDeviceGet", OnDevice(ordinal));
  if (!status.ok()) return status;
  CUcontext handle = nullptr;
  status = driver.Check(driver.call().cuDevicePrimaryCtxRetain(&handle, device), "cuDevicePrimaryCtxRetain", OnDevice(ordinal));
  if (!status.ok()) return status;
  return std::shared_ptr<const CudaContext>(new CudaContext(driver, ordinal, device, handle));
}

CudaContext::~CudaContext() {
  if (!abandoned_) (void)call().cuDevicePrimaryCtxRelease(device_);
}

Status CudaContext::Check(CUresult result, const char* function, const std::string& what) const {
  if (result == CUDA_SUCCESS) return Status::Ok();
  return driver_.Check(result, function, what.empty() ? OnDevice(ordinal_) : what + " on " + OnDevice(ordinal_));
}

}  // namespace tensor_checkpoint
