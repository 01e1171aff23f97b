#ifndef TENSOR_CHECKPOINT_BASE_STATUS_H_
#define TENSOR_CHECKPOINT_BASE_STATUS_H_

#include <cassert>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace tensor_checkpoint {

// The codes of `NativeError` in src/native/contract.ts, and no others.
enum class Code : uint8_t {
  kOk,
  kInvalidArgument,
  kNotFound,
  kDataLoss,
  kNoSpace,
  kIoError,
  kAborted,
  kDirectoryLocked,
  kUnsupported,
  kOutOfRange,
  kCudaUnavailable,
  kCudaError,
};

// The code as the contract spells it, e.g. "NO_SPACE".
std::string_view CodeName(Code code);

// The symbol of an errno value, e.g. "ENOSPC"; "errno 1234" for one that has none here.
std::string ErrnoName(int error);

// The outcome of an operation. There are no exceptions in native/.
//
// Success is a null pointer. The details of a failure are immutable and shared, so that one failure can be handed to
// everyone who waits for it: copies are cheap and may be read by different threads at the same time. One Status object
// is, like any value, used by one thread at a time.
class [[nodiscard]] Status {
 public:
  static constexpr int64_t kNoOffset = -1;

  Status() = default;
  static Status Ok() { return Status(); }

  // A failure that no system call reported.
  Status(Code code, std::string message, std::string path = {}, int64_t offset = kNoOffset);

  // The one place where errno becomes a code. `syscall` must be a literal; `path` is the file that the call was about,
  // `offset` the position in it. The message is made of them.
  static Status FromErrno(int error, const char* syscall, std::string path, int64_t offset = kNoOffset);

  // A failure that a device driver reported, under the driver's own name for it, e.g. "CUDA_ERROR_OUT_OF_MEMORY".
  // `function` must be a literal. Always kCudaError.
  static Status FromDriver(std::string name, const char* function, std::string message);

  bool ok() const { return detail_ == nullptr; }
  Code code() const { return detail_ ? detail_->code : Code::kOk; }
  // 0: no system call failed.
  int error() const { return detail_ ? detail_->error : 0; }
  // The symbol of error(), or the driver's name for its failure; empty where there is neither.
  std::string error_name() const;
  // The system call or driver function that failed; empty where none did.
  std::string_view syscall() const { return detail_ ? std::string_view(detail_->syscall) : std::string_view(); }
  const std::string& path() const { return detail_ ? detail_->path : Empty(); }
  int64_t offset() const { return detail_ ? detail_->offset : kNoOffset; }
  const std::string& message() const { return detail_ ? detail_->message : Empty(); }

 private:
  struct Detail {
    Code code;
    int error;
    const char* syscall;
    std::string path;
    int64_t offset;
    std::string message;
    std::string driver_error;
  };

  static const std::string& Empty();

  std::shared_ptr<const Detail> detail_;
};

// A value or the reason why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<1>, std::move(value)) {}  // NOLINT: implicit, so that `return value;` works
  Result(Status failure) : state_(std::in_place_index<0>, std::move(failure)) {  // NOLINT: likewise
    assert(!std::get<0>(state_).ok());
  }

  bool ok() const { return state_.index() == 1; }
  Status status() const { return ok() ? Status() : std::get<0>(state_); }

  // Only where ok().
  T& value() & { return *std::get_if<1>(&state_); }
  const T& value() const& { return *std::get_if<1>(&state_); }
  T&& value() && { return std::move(*std::get_if<1>(&state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<Status, T> state_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BASE_STATUS_H_
