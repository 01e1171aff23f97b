#ifndef TENSOR_CHECKPOINT_IO_FILE_SYSTEM_H_
#define TENSOR_CHECKPOINT_IO_FILE_SYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace tensor_checkpoint {

// What a file asks of direct I/O: file offset and length are multiples of `offset`, the address is one of `memory`.
struct DirectAlignment {
  uint32_t memory = 0;
  uint32_t offset = 0;  // 0: no direct I/O for this file.
  bool possible() const { return offset != 0; }
};

// An open file, closed by its destructor. Made by a FileSystem and used only with it; requests on it may be under way
// in any number at once, and it must outlive them.
class File {
 public:
  virtual ~File() = default;
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const std::string& path() const { return path_; }
  DirectAlignment direct() const { return direct_; }
  // The system's own descriptor for direct I/O, for transfers that don't pass this port because their memory is not the
  // host's (cuFile); −1: there is none.
  virtual int direct_descriptor() const { return -1; }

 protected:
  File(std::string path, DirectAlignment direct) : path_(std::move(path)), direct_(direct) {}

 private:
  const std::string path_;
  const DirectAlignment direct_;
};

struct IoRequest {
  enum class Kind : uint8_t { kRead, kWrite, kSync };
  Kind kind;
  // Past the page cache; offset, bytes and data must be aligned as the file asks.
  bool direct = false;
  // The thread that submits has nothing else to do until it is done, so it may as well make the call itself.
  bool waited_for = false;
  File* file = nullptr;
  uint8_t* data = nullptr;
  size_t bytes = 0;
  uint64_t offset = 0;
};

// What one system call gave. `bytes` may be less than asked for, and a read of 0 is the end of the file; the status may
// be EINTR. Transfer() in transfer.h makes whole transfers of these, so that nobody else has to.
struct IoResult {
  Status status;
  size_t bytes = 0;
};
using IoDone = std::function<void(IoResult)>;

struct FileInfo {
  uint64_t size = 0;
  double mtime_ms = 0;
  bool is_directory = false;
};

// Released by its destructor.
class DirectoryLock {
 public:
  virtual ~DirectoryLock() = default;
};

// The port through which every file operation of this package goes, so that faults can be injected and the order of
// operations recorded in one place, and so that threads, io_uring or cuFile can stand behind it.
//
// Bytes move by submission and completion; names and metadata are synchronous calls, made on threads that may block.
// All methods may be called by any thread. Paths are UTF-8; failures carry errno, the call and the path.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // Takes the request and calls `done` exactly once, on whatever thread completes it, perhaps before Submit returns.
  virtual void Submit(const IoRequest& request, IoDone done) = 0;

  // Creates a file that doesn't exist yet (O_EXCL). With `direct`, file->direct() tells what direct I/O asks for, if
  // the file system has it.
  virtual Result<std::unique_ptr<File>> Create(const std::string& path, bool direct) = 0;
  virtual Result<std::unique_ptr<File>> Open(const std::string& path, bool direct) = 0;
  // The size of an open file.
  virtual Result<uint64_t> Size(File& file) = 0;
  // Gives a new file its final size, with space set aside for it where the file system can do that.
  virtual Status Preallocate(File& file, uint64_t size) = 0;
  // Starts writing dirty pages of this range back, and waits for nothing. Best effort.
  virtual void StartWriteback(File& file, uint64_t offset, uint64_t bytes) = 0;
  // How many bytes of the range lie in the page cache, in whole pages; 0 where the system doesn't tell.
  virtual uint64_t CachedBytes(File& file, uint64_t offset, uint64_t bytes) = 0;
  // The cached pages of the file won't be needed again. Best effort.
  virtual void DropCache(File& file) = 0;

  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  // A second name for the same file, on the same file system. A Status with errno EEXIST where `to` exists.
  virtual Status Link(const std::string& from, const std::string& to) = 0;
  virtual Status Unlink(const std::string& path) = 0;
  // Makes names created, renamed and removed in the directory durable.
  virtual Status SyncDirectory(const std::string& path) = 0;
  // kNotFound where the parent is missing; a Status with errno EEXIST where it exists.
  virtual Status MakeDirectory(const std::string& path) = 0;
  // Without "." and "..", sorted.
  virtual Result<std::vector<std::string>> ReadDirectory(const std::string& path) = 0;
  virtual Result<FileInfo> Stat(const std::string& path) = 0;
  // An exclusive lock on the directory itself, which ends with the process. kDirectoryLocked where another holds it.
  virtual Result<std::unique_ptr<DirectoryLock>> LockDirectory(const std::string& path) = 0;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_IO_FILE_SYSTEM_H_
