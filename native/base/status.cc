#include "base/status.h"

#include <cerrno>
#include <system_error>

namespace tensor_checkpoint {
namespace {

Code CodeOfErrno(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return Code::kNoSpace;
    case ENOENT:
      return Code::kNotFound;
    case ENOSYS:
    case EOPNOTSUPP:
      return Code::kUnsupported;
    case ECANCELED:
      return Code::kAborted;
    default:
      return Code::kIoError;
  }
}

std::string Describe(int error, const char* syscall, const std::string& path, int64_t offset) {
  std::string text = std::string(syscall) + " '" + path + "'";
  if (offset != Status::kNoOffset) text += " at offset " + std::to_string(offset);
  // generic_category() rather than strerror(): it is required to be safe from several threads.
  return text + " failed: " + std::generic_category().message(error) + " (" + ErrnoName(error) + ")";
}

}  // namespace

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kOk:
      return "OK";
    case Code::kInvalidArgument:
      return "INVALID_ARGUMENT";
    case Code::kNotFound:
      return "NOT_FOUND";
    case Code::kDataLoss:
      return "DATA_LOSS";
    case Code::kNoSpace:
      return "NO_SPACE";
    case Code::kIoError:
      return "IO_ERROR";
    case Code::kAborted:
      return "ABORTED";
    case Code::kDirectoryLocked:
      return "DIRECTORY_LOCKED";
    case Code::kUnsupported:
      return "UNSUPPORTED";
    case Code::kOutOfRange:
      return "OUT_OF_RANGE";
    case Code::kCudaUnavailable:
      return "CUDA_UNAVAILABLE";
    case Code::kCudaError:
      return "CUDA_ERROR";
  }
  return "IO_ERROR";
}

std::string ErrnoName(int error) {
  switch (error) {
// clang-format off
#define TENSOR_CHECKPOINT_ERRNO(name) case name: return #name;
    TENSOR_CHECKPOINT_ERRNO(EPERM)
    TENSOR_CHECKPOINT_ERRNO(ENOENT)
    TENSOR_CHECKPOINT_ERRNO(EINTR)
    TENSOR_CHECKPOINT_ERRNO(EIO)
    TENSOR_CHECKPOINT_ERRNO(ENXIO)
    TENSOR_CHECKPOINT_ERRNO(EBADF)
    TENSOR_CHECKPOINT_ERRNO(EAGAIN)
    TENSOR_CHECKPOINT_ERRNO(ENOMEM)
    TENSOR_CHECKPOINT_ERRNO(EACCES)
    TENSOR_CHECKPOINT_ERRNO(EFAULT)
    TENSOR_CHECKPOINT_ERRNO(EBUSY)
    TENSOR_CHECKPOINT_ERRNO(EEXIST)
    TENSOR_CHECKPOINT_ERRNO(EXDEV)
    TENSOR_CHECKPOINT_ERRNO(ENODEV)
    TENSOR_CHECKPOINT_ERRNO(ENOTDIR)
    TENSOR_CHECKPOINT_ERRNO(EISDIR)
    TENSOR_CHECKPOINT_ERRNO(EINVAL)
    TENSOR_CHECKPOINT_ERRNO(ENFILE)
    TENSOR_CHECKPOINT_ERRNO(EMFILE)
    TENSOR_CHECKPOINT_ERRNO(ETXTBSY)
    TENSOR_CHECKPOINT_ERRNO(EFBIG)
    TENSOR_CHECKPOINT_ERRNO(ENOSPC)
    TENSOR_CHECKPOINT_ERRNO(ESPIPE)
    TENSOR_CHECKPOINT_ERRNO(EROFS)
    TENSOR_CHECKPOINT_ERRNO(EMLINK)
    TENSOR_CHECKPOINT_ERRNO(EPIPE)
    TENSOR_CHECKPOINT_ERRNO(ENAMETOOLONG)
    TENSOR_CHECKPOINT_ERRNO(ENOLCK)
    TENSOR_CHECKPOINT_ERRNO(ENOSYS)
    TENSOR_CHECKPOINT_ERRNO(ENOTEMPTY)
    TENSOR_CHECKPOINT_ERRNO(ELOOP)
    TENSOR_CHECKPOINT_ERRNO(EOVERFLOW)
    TENSOR_CHECKPOINT_ERRNO(EOPNOTSUPP)
    TENSOR_CHECKPOINT_ERRNO(ETIMEDOUT)
    TENSOR_CHECKPOINT_ERRNO(EHOSTDOWN)
    TENSOR_CHECKPOINT_ERRNO(EHOSTUNREACH)
    TENSOR_CHECKPOINT_ERRNO(ESTALE)
    TENSOR_CHECKPOINT_ERRNO(EDQUOT)
    TENSOR_CHECKPOINT_ERRNO(ECANCELED)
#ifdef EREMOTEIO
    TENSOR_CHECKPOINT_ERRNO(EREMOTEIO)
    TENSOR_CHECKPOINT_ERRNO(EUCLEAN)
#endif
#undef TENSOR_CHECKPOINT_ERRNO
      // clang-format on
    default:
      return "errno " + std::to_string(error);
  }
}

Status::Status(Code code, std::string message, std::string path, int64_t offset)
    : detail_(std::make_shared<const Detail>(Detail{code, 0, "", std::move(path), offset, std::move(message), {}})) {
  assert(code != Code::kOk);
}

Status Status::FromErrno(int error, const char* syscall, std::string path, int64_t offset) {
  Status status;
  std::string message = Describe(error, syscall, path, offset);
  status.detail_ = std::make_shared<const Detail>(
      Detail{CodeOfErrno(error), error, syscall, std::move(path), offset, std::move(message), {}});
  return status;
}

Status Status::FromDriver(std::string name, const char* function, std::string message) {
  Status status;
  status.detail_ = std::make_shared<const Detail>(
      Detail{Code::kCudaError, 0, function, {}, kNoOffset, std::move(message), std::move(name)});
  return status;
}

std::string Status::error_name() const {
  if (detail_ == nullptr) return {};
  return detail_->error != 0 ? ErrnoName(detail_->error) : detail_->driver_error;
}

const std::string& Status::Empty() {
  static const std::string empty;
  return empty;
}

}  // namespace tensor_checkpoint
