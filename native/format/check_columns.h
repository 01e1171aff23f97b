#ifndef TENSOR_CHECKPOINT_FORMAT_CHECK_COLUMNS_H_
#define TENSOR_CHECKPOINT_FORMAT_CHECK_COLUMNS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

// Whether the numbers of a column may be relied upon. These look at all of them, also where an early one is wrong: loops
// without a way out take many numbers at a time, and a column of a million is checked while JavaScript waits.
namespace tensor_checkpoint {

template <typename T>
bool Ascends(std::span<const T> column) {
  bool wrong = false;
  for (size_t row = 1; row < column.size(); ++row) wrong |= column[row - 1] > column[row];
  return !wrong;
}

// All from 0 up to, and not, `limit`.
template <typename T>
bool AllBelow(std::span<const T> column, size_t limit) {
  static_assert(sizeof(T) == sizeof(uint32_t));
  // As an unsigned number, a negative one is larger than all that T has.
  const auto last = static_cast<uint32_t>(std::min<size_t>(limit, size_t{std::numeric_limits<T>::max()} + 1) - 1);
  bool wrong = limit == 0 && !column.empty();
  for (const T number : column) wrong |= static_cast<uint32_t>(number) > last;
  return !wrong;
}

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_FORMAT_CHECK_COLUMNS_H_
