#ifndef TENSOR_CHECKPOINT_FORMAT_TEXT_COLUMN_H_
#define TENSOR_CHECKPOINT_FORMAT_TEXT_COLUMN_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "format/check_columns.h"
#include "format/wire_writer.h"

namespace tensor_checkpoint {

// Many texts, one after the other: that of row i begins at start[i] and ends where the next one begins. The memory is
// somebody else's and must outlive it.
struct TextColumn {
  std::string_view text;
  std::span<const uint32_t> start;

  size_t size() const { return start.empty() ? 0 : start.size() - 1; }
  std::string_view operator[](size_t row) const { return text.substr(start[row], start[row + 1] - start[row]); }

  // Whether there is an end for each row, all within the text.
  bool Valid() const {
    return !start.empty() && start.back() <= text.size() && Ascends(start);
  }
};

// Writes a TextColumn. No longer ok() beyond 4 GiB, or where there is no memory for the text. One owner, not synchronized.
class TextColumnWriter {
 public:
  // To the text of the next row.
  void Append(std::string_view part) { text_.Append(part); }
  void EndRow() {
    fits_ &= text_.size() <= std::numeric_limits<uint32_t>::max();
    start_.push_back(static_cast<uint32_t>(text_.size()));
  }

  bool ok() const { return text_.ok() && fits_; }
  size_t size() const { return start_.size() - 1; }
  // Valid until the next call.
  TextColumn view() const { return {text_.view(), start_}; }
  // Hand over what was written, only where ok().
  WrittenBytes TakeText() { return text_.Finish(); }
  std::vector<uint32_t> TakeStart() { return std::exchange(start_, {0}); }

 private:
  WireWriter text_;
  std::vector<uint32_t> start_{0};
  bool fits_ = true;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_FORMAT_TEXT_COLUMN_H_
