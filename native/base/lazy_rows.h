#ifndef TENSOR_CHECKPOINT_BASE_LAZY_ROWS_H_
#define TENSOR_CHECKPOINT_BASE_LAZY_ROWS_H_

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace tensor_checkpoint {

// A value for each of many rows, of which few exist at a time: a row without one takes a pointer. Rows are independent:
// each may be used by another thread.
template <typename T>
class LazyRows {
 public:
  explicit LazyRows(size_t rows) : rows_(rows) {}

  // nullptr: the row has none.
  const T* Find(size_t row) const { return rows_[row].get(); }
  // Made where the row has none.
  T& operator[](size_t row) {
    if (rows_[row] == nullptr) rows_[row] = std::make_unique<T>();
    return *rows_[row];
  }
  // The row has none afterwards. An empty value where it had none before.
  T Take(size_t row) {
    const std::unique_ptr<T> taken = std::move(rows_[row]);
    return taken == nullptr ? T() : std::move(*taken);
  }
  void clear() { rows_.clear(); }

 private:
  std::vector<std::unique_ptr<T>> rows_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BASE_LAZY_ROWS_H_
