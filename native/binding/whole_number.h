#ifndef TENSOR_CHECKPOINT_BINDING_WHOLE_NUMBER_H_
#define TENSOR_CHECKPOINT_BINDING_WHOLE_NUMBER_H_

#include <cmath>
#include <cstdint>
#include <string>

namespace tensor_checkpoint {

inline constexpr double kMaxSafe = 9007199254740991;  // 2^53 − 1

// Lengths, offsets and addresses travel as doubles. False, and no value, for one that is none.
inline bool WholeNumber(double value, uint64_t& whole) {
  if (!(value >= 0 && value <= kMaxSafe && value == std::floor(value))) return false;
  whole = static_cast<uint64_t>(value);
  return true;
}

inline std::string NotWhole(const char* name) {
  return std::string(name) + " must be a whole number from 0 to 2^53 - 1";
}

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_WHOLE_NUMBER_H_
