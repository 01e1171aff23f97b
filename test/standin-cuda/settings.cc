#include "settings.h"

#include <cstdlib>

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
  return *settings;
}

}  // namespace standin
