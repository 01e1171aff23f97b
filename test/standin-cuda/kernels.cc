#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "kernel_shim.h"
// The kernel itself.
#include "device/crc32c_kernel.cu"
#include "module.h"
#include "violations.h"

namespace standin {
namespace {

using tensor_checkpoint::Crc32cKernel;

// The memory of the launch at work on this thread.
thread_local const std::vector<std::shared_ptr<Memory>>* in_use = nullptr;

const uint8_t* InUse(uint64_t address, unsigned bytes) {
  for (const auto& memory : *in_use) {
    // Aligned loads may reach over the ends of a range, never over those of what the device maps, but nothing here needs it.
    if (address >= memory->address && address - memory->address + bytes <= memory->bytes) {
      return memory->host + (address - memory->address);
    }
  }
  Violate("a kernel reads beyond the memory that it was given");
  static const uint8_t zeros[16] = {};
  return zeros;
}

// `bytes` of the device's memory at `address`, or nullptr.
uint8_t* Use(State& state, int device, uint64_t address, size_t bytes, Operation& operation) {
  const auto memory = state.memory.FindDevice(address);
  if (memory == nullptr || memory->device != device || address - memory->address + bytes > memory->bytes) return nullptr;
  operation.uses.push_back(memory);
  return memory->host + (address - memory->address);
}

template <typename T>
T Parameter(const Launch& launch, int index) {
  T value;
  std::memcpy(&value, launch.parameters[index], sizeof value);
  return value;
}

bool PrepareCrc32c(State& state, int device, const Launch& launch, Operation& operation, std::string& problem) {
  const auto ranges = Parameter<unsigned>(launch, 4);
  const auto array = [&](int index, size_t bytes) {
    return Use(state, device, Parameter<uint64_t>(launch, index), bytes, operation);
  };
  const auto* const addresses = reinterpret_cast<unsigned long long*>(array(0, ranges * 8ull));
  const auto* const bytes = reinterpret_cast<unsigned long long*>(array(1, ranges * 8ull));
  const auto* const first_tile = reinterpret_cast<unsigned long long*>(array(2, ranges * 8ull + 8));
  auto* const crc = reinterpret_cast<unsigned*>(array(3, ranges * 4ull));
  if (addresses == nullptr || bytes == nullptr || first_tile == nullptr || crc == nullptr) {
    problem = "a parameter does not point to enough device memory";
    return false;
  }
  // The arrays may come by a copy that is still under way: what they name is looked up when the kernel runs.
  operation.run = [&state, device, ranges, addresses, bytes, first_tile, crc, grid = launch.grid] {
    Operation named;
    {
      std::lock_guard lock(state.mutex);
      for (unsigned i = 0; i < ranges; ++i) {
        if (bytes[i] > 0 && Use(state, device, addresses[i], bytes[i], named) == nullptr) {
          Violate("cuLaunchKernel: range " + std::to_string(i) + " is not in the device's memory");
          return;
        }
      }
      for (const auto& memory : named.uses) ++memory->users;
    }
    in_use = &named.uses;
    translate = InUse;
    gridDim.x = grid;
    for (blockIdx.x = 0; blockIdx.x < grid; ++blockIdx.x) {
      tensor_checkpoint_crc32c(addresses, bytes, first_tile, crc, ranges);
    }
    std::lock_guard lock(state.mutex);
    for (const auto& memory : named.uses) --memory->users;
  };
  return true;
}

}  // namespace

const std::vector<Kernel>& Kernels() {
  static const auto* const kernels = new std::vector<Kernel>{{Crc32cKernel::kName, Crc32cKernel::kThreads, PrepareCrc32c}};
  return *kernels;
}

}  // namespace standin
