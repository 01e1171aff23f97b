#include "format/text_order.h"

#include <algorithm>
#include <compare>
#include <numeric>
#include <utility>

namespace tensor_checkpoint {
namespace {

// Rows of a run before merging: a fraction of a millisecond.
constexpr size_t kRun = 256;

}  // namespace

TextOrder::TextOrder(const TextColumn& texts) : texts_(texts), rows_(texts.size()), run_(kRun), merged_(texts.size()) {}

bool TextOrder::Less(uint32_t a, uint32_t b) {
  const std::strong_ordering order = texts_[a] <=> texts_[b];
  // Rows that end up side by side have been compared.
  if (order == 0 && a != b) repeated_ = b;
  return order < 0;
}

bool TextOrder::Sort(size_t count) {
  for (; unsorted_ < rows_.size() && count > 0; count -= std::min(count, kRun)) SortRun();
  if (unsorted_ < rows_.size()) return true;
  while (run_ < rows_.size() && count > 0) {
    if (to_ == end_) BeginMerge();
    const size_t some = std::min(count, end_ - to_);
    Merge(some);
    count -= some;
    if (to_ < rows_.size()) continue;
    std::swap(rows_, merged_);
    run_ *= 2;
    to_ = end_ = 0;
  }
  return run_ < rows_.size();
}

void TextOrder::SortRun() {
  uint32_t* const first = rows_.data() + unsorted_;
  uint32_t* const end = rows_.data() + std::min(unsorted_ + kRun, rows_.size());
  std::iota(first, end, static_cast<uint32_t>(unsorted_));
  std::sort(first, end, [this](uint32_t a, uint32_t b) { return Less(a, b); });
  unsorted_ = static_cast<size_t>(end - rows_.data());
}

void TextOrder::BeginMerge() {
  left_ = end_;
  right_ = middle_ = std::min(left_ + run_, rows_.size());
  end_ = std::min(middle_ + run_, rows_.size());
}

void TextOrder::Merge(size_t count) {
  // In order already, as whatever was written sorted before.
  const bool follow = right_ == middle_ && middle_ < end_ && left_ < middle_ && Less(rows_[middle_ - 1], rows_[middle_]);
  for (; count > 0; --count) {
    const bool takes_left = right_ == end_ || (left_ < middle_ && (follow || !Less(rows_[right_], rows_[left_])));
    merged_[to_++] = rows_[takes_left ? left_++ : right_++];
  }
}

}  // namespace tensor_checkpoint
