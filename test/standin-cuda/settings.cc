#include "settings.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace standin {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace

Settings& Settings::Get() {
  static Settings* const settings = new Settings{
      static_cast<int>(FromEnvironment("STANDIN_CUDA_DEVICES", 1)),
      static_cast<int>(FromEnvironment("STANDIN_CUDA_VERSION", 12040)),
      FromEnvironment("STANDIN_CUDA_DEVICE_MEMORY", uint64_t{4} << 30),
      FromEnvironment("STANDIN_CUDA_LOCKED_LIMIT", UINT64_MAX),
      FromEnvironment("STANDIN_CUDA_COPY_MICROSECONDS", 20),
      FromEnvironment("STANDIN_CUDA_COPY_BYTES_PER_SECOND", 0),
  };
  static const bool known = [] {
    const char* const mode = std::getenv("STANDIN_CUFILE");
    if (mode == nullptr || settings->SetCuFileMode(mode)) return true;
    std::fprintf(stderr, "stand-in CUDA driver: there is no STANDIN_CUFILE=%s\n", mode);
    std::abort();
  }();
  (void)known;
  return *settings;
}

bool Settings::SetCuFileMode(const char* mode) {
  for (const char* literal : {"", "no-driver", "compat", "compat-in-use", "unsupported-file"}) {
    if (std::strcmp(literal, mode) != 0) continue;
    cufile_mode = literal;
    return true;
  }
  return false;
}

}  // namespace standin
