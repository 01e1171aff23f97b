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

TENSOR_CHECKPOINT_AVX512 uint32_t Extend(uint32_t crc, const uint8_t* data, size_t n) {
  if (n < 256) return kSse42.extend(crc, data, n);
  const __m512i initial = _mm512_zextsi128_si512(_mm_cvtsi32_si128(static_cast<int>(~crc)));
  __m512i a = _mm512_xor_si512(Load(data), initial);
  __m512i b = Load(data + 64);
  __m512i c = Load(data + 128);
  __m512i d = Load(data + 192);
  const __m512i by256 = Constants<256>();
  for (data += 256, n -= 256; n >= 256; data += 256, n -= 256) {
    a = Fold(a, by256, Load(data));
    b = Fold(b, by256, Load(data + 64));
    c = Fold(c, by256, Load(data + 128));
    d = Fold(d, by256, Load(data + 192));
  }
  const __m512i by64 = Constants<64>();
  a = Fold(Fold(Fold(a, by64, b), by64, c), by64, d);
  for (; n >= 64; data += 64, n -= 64) a = Fold(a, by64, Load(data));
  alignas(64) uint8_t sum[64];
  _mm512_store_si512(sum, a);
  // The sum stands for all bytes so far: its remainder is theirs.
  return kSse42.extend(kSse42.extend(kEmptyRemainder, sum, sizeof(sum)), data, n);
}

}  // namespace

constinit const Crc32cImplementation kAvx512 = {"avx512-vpclmulqdq", Supported, Extend, CopyByPieces<Extend>};

}  // namespace tensor_checkpoint::crc32c_internal

#endif  // defined(__x86_64__)
