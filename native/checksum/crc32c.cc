#include "checksum/crc32c.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "checksum/crc32c_implementations.h"
#include "checksum/crc32c_polynomial.h"

namespace tensor_checkpoint {

using namespace crc32c_internal;

std::span<const Crc32cImplementation> Crc32cImplementations() {
  static const Crc32cImplementation implementations[] = {
#if defined(__x86_64__)
      kAvx512,
      kSse42,
#elif defined(__aarch64__)
      kArmv8,
#endif
      kPortable,
  };
  return implementations;
}

const Crc32cImplementation& ActiveCrc32c() {
  static const Crc32cImplementation& active = []() -> const Crc32cImplementation& {
    const auto implementations = Crc32cImplementations();
    size_t index = 0;
    while (!implementations[index].supported()) ++index;
    return implementations[index];
  }();
  return active;
}

uint32_t Crc32c(uint32_t crc, const void* data, size_t n) {
  return ActiveCrc32c().extend(crc, static_cast<const uint8_t*>(data), n);
}

uint32_t Crc32cCopy(uint32_t crc, void* dst, const void* src, size_t n) {
  return ActiveCrc32c().copy(crc, static_cast<uint8_t*>(dst), static_cast<const uint8_t*>(src), n);
}

void PublishCopies() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

uint32_t Crc32cCombine(uint32_t crc1, uint32_t crc2, uint64_t length2) {
  // The inversions before and after each of the three checksums cancel out.
  return Multiply(crc1, PowerOfX(length2, 3)) ^ crc2;
}

}  // namespace tensor_checkpoint
