#ifndef TENSOR_CHECKPOINT_FORMAT_READ_INDEX_H_
#define TENSOR_CHECKPOINT_FORMAT_READ_INDEX_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tensor_checkpoint {

// What an element of each of TensorFlow's DataTypes takes, by its number: bytes, kVaries, or kUnknown for one that can't be
// read at all.
using ElementBytes = std::array<uint8_t, 256>;
inline constexpr uint8_t kVaries = 0;
inline constexpr uint8_t kUnknown = 255;

// The tensors of an index, in the order of their keys, as columns.
struct IndexRows {
  uint32_t shards = 0;
  std::vector<uint8_t> dtype;
  // The number of its shape; the dimensions of shape i are those before dim_end[i].
  std::vector<uint32_t> shape;
  std::vector<double> dims;
  std::vector<uint32_t> dim_end;
  std::vector<uint32_t> shard;
  std::vector<double> offset;
  std::vector<double> size;
  std::vector<uint32_t> crc32c;  // Unmasked.
  // The keys, one after the other; that of row i begins at key_start[i] and ends where the next one begins.
  std::string text;
  std::vector<uint32_t> key_start;
};

// Reads a tensor bundle's index file of the plain kind, which is what training writes. nullopt for one that is damaged, and for
// one with anything else in it: compressed blocks, tensors in slices, keys beyond ASCII, unknown dtypes, later fields.
// parse-index.ts, which reads them all and says what is wrong, accepts whatever this accepts, and understands the same.
std::optional<IndexRows> ReadIndex(std::string_view file, const ElementBytes& element_bytes);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_FORMAT_READ_INDEX_H_
