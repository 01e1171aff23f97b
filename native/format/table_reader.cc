#include "format/table_reader.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "checksum/crc32c.h"
#include "format/wire_reader.h"

namespace tensor_checkpoint {
namespace {

constexpr size_t kFooterBytes = 48;
// Behind every block: compression type, masked CRC-32C of contents and type.
constexpr size_t kTrailerBytes = 5;
constexpr std::string_view kMagic("\x57\xfb\x80\x8b\x24\x75\x47\xdb", 8);

struct Handle {
  uint64_t offset = 0;
  uint64_t size = 0;

  // Where the next block begins.
  uint64_t end() const { return offset + size + kTrailerBytes; }
};

Handle ReadHandle(WireReader& reader, size_t limit) {
  Handle handle{reader.Varint(), reader.Varint()};
  if (handle.end() > limit) reader.Fail();
  return handle;
}

// The entries of a block in their order, its structure checked.
class Block {
 public:
  // A block that lies within the file. Not ok() if its checksum is wrong or it is compressed.
  Block(std::string_view file, Handle handle) : entries_({}), restarts_({}) {
    const std::string_view contents = file.substr(handle.offset, handle.size);
    const char compression = file[handle.offset + handle.size];
    WireReader stored(file.substr(handle.offset + handle.size + 1, 4));
    if (compression != 0 || stored.Fixed32() != MaskCrc32c(Crc32c(0, contents.data(), contents.size() + 1))) return;
    if (contents.size() < 4) return;
    const uint64_t count = WireReader(contents.substr(contents.size() - 4)).Fixed32();
    if (count == 0 || count > contents.size() / 4 - 1) return;
    const size_t end = contents.size() - 4 - 4 * count;
    base_ = contents.data();
    entries_ = WireReader(contents.substr(0, end));
    restarts_ = WireReader(contents.substr(end, 4 * count));
    next_restart_ = restarts_.Fixed32();
    ok_ = next_restart_ == 0;
  }

  // false behind the last entry, and for damage.
  bool Next() {
    if (!ok_) return false;
    if (entries_.done()) {
      // A restart point that is no entry's start would mislead a reader that searches by them. An empty block has one.
      ok_ = empty_ ? restarts_.done() : !next_restart_.has_value();
      return false;
    }
    const bool restart = next_restart_ == Position();
    if (restart) next_restart_ = restarts_.done() ? std::nullopt : std::optional<uint64_t>(restarts_.Fixed32());
    const uint64_t shared = entries_.Varint();
    const uint64_t unshared = entries_.Varint();
    const uint64_t size = entries_.Varint();
    const std::string_view rest = entries_.Take(unshared);
    value_ = entries_.Take(size);
    ok_ = entries_.ok() && shared <= key_.size() && (!restart || shared == 0) &&
          (empty_ || std::string_view(key_).substr(shared) < rest);
    if (!ok_) return false;
    key_.resize(shared);
    key_ += rest;
    empty_ = false;
    return true;
  }

  bool ok() const { return ok_; }
  bool empty() const { return empty_; }
  const std::string& key() const { return key_; }
  std::string_view value() const { return value_; }

 private:
  uint64_t Position() const { return static_cast<uint64_t>(entries_.position() - base_); }

  const char* base_ = nullptr;
  WireReader entries_;
  WireReader restarts_;
  std::optional<uint64_t> next_restart_;
  std::string key_;
  std::string_view value_;
  bool empty_ = true;
  bool ok_ = false;
};

}  // namespace

bool ReadTable(std::string_view file, const EntryVisitor& take) {
  if (file.size() < kFooterBytes || !file.ends_with(kMagic)) return false;
  const size_t footer_at = file.size() - kFooterBytes;
  WireReader footer(file.substr(footer_at, kFooterBytes - kMagic.size()));
  const Handle metaindex = ReadHandle(footer, footer_at);
  const Handle index = ReadHandle(footer, footer_at);
  if (!footer.ok()) return false;

  Block nothing(file, metaindex);
  if (nothing.Next() || !nothing.ok()) return false;

  uint64_t expected = 0;
  std::string previous;
  Block blocks(file, index);
  for (bool first = true; blocks.Next(); first = false) {
    WireReader reader(blocks.value());
    const Handle handle = ReadHandle(reader, footer_at);
    if (!reader.ok() || !reader.done() || handle.offset != expected) return false;
    expected = handle.end();
    Block block(file, handle);
    for (bool begins = true; block.Next(); begins = false) {
      if (begins && !first && block.key() <= previous) return false;
      if (!take(block.key(), block.value())) return false;
    }
    // Keys increase, so that the last one speaks for all: none lies behind the end of its block.
    if (!block.ok() || block.empty() || block.key() > blocks.key()) return false;
    previous = blocks.key();
  }
  return blocks.ok() && metaindex.offset == expected && index.offset == metaindex.end() && index.end() == footer_at;
}

}  // namespace tensor_checkpoint
