#include <array>
#include <bit>

#include "checksum/crc32c_implementations.h"
#include "checksum/crc32c_polynomial.h"

// Slicing-by-8 (Kounavis and Berry, "A Systematic Approach to Building High Performance Software-Based CRC
// Generators", 2005): eight table look-ups that don't depend on each other advance the remainder by eight bytes.
namespace tensor_checkpoint::crc32c_internal {
namespace {

static_assert(std::endian::native == std::endian::little, "the word loads below assume little-endian memory");

using Table = std::array<uint32_t, 256>;

// kTables[k][b]: what byte b contributes to the remainder once k further bytes have followed it.
constexpr std::array<Table, 8> kTables = [] {
  std::array<Table, 8> tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? (crc >> 1) ^ kPolynomial : crc >> 1;
    tables[0][byte] = crc;
  }
  for (size_t k = 1; k < tables.size(); ++k) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t shorter = tables[k - 1][byte];
      tables[k][byte] = (shorter >> 8) ^ tables[0][shorter & 0xff];
    }
  }
  return tables;
}();

uint32_t Extend(uint32_t crc, const uint8_t* data, size_t n) {
  crc = ~crc;
  for (; n >= 8; n -= 8, data += 8) {
    uint64_t word;
    std::memcpy(&word, data, sizeof(word));
    word ^= crc;
    crc = kTables[7][word & 0xff] ^ kTables[6][(word >> 8) & 0xff] ^ kTables[5][(word >> 16) & 0xff] ^
          kTables[4][(word >> 24) & 0xff] ^ kTables[3][(word >> 32) & 0xff] ^ kTables[2][(word >> 40) & 0xff] ^
          kTables[1][(word >> 48) & 0xff] ^ kTables[0][word >> 56];
  }
  for (; n > 0; --n, ++data) crc = (crc >> 8) ^ kTables[0][(crc ^ *data) & 0xff];
  return ~crc;
}

}  // namespace

constinit const Crc32cImplementation kPortable = {"portable", [] { return true; }, Extend, CopyByPieces<Extend>};

}  // namespace tensor_checkpoint::crc32c_internal
