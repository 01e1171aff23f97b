// GB/s of every CRC-32C implementation that this machine can run: summing, copying and summing, and copying alone.
// Not part of the addon. Build: cmake --build build/native-tests --target crc32c_bench

#include <chrono>
#include <cstdio>
#include <cstring>

#include "base/aligned_buffer.h"
#include "checksum/crc32c.h"

namespace tensor_checkpoint {
namespace {

uint32_t sink = 0;

// The best of several rounds: what the code can do, not what the machine was doing besides.
template <typename Pass>
double GigabytesPerSecond(size_t bytes, Pass pass) {
  constexpr size_t kBytesPerRound = size_t{256} << 20;
  const size_t passes = kBytesPerRound / bytes;
  double best = 0;
  for (int round = 0; round < 7; ++round) {
    const auto start = std::chrono::steady_clock::now();
    for (size_t k = 0; k < passes; ++k) sink ^= pass();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    const double rate = static_cast<double>(passes * bytes) / seconds.count() / 1e9;
    if (rate > best) best = rate;
  }
  return best;
}

void Main() {
  constexpr size_t kLargest = size_t{64} << 20;
  const AlignedBuffer src = AlignedBuffer::Allocate(kLargest);
  const AlignedBuffer dst = AlignedBuffer::Allocate(kLargest);
  std::memset(src.data(), 0x5a, kLargest);
  std::memset(dst.data(), 0, kLargest);
  std::printf("%-20s %10s %10s %10s\n", "implementation", "bytes", "sum GB/s", "copy GB/s");
  for (const size_t bytes : {size_t{4} << 10, size_t{64} << 10, size_t{1} << 20, kLargest}) {
    std::printf("%-20s %10zu %10s %10.1f\n", "memcpy", bytes, "", GigabytesPerSecond(bytes, [&] {
                  std::memcpy(dst.data(), src.data(), bytes);
                  return uint32_t{dst.data()[bytes - 1]};
                }));
    for (const Crc32cImplementation& implementation : Crc32cImplementations()) {
      if (!implementation.supported()) continue;
      const double sum = GigabytesPerSecond(bytes, [&] { return implementation.extend(0, src.data(), bytes); });
      const double copy =
          GigabytesPerSecond(bytes, [&] { return implementation.copy(0, dst.data(), src.data(), bytes); });
      std::printf("%-20s %10zu %10.1f %10.1f\n", implementation.name, bytes, sum, copy);
    }
  }
}

}  // namespace
}  // namespace tensor_checkpoint

int main() {
  tensor_checkpoint::Main();
  return tensor_checkpoint::sink == 0x1234 ? 1 : 0;  // Keeps the results, and so the work, alive.
}
