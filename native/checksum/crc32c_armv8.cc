#include "checksum/crc32c_implementations.h"

#if defined(__aarch64__)

#include <arm_acle.h>
#include <arm_neon.h>
#if defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "checksum/crc32c_folding.h"

// The method of crc32c_sse42.cc with ARMv8's instructions: CRC32CX on three streams, and PMULL folding four lanes.
namespace tensor_checkpoint::crc32c_internal {
namespace {

#if defined(__clang__)
#define TENSOR_CHECKPOINT_ARMV8 __attribute__((target("crc,aes")))
#else
#define TENSOR_CHECKPOINT_ARMV8 __attribute__((target("+crc+crypto")))
#endif

bool Supported() {
#if defined(__linux__)
  const unsigned long capabilities = getauxval(AT_HWCAP);
  return (capabilities & HWCAP_CRC32) != 0 && (capabilities & HWCAP_PMULL) != 0;
#elif defined(__APPLE__)
  return true;  // Every 64-bit Mac with an ARM processor has both.
#else
  return false;
#endif
}

inline uint64_t LoadWord(const uint8_t* data) {
  uint64_t word;
  std::memcpy(&word, data, sizeof(word));
  return word;
}

TENSOR_CHECKPOINT_ARMV8 inline uint64x2_t Load(const uint8_t* data) { return vreinterpretq_u64_u8(vld1q_u8(data)); }

// The product of the quadwords at the lower address, and that of those at the higher one.
TENSOR_CHECKPOINT_ARMV8 inline uint64x2_t MultiplyLow(uint64x2_t a, uint64x2_t b) {
  return vreinterpretq_u64_p128(
      vmull_p64(static_cast<poly64_t>(vgetq_lane_u64(a, 0)), static_cast<poly64_t>(vgetq_lane_u64(b, 0))));
}
TENSOR_CHECKPOINT_ARMV8 inline uint64x2_t MultiplyHigh(uint64x2_t a, uint64x2_t b) {
  return vreinterpretq_u64_p128(vmull_high_p64(vreinterpretq_p64_u64(a), vreinterpretq_p64_u64(b)));
}

TENSOR_CHECKPOINT_ARMV8 inline uint64x2_t Fold(uint64x2_t sum, uint64x2_t constants, uint64x2_t next) {
  return veorq_u64(veorq_u64(MultiplyLow(sum, constants), MultiplyHigh(sum, constants)), next);
}

template <size_t distance>
TENSOR_CHECKPOINT_ARMV8 inline uint64x2_t Constants() {
  static constexpr uint64_t kConstants[2] = {FoldLow(distance), FoldHigh(distance)};
  return vld1q_u64(kConstants);
}

TENSOR_CHECKPOINT_ARMV8 uint32_t Serial(uint32_t state, const uint8_t* data, size_t n) {
  for (; n >= 8; n -= 8, data += 8) state = __crc32cd(state, LoadWord(data));
  if ((n & 4) != 0) {
    uint32_t word;
    std::memcpy(&word, data, sizeof(word));
    state = __crc32cw(state, word);
    data += 4;
  }
  for (n &= 3; n > 0; --n, ++data) state = __crc32cb(state, *data);
  return state;
}

// The remainder of the 16 bytes, to which bytes that were folded into them have been reduced.
TENSOR_CHECKPOINT_ARMV8 inline uint32_t Reduce(uint64x2_t sum) {
  return __crc32cd(__crc32cd(0, vgetq_lane_u64(sum, 0)), vgetq_lane_u64(sum, 1));
}

// The remainder `distance` bytes later. The instruction that reduces the product multiplies it by x^32 as well.
template <size_t distance>
TENSOR_CHECKPOINT_ARMV8 inline uint32_t Advance(uint32_t state) {
  constexpr uint64_t kFactor = PowerOfX(8 * distance - 33);
  return __crc32cd(0, vgetq_lane_u64(MultiplyLow(vdupq_n_u64(state), vdupq_n_u64(kFactor)), 0));
}

TENSOR_CHECKPOINT_ARMV8 inline uint64x2_t WithState(uint64x2_t first, uint32_t state) {
  return veorq_u64(first, vsetq_lane_u64(state, vdupq_n_u64(0), 0));
}

constexpr size_t kFoldedBytes = 4 * 16;
constexpr size_t kStreamBytes = 4 * 8;
constexpr size_t kBytesPerIteration = kFoldedBytes + 3 * kStreamBytes;

// A block: the folded part, then the streams, each contiguous.
template <size_t iterations>
TENSOR_CHECKPOINT_ARMV8 uint32_t Block(uint32_t state, const uint8_t* data) {
  constexpr size_t kStream = iterations * kStreamBytes;
  const uint8_t* stream = data + iterations * kFoldedBytes;
  uint64x2_t a = WithState(Load(data), state);
  uint64x2_t b = Load(data + 16);
  uint64x2_t c = Load(data + 32);
  uint64x2_t d = Load(data + 48);
  const uint64x2_t by_four = Constants<kFoldedBytes>();
  uint32_t first = 0;
  uint32_t second = 0;
  uint32_t third = 0;
  for (size_t iteration = 0;;) {
    for (size_t word = 0; word < kStreamBytes; word += 8) {
      first = __crc32cd(first, LoadWord(stream + word));
      second = __crc32cd(second, LoadWord(stream + kStream + word));
      third = __crc32cd(third, LoadWord(stream + 2 * kStream + word));
    }
    if (++iteration == iterations) break;
    data += kFoldedBytes;
    stream += kStreamBytes;
    a = Fold(a, by_four, Load(data));
    b = Fold(b, by_four, Load(data + 16));
    c = Fold(c, by_four, Load(data + 32));
    d = Fold(d, by_four, Load(data + 48));
  }
  const uint64x2_t by_one = Constants<16>();
  state = Reduce(Fold(Fold(Fold(a, by_one, b), by_one, c), by_one, d));
  return Advance<3 * kStream>(state) ^ Advance<2 * kStream>(first) ^ Advance<kStream>(second) ^ third;
}

// Folding alone, for what is left of the blocks.
TENSOR_CHECKPOINT_ARMV8 uint32_t FoldLanes(uint32_t state, const uint8_t* data, size_t n) {
  uint64x2_t a = WithState(Load(data), state);
  uint64x2_t b = Load(data + 16);
  uint64x2_t c = Load(data + 32);
  uint64x2_t d = Load(data + 48);
  const uint64x2_t by_four = Constants<64>();
  for (data += 64, n -= 64; n >= 64; data += 64, n -= 64) {
    a = Fold(a, by_four, Load(data));
    b = Fold(b, by_four, Load(data + 16));
    c = Fold(c, by_four, Load(data + 32));
    d = Fold(d, by_four, Load(data + 48));
  }
  const uint64x2_t by_one = Constants<16>();
  return Serial(Reduce(Fold(Fold(Fold(a, by_one, b), by_one, c), by_one, d)), data, n);
}

TENSOR_CHECKPOINT_ARMV8 uint32_t Extend(uint32_t crc, const uint8_t* data, size_t n) {
  constexpr size_t kLong = 64;
  constexpr size_t kShort = 8;
  uint32_t state = ~crc;
  for (; n >= kLong * kBytesPerIteration; n -= kLong * kBytesPerIteration, data += kLong * kBytesPerIteration) {
    state = Block<kLong>(state, data);
  }
  for (; n >= kShort * kBytesPerIteration; n -= kShort * kBytesPerIteration, data += kShort * kBytesPerIteration) {
    state = Block<kShort>(state, data);
  }
  return ~(n >= 256 ? FoldLanes(state, data, n) : Serial(state, data, n));
}

}  // namespace

constinit const Crc32cImplementation kArmv8 = {"armv8-crc-pmull", Supported, Extend, CopyByPieces<Extend>};

}  // namespace tensor_checkpoint::crc32c_internal

#endif  // defined(__aarch64__)
