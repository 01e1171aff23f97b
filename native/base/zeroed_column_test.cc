#include "base/zeroed_column.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>

namespace tensor_checkpoint {
namespace {

TEST(ZeroedColumnTest, IsZeroWhateverItsSizeAndEmptyOnceItIsMoved) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{1000}, size_t{1} << 20}) {
    ZeroedColumn<uint32_t> column(size);
    ASSERT_EQ(column.size(), size);
    for (size_t row = 0; row < size; ++row) ASSERT_EQ(column[row], 0u);
    if (size > 0) column[size - 1] = 7;
    const ZeroedColumn<uint32_t> moved = std::move(column);
    EXPECT_EQ(moved.size(), size);
    EXPECT_EQ(column.size(), 0u);
    if (size > 0) {
      EXPECT_EQ(moved[size - 1], 7u);
    }
  }
}

}  // namespace
}  // namespace tensor_checkpoint
