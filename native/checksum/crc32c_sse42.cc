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

inline uint64_t LoadWord(const uint8_t* data) {
  uint64_t word;
  std::memcpy(&word, data, sizeof(word));
  return word;
}

// The processor's own instruction, eight bytes at a time.
TENSOR_CHECKPOINT_SSE42 uint64_t Serial(uint64_t state, const uint8_t* data, size_t n) {
  for (; n >= 8; n -= 8, data += 8) state = _mm_crc32_u64(state, LoadWord(data));
  if ((n & 4) != 0) {
    uint32_t word;
    std::memcpy(&word, data, sizeof(word));
    state = _mm_crc32_u32(static_cast<uint32_t>(state), word);
    data += 4;
  }
  for (n &= 3; n > 0; --n, ++data) state = _mm_crc32_u8(static_cast<uint32_t>(state), *data);
  return state;
}

// The remainder of the 16 bytes, to which bytes that were folded into them have been reduced.
TENSOR_CHECKPOINT_SSE42 inline uint64_t Reduce(__m128i sum) {
  const uint64_t state = _mm_crc32_u64(0, static_cast<uint64_t>(_mm_cvtsi128_si64(sum)));
  return _mm_crc32_u64(state, static_cast<uint64_t>(_mm_extract_epi64(sum, 1)));
}

// The remainder `distance` bytes later. The instruction that reduces the product multiplies it by x^32 as well.
template <size_t distance>
TENSOR_CHECKPOINT_SSE42 inline uint64_t Advance(uint64_t state) {
  constexpr uint64_t kFactor = PowerOfX(8 * distance - 33);
  const __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<int64_t>(state)),
                                               _mm_cvtsi64_si128(static_cast<int64_t>(kFactor)), 0x00);
  return _mm_crc32_u64(0, static_cast<uint64_t>(_mm_cvtsi128_si64(product)));
}

// One iteration of a block advances four folded lanes by 16 bytes each and three serial streams by 32 bytes each: the
// multiplier and the CRC unit are both busy, and no instruction waits for the one before.
constexpr size_t kFoldedBytes = 4 * 16;
constexpr size_t kStreamBytes = 4 * 8;
constexpr size_t kBytesPerIteration = kFoldedBytes + 3 * kStreamBytes;

// A block: the folded part, then the streams, each contiguous.
template <size_t iterations>
TENSOR_CHECKPOINT_SSE42 uint64_t Block(uint64_t state, const uint8_t* data) {
  constexpr size_t kStream = iterations * kStreamBytes;
  const uint8_t* stream = data + iterations * kFoldedBytes;
  const uint8_t* ahead = data + iterations * kBytesPerIteration;
  __m128i a = _mm_xor_si128(Load(data), _mm_cvtsi64_si128(static_cast<int64_t>(state)));
  __m128i b = Load(data + 16);
  __m128i c = Load(data + 32);
  __m128i d = Load(data + 48);
  const __m128i by_four = Constants<kFoldedBytes>();
  uint64_t first = 0;
  uint64_t second = 0;
  uint64_t third = 0;
  for (size_t iteration = 0;;) {
    // Four streams that start anew in every block are more than the hardware's prefetcher makes out. Beyond the end of
    // the data a prefetch does nothing.
    _mm_prefetch(ahead, _MM_HINT_T0);
    _mm_prefetch(ahead + 64, _MM_HINT_T0);
    _mm_prefetch(ahead + 128, _MM_HINT_T0);
    ahead += kBytesPerIteration;
    for (size_t word = 0; word < kStreamBytes; word += 8) {
      first = _mm_crc32_u64(first, LoadWord(stream + word));
      second = _mm_crc32_u64(second, LoadWord(stream + kStream + word));
      third = _mm_crc32_u64(third, LoadWord(stream + 2 * kStream + word));
    }
    if (++iteration == iterations) break;
    data += kFoldedBytes;
    stream += kStreamBytes;
    a = Fold(a, by_four, Load(data));
    b = Fold(b, by_four, Load(data + 16));
    c = Fold(c, by_four, Load(data + 32));
    d = Fold(d, by_four, Load(data + 48));
  }
  const __m128i by_one = Constants<16>();
  state = Reduce(Fold(Fold(Fold(a, by_one, b), by_one, c), by_one, d));
  return Advance<3 * kStream>(state) ^ Advance<2 * kStream>(first) ^ Advance<kStream>(second) ^ third;
}

// Folding alone, for what is left of the blocks.
TENSOR_CHECKPOINT_SSE42 uint64_t FoldLanes(uint64_t state, const uint8_t* data, size_t n) {
  __m128i a = _mm_xor_si128(Load(data), _mm_cvtsi64_si128(static_cast<int64_t>(state)));
  __m128i b = Load(data + 16);
  __m128i c = Load(data + 32);
  __m128i d = Load(data + 48);
  const __m128i by_four = Constants<64>();
  for (data += 64, n -= 64; n >= 64; data += 64, n -= 64) {
    a = Fold(a, by_four, Load(data));
    b = Fold(b, by_four, Load(data + 16));
    c = Fold(c, by_four, Load(data + 32));
    d = Fold(d, by_four, Load(data + 48));
  }
  const __m128i by_one = Constants<16>();
  return Serial(Reduce(Fold(Fold(Fold(a, by_one, b), by_one, c), by_one, d)), data, n);
}

TENSOR_CHECKPOINT_SSE42 uint32_t Extend(uint32_t crc, const uint8_t* data, size_t n) {
  constexpr size_t kLong = 64;
  constexpr size_t kShort = 8;
  uint64_t state = static_cast<uint32_t>(~crc);
  for (; n >= kLong * kBytesPerIteration; n -= kLong * kBytesPerIteration, data += kLong * kBytesPerIteration) {
    state = Block<kLong>(state, data);
  }
  for (; n >= kShort * kBytesPerIteration; n -= kShort * kBytesPerIteration, data += kShort * kBytesPerIteration) {
    state = Block<kShort>(state, data);
  }
  return ~static_cast<uint32_t>(n >= 256 ? FoldLanes(state, data, n) : Serial(state, data, n));
}

}  // namespace

constinit const Crc32cImplementation kSse42 = {"sse4.2-pclmul", Supported, Extend, CopyByPieces<Extend>};

}  // namespace tensor_checkpoint::crc32c_internal

#endif  // defined(__x86_64__)
