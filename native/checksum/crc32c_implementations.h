#ifndef TENSOR_CHECKPOINT_CHECKSUM_CRC32C_IMPLEMENTATIONS_H_
#define TENSOR_CHECKPOINT_CHECKSUM_CRC32C_IMPLEMENTATIONS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "checksum/crc32c.h"

// What the implementations share and crc32c.cc lists; nobody else needs this.
namespace tensor_checkpoint::crc32c_internal {

#if defined(__x86_64__)
extern const Crc32cImplementation kAvx512;
extern const Crc32cImplementation kSse42;
#elif defined(__aarch64__)
extern const Crc32cImplementation kArmv8;
#endif
extern const Crc32cImplementation kPortable;

// Copies in pieces that stay in the first-level cache and sums each where it arrived, so that memory is passed once.
template <uint32_t (*extend)(uint32_t, const uint8_t*, size_t)>
uint32_t CopyByPieces(uint32_t crc, uint8_t* dst, const uint8_t* src, size_t n) {
  constexpr size_t kPiece = 10240;
  while (n > 0) {
    const size_t piece = std::min(n, kPiece);
    std::memcpy(dst, src, piece);
    crc = extend(crc, dst, piece);
    dst += piece;
    src += piece;
    n -= piece;
  }
  return crc;
}

}  // namespace tensor_checkpoint::crc32c_internal

#endif  // TENSOR_CHECKPOINT_CHECKSUM_CRC32C_IMPLEMENTATIONS_H_
