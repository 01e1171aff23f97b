#ifndef TENSOR_CHECKPOINT_IO_URING_FILE_SYSTEM_H_
#define TENSOR_CHECKPOINT_IO_URING_FILE_SYSTEM_H_

#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "io/posix_file_system.h"

namespace tensor_checkpoint {

class Uring;

// The operating system's file system, with direct transfers through one io_uring. One thread submits and completes
// them; it must not be held up, so whoever gets a completion hands real work on. Buffered transfers and syncs, which
// the kernel would only give to threads of its own, are blocking calls on `executor`, as are all other operations.
class UringFileSystem final : public PosixFileSystem {
 public:
  // nullptr: this process can't use io_uring. `executor` must outlive the file system and not be nullptr.
  static std::unique_ptr<UringFileSystem> Create(Executor* executor);
  // No request may be under way.
  ~UringFileSystem() override;

  void Submit(const IoRequest& request, IoDone done) override;

 private:
  struct Pending {
    IoRequest request;
    IoDone done;
  };

  explicit UringFileSystem(Executor* executor) : PosixFileSystem(executor) {}
  bool Start();
  void Work(Uring& ring);
  void PrepareAll(Uring& ring);
  void Complete(uint64_t tag, int32_t result);

  int wake_fd_ = -1;  // An eventfd; the ring thread always has a read of it under way.
  uint64_t wakes_ = 0;
  std::thread thread_;

  std::mutex mutex_;  // Guards what follows.
  std::vector<std::unique_ptr<Pending>> arrived_;
  bool ending_ = false;

  // The ring thread's own.
  std::vector<std::unique_ptr<Pending>> taken_;
  size_t next_ = 0;  // Of taken_: not prepared yet.
  bool wake_armed_ = false;
  size_t under_way_ = 0;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_IO_URING_FILE_SYSTEM_H_
