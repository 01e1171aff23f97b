#include "checksum/crc32c_implementations.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "checksum/crc32c_folding.h"

namespace tensor_checkpoint::crc32c_internal {
namespace {

#define TENSOR_CHECKPOINT_SSE42 __attribute__((target("sse4.2,pclmul")))

bool Supported() { return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"); }

TENSOR_CHECKPOINT_SSE42 inline __m128i Load(const uint8_t* data) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(data));
}

TENSOR_CHECKPOINT_SSE42 inline __m128i Fold(__m128i sum, __m128i constants, __m128i next) {
  return _mm_xor_si128(
      _mm_xor_si128(_mm_clmulepi64_si128(sum, constants, 0x00), _mm_clmulepi64_si128(sum, constants, 0x11)), next);
}

template <size_t distance>
TENSOR_CHECKPOINT_SSE42 inline __m128i Constants() {
  constexpr uint64_t kLow = FoldLow(distance);
  constexpr uint64_t kHigh = FoldHigh(distance);
  return _mm_set_epi64x(static_cast<int64_t>(kHigh), static_cast<int64_t>(kLow));
}

// The processor's own instruction, eight bytes at a time.
TENSOR_CHECKPOINT_SSE42 uint64_t Serial(uint64_t state, const uint8_t* data, size_t n) {
  for (; n >= 8; n -= 8, data += 8) {
    uint64_t word;
    std::memcpy(&word, data, sizeof(word));
    state = _mm_crc32_u64(state, word);
  }
  if ((n & 4) != 0) {
    uint32_t word;
    std::memcpy(&word, data, sizeof(word));
    state = _mm_crc32_u32(static_cast<uint32_t>(state), word);
    data += 4;
  }
  for (n &= 3; n > 0; --n, ++data) state = _mm_crc32_u8(static_cast<uint32_t>(state), *data);
  return state;
}

TENSOR_CHECKPOINT_SSE42 uint32_t Extend(uint32_t crc, const uint8_t* data, size_t n) {
  constexpr size_t kLanes = 8;
  constexpr size_t kStride = kLanes * 16;
  uint64_t state = ~crc;
  if (n >= 2 * kStride) {
    __m128i lanes[kLanes];
    for (size_t k = 0; k < kLanes; ++k) lanes[k] = Load(data + 16 * k);
    lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi32_si128(static_cast<int>(state)));
    const __m128i by_stride = Constants<kStride>();
    for (data += kStride, n -= kStride; n >= kStride; data += kStride, n -= kStride) {
      for (size_t k = 0; k < kLanes; ++k) lanes[k] = Fold(lanes[k], by_stride, Load(data + 16 * k));
    }
    const __m128i by16 = Constants<16>();
    for (size_t k = 1; k < kLanes; ++k) lanes[k] = Fold(lanes[k - 1], by16, lanes[k]);
    __m128i sum = lanes[kLanes - 1];
    for (; n >= 16; data += 16, n -= 16) sum = Fold(sum, by16, Load(data));
    // The sum stands for all bytes so far: its remainder is theirs.
    state = _mm_crc32_u64(0, static_cast<uint64_t>(_mm_cvtsi128_si64(sum)));
    state = _mm_crc32_u64(state, static_cast<uint64_t>(_mm_extract_epi64(sum, 1)));
  }
  return ~static_cast<uint32_t>(Serial(state, data, n));
}

}  // namespace

constinit const Crc32cImplementation kSse42 = {"sse4.2-pclmul", Supported, Extend, CopyByPieces<Extend>};

}  // namespace tensor_checkpoint::crc32c_internal

#endif  // defined(__x86_64__)
