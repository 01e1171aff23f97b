#ifndef TENSOR_CHECKPOINT_IO_FAULTY_FILE_SYSTEM_H_
#define TENSOR_CHECKPOINT_IO_FAULTY_FILE_SYSTEM_H_

#include <atomic>
#include <functional>
#include <string>
#include <utility>

#include "io/forwarding_file_system.h"

namespace tensor_checkpoint {

// Lets one operation go wrong: the n-th (from 0) of a kind, as ForwardingFileSystem names them.
class FaultyFileSystem final : public ForwardingFileSystem {
 public:
  using ForwardingFileSystem::ForwardingFileSystem;

  void FailAt(std::string operation, int n, int error) {
    operation_ = std::move(operation);
    error_ = error;
    countdown_ = n;
  }
  // Every transfer moves at most so many bytes.
  void LimitTransfers(size_t bytes) { limit_ = bytes; }
  // Runs before each write, in place of a thread that would have to be timed.
  void OnWrite(std::function<void(const IoRequest&)> hook) { on_write_ = std::move(hook); }

  void Submit(const IoRequest& request, IoDone done) override {
    IoRequest shorter = request;
    if (request.kind != IoRequest::Kind::kSync && request.bytes > limit_) {
      shorter.bytes = limit_;
      if (request.direct && limit_ % request.file->direct().offset != 0) shorter.direct = false;
    }
    if (on_write_ && request.kind == IoRequest::Kind::kWrite) on_write_(request);
    ForwardingFileSystem::Submit(shorter, std::move(done));
  }

  bool failed() const { return failed_; }

 protected:
  Status Before(const char* operation, const std::string& path) override {
    if (operation_ != operation || countdown_.fetch_sub(1) != 0) return Status::Ok();
    failed_ = true;
    return Status::FromErrno(error_, "injected", path);
  }

 private:
  std::string operation_;
  int error_ = 0;
  std::atomic<int> countdown_ = -1;
  std::atomic<bool> failed_ = false;
  size_t limit_ = SIZE_MAX;
  std::function<void(const IoRequest&)> on_write_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_IO_FAULTY_FILE_SYSTEM_H_
