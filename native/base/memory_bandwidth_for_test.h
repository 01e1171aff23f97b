#ifndef TENSOR_CHECKPOINT_BASE_MEMORY_BANDWIDTH_FOR_TEST_H_
#define TENSOR_CHECKPOINT_BASE_MEMORY_BANDWIDTH_FOR_TEST_H_

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

// What memory gives to code that does nothing but read it, or copy it: the limit that a checksum, and a copy with one, can
// reach. For benchmarks.
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

// The best of both orders in which `threads` threads can share memory: each its own half, quarter, …; or block by block,
// as chunks of a save are. Seconds that `pass(offset, bytes)` takes over all of it.
template <typename Pass>
double BestSeconds(size_t n, size_t threads, Pass pass) {
  constexpr size_t kBlock = size_t{4} << 20;
  double best = 1e9;
  for (const size_t block : {(n + threads - 1) / threads, kBlock}) {
    std::barrier begin(static_cast<ptrdiff_t>(threads) + 1);
    std::vector<std::jthread> running;
    for (size_t t = 0; t < threads; ++t) {
      running.emplace_back([&, t] {
        begin.arrive_and_wait();  // Most of making threads is not measured.
        for (size_t at = t * block; at < n; at += threads * block) pass(at, std::min(block, n - at));
      });
    }
    const auto start = std::chrono::steady_clock::now();
    begin.arrive_and_wait();
    running.clear();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

// Bytes per second with which `threads` threads together read the memory once.
inline double ReadBandwidth(const uint8_t* data, size_t n, size_t threads) {
  static std::atomic<uint64_t> sink;
  return static_cast<double>(n) / BestSeconds(n, threads, [&](size_t at, size_t bytes) {
           sink.fetch_xor(ReadAll(data + at, bytes), std::memory_order_relaxed);
         });
}

// The same for copying to memory as large; both what is read and what is written counts.
inline double CopyBandwidth(uint8_t* to, const uint8_t* from, size_t n, size_t threads) {
  return 2 * static_cast<double>(n) /
         BestSeconds(n, threads, [&](size_t at, size_t bytes) { std::memcpy(to + at, from + at, bytes); });
}

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BASE_MEMORY_BANDWIDTH_FOR_TEST_H_
