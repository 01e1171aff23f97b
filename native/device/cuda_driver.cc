#include "device/cuda_driver.h"

#include <dlfcn.h>

#include <cstdlib>

namespace tensor_checkpoint {
namespace {

constexpr char kLibraryVariable[] = "TENSOR_CHECKPOINT_CUDA_LIBRARY";
constexpr char kDefaultLibrary[] = "libcuda.so.1";

Status Unavailable(std::string message) { return Status(Code::kCudaUnavailable, std::move(message)); }

std::string VersionText(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// cuInit's most common refusals, with what to do about them.
const char* AdviceFor(CUresult result) {
  switch (result) {
    case CUDA_ERROR_NO_DEVICE:
      return ": there is no GPU, or CUDA_VISIBLE_DEVICES hides it";
    case CUDA_ERROR_NOT_PERMITTED:
    case CUDA_ERROR_OPERATING_SYSTEM:
      return ": the process may not use the device files (/dev/nvidia*)";
    case CUDA_ERROR_SYSTEM_DRIVER_MISMATCH:
      return ": library and kernel module are of different versions; a restart of the machine usually helps";
    case CUDA_ERROR_SYSTEM_NOT_READY:
      return ": the machine's fabric manager is not running yet";
    case CUDA_ERROR_STUB_LIBRARY:
      return ": this is the toolkit's stub, not a driver";
    case CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE:
      return ": the compatibility library does not support this device";
    default:
      return "";
  }
}

}  // namespace

Result<std::unique_ptr<CudaDriver>> CudaDriver::Load(const std::string& library) {
  std::unique_ptr<CudaDriver> driver(new CudaDriver);
  driver->library_ = library;
  void* const handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* const reason = dlerror();
    return Unavailable("no CUDA driver: " + std::string(reason == nullptr ? library + " can't be loaded" : reason));
  }
  CudaFunctions& call = driver->functions_;
  const char* missing = nullptr;
#define TENSOR_CHECKPOINT_CUDA_LOAD(name, symbol, parameters)                            \
  call.name = reinterpret_cast<CUresult(*) parameters>(dlsym(handle, symbol));           \
  if (call.name == nullptr && missing == nullptr) missing = symbol;
  TENSOR_CHECKPOINT_CUDA_FUNCTIONS(TENSOR_CHECKPOINT_CUDA_LOAD)
#undef TENSOR_CHECKPOINT_CUDA_LOAD
  if (missing != nullptr) {
    int version = 0;
    const bool known = call.cuDriverGetVersion != nullptr && call.cuDriverGetVersion(&version) == CUDA_SUCCESS;
    return Unavailable("the CUDA driver " + library + (known ? " (CUDA " + VersionText(version) + ")" : "") +
                       " is too old: it has no " + missing);
  }
  if (const CUresult result = call.cuInit(0); result != CUDA_SUCCESS) {
    return Unavailable("the CUDA driver " + library + " can't be initialized: " + driver->ErrorName(result) +
                       AdviceFor(result));
  }
  if (const CUresult result = call.cuDriverGetVersion(&driver->version_); result != CUDA_SUCCESS) {
    return Unavailable("the CUDA driver " + library + " does not tell its version: " + driver->ErrorName(result));
  }
  if (const CUresult result = call.cuDeviceGetCount(&driver->device_count_); result != CUDA_SUCCESS) {
    return Unavailable("the CUDA driver " + library + " can't count its devices: " + driver->ErrorName(result));
  }
  if (driver->device_count_ <= 0) {
    return Unavailable("the CUDA driver " + library + " finds no device" + AdviceFor(CUDA_ERROR_NO_DEVICE));
  }
  return driver;
}

Result<const CudaDriver*> CudaDriver::Shared() {
  // Never destroyed: copies may still be under way when the process ends.
  static const auto& loaded = *[] {
    const char* const named = std::getenv(kLibraryVariable);
    return new Result<std::unique_ptr<CudaDriver>>(Load(named != nullptr && *named != '\0' ? named : kDefaultLibrary));
  }();
  if (!loaded.ok()) return loaded.status();
  return static_cast<const CudaDriver*>(loaded.value().get());
}

Status CudaDriver::Check(CUresult result, const char* function, const std::string& what) const {
  if (result == CUDA_SUCCESS) return Status::Ok();
  std::string name = ErrorName(result);
  const char* text = nullptr;
  std::string message = std::string(function) + (what.empty() ? "" : " of " + what) + " failed: ";
  if (functions_.cuGetErrorString(result, &text) == CUDA_SUCCESS && text != nullptr) message += std::string(text) + " ";
  message += "(" + name + ")";
  return Status::FromDriver(std::move(name), function, std::move(message));
}

std::string CudaDriver::ErrorName(CUresult result) const {
  const char* name = nullptr;
  if (functions_.cuGetErrorName(result, &name) == CUDA_SUCCESS && name != nullptr) return name;
  return "CUDA error " + std::to_string(result);
}

}  // namespace tensor_checkpoint
