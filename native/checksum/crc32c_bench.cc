// GB/s of every CRC-32C implementation that this machine can run, summing and copying with a sum, for sizes from a
// tensor of a few bytes to more than the caches hold. Beside them, measured in the same run, what limits them: reading
// memory, and copying it; and what there would be without any of them: the loop over bits, as the compiler makes it.
// Not part of the addon. node scripts/native-bench.mjs crc32c

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>

#include "base/aligned_buffer.h"
#include "base/memory_bandwidth_for_test.h"
#include "checksum/crc32c.h"

namespace tensor_checkpoint {
namespace {

uint32_t sink = 0;

// The best of several rounds: what the code can do, not what the machine was doing besides.
template <typename Pass>
double GigabytesPerSecond(size_t bytes, Pass pass, size_t bytes_per_round = size_t{128} << 20) {
  const size_t passes = std::max<size_t>(1, bytes_per_round / bytes);
  double best = 0;
  for (int round = 0; round < 5; ++round) {
    const auto start = std::chrono::steady_clock::now();
    for (size_t k = 0; k < passes; ++k) sink ^= pass();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(best, static_cast<double>(passes * bytes) / seconds.count() / 1e9);
  }
  return best;
}

// The definition, left to the compiler.
uint32_t Naive(uint32_t crc, const uint8_t* data, size_t n) {
  crc = ~crc;
  for (size_t i = 0; i < n; ++i) {
    crc ^= data[i];
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0x82f63b78u & (0u - (crc & 1)));
  }
  return ~crc;
}

void Print(const char* name, size_t bytes, double sum, double copy) {
  std::printf("%-20s %10zu %10.1f", name, bytes, sum);
  if (copy > 0) std::printf(" %10.1f", copy);
  std::printf("\n");
}

void Main() {
  constexpr size_t kLargest = size_t{64} << 20;
  const AlignedBuffer src = AlignedBuffer::Allocate(kLargest);
  const AlignedBuffer dst = AlignedBuffer::Allocate(kLargest);
  std::memset(src.data(), 0x5a, kLargest);
  std::memset(dst.data(), 0, kLargest);
  std::printf("%-20s %10s %10s %10s\n", "one thread, GB/s", "bytes", "sum", "copy+sum");
  for (const size_t bytes : {size_t{64}, size_t{1} << 10, size_t{4} << 10, size_t{64} << 10, size_t{1} << 20, kLargest}) {
    const double read =
        GigabytesPerSecond(bytes, [&] { return static_cast<uint32_t>(ReadAll(src.data(), bytes)); });
    const double copied = GigabytesPerSecond(bytes, [&] {
      std::memcpy(dst.data(), src.data(), bytes);
      return uint32_t{dst.data()[bytes - 1]};
    });
    Print("read / memcpy", bytes, read, copied);
    for (const Crc32cImplementation& implementation : Crc32cImplementations()) {
      if (!implementation.supported()) continue;
      const double sum = GigabytesPerSecond(bytes, [&] { return implementation.extend(0, src.data(), bytes); });
      const double copy =
          GigabytesPerSecond(bytes, [&] { return implementation.copy(0, dst.data(), src.data(), bytes); });
      Print(implementation.name, bytes, sum, copy);
    }
    const size_t naive = std::min(bytes, size_t{1} << 20);
    Print("compiler's loop", bytes, GigabytesPerSecond(naive, [&] { return Naive(0, src.data(), naive); }, 1 << 20), 0);
  }
}

}  // namespace
}  // namespace tensor_checkpoint

int main() {
  tensor_checkpoint::Main();
  return tensor_checkpoint::sink == 0x1234 ? 1 : 0;  // Keeps the results, and so the work, alive.
}
