#ifndef TENSOR_CHECKPOINT_FORMAT_TEXTS_FOR_TEST_H_
#define TENSOR_CHECKPOINT_FORMAT_TEXTS_FOR_TEST_H_

#include <string>
#include <string_view>
#include <vector>

#include "format/text_column.h"

namespace tensor_checkpoint {

// The texts of a column, in memory of its own.
class OwnedTexts {
 public:
  explicit OwnedTexts(const std::vector<std::string>& texts = {}) {
    for (const std::string& text : texts) Add(text);
  }

  void Add(std::string_view text) {
    texts_.Append(text);
    texts_.EndRow();
  }
  TextColumn view() const { return texts_.view(); }

 private:
  TextColumnWriter texts_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_FORMAT_TEXTS_FOR_TEST_H_
