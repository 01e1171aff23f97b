#ifndef TENSOR_CHECKPOINT_DEVICE_CUFILE_TYPES_H_
#define TENSOR_CHECKPOINT_DEVICE_CUFILE_TYPES_H_

#include <sys/types.h>

#include <cstddef>

#include "device/cuda_types.h"

// What cuFile (GPUDirect Storage) passes around, declared here so that building needs no header of it. Only what this
// package uses; test/standin-cuda/cufile_abi_check.cc compares with cufile.h where there is one.
namespace tensor_checkpoint {

using CUfileHandle = void*;

// `err`: 0, or one of the codes from 5001 on; for CU_FILE_CUDA_DRIVER_ERROR `cu_err` is the driver's.
struct CUfileError {
  int err;
  CUresult cu_err;
};

inline constexpr int CU_FILE_CODES_BEGIN = 5000;
inline constexpr int CU_FILE_CUDA_DRIVER_ERROR = 5011;

inline constexpr int CU_FILE_HANDLE_TYPE_OPAQUE_FD = 1;
struct CUfileDescr {
  int type;
  union {
    int fd;
    void* handle;
  } handle;
  const void* fs_ops;
};

struct CUfileDrvProps {
  struct {
    unsigned major_version;
    unsigned minor_version;
    size_t poll_thresh_size;
    size_t max_direct_io_size;
    unsigned dstatusflags;
    unsigned dcontrolflags;
  } nvfs;
  unsigned fflags;
  unsigned max_device_cache_size;
  unsigned per_buffer_cache_size;
  unsigned max_device_pinned_mem_size;
  unsigned max_batch_io_size;
  unsigned max_batch_io_timeout_msecs;
  // Nothing of cuFile's: room for what a later library may have to say.
  unsigned char room[256];
};

// Bit of dcontrolflags: transfers may go through host memory without a word (compatibility mode).
inline constexpr unsigned CU_FILE_ALLOW_COMPAT_MODE = 1;

// cuFileSetParameterBool
inline constexpr int CUFILE_PARAM_PROPERTIES_ALLOW_COMPAT_MODE = 1;
inline constexpr int CUFILE_PARAM_FORCE_COMPAT_MODE = 2;

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_DEVICE_CUFILE_TYPES_H_
