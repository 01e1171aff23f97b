#ifndef TENSOR_CHECKPOINT_FORMAT_TABLE_READER_H_
#define TENSOR_CHECKPOINT_FORMAT_TABLE_READER_H_

#include <functional>
#include <string_view>

namespace tensor_checkpoint {

// Takes an entry, in the order of the keys' bytes; both are valid until it returns. false: no more of them.
using EntryVisitor = std::function<bool(std::string_view key, std::string_view value)>;

// Goes through a sorted string table, LevelDB's format, whose blocks are not compressed. false where `take` said so, and for a
// table that is damaged anywhere: checksums, blocks that don't tile the file, restart points, keys that don't increase.
bool ReadTable(std::string_view file, const EntryVisitor& take);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_FORMAT_TABLE_READER_H_
