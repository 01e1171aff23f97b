#include "format/sorted_table.h"

#include <algorithm>

namespace tensor_checkpoint {
namespace {

// The bundle writer's settings in TensorFlow.
constexpr size_t kBlockSize = 262144;
constexpr size_t kRestartInterval = 16;
// An entry this many times larger than a block starts a block of its own.
constexpr size_t kLargeEntryRatio = 2;

constexpr uint8_t kNoCompression = 0;
constexpr size_t kFooterBytes = 48;
constexpr char kMagic[] = "\x57\xfb\x80\x8b\x24\x75\x47\xdb";

size_t SharedPrefix(std::string_view a, std::string_view b) {
  return static_cast<size_t>(std::mismatch(a.begin(), a.begin() + std::min(a.size(), b.size()), b.begin()).first -
                             a.begin());
}

}  // namespace

size_t SortedTable::Add(std::string_view key, std::string_view value) {
  if (out_.size() != block_start_ && key.size() + value.size() >= kLargeEntryRatio * kBlockSize) Flush();
  if (pending_) {
    std::string scratch;
    AddToIndex(ShortestSeparator(last_, key, scratch), *pending_);
    pending_.reset();
  }
  const size_t start = out_.size();
  const bool is_restart = since_restart_ == kRestartInterval;
  // The first key of a block shares nothing: its position is the block's first restart.
  const size_t shared = start == block_start_ || is_restart ? 0 : SharedPrefix(key, last_);
  out_.Varint(shared);
  out_.Varint(key.size() - shared);
  out_.Varint(value.size());
  out_.Append(key.substr(shared));
  out_.Append(value);
  if (is_restart) {
    restarts_.push_back(static_cast<uint32_t>(start - block_start_));
    since_restart_ = 0;
  }
  last_.assign(key);
  ++since_restart_;
  const size_t end = out_.size();
  if (end - block_start_ + 4 * restarts_.size() + 4 >= kBlockSize) Flush();
  return end;
}

void SortedTable::Finish() {
  Flush();
  const Handle metaindex = EndBlock({0});
  if (pending_) {
    std::string scratch;
    AddToIndex(ShortSuccessor(last_, scratch), *pending_);
    pending_.reset();
  }
  out_.Append(index_.view());
  const Handle index = EndBlock(index_restarts_.empty() ? std::vector<uint32_t>{0} : index_restarts_);
  const size_t footer = out_.size();
  for (const Handle& handle : {metaindex, index}) {
    out_.Varint(handle.offset);
    out_.Varint(handle.size);
  }
  const std::string_view magic(kMagic, sizeof(kMagic) - 1);
  if (!ok()) return;
  out_.Zeros(footer + kFooterBytes - magic.size() - out_.size());
  out_.Append(magic);
}

void SortedTable::Flush() {
  if (out_.size() == block_start_) return;
  pending_ = EndBlock(restarts_);
  restarts_ = {0};
  since_restart_ = 0;
}

SortedTable::Handle SortedTable::EndBlock(const std::vector<uint32_t>& restarts) {
  for (const uint32_t restart : restarts) out_.Fixed32(restart);
  out_.Fixed32(static_cast<uint32_t>(restarts.size()));
  const Handle handle = {block_start_, out_.size() - block_start_};
  out_.Byte(kNoCompression);
  seals_.push_back({handle.offset, handle.size + 1});
  out_.Fixed32(0);
  block_start_ = out_.size();
  return handle;
}

// The index block has restart interval 1: no key shares a prefix.
void SortedTable::AddToIndex(std::string_view key, Handle handle) {
  WireWriter value;
  value.Varint(handle.offset);
  value.Varint(handle.size);
  index_restarts_.push_back(static_cast<uint32_t>(index_.size()));
  index_.Varint(0);
  index_.Varint(key.size());
  index_.Varint(value.size());
  index_.Append(key);
  index_.Append(value.view());
}

std::string_view ShortestSeparator(std::string_view last, std::string_view next, std::string& scratch) {
  const size_t shared = SharedPrefix(last, next);
  if (shared == std::min(last.size(), next.size())) return last;
  const auto byte = static_cast<uint8_t>(last[shared]);
  if (byte == 0xff || byte + 1 >= static_cast<uint8_t>(next[shared])) return last;
  scratch.assign(last.substr(0, shared + 1));
  scratch.back() = static_cast<char>(byte + 1);
  return scratch;
}

std::string_view ShortSuccessor(std::string_view last, std::string& scratch) {
  const size_t at = last.find_first_not_of('\xff');
  if (at == std::string_view::npos) return last;
  scratch.assign(last.substr(0, at + 1));
  scratch.back() = static_cast<char>(static_cast<uint8_t>(scratch.back()) + 1);
  return scratch;
}

}  // namespace tensor_checkpoint
