#ifndef TENSOR_CHECKPOINT_BASE_MEMORY_BANDWIDTH_FOR_TEST_H_
#define TENSOR_CHECKPOINT_BASE_MEMORY_BANDWIDTH_FOR_TEST_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

// What memory gives to code that does nothing but read it: the limit that a checksum can reach. For benchmarks.
namespace tensor_checkpoint {

// Touches every byte: a sum in as many independent parts as keep the processor from waiting.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
__attribute__((target_clones("avx512f", "avx2", "default"), optimize("O3")))
#endif
inline uint64_t
ReadAll(const uint8_t* data, size_t n) {
  uint64_t sums[32] = {};
  size_t i = 0;
  for (; i + sizeof(sums) <= n; i += sizeof(sums)) {
    uint64_t words[32];
    std::memcpy(words, data + i, sizeof(words));
    for (int k = 0; k < 32; ++k) sums[k] ^= words[k];
  }
  uint64_t sum = 0;
  for (uint64_t s : sums) sum ^= s;
  for (; i < n; ++i) sum ^= data[i];
  return sum;
}

// Bytes per second with which `threads` threads together read the memory once.
inline double ReadBandwidth(const uint8_t* data, size_t n, size_t threads) {
  static volatile uint64_t sink;
  std::vector<uint64_t> sums(threads);
  const auto start = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> readers;
    const size_t part = n / threads;
    for (size_t t = 0; t < threads; ++t) {
      readers.emplace_back([&, t] { sums[t] = ReadAll(data + t * part, t + 1 == threads ? n - t * part : part); });
    }
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  for (uint64_t sum : sums) sink = sink ^ sum;
  return static_cast<double>(n) / seconds.count();
}

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BASE_MEMORY_BANDWIDTH_FOR_TEST_H_
