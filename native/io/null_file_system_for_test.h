#ifndef TENSOR_CHECKPOINT_IO_NULL_FILE_SYSTEM_FOR_TEST_H_
#define TENSOR_CHECKPOINT_IO_NULL_FILE_SYSTEM_FOR_TEST_H_

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/file_system.h"

namespace tensor_checkpoint {

// Takes every byte at once and keeps none: for what everything but the disk costs. Files can be written, not read.
// Any thread.
class NullFileSystem : public FileSystem {
 public:
  void Submit(const IoRequest& request, IoDone done) override { done({Status::Ok(), request.bytes}); }
  Result<std::unique_ptr<File>> Create(const std::string& path, bool direct) override {
    return std::unique_ptr<File>(std::make_unique<NullFile>(path, direct));
  }
  Result<std::unique_ptr<File>> Open(const std::string& path, bool) override { return Missing("open", path); }
  Result<uint64_t> Size(File& file) override { return Missing("fstat", file.path()); }
  Status Preallocate(File&, uint64_t) override { return {}; }
  void StartWriteback(File&, uint64_t, uint64_t) override {}
  uint64_t CachedBytes(File&, uint64_t, uint64_t) override { return 0; }
  void DropCache(File&) override {}
  Status Rename(const std::string&, const std::string&) override { return {}; }
  Status Link(const std::string&, const std::string&) override { return {}; }
  Status Unlink(const std::string&) override { return {}; }
  Status SyncDirectory(const std::string&) override { return {}; }
  Status MakeDirectory(const std::string&) override { return {}; }
  Result<std::vector<std::string>> ReadDirectory(const std::string&) override { return std::vector<std::string>(); }
  Result<FileInfo> Stat(const std::string& path) override { return Missing("stat", path); }
  Result<std::unique_ptr<DirectoryLock>> LockDirectory(const std::string&) override {
    return std::make_unique<DirectoryLock>();
  }

 private:
  struct NullFile final : File {
    NullFile(std::string path, bool direct) : File(std::move(path), direct ? DirectAlignment{512, 4096} : DirectAlignment{}) {}
  };
  static Status Missing(const char* call, const std::string& path) { return Status::FromErrno(ENOENT, call, path); }
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_IO_NULL_FILE_SYSTEM_FOR_TEST_H_
