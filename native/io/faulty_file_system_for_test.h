#ifndef TENSOR_CHECKPOINT_IO_FAULTY_FILE_SYSTEM_FOR_TEST_H_
#define TENSOR_CHECKPOINT_IO_FAULTY_FILE_SYSTEM_FOR_TEST_H_

#include <functional>
#include <optional>
#include <utility>

#include "io/recording_file_system_for_test.h"

namespace tensor_checkpoint {

// Lets a test fail or shorten any operation. Those that fail are recorded too, and don't reach the file system behind.
// What decides is set while no operation is under way.
class FaultyFileSystem final : public RecordingFileSystem {
 public:
  // errno to fail with, or nothing. Called for one operation at a time.
  using FaultOf = std::function<std::optional<int>(const FileOperation&)>;
  // How many of a transfer's bytes the system call takes at most. Called by any thread.
  using LimitOf = std::function<size_t(const FileOperation&)>;

  using RecordingFileSystem::RecordingFileSystem;

  void set_fault(FaultOf fault) { fault_ = std::move(fault); }
  void set_limit(LimitOf limit) { limit_ = std::move(limit); }

 protected:
  std::optional<int> Fault(const FileOperation& operation) override { return fault_ ? fault_(operation) : std::nullopt; }
  size_t Limit(const FileOperation& operation) override { return limit_ ? limit_(operation) : operation.bytes; }

 private:
  FaultOf fault_;
  LimitOf limit_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_IO_FAULTY_FILE_SYSTEM_FOR_TEST_H_
