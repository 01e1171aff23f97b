#ifndef TENSOR_CHECKPOINT_CHECKSUM_CRC32C_H_
#define TENSOR_CHECKPOINT_CHECKSUM_CRC32C_H_

#include <cstddef>
#include <cstdint>
#include <span>

// CRC-32C (Castagnoli, RFC 3720 appendix B.4), the checksum of the tensor bundle. All functions may be called by any
// thread at any time.
namespace tensor_checkpoint {

// The checksum of A + data, where `crc` is the checksum of A; 0 is the checksum of nothing. Values are unmasked.
uint32_t Crc32c(uint32_t crc, const void* data, size_t n);

// Copies n bytes and returns Crc32c(crc, dst, n), with one pass over memory. The checksum is that of the bytes that
// arrived in dst, also when another thread writes to src meanwhile. The regions must not overlap. Nobody but this thread
// may look at dst before PublishCopies().
uint32_t Crc32cCopy(uint32_t crc, void* dst, const void* src, size_t n);

// What this thread has copied becomes visible to whoever sees what it does next: copies go past the caches, and aren't
// ordered with other stores. Once for many: it waits for those that are under way.
void PublishCopies();

// The checksum of A + B from those of A and of B, where B has `length2` bytes. Logarithmic in the length.
uint32_t Crc32cCombine(uint32_t crc1, uint32_t crc2, uint64_t length2);

// The form in which tables and index entries store a checksum (LevelDB's masking: data that contain their own
// checksums are hard on a CRC).
constexpr uint32_t MaskCrc32c(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8u; }
constexpr uint32_t UnmaskCrc32c(uint32_t masked) {
  const uint32_t rotated = masked - 0xa282ead8u;
  return (rotated >> 17) | (rotated << 15);
}

// One way to compute it. All of them give the same values; they differ in what the processor must be able to do.
struct Crc32cImplementation {
  const char* name;
  // Whether this processor, and the system on it, can run it.
  bool (*supported)();
  // As Crc32c and Crc32cCopy above.
  uint32_t (*extend)(uint32_t crc, const uint8_t* data, size_t n);
  uint32_t (*copy)(uint32_t crc, uint8_t* dst, const uint8_t* src, size_t n);
};

// Those compiled in, fastest first. The last one is portable and always supported.
std::span<const Crc32cImplementation> Crc32cImplementations();

// The one that Crc32c and Crc32cCopy use: the first that is supported, found once.
const Crc32cImplementation& ActiveCrc32c();

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_CHECKSUM_CRC32C_H_
