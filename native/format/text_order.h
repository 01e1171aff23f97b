#ifndef TENSOR_CHECKPOINT_FORMAT_TEXT_ORDER_H_
#define TENSOR_CHECKPOINT_FORMAT_TEXT_ORDER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/zeroed_column.h"
#include "format/text_column.h"

namespace tensor_checkpoint {

// Puts the rows of a column in the order of their texts' bytes, piece by piece: it sorts short runs, which stay in the
// processor's cache, and merges them. One owner, not synchronized; the texts must be Valid() and outlive it.
class TextOrder {
 public:
  explicit TextOrder(const TextColumn& texts);

  // Looks at about so many rows, a run at least; false once all are in order.
  bool Sort(size_t count);
  // A row whose text another one has, too, where there is any. Once all are in order.
  std::optional<uint32_t> repeated() const { return repeated_; }
  // The rows in order, once they are.
  ZeroedColumn<uint32_t> Take() { return std::move(rows_); }

 private:
  bool Less(uint32_t a, uint32_t b);
  void SortRun();
  void BeginMerge();
  void Merge(size_t count);

  const TextColumn texts_;
  std::optional<uint32_t> repeated_;
  ZeroedColumn<uint32_t> rows_;
  // Rows from here on are in no run, and not listed yet.
  size_t unsorted_ = 0;
  // The length of all runs but the last one.
  size_t run_;
  // Where two runs become one: what is left of the two, up to `middle_` and `end_`, goes to `to_`.
  ZeroedColumn<uint32_t> merged_;
  size_t left_ = 0;
  size_t middle_ = 0;
  size_t right_ = 0;
  size_t end_ = 0;
  size_t to_ = 0;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_FORMAT_TEXT_ORDER_H_
