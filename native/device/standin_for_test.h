#ifndef TENSOR_CHECKPOINT_DEVICE_STANDIN_FOR_TEST_H_
#define TENSOR_CHECKPOINT_DEVICE_STANDIN_FOR_TEST_H_

#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "device/cuda_driver.h"

namespace tensor_checkpoint {

// The stand-in CUDA driver (test/standin-cuda) of this test process, with two devices. It is loaded once and keeps its
// state; a test starts with Reset() and leaves nothing behind.
class Standin {
 public:
  static Standin& Get() {
    static Standin* const standin = new Standin;
    return *standin;
  }

  const CudaDriver& driver() const { return *driver_; }
  const CudaFunctions& call() const { return driver_->call(); }

  enum Mode { kOnce = 0, kDeviceLost = 1, kLater = 2 };
  // The nth call of `function` (its exported name) from now on fails.
  void Fail(const char* function, uint64_t nth, CUresult code, Mode mode = kOnce) { fail_(function, nth, code, mode); }
  void Reset() {
    reset_();
    AbortOnViolation(true);
    (void)TakeViolations();
  }
  void LimitLocked(uint64_t bytes) { limit_locked_(bytes); }
  void SlowCopies(uint64_t microseconds, uint64_t bytes_per_second = 0) { slow_(microseconds, bytes_per_second); }
  // See STANDIN_CUFILE in the stand-in's README.
  void CuFileMode(const char* mode, uint64_t most_bytes = UINT64_MAX) { cufile_(mode, most_bytes); }
  void AbortOnViolation(bool abort) { abort_(abort ? 1 : 0); }
  std::string TakeViolations() {
    std::string text(16384, '\0');
    (void)take_(text.data(), text.size());
    return text.c_str();
  }
  // JSON: deviceAllocations, hostAllocations, lockedBytes, streams, events, modules, contextsRetained, calls.
  std::string Describe() {
    std::string text(16384, '\0');
    describe_(text.data(), text.size());
    return text.c_str();
  }
  uint64_t Calls(const char* function) { return calls_(function); }
  bool Read(CUdeviceptr from, void* to, size_t bytes) { return read_(from, to, bytes) != 0; }
  bool Write(CUdeviceptr to, const void* from, size_t bytes) { return write_(to, from, bytes) != 0; }

 private:
  Standin() {
    setenv("STANDIN_CUDA_DEVICES", "2", 1);
    library_ = dlopen(STANDIN_CUDA, RTLD_NOW);
    Find(fail_, "standin_cuda_fail");
    Find(reset_, "standin_cuda_reset");
    Find(limit_locked_, "standin_cuda_limit_locked");
    Find(slow_, "standin_cuda_slow_copies");
    Find(cufile_, "standin_cuda_cufile");
    Find(abort_, "standin_cuda_abort_on_violation");
    Find(take_, "standin_cuda_take_violations");
    Find(describe_, "standin_cuda_describe");
    Find(calls_, "standin_cuda_calls");
    Find(read_, "standin_cuda_read");
    Find(write_, "standin_cuda_write");
    auto loaded = CudaDriver::Load(STANDIN_CUDA);
    if (!loaded.ok()) std::abort();
    driver_ = std::move(*loaded);
  }
  template <typename F>
  void Find(F& function, const char* name) {
    function = reinterpret_cast<F>(dlsym(library_, name));
    if (function == nullptr) std::abort();
  }

  void* library_;
  std::unique_ptr<CudaDriver> driver_;
  void (*fail_)(const char*, uint64_t, int, int);
  void (*reset_)();
  void (*limit_locked_)(uint64_t);
  void (*slow_)(uint64_t, uint64_t);
  void (*cufile_)(const char*, uint64_t);
  void (*abort_)(int);
  size_t (*take_)(char*, size_t);
  void (*describe_)(char*, size_t);
  uint64_t (*calls_)(const char*);
  int (*read_)(uint64_t, void*, size_t);
  int (*write_)(uint64_t, const void*, size_t);
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_DEVICE_STANDIN_FOR_TEST_H_
