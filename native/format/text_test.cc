#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "format/object_keys.h"
#include "format/text_column.h"
#include "format/text_order.h"
#include "format/texts_for_test.h"

namespace tensor_checkpoint {
namespace {

std::vector<std::string> Rows(const TextColumn& column) {
  std::vector<std::string> rows;
  for (size_t row = 0; row < column.size(); ++row) rows.emplace_back(column[row]);
  return rows;
}

TEST(TextColumnTest, HoldsItsRowsAlsoEmptyOnes) {
  const std::vector<std::string> texts{"", "a", "", std::string("\0b", 2), "long " + std::string(5000, 'x')};
  const OwnedTexts column(texts);
  EXPECT_TRUE(column.view().Valid());
  EXPECT_EQ(Rows(column.view()), texts);
  EXPECT_EQ(OwnedTexts().view().size(), 0u);
}

TEST(TextColumnTest, IsNotValidWithoutAnEndOrBeyondItsText) {
  const std::vector<uint32_t> none, descends{0, 2, 1}, beyond{0, 4};
  EXPECT_FALSE((TextColumn{"abc", none}.Valid()));
  EXPECT_FALSE((TextColumn{"abc", descends}.Valid()));
  EXPECT_FALSE((TextColumn{"abc", beyond}.Valid()));
}

std::vector<uint32_t> Sorted(const TextColumn& texts, size_t piece, std::optional<uint32_t>& repeated) {
  TextOrder order(texts);
  while (order.Sort(piece)) {
  }
  repeated = order.repeated();
  const ZeroedColumn<uint32_t> rows = order.Take();
  return {rows.data(), rows.data() + rows.size()};
}

TEST(TextOrderTest, OrdersByBytesWhateverTheNumberOfRowsAndThePieces) {
  std::mt19937 random(7);
  for (const size_t count : {0u, 1u, 2u, 255u, 256u, 257u, 512u, 513u, 5000u}) {
    std::vector<std::string> texts;
    for (size_t i = 0; i < count; ++i) {
      // Bytes from 0x80 on come after ASCII; one may be the beginning of another.
      texts.push_back(std::string(random() % 3, static_cast<char>(random())) + std::to_string(i * 7919 % count));
    }
    const OwnedTexts column(texts);
    std::vector<std::string> wanted = texts;
    std::ranges::sort(wanted);
    const bool repeats = std::ranges::adjacent_find(wanted) != wanted.end();
    for (const size_t piece : {1u, 100u, 100'000u}) {
      std::optional<uint32_t> repeated;
      const std::vector<uint32_t> rows = Sorted(column.view(), piece, repeated);
      std::vector<std::string> sorted;
      for (const uint32_t row : rows) sorted.push_back(texts[row]);
      EXPECT_EQ(sorted, wanted) << count;
      EXPECT_EQ(repeated.has_value(), repeats) << count;
      EXPECT_TRUE(!repeated || std::ranges::count(texts, texts[*repeated]) > 1);
    }
  }
}

TEST(TextOrderTest, FindsTheOneTextThatIsThereTwiceHoweverFarApart) {
  std::mt19937 random(8);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> texts;
    for (int i = 0; i < 2000; ++i) texts.push_back("key " + std::to_string(i * 37 % 2000));
    const size_t a = random() % 2000, b = random() % 2000;
    texts[a] = texts[b];
    std::optional<uint32_t> repeated;
    Sorted(OwnedTexts(texts).view(), 64, repeated);
    ASSERT_EQ(repeated.has_value(), a != b);
    EXPECT_TRUE(!repeated || *repeated == a || *repeated == b);
  }
}

// The root leads to a layer and an optimizer, which has a slot for the layer's kernel; the root has a value, too.
struct Tree {
  std::vector<int32_t> above{0, 0, 0, 1, -1 - 2};
  std::vector<int32_t> name{0, 0, 1, 2, 0};
  OwnedTexts edges{{"a.b/c", "opt", "kernel"}};
  std::vector<int32_t> variables{3};
  OwnedTexts slots{{"m.0"}};
  std::vector<int32_t> value_start{0, 1, 1, 1, 2, 3};
  std::vector<uint32_t> attributes{1, 0, 0};
  OwnedTexts suffixes{{"/.ATTRIBUTES/VARIABLE_VALUE", "/.ATTRIBUTES/py_state"}};

  PathColumns columns() const {
    return {above, name, edges.view(), variables, slots.view(), value_start, attributes, suffixes.view()};
  }
};

TEST(ObjectKeysTest, AreThePathsWithEscapedNamesAndTheAttributes) {
  const Tree tree;
  ASSERT_TRUE(tree.columns().Valid());
  for (const size_t piece : {1, 100}) {
    ObjectKeys keys(tree.columns());
    while (keys.Write(piece)) {
    }
    ASSERT_TRUE(keys.keys().ok());
    const std::vector<std::string> expected{
        "/.ATTRIBUTES/py_state",
        "a..b.Sc/kernel/.ATTRIBUTES/VARIABLE_VALUE",
        "a..b.Sc/kernel/.OPTIMIZER_SLOT/opt/m..0/.ATTRIBUTES/VARIABLE_VALUE",
    };
    EXPECT_EQ(Rows(keys.keys().view()), expected);
  }
}

TEST(ObjectKeysTest, AreNotMadeOfColumnsThatLeadInACircleOrBeyondTheirEnd) {
  const auto valid = [](auto change) {
    Tree tree;
    change(tree);
    return tree.columns().Valid();
  };
  EXPECT_FALSE(valid([](Tree& tree) { tree.above[1] = 1; }));
  EXPECT_FALSE(valid([](Tree& tree) { tree.above[1] = 3; }));
  EXPECT_FALSE(valid([](Tree& tree) { tree.above[4] = -1 - 4; }));
  EXPECT_FALSE(valid([](Tree& tree) { tree.above[4] = INT32_MIN; }));
  EXPECT_FALSE(valid([](Tree& tree) { tree.above[2] = -1; }));  // the path of the slot leads over a slot
  EXPECT_FALSE(valid([](Tree& tree) { tree.variables[0] = 4; }));
  EXPECT_FALSE(valid([](Tree& tree) { tree.variables[0] = -1; }));
  EXPECT_FALSE(valid([](Tree& tree) { tree.variables.clear(); }));
  EXPECT_FALSE(valid([](Tree& tree) { tree.name[3] = 3; }));
  EXPECT_FALSE(valid([](Tree& tree) { tree.name[4] = -1; }));
  EXPECT_FALSE(valid([](Tree& tree) { tree.name.pop_back(); }));
  EXPECT_FALSE(valid([](Tree& tree) { tree.above.clear(); }));
  EXPECT_FALSE(valid([](Tree& tree) { tree.attributes[0] = 2; }));
  EXPECT_FALSE(valid([](Tree& tree) { tree.value_start.back() = 2; }));
  EXPECT_FALSE(valid([](Tree& tree) { tree.value_start = {0, 2, 1, 1, 2, 3}; }));
}

}  // namespace
}  // namespace tensor_checkpoint
