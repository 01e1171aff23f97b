#ifndef STANDIN_CUDA_ABI_H_
#define STANDIN_CUDA_ABI_H_

#include <cstddef>
#include <cstdint>

// The driver API's binary interface as far as the stand-in has it. Declared apart from native/device on purpose: two
// declarations that were made independently don't share a mistake (abi_check.cc compares with cuda.h where there is one).
namespace standin {

using Result = int;
using Device = int;
using DevicePointer = unsigned long long;
using HostFunction = void (*)(void*);

inline constexpr Result kSuccess = 0;
inline constexpr Result kInvalidValue = 1;
inline constexpr Result kOutOfMemory = 2;
inline constexpr Result kNotInitialized = 3;
inline constexpr Result kNoDevice = 100;
inline constexpr Result kInvalidDevice = 101;
inline constexpr Result kInvalidContext = 201;
inline constexpr Result kInvalidPtx = 218;
inline constexpr Result kUnsupportedPtxVersion = 222;
inline constexpr Result kInvalidHandle = 400;
inline constexpr Result kNotFound = 500;
inline constexpr Result kNotReady = 600;
inline constexpr Result kAlreadyRegistered = 712;
inline constexpr Result kNotRegistered = 713;
inline constexpr Result kNotPermitted = 800;

inline constexpr unsigned kStreamNonBlocking = 1;
inline constexpr unsigned kMemoryTypeHost = 1;
inline constexpr unsigned kMemoryTypeDevice = 2;

enum PointerAttribute {
  kContext = 1,
  kMemoryType = 2,
  kDevicePointer = 3,
  kHostPointer = 4,
  kIsManaged = 8,
  kDeviceOrdinal = 9,
  kRangeStart = 11,
  kRangeSize = 12,
};

struct Context;
struct Stream;
struct Event;
struct Module;
struct Function;

}  // namespace standin

// What a driver exports; all else in the library is hidden.
#define STANDIN_CUDA_EXPORT extern "C" __attribute__((visibility("default")))

#endif  // STANDIN_CUDA_ABI_H_
