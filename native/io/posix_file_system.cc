#include "io/posix_file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "io/cached_bytes.h"
#include "io/direct_alignment.h"

namespace tensor_checkpoint {
namespace {

// Retries a call whose only effect is on names or descriptors. Transfers and syncs are retried in transfer.cc.
template <typename Call>
auto Retry(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  // A failing close() loses nothing: what matters was synced before, and a failed sync was reported.
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

// Two descriptors of one file: O_DIRECT is a property of the descriptor, and a file's head and tail may not fit it.
class PosixFile final : public File {
 public:
  PosixFile(std::string path, Descriptor buffered, Descriptor direct, DirectAlignment alignment)
      : File(std::move(path), alignment), buffered_(std::move(buffered)), direct_(std::move(direct)) {}
  int fd(bool direct) const { return direct ? direct_.get() : buffered_.get(); }
  int direct_descriptor() const override { return direct_.get(); }

 private:
  const Descriptor buffered_;
  const Descriptor direct_;
};

class PosixDirectoryLock final : public DirectoryLock {
 public:
  explicit PosixDirectoryLock(Descriptor fd) : fd_(std::move(fd)) {}

 private:
  const Descriptor fd_;  // Closing it releases the lock.
};

int Fd(File& file, bool direct = false) { return static_cast<PosixFile&>(file).fd(direct); }

Status Failure(const char* syscall, const std::string& path) { return Status::FromErrno(errno, syscall, path); }

std::unique_ptr<File> MakeFile(const std::string& path, Descriptor buffered, int flags, bool want_direct) {
  DirectAlignment alignment;
  Descriptor direct(-1);
#ifdef O_DIRECT
  if (want_direct) {
    alignment = QueryDirectAlignment(buffered.get());
    if (alignment.possible()) {
      // EINVAL (and whatever else) means that this file system has no direct I/O after all.
      direct = Descriptor(Retry([&] { return open(path.c_str(), flags | O_DIRECT | O_CLOEXEC); }));
      if (direct.get() < 0) alignment = {};
    }
  }
#endif
  return std::make_unique<PosixFile>(path, std::move(buffered), std::move(direct), alignment);
}

IoResult Perform(const IoRequest& request) {
  const int fd = Fd(*request.file, request.direct);
  const auto offset = static_cast<off_t>(request.offset);
  ssize_t moved = 0;
  const char* call = "";
  switch (request.kind) {
    case IoRequest::Kind::kRead:
      call = "pread";
      moved = pread(fd, request.data, request.bytes, offset);
      break;
    case IoRequest::Kind::kWrite:
      call = "pwrite";
      moved = pwrite(fd, request.data, request.bytes, offset);
      break;
    case IoRequest::Kind::kSync:
      if (fdatasync(fd) < 0) return {Status::FromErrno(errno, "fdatasync", request.file->path()), 0};
      return {};
  }
  if (moved < 0) return {Status::FromErrno(errno, call, request.file->path(), static_cast<int64_t>(request.offset)), 0};
  return {Status::Ok(), static_cast<size_t>(moved)};
}

}  // namespace

int PosixFileSystem::FdOf(File& file, bool direct) { return Fd(file, direct); }

void PosixFileSystem::Submit(const IoRequest& request, IoDone done) {
  if (executor_ == nullptr || request.waited_for) return done(Perform(request));
  executor_->Run([request, done = std::move(done)] { done(Perform(request)); });
}

Result<std::unique_ptr<File>> PosixFileSystem::Create(const std::string& path, bool direct) {
  Descriptor fd(Retry([&] { return open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666); }));
  if (fd.get() < 0) return Failure("open", path);
  return MakeFile(path, std::move(fd), O_RDWR, direct);
}

Result<std::unique_ptr<File>> PosixFileSystem::Open(const std::string& path, bool direct) {
  // A pipe in a file's place must not be waited for; to files O_NONBLOCK means nothing.
  constexpr int kFlags = O_RDONLY | O_NONBLOCK;
  Descriptor fd(Retry([&] { return open(path.c_str(), kFlags | O_CLOEXEC); }));
  if (fd.get() < 0) return Failure("open", path);
  return MakeFile(path, std::move(fd), kFlags, direct);
}

Result<uint64_t> PosixFileSystem::Size(File& file) {
  struct stat info;
  if (fstat(Fd(file), &info) < 0) return Failure("fstat", file.path());
  // A directory can be opened for reading; its first read would fail with a less helpful EISDIR.
  if (S_ISDIR(info.st_mode)) return Status::FromErrno(EISDIR, "fstat", file.path());
  return static_cast<uint64_t>(info.st_size);
}

Status PosixFileSystem::Preallocate(File& file, uint64_t size) {
  if (size == 0) return Status::Ok();
  const auto length = static_cast<off_t>(size);
#ifdef __linux__
  // Not posix_fallocate(3): where the file system can't do it, that one writes zeros.
  if (Retry([&] { return fallocate(Fd(file), 0, 0, length); }) == 0) return Status::Ok();
  if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL) return Failure("fallocate", file.path());
#endif
  if (Retry([&] { return ftruncate(Fd(file), length); }) < 0) return Failure("ftruncate", file.path());
  return Status::Ok();
}

