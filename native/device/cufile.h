#ifndef TENSOR_CHECKPOINT_DEVICE_CUFILE_H_
#define TENSOR_CHECKPOINT_DEVICE_CUFILE_H_

#include <memory>
#include <string>

#include "base/status.h"
#include "device/cuda_driver.h"
#include "device/cufile_types.h"

namespace tensor_checkpoint {

// The functions of cuFile that this package calls: name, result, parameters. The last two are missing in old libraries,
// and done without.
// clang-format off
#define TENSOR_CHECKPOINT_CUFILE_FUNCTIONS(F)                                                                          \
  F(cuFileDriverOpen, CUfileError, ())                                                                                 \
  F(cuFileDriverGetProperties, CUfileError, (CUfileDrvProps* properties))                                              \
  F(cuFileHandleRegister, CUfileError, (CUfileHandle* handle, CUfileDescr* description))                               \
  F(cuFileHandleDeregister, void, (CUfileHandle handle))                                                               \
  F(cuFileBufRegister, CUfileError, (const void* memory, size_t bytes, int flags))                                     \
  F(cuFileBufDeregister, CUfileError, (const void* memory))                                                            \
  F(cuFileRead, ssize_t, (CUfileHandle handle, void* memory, size_t bytes, off_t file_offset, off_t memory_offset))    \
  F(cuFileWrite, ssize_t,                                                                                              \
    (CUfileHandle handle, const void* memory, size_t bytes, off_t file_offset, off_t memory_offset))
#define TENSOR_CHECKPOINT_CUFILE_LATER_FUNCTIONS(F)                                                                    \
  F(cuFileUseCount, long, ())                                                                                          \
  F(cuFileSetParameterBool, CUfileError, (int parameter, bool value))
// clang-format on

struct CuFileFunctions {
#define TENSOR_CHECKPOINT_CUFILE_MEMBER(name, result, parameters) result(*name) parameters = nullptr;
  TENSOR_CHECKPOINT_CUFILE_FUNCTIONS(TENSOR_CHECKPOINT_CUFILE_MEMBER)
  TENSOR_CHECKPOINT_CUFILE_LATER_FUNCTIONS(TENSOR_CHECKPOINT_CUFILE_MEMBER)
#undef TENSOR_CHECKPOINT_CUFILE_MEMBER
};

// GPUDirect Storage: a library that was loaded, whose driver is open, and which moves bytes between files and device
// memory or says that it can't. Its compatibility mode, in which it would copy through host memory instead and say
// nothing, is switched off, and a library where that can't be done is refused. Any thread; never closed nor unloaded, as
// the CUDA driver isn't.
class CuFile {
 public:
  // kUnsupported with the reason: no such library, a symbol that is missing, no nvidia-fs, compatibility mode.
  static Result<std::unique_ptr<CuFile>> Load(const std::string& library);

  // The process's: libcufile.so.0, or what TENSOR_CHECKPOINT_CUFILE_LIBRARY names. The first call loads it, on the
  // calling thread; all others get the same answer.
  static Result<const CuFile*> Shared();

  const CuFileFunctions& call() const { return functions_; }

  // Ok, or kCudaError with cuFile's own name for it, for errors of the driver with the driver's number. `function` must
  // be a literal; `what` completes "… failed".
  static Status Check(CUfileError result, const char* function, const std::string& what);
  // What cuFileRead or cuFileWrite gave: a negative number, and errno. kCudaError or, with a code from errno, as of any
  // other transfer.
  static Status TransferFailure(ssize_t result, int error, const char* function, const std::string& path, int64_t offset);
  // "CU_FILE_IO_NOT_SUPPORTED"; "cuFile error 5999" for one that has no name here.
  static std::string ErrorName(int code);

 private:
  CuFile() = default;
  CuFileFunctions functions_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_DEVICE_CUFILE_H_
