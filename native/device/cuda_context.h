#ifndef TENSOR_CHECKPOINT_DEVICE_CUDA_CONTEXT_H_
#define TENSOR_CHECKPOINT_DEVICE_CUDA_CONTEXT_H_

#include <atomic>
#include <memory>
#include <string>

#include "base/status.h"
#include "device/cuda_driver.h"

namespace tensor_checkpoint {

// A share in the primary context of a device: the one that every library in the process uses by default, so that their
// pointers and streams are ours too. Retained while it lives; whatever was made in it holds it by shared_ptr and goes
// first. Any thread.
class CudaContext {
 public:
  // kInvalidArgument: there is no such device. kCudaError: what the driver says. The first one of a device in the
  // process makes the context, which takes a while.
  static Result<std::shared_ptr<const CudaContext>> Retain(const CudaDriver& driver, uint32_t ordinal);
  ~CudaContext();
  CudaContext(const CudaContext&) = delete;
  CudaContext& operator=(const CudaContext&) = delete;

  const CudaDriver& driver() const { return driver_; }
  const CudaFunctions& call() const { return driver_.call(); }
  uint32_t ordinal() const { return ordinal_; }
  CUdevice device() const { return device_; }
  CUcontext handle() const { return handle_; }
  // Something failed in it: what was made in it is not used for programs to come, as it may be broken for good.
  bool distrusted() const { return distrusted_; }
  void Distrust() const { distrusted_ = true; }
  // Something made in it can't be released, so neither can it.
  void Abandon() const { abandoned_ = true; }
  // As CudaDriver::Check, with the device in the message.
  Status Check(CUresult result, const char* function, const std::string& what = {}) const;

 private:
  CudaContext(const CudaDriver& driver, uint32_t ordinal, CUdevice device, CUcontext handle)
      : driver_(driver), ordinal_(ordinal), device_(device), handle_(handle) {}

  const CudaDriver& driver_;
  const uint32_t ordinal_;
  const CUdevice device_;
  const CUcontext handle_;
  mutable std::atomic<bool> distrusted_ = false;
  mutable std::atomic<bool> abandoned_ = false;
};

// Makes a context the calling thread's current one while it lives. Where status() is not ok, it is not.
class CurrentContext {
 public:
  explicit CurrentContext(const CudaContext& context)
      : context_(context),
        status_(context.Check(context.call().cuCtxPushCurrent(context.handle()), "cuCtxPushCurrent")) {}
  ~CurrentContext() {
    CUcontext popped;
    if (status_.ok()) (void)context_.call().cuCtxPopCurrent(&popped);
  }
  CurrentContext(const CurrentContext&) = delete;
  CurrentContext& operator=(const CurrentContext&) = delete;

  const Status& status() const { return status_; }

 private:
  const CudaContext& context_;
  const Status status_;
};

// For destructors: runs `release` in the context. Where that can't be, what was made in it stays, and so does it.
template <typename Release>
void ReleaseIn(const CudaContext& context, Release release) {
  for (int attempt = 0; attempt < 2; ++attempt) {
    CurrentContext current(context);
    if (current.status().ok()) return release(context.call());
  }
  context.Abandon();
}

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_DEVICE_CUDA_CONTEXT_H_
