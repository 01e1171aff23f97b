#include <cstdio>
#include <cstring>
#include <string>

#include "abi.h"
#include "call.h"
#include "settings.h"

// The driver itself, and its devices.
using namespace standin;

namespace {

bool Exists(int device) { return device >= 0 && device < Settings::Get().devices; }

Result CopyText(const std::string& text, char* to, int length) {
  if (to == nullptr || length <= 0) return kInvalidValue;
  std::snprintf(to, static_cast<size_t>(length), "%s", text.c_str());
  return kSuccess;
}

}  // namespace

STANDIN_CUDA_EXPORT Result cuInit(unsigned flags) {
  Call call("cuInit", Call::Needs::kNothing);
  if (call.refused() != kSuccess) return call.refused();
  if (flags != 0) return kInvalidValue;
  const int devices = Settings::Get().devices;
  if (devices == 0) return kNoDevice;
  State& state = call.state();
  if (state.initialized) return kSuccess;
  state.contexts.resize(static_cast<size_t>(devices));
  for (int device = 0; device < devices; ++device) state.contexts[static_cast<size_t>(device)].device = device;
  state.initialized = true;
  return kSuccess;
}

STANDIN_CUDA_EXPORT Result cuDriverGetVersion(int* version) {
  Call call("cuDriverGetVersion", Call::Needs::kNothing);
  if (call.refused() != kSuccess) return call.refused();
  if (version == nullptr) return kInvalidValue;
  *version = Settings::Get().version;
  return kSuccess;
}

STANDIN_CUDA_EXPORT Result cuDeviceGetCount(int* count) {
  Call call("cuDeviceGetCount", Call::Needs::kDriver);
  if (call.refused() != kSuccess) return call.refused();
  if (count == nullptr) return kInvalidValue;
  *count = Settings::Get().devices;
  return kSuccess;
}

STANDIN_CUDA_EXPORT Result cuDeviceGet(Device* device, int ordinal) {
  Call call("cuDeviceGet", Call::Needs::kDriver);
  if (call.refused() != kSuccess) return call.refused();
  if (device == nullptr) return kInvalidValue;
  if (!Exists(ordinal)) return kInvalidDevice;
  *device = ordinal;
  return kSuccess;
}

STANDIN_CUDA_EXPORT Result cuDeviceGetName(char* name, int length, Device device) {
  Call call("cuDeviceGetName", Call::Needs::kDriver);
  if (call.refused() != kSuccess) return call.refused();
  if (!Exists(device)) return kInvalidDevice;
  return CopyText("Stand-in device", name, length);
}

STANDIN_CUDA_EXPORT Result cuDeviceTotalMem_v2(size_t* bytes, Device device) {
  Call call("cuDeviceTotalMem_v2", Call::Needs::kDriver);
  if (call.refused() != kSuccess) return call.refused();
  if (bytes == nullptr) return kInvalidValue;
  if (!Exists(device)) return kInvalidDevice;
  *bytes = Settings::Get().device_memory;
  return kSuccess;
}

STANDIN_CUDA_EXPORT Result cuDeviceGetPCIBusId(char* id, int length, Device device) {
  Call call("cuDeviceGetPCIBusId", Call::Needs::kDriver);
  if (call.refused() != kSuccess) return call.refused();
  if (!Exists(device)) return kInvalidDevice;
  char text[16];
  std::snprintf(text, sizeof text, "0000:%02X:00.0", static_cast<unsigned>(device + 1) & 0xFF);
  return CopyText(text, id, length);
}

STANDIN_CUDA_EXPORT Result cuDeviceGetAttribute(int* value, int attribute, Device device) {
  Call call("cuDeviceGetAttribute", Call::Needs::kDriver);
  if (call.refused() != kSuccess) return call.refused();
  if (value == nullptr) return kInvalidValue;
  if (!Exists(device)) return kInvalidDevice;
  switch (attribute) {
    case 16:  // MULTIPROCESSOR_COUNT
      *value = 4;
      return kSuccess;
    case 40:  // ASYNC_ENGINE_COUNT
      *value = 2;
      return kSuccess;
    case 41:  // UNIFIED_ADDRESSING
      *value = 1;
      return kSuccess;
    case 75:  // COMPUTE_CAPABILITY_MAJOR
      *value = 7;
      return kSuccess;
    case 76:  // COMPUTE_CAPABILITY_MINOR
      *value = 5;
      return kSuccess;
    default:
      // A guess would be worse than a refusal: add what the library needs.
      return call.Violation("attribute " + std::to_string(attribute) + " is not known to the stand-in", kInvalidValue);
  }
}
