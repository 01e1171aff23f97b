#ifndef TENSOR_CHECKPOINT_CHECKSUM_CRC32C_FOLDING_H_
#define TENSOR_CHECKPOINT_CHECKSUM_CRC32C_FOLDING_H_

#include "checksum/crc32c_polynomial.h"

// Folding (Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction", 2009): instead of
// reducing 16 bytes to a remainder, they are replaced by 16 bytes that have the same remainder `distance` bytes later,
// and added (xor) to the bytes that stand there.
//
// As a polynomial the 16 bytes are low * x^64 + high, where low is the quadword at the lower address. Multiplied by
// x^(8 * distance), each half times a power of x modulo the polynomial gives less than 128 bits again. A carry-less
// product of two reflected quadwords is reflected in 127 bits, not 128, which is one factor x too many; it is taken out
// of the constants.
namespace tensor_checkpoint::crc32c_internal {

constexpr uint64_t FoldConstant(size_t bits) { return uint64_t{PowerOfX(bits - 1)} << 32; }
constexpr uint64_t FoldLow(size_t distance) { return FoldConstant(8 * distance + 64); }
constexpr uint64_t FoldHigh(size_t distance) { return FoldConstant(8 * distance); }

}  // namespace tensor_checkpoint::crc32c_internal

#endif  // TENSOR_CHECKPOINT_CHECKSUM_CRC32C_FOLDING_H_
