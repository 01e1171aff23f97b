#include "checksum/crc32c_implementations.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "checksum/crc32c_folding.h"

// Folding as in crc32c_sse42.cc, four 16-byte lanes at a time: one instruction multiplies in all lanes of a 512-bit
// register.
namespace tensor_checkpoint::crc32c_internal {
namespace {

#define TENSOR_CHECKPOINT_AVX512 __attribute__((target("avx512f,avx512vl,vpclmulqdq,pclmul,sse4.2")))

bool Supported() {
  // libgcc reads CPUID and, through XGETBV, whether the system saves the registers.
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("vpclmulqdq") && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.2");
}

TENSOR_CHECKPOINT_AVX512 inline __m512i Load(const uint8_t* data) { return _mm512_loadu_si512(data); }

TENSOR_CHECKPOINT_AVX512 inline void Store(uint8_t* dst, __m512i value) {
  _mm512_stream_si512(reinterpret_cast<__m512i*>(dst), value);
}

template <size_t distance>
TENSOR_CHECKPOINT_AVX512 inline __m512i Constants() {
  constexpr uint64_t kLow = FoldLow(distance);
  constexpr uint64_t kHigh = FoldHigh(distance);
  return _mm512_set4_epi64(static_cast<int64_t>(kHigh), static_cast<int64_t>(kLow), static_cast<int64_t>(kHigh),
                           static_cast<int64_t>(kLow));
}

TENSOR_CHECKPOINT_AVX512 inline __m512i Fold(__m512i sum, __m512i constants, __m512i next) {
  constexpr int kXorOfThree = 0x96;
  return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(sum, constants, 0x00),
                                   _mm512_clmulepi64_epi128(sum, constants, 0x11), next, kXorOfThree);
}

// The value whose inversion, with which a checksum starts, is a remainder of zero.
constexpr uint32_t kEmptyRemainder = ~uint32_t{0};

// Four registers that 256 bytes at a time are folded into.
struct Sum {
  __m512i a, b, c, d;
};

// Where the 256 bytes at `data` go: nowhere, or past the caches to `dst`. Each byte is loaded once, so that what is
// summed is what was copied.
template <bool copy>
TENSOR_CHECKPOINT_AVX512 inline Sum Take(uint8_t* dst, const uint8_t* data) {
  const Sum taken = {Load(data), Load(data + 64), Load(data + 128), Load(data + 192)};
  if constexpr (copy) {
    Store(dst, taken.a);
    Store(dst + 64, taken.b);
    Store(dst + 128, taken.c);
    Store(dst + 192, taken.d);
  }
  return taken;
}

// `sum` moved `distance` bytes on, to the bytes at `next`.
template <size_t distance>
TENSOR_CHECKPOINT_AVX512 inline Sum Fold(const Sum& sum, const Sum& next) {
  const __m512i constants = Constants<distance>();
  return {Fold(sum.a, constants, next.a), Fold(sum.b, constants, next.b), Fold(sum.c, constants, next.c),
          Fold(sum.d, constants, next.d)};
}

constexpr size_t kPage = 4096;
constexpr size_t kPages = 4;

// Copies pages four at a time, 256 bytes of each in turn: memory is fetched ahead page by page, and with one page after
// the other each begins with waiting. `position` moves behind the last group of four, and `sum` with it.
TENSOR_CHECKPOINT_AVX512 inline Sum CopyPages(Sum sum, uint8_t* dst, const uint8_t* src, size_t n, size_t* position) {
  for (; n - *position >= kPages * kPage; *position += kPages * kPage) {
    const __m512i zero = _mm512_setzero_si512();
    Sum first = sum, second = {zero, zero, zero, zero}, third = second, fourth = second;
    for (size_t at = *position; at < *position + kPage; at += 256) {
      first = Fold<256>(first, Take<true>(dst + at, src + at));
      second = Fold<256>(second, Take<true>(dst + at + kPage, src + at + kPage));
      third = Fold<256>(third, Take<true>(dst + at + 2 * kPage, src + at + 2 * kPage));
      fourth = Fold<256>(fourth, Take<true>(dst + at + 3 * kPage, src + at + 3 * kPage));
    }
    sum = Fold<3 * kPage>(first, Fold<2 * kPage>(second, Fold<kPage>(third, fourth)));
  }
  return sum;
}

// n >= 256; sums the largest multiple of 256 bytes in it.
template <bool copy>
TENSOR_CHECKPOINT_AVX512 uint32_t FoldBy256(uint32_t crc, uint8_t* dst, const uint8_t* data, size_t n) {
  Sum sum = Take<copy>(dst, data);
  sum.a = _mm512_xor_si512(sum.a, _mm512_zextsi128_si512(_mm_cvtsi32_si128(static_cast<int>(~crc))));
  size_t position = 256;
  if constexpr (copy) sum = CopyPages(sum, dst, data, n, &position);
  for (; n - position >= 256; position += 256) {
    sum = Fold<256>(sum, Take<copy>(copy ? dst + position : nullptr, data + position));
  }
  const __m512i by64 = Constants<64>();
  alignas(64) uint8_t last[64];
  _mm512_store_si512(last, Fold(Fold(Fold(sum.a, by64, sum.b), by64, sum.c), by64, sum.d));
  // The last 64 bytes stand for all: their remainder is that of the data.
  return kSse42.extend(kEmptyRemainder, last, sizeof(last));
}

uint32_t Extend(uint32_t crc, const uint8_t* data, size_t n) {
  const size_t folded = n / 256 * 256;
  if (folded > 0) crc = FoldBy256<false>(crc, nullptr, data, folded);
  return kSse42.extend(crc, data + folded, n - folded);
}

// Stores past the caches need no line to be read first, which is a third of the traffic, and leave the caches to
// the training. With a source that comes from memory, as tensors do, they are the fastest way but for the shortest copies.
uint32_t Copy(uint32_t crc, uint8_t* dst, const uint8_t* src, size_t n) {
  constexpr size_t kWorthwhile = size_t{2} << 10;
  if (n < kWorthwhile) return CopyByPieces<Extend>(crc, dst, src, n);
  const size_t head = -reinterpret_cast<uintptr_t>(dst) % 64;
  const size_t folded = (n - head) / 256 * 256;
  crc = CopyByPieces<Extend>(crc, dst, src, head);
  crc = FoldBy256<true>(crc, dst + head, src + head, folded);
  return CopyByPieces<Extend>(crc, dst + head + folded, src + head + folded, n - head - folded);
}

}  // namespace

constinit const Crc32cImplementation kAvx512 = {"avx512-vpclmulqdq", Supported, Extend, Copy};

}  // namespace tensor_checkpoint::crc32c_internal

#endif  // defined(__x86_64__)
