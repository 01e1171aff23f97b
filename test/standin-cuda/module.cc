#include "module.h"

#include <cstdio>
#include <cstdlib>

namespace standin {

Result CheckPtx(const std::string& ptx) {
  const size_t version = ptx.find(".version ");
  const size_t target = ptx.find(".target sm_");
  if (version == std::string::npos || target == std::string::npos || target < version) return kInvalidPtx;
  int major = 0;
  int minor = 0;
  if (std::sscanf(ptx.c_str() + version, ".version %d.%d", &major, &minor) != 2) return kInvalidPtx;
  // CUDA 11.8, as old a driver as is still in use.
  if (major > 7 || (major == 7 && minor > 8)) return kUnsupportedPtxVersion;
  return std::atoi(ptx.c_str() + target + 11) > 75 ? kInvalidPtx : kSuccess;
}

}  // namespace standin
