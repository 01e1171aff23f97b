#ifndef TENSOR_CHECKPOINT_IO_RECORDING_FILE_SYSTEM_FOR_TEST_H_
#define TENSOR_CHECKPOINT_IO_RECORDING_FILE_SYSTEM_FOR_TEST_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "io/file_system.h"

namespace tensor_checkpoint {

// One call on the port. `call` is the name of the system call that it stands for.
struct FileOperation {
  std::string call;
  std::string path;
  uint64_t offset = 0;
  size_t bytes = 0;
  bool direct = false;
  // The memory of a transfer, valid during the call only.
  uint8_t* data = nullptr;

  std::string ToString() const { return call + " " + path; }
};

// Wraps a file system, which must outlive it, and records every operation that reaches it, in order. May be called by
// any thread. FaultyFileSystem decides in the hooks what becomes of an operation.
class RecordingFileSystem : public FileSystem {
 public:
  explicit RecordingFileSystem(FileSystem* base) : base_(base) {}

  std::vector<FileOperation> operations() const {
    std::lock_guard lock(mutex_);
    return operations_;
  }
  size_t Count(const std::string& call) const {
    const auto all = operations();
    return static_cast<size_t>(
        std::count_if(all.begin(), all.end(), [&](const FileOperation& operation) { return operation.call == call; }));
  }

  void Submit(const IoRequest& request, IoDone done) override {
    const char* const call = request.kind == IoRequest::Kind::kRead    ? "pread"
                             : request.kind == IoRequest::Kind::kWrite ? "pwrite"
                                                                       : "fdatasync";
    const FileOperation operation{call,          request.file->path(), request.offset,
                                  request.bytes, request.direct,       request.data};
    if (const auto error = Observe(operation)) {
      return done({Status::FromErrno(*error, call, operation.path, static_cast<int64_t>(operation.offset)), 0});
    }
    IoRequest limited = request;
    if (request.kind != IoRequest::Kind::kSync) {
      limited.bytes = std::min(request.bytes, Limit(operation));
      // A direct call that stops in the middle of a sector can't be asked for; it is made buffered behind the scenes.
      const uint32_t unit = request.file->direct().offset;
      if (limited.direct && (unit == 0 || limited.bytes % unit != 0)) limited.direct = false;
    }
    base_->Submit(limited, std::move(done));
  }
  Result<std::unique_ptr<File>> Create(const std::string& path, bool direct) override {
    if (const auto error = Observe({.call = "create", .path = path, .direct = direct})) return Fail(*error, "open", path);
    return base_->Create(path, direct);
  }
  Result<std::unique_ptr<File>> Open(const std::string& path, bool direct) override {
    if (const auto error = Observe({.call = "open", .path = path, .direct = direct})) return Fail(*error, "open", path);
    return base_->Open(path, direct);
  }
  Result<uint64_t> Size(File& file) override {
    if (const auto error = Observe({.call = "fstat", .path = file.path()})) return Fail(*error, "fstat", file.path());
    return base_->Size(file);
  }
  Status Preallocate(File& file, uint64_t size) override {
    if (const auto error = Observe({.call = "fallocate", .path = file.path(), .offset = size})) {
      return Fail(*error, "fallocate", file.path());
    }
    return base_->Preallocate(file, size);
  }
  void StartWriteback(File& file, uint64_t offset, uint64_t bytes) override { base_->StartWriteback(file, offset, bytes); }
  uint64_t CachedBytes(File& file, uint64_t offset, uint64_t bytes) override {
    return base_->CachedBytes(file, offset, bytes);
  }
  void DropCache(File& file) override { base_->DropCache(file); }
  Status Rename(const std::string& from, const std::string& to) override {
    if (const auto error = Observe({.call = "rename", .path = from + " " + to})) return Fail(*error, "rename", from);
    return base_->Rename(from, to);
  }
  Status Link(const std::string& from, const std::string& to) override {
    if (const auto error = Observe({.call = "link", .path = from + " " + to})) return Fail(*error, "link", to);
    return base_->Link(from, to);
  }
  Status Unlink(const std::string& path) override {
    if (const auto error = Observe({.call = "unlink", .path = path})) return Fail(*error, "unlink", path);
    return base_->Unlink(path);
  }
  Status SyncDirectory(const std::string& path) override {
    if (const auto error = Observe({.call = "fsync", .path = path})) return Fail(*error, "fsync", path);
    return base_->SyncDirectory(path);
  }
  Status MakeDirectory(const std::string& path) override {
    if (const auto error = Observe({.call = "mkdir", .path = path})) return Fail(*error, "mkdir", path);
    return base_->MakeDirectory(path);
  }
  Result<std::vector<std::string>> ReadDirectory(const std::string& path) override {
    if (const auto error = Observe({.call = "readdir", .path = path})) return Fail(*error, "readdir", path);
    return base_->ReadDirectory(path);
  }
  Result<FileInfo> Stat(const std::string& path) override {
    if (const auto error = Observe({.call = "stat", .path = path})) return Fail(*error, "stat", path);
    return base_->Stat(path);
  }
  Result<std::unique_ptr<DirectoryLock>> LockDirectory(const std::string& path) override {
    if (const auto error = Observe({.call = "flock", .path = path})) return Fail(*error, "flock", path);
    return base_->LockDirectory(path);
  }

 protected:
  // errno to fail with in place of the call, or nothing. Called for one operation at a time.
  virtual std::optional<int> Fault(const FileOperation&) { return std::nullopt; }
  // How many of a transfer's bytes the system call takes at most.
  virtual size_t Limit(const FileOperation& operation) { return operation.bytes; }

 private:
  static Status Fail(int error, const char* syscall, const std::string& path) {
    return Status::FromErrno(error, syscall, path);
  }

  std::optional<int> Observe(FileOperation operation) {
    std::lock_guard lock(mutex_);
    operations_.push_back(std::move(operation));
    return Fault(operations_.back());
  }

  FileSystem* const base_;
  mutable std::mutex mutex_;
  std::vector<FileOperation> operations_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_IO_RECORDING_FILE_SYSTEM_FOR_TEST_H_
