#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "abi.h"
#include "call.h"
#include "settings.h"

// cuFile (GPUDirect Storage) for the stand-in's device memory: a library of its own in reality, here one with the
// driver's. Its own bytes between file and memory are copied on the calling thread, as the real one's calls wait too.
#ifndef STANDIN_CUDA_OLD
using namespace standin;

namespace {

constexpr int kDriverNotInitialized = 5001;
constexpr int kIoNotSupported = 5008;
constexpr int kCudaDriverError = 5011;
constexpr int kPointerRangeError = 5014;
constexpr int kDirectIoNotSet = 5020;
constexpr int kInvalidFileValue = 5022;
constexpr int kAlreadyRegistered5023 = 5023;
constexpr int kNotRegistered5024 = 5024;
constexpr int kHandleNotRegistered = 5027;
constexpr int kHandleAlreadyRegistered = 5028;

constexpr int kParameterAllowCompat = 1;
constexpr unsigned kAllowCompatBit = 1u << 1;
constexpr size_t kUnit = 4096;

struct FileError {
  int code;
  int cuda;
};

// As cuFile's: 24 + 8 + 6 × 4 bytes, of which only this is filled in.
struct Properties {
  unsigned major, minor;
  size_t poll_threshold, most_direct;
  unsigned status, control;
  unsigned features, cache, per_buffer_cache, pinned, batch, batch_timeout;
};

struct Description {
  int type;
  union {
    int fd;
    void* handle;
  } handle;
  const void* operations;
};

// An injected error of ours is cuFile's from 5000 on, below an errno, and what CUDA's own calls fail with between.
FileError Refused(Result code) {
  if (code == kSuccess || code > 5000) return {code, 0};
  return {kCudaDriverError, code};
}

const char* Mode() { return Settings::Get().cufile_mode.load(); }
bool Is(const char* mode) { return std::strcmp(Mode(), mode) == 0; }

ssize_t Move(const char* function, bool reads, int* handle, uint64_t base, size_t bytes, off_t file_offset, off_t offset) {
  Call call(function, Call::Needs::kDriver);
  if (const Result code = call.refused(); code != kSuccess) {
    if (code > 5000) return -code;
    if (code > 133) return -kCudaDriverError;
    errno = code;
    return -1;
  }
  State& state = call.state();
  if (state.file_handles.count(handle) == 0) return -call.Violation("a file that is not registered", kHandleNotRegistered);
  const auto registered = state.file_buffers.find(base);
  const auto memory = state.memory.FindDevice(base);
  if (registered == state.file_buffers.end() || memory == nullptr) {
    return -call.Violation("memory that is not registered: it would pass a buffer of the library's", kNotRegistered5024);
  }
  if (offset < 0 || static_cast<size_t>(offset) + bytes > registered->second) {
    return -call.Violation("beyond the memory that is registered", kPointerRangeError);
  }
  if (file_offset % kUnit != 0 || offset % kUnit != 0 || bytes % kUnit != 0) {
    return -call.Violation("not aligned: it would pass a buffer of the library's", kInvalidFileValue);
  }
  if (memory->users > 0) return -call.Violation("memory that work under way uses", kInvalidFileValue);
  const int fd = *handle;
  const size_t most = std::min<size_t>(bytes, Settings::Get().cufile_most_bytes);
  uint8_t* const place = memory->host + (base - memory->address) + offset;
  ++memory->users;
  call.lock().unlock();
  // Direct I/O, but where a short transfer was asked for.
  const size_t room = (most + kUnit - 1) / kUnit * kUnit;
  std::unique_ptr<uint8_t, decltype(&std::free)> buffer(static_cast<uint8_t*>(std::aligned_alloc(kUnit, room)), &std::free);
  if (!reads) std::memcpy(buffer.get(), place, most);
  if (!reads && room > most) std::memset(buffer.get() + most, 0xCD, room - most);
  const ssize_t moved = reads ? pread(fd, buffer.get(), room, file_offset) : pwrite(fd, buffer.get(), room, file_offset);
  const int error = errno;
  const ssize_t result = std::min<ssize_t>(moved, static_cast<ssize_t>(most));
  if (reads && result > 0) std::memcpy(place, buffer.get(), static_cast<size_t>(result));
  call.lock().lock();
  --memory->users;
  errno = error;
  return result;
}

}  // namespace

