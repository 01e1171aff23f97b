#ifndef TENSOR_CHECKPOINT_IO_FORWARDING_FILE_SYSTEM_H_
#define TENSOR_CHECKPOINT_IO_FORWARDING_FILE_SYSTEM_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/file_system.h"

namespace tensor_checkpoint {

// Passes everything on to another file system, which must outlive it. Each call is announced by name first, so that a
// subclass can record it or fail it: a status that is not ok is the outcome, and the call is not made.
class ForwardingFileSystem : public FileSystem {
 public:
  explicit ForwardingFileSystem(FileSystem& base) : base_(base) {}

  void Submit(const IoRequest& request, IoDone done) override {
    Status status = Before(NameOf(request.kind), request.file->path());
    if (!status.ok()) return done({std::move(status), 0});
    base_.Submit(request, std::move(done));
  }
  Result<std::unique_ptr<File>> Create(const std::string& path, bool direct) override {
    return Guard<std::unique_ptr<File>>("create", path, [&] { return base_.Create(path, direct); });
  }
  Result<std::unique_ptr<File>> Open(const std::string& path, bool direct) override {
    return Guard<std::unique_ptr<File>>("open", path, [&] { return base_.Open(path, direct); });
  }
  Result<uint64_t> Size(File& file) override { return base_.Size(file); }
  Status Preallocate(File& file, uint64_t size) override {
    Status status = Before("preallocate", file.path());
    return status.ok() ? base_.Preallocate(file, size) : status;
  }
  void StartWriteback(File& file, uint64_t offset, uint64_t bytes) override { base_.StartWriteback(file, offset, bytes); }
  void DropCache(File& file) override { base_.DropCache(file); }
  Status Rename(const std::string& from, const std::string& to) override {
    Status status = Before("rename", to);
    return status.ok() ? base_.Rename(from, to) : status;
  }
  Status Unlink(const std::string& path) override {
    Status status = Before("unlink", path);
    return status.ok() ? base_.Unlink(path) : status;
  }
  Status SyncDirectory(const std::string& path) override {
    Status status = Before("syncDirectory", path);
    return status.ok() ? base_.SyncDirectory(path) : status;
  }
  Status MakeDirectory(const std::string& path) override {
    Status status = Before("mkdir", path);
    return status.ok() ? base_.MakeDirectory(path) : status;
  }
  Result<std::vector<std::string>> ReadDirectory(const std::string& path) override { return base_.ReadDirectory(path); }
  Result<FileInfo> Stat(const std::string& path) override { return base_.Stat(path); }
  Result<std::unique_ptr<DirectoryLock>> LockDirectory(const std::string& path) override {
    return base_.LockDirectory(path);
  }

 protected:
  // Called by whatever thread makes the call.
  virtual Status Before(const char* operation, const std::string& path) = 0;

  static const char* NameOf(IoRequest::Kind kind) {
    return kind == IoRequest::Kind::kRead ? "read" : kind == IoRequest::Kind::kWrite ? "write" : "sync";
  }
  FileSystem& base_;

 private:
  template <typename T, typename Call>
  Result<T> Guard(const char* operation, const std::string& path, Call call) {
    Status status = Before(operation, path);
    if (!status.ok()) return status;
    return call();
  }
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_IO_FORWARDING_FILE_SYSTEM_H_