void PosixFileSystem::StartWriteback(File& file, uint64_t offset, uint64_t bytes) {
#ifdef __linux__
  sync_file_range(Fd(file), static_cast<off_t>(offset), static_cast<off_t>(bytes), SYNC_FILE_RANGE_WRITE);
#endif
}

uint64_t PosixFileSystem::CachedBytes(File& file, uint64_t offset, uint64_t bytes) {
  return tensor_checkpoint::CachedBytes(Fd(file), offset, bytes);
}

void PosixFileSystem::DropCache(File& file) { posix_fadvise(Fd(file), 0, 0, POSIX_FADV_DONTNEED); }

Status PosixFileSystem::Rename(const std::string& from, const std::string& to) {
  if (Retry([&] { return rename(from.c_str(), to.c_str()); }) < 0) return Failure("rename", from);
  return Status::Ok();
}

Status PosixFileSystem::Link(const std::string& from, const std::string& to) {
  if (Retry([&] { return link(from.c_str(), to.c_str()); }) < 0) return Failure("link", errno == ENOENT ? from : to);
  return Status::Ok();
}

Status PosixFileSystem::Unlink(const std::string& path) {
  if (Retry([&] { return unlink(path.c_str()); }) < 0) return Failure("unlink", path);
  return Status::Ok();
}

Status PosixFileSystem::SyncDirectory(const std::string& path) {
  Descriptor fd(Retry([&] { return open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (fd.get() < 0) return Failure("open", path);
  if (Retry([&] { return fsync(fd.get()); }) < 0) {
    // Some network file systems know no fsync of a directory; they make names durable with the call that changes them.
    if (errno == EINVAL || errno == EOPNOTSUPP) return Status::Ok();
    return Failure("fsync", path);
  }
  return Status::Ok();
}

Status PosixFileSystem::MakeDirectory(const std::string& path) {
  if (Retry([&] { return mkdir(path.c_str(), 0777); }) < 0) return Failure("mkdir", path);
  return Status::Ok();
}

Result<std::vector<std::string>> PosixFileSystem::ReadDirectory(const std::string& path) {
  std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(path.c_str()), closedir);
  if (directory == nullptr) return Failure("opendir", path);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(directory.get());
    if (entry == nullptr) {
      if (errno != 0) return Failure("readdir", path);
      break;
    }
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<FileInfo> PosixFileSystem::Stat(const std::string& path) {
  struct stat info;
  if (Retry([&] { return stat(path.c_str(), &info); }) < 0) return Failure("stat", path);
  FileInfo result;
  result.size = static_cast<uint64_t>(info.st_size);
  result.mtime_ms = static_cast<double>(info.st_mtim.tv_sec) * 1e3 + static_cast<double>(info.st_mtim.tv_nsec) / 1e6;
  result.is_directory = S_ISDIR(info.st_mode);
  return result;
}

Result<std::unique_ptr<DirectoryLock>> PosixFileSystem::LockDirectory(const std::string& path) {
  Descriptor fd(Retry([&] { return open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (fd.get() < 0) return Failure("open", path);
  if (Retry([&] { return flock(fd.get(), LOCK_EX | LOCK_NB); }) < 0) {
    if (errno == EWOULDBLOCK) {
      return Status(Code::kDirectoryLocked, "'" + path + "' is locked by another checkpoint manager", path);
    }
    if (errno == EINVAL || errno == ENOLCK || errno == EBADF) {
      return Status(Code::kUnsupported, "the file system of '" + path + "' can't lock a directory", path);
    }
    return Failure("flock", path);
  }
  return std::unique_ptr<DirectoryLock>(std::make_unique<PosixDirectoryLock>(std::move(fd)));
}

}  // namespace tensor_checkpoint
