#ifndef TENSOR_CHECKPOINT_IO_RECORDING_FILE_SYSTEM_H_
#define TENSOR_CHECKPOINT_IO_RECORDING_FILE_SYSTEM_H_

#include <mutex>
#include <string>
#include <vector>

#include "io/forwarding_file_system.h"

namespace tensor_checkpoint {

// Writes down, in order, what changes files and names: "create d/x", "write d/x", "sync d/x", "rename d/y", … For tests
// of the commit protocol. Repetitions in a row are written down once.
class RecordingFileSystem final : public ForwardingFileSystem {
 public:
  using ForwardingFileSystem::ForwardingFileSystem;

  std::vector<std::string> operations() const {
    std::lock_guard lock(mutex_);
    return operations_;
  }

 protected:
  Status Before(const char* operation, const std::string& path) override {
    std::lock_guard lock(mutex_);
    std::string line = std::string(operation) + " " + path.substr(path.rfind('/') + 1);
    if (operations_.empty() || operations_.back() != line) operations_.push_back(std::move(line));
    return Status::Ok();
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> operations_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_IO_RECORDING_FILE_SYSTEM_H_
