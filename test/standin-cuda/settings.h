#ifndef STANDIN_CUDA_SETTINGS_H_
#define STANDIN_CUDA_SETTINGS_H_

#include <atomic>
#include <cstdint>

namespace standin {

// What the environment says, read once, when the library is first used. Tests change some of it through control.h.
struct Settings {
  int devices;
  int version;
  uint64_t device_memory;
  std::atomic<uint64_t> locked_limit;
  std::atomic<uint64_t> copy_microseconds;
  std::atomic<uint64_t> copy_bytes_per_second;  // 0: unlimited.
  std::atomic<const char*> cufile_mode{""};     // See README.md; one of a few literals.
  std::atomic<uint64_t> cufile_most_bytes{UINT64_MAX};

  static Settings& Get();
  // false: there is no such mode.
  bool SetCuFileMode(const char* mode);
};

}  // namespace standin

#endif  // STANDIN_CUDA_SETTINGS_H_