STANDIN_CUDA_EXPORT long cuFileUseCount() { return Is("compat-in-use") ? 1 : 0; }

STANDIN_CUDA_EXPORT FileError cuFileSetParameterBool(int parameter, bool value) {
  Call call("cuFileSetParameterBool", Call::Needs::kNothing);
  if (call.refused() != kSuccess) return Refused(call.refused());
  if (parameter == kParameterAllowCompat && !value && Is("compat")) Settings::Get().cufile_mode = "";
  return {};
}

STANDIN_CUDA_EXPORT FileError cuFileDriverOpen() {
  Call call("cuFileDriverOpen", Call::Needs::kNothing);
  if (call.refused() != kSuccess) return Refused(call.refused());
  return {Is("no-driver") ? kDriverNotInitialized : 0, 0};
}

STANDIN_CUDA_EXPORT FileError cuFileDriverGetProperties(Properties* properties) {
  Call call("cuFileDriverGetProperties", Call::Needs::kNothing);
  if (call.refused() != kSuccess) return Refused(call.refused());
  *properties = {};
  properties->major = 2;
  if (std::strncmp(Mode(), "compat", 6) == 0) properties->control = kAllowCompatBit;
  return {};
}

STANDIN_CUDA_EXPORT FileError cuFileHandleRegister(int** handle, Description* description) {
  Call call("cuFileHandleRegister", Call::Needs::kDriver);
  if (call.refused() != kSuccess) return Refused(call.refused());
  if (Is("unsupported-file")) return {kIoNotSupported, 0};
  if (description->type != 1) return {call.Violation("a type of handle that is not a descriptor", kInvalidFileValue), 0};
  const int fd = description->handle.fd;
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || (flags & O_DIRECT) == 0) return {kDirectIoNotSet, 0};
  for (int* known : call.state().file_handles) {
    if (*known == fd) return {call.Violation("a file that is registered already", kHandleAlreadyRegistered), 0};
  }
  *handle = new int(fd);
  call.state().file_handles.insert(*handle);
  return {};
}

STANDIN_CUDA_EXPORT void cuFileHandleDeregister(int* handle) {
  Call call("cuFileHandleDeregister", Call::Needs::kDriver);
  if (call.state().file_handles.erase(handle) == 0) {
    (void)call.Violation("a file that is not registered", kHandleNotRegistered);
    return;
  }
  if (fcntl(*handle, F_GETFL) < 0) (void)call.Violation("the file was closed before", kInvalidFileValue);
  delete handle;
}

STANDIN_CUDA_EXPORT FileError cuFileBufRegister(const void* base, size_t bytes, int) {
  Call call("cuFileBufRegister", Call::Needs::kContext);
  if (call.refused() != kSuccess) return Refused(call.refused());
  const auto address = reinterpret_cast<uint64_t>(base);
  const auto memory = call.state().memory.FindDevice(address);
  if (memory == nullptr || address - memory->address + bytes > memory->bytes || memory->device != call.context()->device) {
    return {call.Violation("not in the memory of the current context's device", kPointerRangeError), 0};
  }
  if (!call.state().file_buffers.emplace(address, bytes).second) {
    return {call.Violation("memory that is registered already", kAlreadyRegistered5023), 0};
  }
  return {};
}

STANDIN_CUDA_EXPORT FileError cuFileBufDeregister(const void* base) {
  Call call("cuFileBufDeregister", Call::Needs::kContext);
  if (call.keeps()) return Refused(call.refused());
  const auto address = reinterpret_cast<uint64_t>(base);
  const auto memory = call.state().memory.FindDevice(address);
  if (memory != nullptr && memory->users > 0) return {call.Violation("memory that work under way uses", kInvalidFileValue), 0};
  if (call.state().file_buffers.erase(address) == 0) return {call.Violation("memory that is not registered", kNotRegistered5024), 0};
  return Refused(call.refused());
}

STANDIN_CUDA_EXPORT ssize_t cuFileRead(int* handle, void* base, size_t bytes, off_t file_offset, off_t offset) {
  return Move("cuFileRead", true, handle, reinterpret_cast<uint64_t>(base), bytes, file_offset, offset);
}

STANDIN_CUDA_EXPORT ssize_t cuFileWrite(int* handle, const void* base, size_t bytes, off_t file_offset, off_t offset) {
  return Move("cuFileWrite", false, handle, reinterpret_cast<uint64_t>(base), bytes, file_offset, offset);
}
#endif
