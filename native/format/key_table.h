#ifndef TENSOR_CHECKPOINT_FORMAT_KEY_TABLE_H_
#define TENSOR_CHECKPOINT_FORMAT_KEY_TABLE_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "format/text_column.h"

namespace tensor_checkpoint {

// The keys of an index. They are found by open addressing: a slot holds a row + 1, or 0. TypeScript's IndexTable looks them up
// in the same way.
// Whoever makes up an index can't know the seed, and so not which of its keys meet in a slot.
struct KeyTable {
  TextColumn keys;
  std::span<const uint32_t> slots;
  uint32_t seed = 0;

  // FNV-1a with a seed and MurmurHash's finish: the low bits choose the slot.
  static uint32_t Hash(std::string_view key, uint32_t seed) {
    uint32_t hash = seed;
    for (const char character : key) hash = (hash ^ static_cast<uint8_t>(character)) * 0x01000193u;
    hash = (hash ^ (hash >> 16)) * 0x85ebca6bu;
    return hash ^ (hash >> 13);
  }

  static std::vector<uint32_t> SlotsOf(const TextColumn& keys, uint32_t seed) {
    const size_t rows = keys.size();
    std::vector<uint32_t> slots(std::bit_ceil(2 * rows + 2));
    const size_t last = slots.size() - 1;
    for (size_t row = 0; row < rows; ++row) {
      size_t slot = Hash(keys[row], seed) & last;
      while (slots[slot] != 0) slot = (slot + 1) & last;
      slots[slot] = static_cast<uint32_t>(row + 1);
    }
    return slots;
  }

  // Whether Find() stays within its memory and comes to an end, whatever it is asked for.
  bool Valid() const {
    if (!keys.Valid() || !std::has_single_bit(slots.size())) return false;
    bool has_end = false;
    for (const uint32_t slot : slots) {
      if (slot > keys.size()) return false;
      has_end |= slot == 0;
    }
    return has_end;
  }

  // The row of a key, −1 where there is none.
  int32_t Find(std::string_view key) const {
    const size_t last = slots.size() - 1;
    for (size_t slot = Hash(key, seed) & last; slots[slot] != 0; slot = (slot + 1) & last) {
      const uint32_t row = slots[slot] - 1;
      if (keys[row] == key) return static_cast<int32_t>(row);
    }
    return -1;
  }
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_FORMAT_KEY_TABLE_H_
