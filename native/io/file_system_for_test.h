#ifndef TENSOR_CHECKPOINT_IO_FILE_SYSTEM_FOR_TEST_H_
#define TENSOR_CHECKPOINT_IO_FILE_SYSTEM_FOR_TEST_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "io/file_system.h"

namespace tensor_checkpoint {

// A directory of its own for a test, removed at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = testing::TempDir() + "tensor-checkpoint-XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr) << name;
    path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// One call on the port, as ObservedFileSystem saw it. `call` is the name of the system call that it stands for.
struct FileOperation {
  std::string call;
  std::string path;
  uint64_t offset = 0;
  size_t bytes = 0;
  bool direct = false;

  bool operator==(const FileOperation&) const = default;
  std::string ToString() const { return call + " " + path; }
};

// Wraps a file system, records every operation that reaches it in order, and lets a test fail or shorten any of them.
// Operations that fail are recorded too, and don't reach the file system behind. May be called by any thread; the hooks
// are set before and are called one at a time.
class ObservedFileSystem final : public FileSystem {
 public:
  // errno to fail with, or nothing.
  using Fault = std::function<std::optional<int>(const FileOperation&)>;
  // How many of a transfer's bytes the system call takes at most.
  using Limit = std::function<size_t(const FileOperation&)>;

  explicit ObservedFileSystem(FileSystem* base) : base_(base) {}

  void set_fault(Fault fault) { fault_ = std::move(fault); }
  void set_limit(Limit limit) { limit_ = std::move(limit); }

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
    const FileOperation operation{call, request.file->path(), request.offset, request.bytes, request.direct};
    if (const auto error = Observe(operation)) {
      return done({Status::FromErrno(*error, call, operation.path, static_cast<int64_t>(operation.offset)), 0});
    }
    IoRequest limited = request;
    if (limit_ && request.kind != IoRequest::Kind::kSync) {
      limited.bytes = std::min(request.bytes, limit_(operation));
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
  void DropCache(File& file) override { base_->DropCache(file); }
  Status Rename(const std::string& from, const std::string& to) override {
    if (const auto error = Observe({.call = "rename", .path = from + " " + to})) return Fail(*error, "rename", from);
    return base_->Rename(from, to);
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

 private:
  static Status Fail(int error, const char* syscall, const std::string& path) {
    return Status::FromErrno(error, syscall, path);
  }

  std::optional<int> Observe(FileOperation operation) {
    std::lock_guard lock(mutex_);
    operations_.push_back(std::move(operation));
    return fault_ ? fault_(operations_.back()) : std::nullopt;
  }

  FileSystem* const base_;
  Fault fault_;
  Limit limit_;
  mutable std::mutex mutex_;
  std::vector<FileOperation> operations_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_IO_FILE_SYSTEM_FOR_TEST_H_
