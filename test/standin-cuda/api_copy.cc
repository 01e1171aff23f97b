#include <cstring>
#include <string>

#include "abi.h"
#include "call.h"
#include "stream.h"

// Copies. From and to pinned memory they happen later; with other host memory the call returns once it is done, as
// with the real driver.
using namespace standin;

namespace {

// A place on the device, or nullptr after a violation.
std::shared_ptr<Memory> OnDevice(Call& call, DevicePointer pointer, size_t bytes, const char* what) {
  const auto memory = call.state().memory.FindDevice(pointer);
  if (memory == nullptr) {
    (void)call.Violation(std::string(what) + " is not in device memory that is alive", kInvalidValue);
    return nullptr;
  }
  if (pointer - memory->address + bytes > memory->bytes) {
    (void)call.Violation(std::string(what) + " ends beyond its allocation", kInvalidValue);
    return nullptr;
  }
  if (memory->device != call.context()->device) {
    (void)call.Violation(std::string(what) + " is memory of another device than the current context's", kInvalidValue);
    return nullptr;
  }
  return memory;
}

Result Submit(Call& call, Stream* handle, Operation operation, bool wait) {
  State& state = call.state();
  const auto stream = StreamOf(state, handle, call.context());
  if (stream == nullptr) return call.Violation("no stream of the current context that is alive", kInvalidHandle);
  operation.is_copy = true;
  operation.fails = call.later();
  const Moment done = stream->Submit(state, std::move(operation));
  return wait ? Await(call.lock(), state, done, *call.context()) : kSuccess;
}

// A copy between the device and the host.
Result CopyHost(Call& call, DevicePointer pointer, void* host, size_t bytes, Stream* stream, bool to_host) {
  if (call.refused() != kSuccess) return call.refused();
  if (bytes == 0) return kSuccess;
  if (host == nullptr) return kInvalidValue;
  const auto memory = OnDevice(call, pointer, bytes, to_host ? "the source" : "the target");
  if (memory == nullptr) return kInvalidValue;
  Operation operation;
  operation.uses = {memory};
  operation.copied_bytes = bytes;
  const auto pinned = call.state().memory.FindHost(host);
  if (pinned != nullptr) {
    const auto start = static_cast<uint64_t>(static_cast<uint8_t*>(host) - pinned->host);
    if (start + bytes > pinned->bytes) {
      return call.Violation("the host memory is pinned only in its first part", kInvalidValue);
    }
    operation.uses.push_back(pinned);
  } else if (call.state().memory.TouchesHost(host, bytes)) {
    return call.Violation("the host memory is pinned only in a later part", kInvalidValue);
  }
  uint8_t* const device = memory->host + (pointer - memory->address);
  operation.run = [device, host, bytes, to_host] {
    std::memcpy(to_host ? host : device, to_host ? device : host, bytes);
  };
  return Submit(call, stream, std::move(operation), pinned == nullptr);
}

}  // namespace

STANDIN_CUDA_EXPORT Result cuMemcpyHtoDAsync_v2(DevicePointer to, const void* from, size_t bytes, Stream* stream) {
  Call call("cuMemcpyHtoDAsync_v2", Call::Needs::kContext);
  return CopyHost(call, to, const_cast<void*>(from), bytes, stream, false);
}

STANDIN_CUDA_EXPORT Result cuMemcpyDtoHAsync_v2(void* to, DevicePointer from, size_t bytes, Stream* stream) {
  Call call("cuMemcpyDtoHAsync_v2", Call::Needs::kContext);
  return CopyHost(call, from, to, bytes, stream, true);
}

STANDIN_CUDA_EXPORT Result cuMemsetD8Async(DevicePointer to, unsigned char value, size_t bytes, Stream* stream) {
  Call call("cuMemsetD8Async", Call::Needs::kContext);
  if (call.refused() != kSuccess) return call.refused();
  if (bytes == 0) return kSuccess;
  const auto target = OnDevice(call, to, bytes, "the target");
  if (target == nullptr) return kInvalidValue;
  Operation operation;
  operation.uses = {target};
  operation.run = [to = target->host + (to - target->address), value, bytes] { std::memset(to, value, bytes); };
  return Submit(call, stream, std::move(operation), false);
}

STANDIN_CUDA_EXPORT Result cuMemcpyDtoDAsync_v2(DevicePointer to, DevicePointer from, size_t bytes, Stream* stream) {
  Call call("cuMemcpyDtoDAsync_v2", Call::Needs::kContext);
  if (call.refused() != kSuccess) return call.refused();
  if (bytes == 0) return kSuccess;
  const auto target = OnDevice(call, to, bytes, "the target");
  const auto source = target == nullptr ? nullptr : OnDevice(call, from, bytes, "the source");
  if (source == nullptr) return kInvalidValue;
  Operation operation;
  operation.uses = {target, source};
  operation.copied_bytes = bytes;
  operation.run = [to = target->host + (to - target->address), from = source->host + (from - source->address), bytes] {
    std::memmove(to, from, bytes);
  };
  return Submit(call, stream, std::move(operation), false);
}
