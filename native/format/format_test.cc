#include "format/sorted_table.h"

#include <gtest/gtest.h>

#include <string>

#include "checksum/crc32c.h"
#include "format/bundle_index.h"
#include "format/object_graph.h"
#include "format/stored_string.h"

namespace tensor_checkpoint {
namespace {

std::string Text(const WrittenBytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data.get()), bytes.size};
}

TEST(WireWriterTest, MovesContentWhoseLengthTakesMoreBytesThanOne) {
  for (const size_t size : {0, 1, 127, 128, 16383, 16384, 70000}) {
    WireWriter writer;
    const size_t outer = writer.Open(0x0a);
    const size_t inner = writer.Open(0x12);
    writer.Append(std::string(size, 'x'));
    writer.Close(inner);
    writer.Byte('!');
    writer.Close(outer);

    WireWriter plain;
    WireWriter content;
    content.Byte(0x12);
    content.Varint(size);
    content.Append(std::string(size, 'x'));
    content.Byte('!');
    plain.TextField(0x0a, content.view());
    EXPECT_EQ(writer.view(), plain.view()) << size;
  }
}

TEST(WireWriterTest, DropsWhatComesOnceThereIsNoMemory) {
  WireWriter writer;
  writer.Append("kept");
  // Not a constant: the compiler would know that there can't be so much.
  volatile size_t too_much = SIZE_MAX / 4;
  writer.Zeros(too_much);
  EXPECT_FALSE(writer.ok());
  writer.Append("dropped");
  writer.Varint(1);
  const size_t start = writer.Open(0x0a);
  writer.Close(start);
  EXPECT_FALSE(writer.ok());
  EXPECT_EQ(writer.view(), "kept");
}

TEST(WireWriterTest, IsEmptyAgainAfterItHasHandedItsBytesOver) {
  WireWriter writer;
  EXPECT_EQ(Text(writer.Finish()), "");
  writer.Append("first");
  EXPECT_EQ(Text(writer.Finish()), "first");
  writer.Append("second");
  EXPECT_EQ(Text(writer.Finish()), "second");
}

TEST(SortedTableTest, OfNoEntriesIsAMetaindexAnIndexAndAFooter) {
  SortedTable table;
  table.Finish();
  ASSERT_TRUE(table.ok());
  EXPECT_EQ(table.seals().size(), 2u);
  EXPECT_EQ(Text(table.Take()).size(), 2 * 13 + 48u);
}

TEST(SortedTableTest, StartsABlockForAnEntryOfTwiceItsSize) {
  SortedTable table;
  table.Add("a", "1");
  const std::string large(600'000, 'x');
  const size_t end = table.Add("b", large);
  table.Add("c", "2");
  table.Finish();
  // Three blocks of data, the metaindex, the index.
  EXPECT_EQ(table.seals().size(), 5u);
  EXPECT_EQ(Text(table.Take()).substr(end - large.size(), large.size()), large);
}

TEST(SortedTableTest, NamesABlockByAShortKeyBetweenItsLastAndTheNext) {
  std::string scratch;
  EXPECT_EQ(ShortestSeparator("abc1", "abf", scratch), "abd");
  EXPECT_EQ(ShortestSeparator("abc", "abcd", scratch), "abc");
  EXPECT_EQ(ShortestSeparator("abc", "abd", scratch), "abc");
  EXPECT_EQ(ShortestSeparator("a\xff", "b", scratch), "a\xff");
  EXPECT_EQ(ShortSuccessor("abc", scratch), "b");
  EXPECT_EQ(ShortSuccessor("\xff\xfe", scratch), "\xff\xff");
  EXPECT_EQ(ShortSuccessor("\xff", scratch), "\xff");
  EXPECT_EQ(ShortSuccessor("", scratch), "");
}

TEST(BundleIndexTest, LeavesRoomForChecksumsWhereItSays) {
  BundleIndex index(1);
  const double dims[] = {2, 3};
  const size_t first = index.Add("a", {.dtype = 1, .dims = dims, .shard = 0, .offset = 0, .size = 24});
  const size_t second = index.Add("b", {.dtype = 9, .dims = {}, .shard = 0, .offset = 24, .size = 8});
  index.table().Finish();
  ASSERT_TRUE(index.ok());
  const std::string bytes = Text(index.table().Take());
  for (const size_t at : {first, second}) {
    EXPECT_EQ(bytes[at - 1], 0x35);
    EXPECT_EQ(bytes.substr(at, 4), std::string(4, '\0'));
  }
}

TEST(GraphWriterTest, SaysOfEachNodeWhetherThereAreValuesBelowItAlsoInACycle) {
  // 0 → 1 → 2 → 1, 0 → 3; 2 has a value.
  const int32_t child_start[] = {0, 2, 3, 4, 4};
  const int32_t child_ids[] = {1, 3, 2, 1};
  const int32_t value_start[] = {0, 0, 0, 1, 1};
  const uint32_t attributes[] = {0};
  const int32_t none[] = {0, 0, 0, 0, 0};
  const uint32_t child_ends[] = {0, 1, 2, 3, 4};
  const uint32_t key_ends[] = {0, 3};
  const uint32_t no_ends[] = {0};
  GraphColumns columns = {.child_start = child_start,
                          .child_ids = child_ids,
                          .child_names = {"abcd", child_ends},
                          .value_start = value_start,
                          .attributes = attributes,
                          .attribute_names = {"VAL", key_ends},
                          .keys = {"key", key_ends},
                          .slot_start = none,
                          .slot_names = {"", no_ends}};
  ASSERT_TRUE(columns.Valid());
  columns.attribute_names = columns.slot_names;
  EXPECT_FALSE(columns.Valid());
  columns.attribute_names = columns.keys;
  GraphWriter writer(columns, 3);
  while (writer.Write(1)) {
  }
  ASSERT_TRUE(writer.ok());
  const std::string bytes = Text(writer.Take());
  EXPECT_EQ(bytes.substr(0, 3), std::string(3, '\0'));
  const std::string holds("\x2a\x02\x08\x01", 4);
  size_t held = 0;
  for (size_t at = bytes.find(holds); at != std::string::npos; at = bytes.find(holds, at + 1)) ++held;
  EXPECT_EQ(held, 3u);
  EXPECT_EQ(bytes.substr(bytes.size() - 2), std::string("\x2a\x00", 2));
}

TEST(StoredStringTest, HasItsLengthAndTheSumOfThatBeforeItInWhateverPiecesItIsSummed) {
  for (const size_t length : {0, 1, 5, 127, 128, 300, 20'000}) {
    const std::string element(length, 'x');
    for (const size_t piece : {1, 100, 1 << 20}) {
      WireWriter memory;
      memory.Zeros(StoredString::kMaxHead);
      memory.Append(element);
      StoredString stored(memory.Finish());
      while (stored.Sum(piece)) {
      }
      const char fixed[4] = {static_cast<char>(length), static_cast<char>(length >> 8), 0, 0};
      const uint32_t of_length = Crc32c(0, fixed, sizeof fixed);
      WireWriter expected;
      expected.Varint(length);
      expected.Fixed32(MaskCrc32c(of_length));
      const std::string sum(expected.view().substr(expected.size() - 4));
      EXPECT_EQ(stored.checksum(), Crc32c(Crc32c(of_length, sum.data(), sum.size()), element.data(), element.size()));
      const size_t start = stored.start();
      EXPECT_EQ(Text(stored.Take()).substr(start), std::string(expected.view()) + element);
    }
  }
}

}  // namespace
}  // namespace tensor_checkpoint
