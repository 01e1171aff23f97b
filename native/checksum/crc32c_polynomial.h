#ifndef TENSOR_CHECKPOINT_CHECKSUM_CRC32C_POLYNOMIAL_H_
#define TENSOR_CHECKPOINT_CHECKSUM_CRC32C_POLYNOMIAL_H_

#include <array>
#include <cstddef>
#include <cstdint>

// Arithmetic on polynomials over GF(2) modulo that of CRC-32C, in the reflected notation of the checksum: bit 31 is
// the coefficient of x^0, bit 0 that of x^31. Appending n zero bytes to a message multiplies its remainder by x^(8n);
// that one fact is behind combining, behind merging interleaved streams and behind folding.
namespace tensor_checkpoint::crc32c_internal {

inline constexpr uint32_t kPolynomial = 0x82f63b78;
inline constexpr uint32_t kOne = uint32_t{1} << 31;

constexpr uint32_t Multiply(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (uint32_t bit = kOne; bit != 0; bit >>= 1) {
    if ((a & bit) != 0) product ^= b;
    b = (b & 1) != 0 ? (b >> 1) ^ kPolynomial : b >> 1;
  }
  return product;
}

// x^(2^k) for the k that a count of bits can have: 64 for a count of bytes, and 3 more.
inline constexpr std::array<uint32_t, 67> kSquares = [] {
  std::array<uint32_t, 67> squares{};
  squares[0] = kOne >> 1;
  for (size_t k = 1; k < squares.size(); ++k) squares[k] = Multiply(squares[k - 1], squares[k - 1]);
  return squares;
}();

// x^(units * 2^log2) for units of 2^log2 bits.
constexpr uint32_t PowerOfX(uint64_t units, size_t log2 = 0) {
  uint32_t power = kOne;
  for (size_t k = log2; units != 0; units >>= 1, ++k) {
    if ((units & 1) != 0) power = Multiply(kSquares[k], power);
  }
  return power;
}

}  // namespace tensor_checkpoint::crc32c_internal

#endif  // TENSOR_CHECKPOINT_CHECKSUM_CRC32C_POLYNOMIAL_H_
