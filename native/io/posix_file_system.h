#ifndef TENSOR_CHECKPOINT_IO_POSIX_FILE_SYSTEM_H_
#define TENSOR_CHECKPOINT_IO_POSIX_FILE_SYSTEM_H_

#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "io/file_system.h"

namespace tensor_checkpoint {

// The operating system's file system. Requests run as blocking calls on `executor`, which must outlive it; nullptr: on
// the thread that submits them.
class PosixFileSystem : public FileSystem {
 public:
  explicit PosixFileSystem(Executor* executor) : executor_(executor) {}

  void Submit(const IoRequest& request, IoDone done) override;
  Result<std::unique_ptr<File>> Create(const std::string& path, bool direct) override;
  Result<std::unique_ptr<File>> Open(const std::string& path, bool direct) override;
  Result<uint64_t> Size(File& file) override;
  Status Preallocate(File& file, uint64_t size) override;
  void StartWriteback(File& file, uint64_t offset, uint64_t bytes) override;
  uint64_t CachedBytes(File& file, uint64_t offset, uint64_t bytes) override;
  void DropCache(File& file) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Link(const std::string& from, const std::string& to) override;
  Status Unlink(const std::string& path) override;
  Status SyncDirectory(const std::string& path) override;
  Status MakeDirectory(const std::string& path) override;
  Result<std::vector<std::string>> ReadDirectory(const std::string& path) override;
  Result<FileInfo> Stat(const std::string& path) override;
  Result<std::unique_ptr<DirectoryLock>> LockDirectory(const std::string& path) override;

 protected:
  // Of a file that this file system has opened.
  static int FdOf(File& file, bool direct);

 private:
  Executor* const executor_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_IO_POSIX_FILE_SYSTEM_H_
