#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "checksum/crc32c.h"
#include "format/bundle_index.h"
#include "format/key_table.h"
#include "format/object_graph.h"
#include "format/read_graph.h"
#include "format/read_index.h"
#include "format/texts_for_test.h"

// What is read, and that it is the same as the parser in TypeScript reads, is in test/native/decode.test.ts. Here: that nothing
// is read or written where it mustn't be, whatever the bytes are, which the sanitizers see.
namespace tensor_checkpoint {
namespace {

std::string Text(const WrittenBytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data.get()), bytes.size};
}

ElementBytes Elements() {
  ElementBytes bytes;
  bytes.fill(kUnknown);
  bytes[1] = 4;
  bytes[7] = kVaries;
  return bytes;
}

void Seal(std::string& table, const std::vector<SortedTable::Seal>& seals) {
  for (const auto& [start, length] : seals) {
    const uint32_t crc = MaskCrc32c(Crc32c(0, table.data() + start, length));
    for (int i = 0; i < 4; ++i) table[start + length + i] = static_cast<char>(crc >> (8 * i));
  }
}

struct Index {
  std::string bytes;
  std::vector<SortedTable::Seal> seals;
};

Index IndexOf(int tensors) {
  BundleIndex index(2);
  const double dims[] = {3, 0, 100000};
  for (int i = 0; i < tensors; ++i) {
    const auto rank = static_cast<size_t>(i % 3);
    const uint64_t size = 4 * (rank == 0 ? 1 : rank == 1 ? 3 : 0);
    const std::string key = "layers/" + std::to_string(100000 + i) + "/kernel";
    index.Add(key, {.dtype = 1, .dims = {dims, rank}, .shard = 1, .offset = 8ull * i, .size = size});
  }
  index.table().Finish();
  Index made{"", index.table().seals()};
  made.bytes = Text(index.table().Take());
  Seal(made.bytes, made.seals);
  return made;
}

std::string GraphOf(int32_t nodes) {
  std::vector<int32_t> child_start{0}, child_ids, value_start{0}, slot_start{0}, slots;
  std::vector<uint32_t> attributes;
  for (int32_t id = 0; id < nodes; ++id) {
    if (id + 1 < nodes) child_ids.push_back(id + 1);
    if (id % 2 == 1) attributes.push_back(0);
    if (id % 5 == 4) slots.push_back(id);
    child_start.push_back(static_cast<int32_t>(child_ids.size()));
    value_start.push_back(static_cast<int32_t>(attributes.size()));
    slot_start.push_back(static_cast<int32_t>(slots.size()));
  }
  OwnedTexts child_names, attribute_names, keys, slot_names;
  attribute_names.Add("VARIABLE_VALUE");
  for (size_t row = 0; row < child_ids.size(); ++row) child_names.Add("child" + std::to_string(row));
  for (size_t row = 0; row < attributes.size(); ++row) keys.Add("layers/" + std::to_string(100000 + row) + "/kernel");
  for (size_t row = 0; row < slots.size(); ++row) slot_names.Add("m");
  const GraphColumns columns{child_start,
                             child_ids,
                             child_names.view(),
                             value_start,
                             attributes,
                             attribute_names.view(),
                             keys.view(),
                             slot_start,
                             slots,
                             slot_names.view(),
                             slots};
  GraphWriter writer(columns, 0);
  while (writer.Write(100)) {
  }
  return Text(writer.Take());
}

TEST(ReadTest, FindsTheTensorsOfAnIndexOfManyBlocksAndTheValuesOfAGraph) {
  const Index index = IndexOf(20000);
  const auto rows = ReadIndex(index.bytes, Elements());
  ASSERT_TRUE(rows.has_value());
  EXPECT_GT(index.seals.size(), 4u);
  EXPECT_EQ(rows->shards, 2u);
  EXPECT_EQ(rows->dtype.size(), 20000u);
  EXPECT_EQ(rows->dim_end, (std::vector<uint32_t>{0, 1, 3}));
  EXPECT_EQ(rows->offset[19999], 8.0 * 19999);
  const auto slots = KeyTable::SlotsOf({rows->text, rows->key_start}, 99);
  const KeyTable keys{{rows->text, rows->key_start}, slots, 99};
  ASSERT_TRUE(keys.Valid());
  EXPECT_EQ(keys.Find("layers/100007/kernel"), 7);
  EXPECT_EQ(keys.Find("layers/100007/kerne"), -1);
  EXPECT_EQ(keys.Find(""), -1);

  const auto graph = ReadGraph(GraphOf(1001), keys);
  ASSERT_TRUE(graph.has_value());
  EXPECT_EQ(graph->holds.size(), 1001u);
  EXPECT_EQ(graph->entry_rows.size(), 500u);
  EXPECT_EQ(graph->entry_rows[499], 499);
  EXPECT_EQ(graph->slot_ids.back(), 999);
}

TEST(ReadTest, StaysWithinItsMemoryWhateverTheIndexHolds) {
  const Index index = IndexOf(300);
  std::mt19937 random(1);
  int accepted = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string changed = index.bytes;
    for (uint32_t i = 0; i <= random() % 3; ++i) changed[random() % changed.size()] = static_cast<char>(random());
    Seal(changed, index.seals);
    if (random() % 10 == 0) changed.resize(random() % changed.size());
    const auto rows = ReadIndex(std::string(changed), Elements());
    if (!rows.has_value()) continue;
    ++accepted;
    EXPECT_EQ(rows->key_start.size(), rows->dtype.size() + 1);
    EXPECT_EQ(rows->key_start.back(), rows->text.size());
    for (const uint32_t shape : rows->shape) EXPECT_LT(shape, rows->dim_end.size());
  }
  EXPECT_GT(accepted, 100);
}

TEST(ReadTest, StaysWithinItsMemoryWhateverTheGraphHolds) {
  const std::string graph = GraphOf(60);
  const std::vector<uint32_t> start{0};
  const auto slots = KeyTable::SlotsOf({"", start}, 1);
  const KeyTable keys{{"", start}, slots, 1};
  ASSERT_TRUE(keys.Valid());
  std::mt19937 random(2);
  int accepted = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string changed = graph;
    for (uint32_t i = 0; i <= random() % 3; ++i) changed[random() % changed.size()] = static_cast<char>(random());
    if (random() % 10 == 0) changed.resize(random() % changed.size());
    const auto rows = ReadGraph(std::string(changed), keys);
    if (!rows.has_value()) continue;
    ++accepted;
    const auto nodes = static_cast<int32_t>(rows->holds.size());
    for (const int32_t id : rows->child_ids) EXPECT_TRUE(id >= 0 && id < nodes);
    EXPECT_EQ(static_cast<size_t>(rows->child_start.back()), rows->child_ids.size());
    for (size_t i = 0; i < rows->keys.start.size(); ++i) {
      EXPECT_LE(rows->keys.start[i], rows->keys.end[i]);
      EXPECT_LE(rows->keys.end[i], changed.size());
    }
  }
  EXPECT_GT(accepted, 100);
}

}  // namespace
}  // namespace tensor_checkpoint
