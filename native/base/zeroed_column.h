#ifndef TENSOR_CHECKPOINT_BASE_ZEROED_COLUMN_H_
#define TENSOR_CHECKPOINT_BASE_ZEROED_COLUMN_H_

#include <cstddef>
#include <cstdlib>

#include "base/aligned_buffer.h"

namespace tensor_checkpoint {

// Numbers that are zero, in memory that costs nothing until it is touched: a vector touches all of it at once, which takes
// milliseconds where there are a million. Likewise, the process ends where there is no memory. One owner, not synchronized.
template <typename T>
class ZeroedColumn {
 public:
  using value_type = T;

  ZeroedColumn() = default;
  explicit ZeroedColumn(size_t size) : memory_(AlignedBuffer::AllocateZeroed(size * sizeof(T))) {
    if (size > 0 && memory_.empty()) std::abort();
  }

  size_t size() const { return memory_.size() / sizeof(T); }
  T* data() { return reinterpret_cast<T*>(memory_.data()); }
  const T* data() const { return reinterpret_cast<const T*>(memory_.data()); }
  T& operator[](size_t row) { return data()[row]; }
  const T& operator[](size_t row) const { return data()[row]; }

 private:
  AlignedBuffer memory_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BASE_ZEROED_COLUMN_H_
