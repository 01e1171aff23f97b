#include <string>

#include "abi.h"
#include "call.h"
#include "settings.h"

// Memory of devices, pinned host memory, and what a pointer points to.
using namespace standin;

STANDIN_CUDA_EXPORT Result cuMemAlloc_v2(DevicePointer* pointer, size_t bytes) {
  Call call("cuMemAlloc_v2", Call::Needs::kContext);
  if (call.refused() != kSuccess) return call.refused();
  if (pointer == nullptr || bytes == 0) return kInvalidValue;
  const auto memory = call.state().memory.AllocateDevice(call.context()->device, bytes);
  if (memory == nullptr) return kOutOfMemory;
  *pointer = memory->address;
  return kSuccess;
}

STANDIN_CUDA_EXPORT Result cuMemFree_v2(DevicePointer pointer) {
  Call call("cuMemFree_v2", Call::Needs::kContext);
  if (call.keeps()) return call.refused();
  if (pointer == 0) return call.refused();
  const auto memory = call.state().memory.FindDevice(pointer);
  if (memory == nullptr || memory->address != pointer) {
    return call.Violation("not the start of an allocation that is alive", kInvalidValue);
  }
  if (memory->device != call.context()->device) return call.Violation("memory of another device", kInvalidValue);
  if (call.state().file_buffers.count(pointer) > 0) return call.Violation("memory that cuFile still knows", kInvalidValue);
  // The real driver waits here, and stalls whoever calls it; the work behind it then fails.
  if (memory->users > 0) return call.Violation("memory that work under way uses", kInvalidValue);
  call.state().memory.Remove(*memory);
  return call.refused();
}

STANDIN_CUDA_EXPORT Result cuMemGetInfo_v2(size_t* available, size_t* total) {
  Call call("cuMemGetInfo_v2", Call::Needs::kContext);
  if (call.refused() != kSuccess) return call.refused();
  if (available == nullptr || total == nullptr) return kInvalidValue;
  *total = Settings::Get().device_memory;
  *available = *total - call.state().memory.used(call.context()->device);
  return kSuccess;
}

STANDIN_CUDA_EXPORT Result cuMemHostAlloc(void** memory, size_t bytes, unsigned flags) {
  Call call("cuMemHostAlloc", Call::Needs::kContext);
  if (call.refused() != kSuccess) return call.refused();
  if (memory == nullptr || bytes == 0 || flags > 7) return kInvalidValue;
  const auto allocated = call.state().memory.AllocateHost(bytes);
  if (allocated == nullptr) return kOutOfMemory;
  *memory = allocated->host;
  return kSuccess;
}

STANDIN_CUDA_EXPORT Result cuMemFreeHost(void* address) {
  Call call("cuMemFreeHost", Call::Needs::kContext);
  if (call.keeps()) return call.refused();
  const auto memory = call.state().memory.FindHost(address);
  if (memory == nullptr || memory->host != address || memory->registered) {
    return call.Violation("not memory of cuMemHostAlloc", kInvalidValue);
  }
  if (memory->users > 0) return call.Violation("memory that a copy under way uses", kInvalidValue);
  call.state().memory.Remove(*memory);
  return call.refused();
}

STANDIN_CUDA_EXPORT Result cuMemHostRegister_v2(void* address, size_t bytes, unsigned flags) {
  Call call("cuMemHostRegister_v2", Call::Needs::kContext);
  if (call.refused() != kSuccess) return call.refused();
  if (address == nullptr || bytes == 0 || flags > 15) return kInvalidValue;
  Result code = kSuccess;
  (void)call.state().memory.Register(address, bytes, code);
  return code;
}

STANDIN_CUDA_EXPORT Result cuMemHostUnregister(void* address) {
  Call call("cuMemHostUnregister", Call::Needs::kContext);
  if (call.keeps()) return call.refused();
  const auto memory = call.state().memory.FindHost(address);
  if (memory == nullptr || memory->host != address || !memory->registered) return kNotRegistered;
  if (memory->users > 0) return call.Violation("memory that a copy under way uses", kInvalidValue);
  call.state().memory.Remove(*memory);
  return call.refused();
}

STANDIN_CUDA_EXPORT Result cuPointerGetAttributes(unsigned count, int* attributes, void** data, DevicePointer pointer) {
  Call call("cuPointerGetAttributes", Call::Needs::kDriver);
  if (call.refused() != kSuccess) return call.refused();
  if (attributes == nullptr || data == nullptr) return kInvalidValue;
  State& state = call.state();
  auto memory = state.memory.FindDevice(pointer);
  if (memory == nullptr) memory = state.memory.FindHost(reinterpret_cast<void*>(pointer));
  const bool on_device = memory != nullptr && memory->device >= 0;
  for (unsigned i = 0; i < count; ++i) {
    // Of a pointer that CUDA does not know the driver says zeros, and success.
    switch (attributes[i]) {
      case kContext:
        *static_cast<Context**>(data[i]) = on_device ? &state.contexts[static_cast<size_t>(memory->device)] : nullptr;
        break;
      case kMemoryType:
        *static_cast<unsigned*>(data[i]) = memory == nullptr ? 0 : on_device ? kMemoryTypeDevice : kMemoryTypeHost;
        break;
      case kDevicePointer:
        *static_cast<DevicePointer*>(data[i]) = memory == nullptr ? 0 : pointer;
        break;
      case kHostPointer:
        *static_cast<void**>(data[i]) = memory == nullptr || on_device ? nullptr : reinterpret_cast<void*>(pointer);
        break;
      case kIsManaged:
        *static_cast<unsigned*>(data[i]) = 0;
        break;
      case kDeviceOrdinal:
        *static_cast<int*>(data[i]) = on_device ? memory->device : memory == nullptr ? -2 : 0;
        break;
      case kRangeStart:
        *static_cast<DevicePointer*>(data[i]) = memory == nullptr ? 0 : memory->address;
        break;
      case kRangeSize:
        *static_cast<size_t*>(data[i]) = memory == nullptr ? 0 : memory->bytes;
        break;
      default:
        return call.Violation("pointer attribute " + std::to_string(attributes[i]) + " is not known to the stand-in",
                              kInvalidValue);
    }
  }
  return kSuccess;
}
