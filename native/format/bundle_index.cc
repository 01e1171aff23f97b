#include "format/bundle_index.h"

#include <algorithm>

namespace tensor_checkpoint {
namespace {

// The bundle version that is written; TensorFlow's kTensorBundleVersion.
constexpr uint8_t kBundleVersion = 1;

}  // namespace

BundleIndex::BundleIndex(uint32_t shards) {
  value_.NumberField(0x08, shards);
  // The endianness, little, is zero and so left out. Field 3 is VersionDef { producer: 1 }.
  const size_t version = value_.Open(0x1a);
  value_.NumberField(0x08, kBundleVersion);
  value_.Close(version);
  table_.Add("", value_.view());
}

size_t BundleIndex::Add(std::string_view key, const BundleEntry& entry) {
  if (entry.dtype != head_dtype_ || !std::ranges::equal(entry.dims, head_dims_)) {
    head_dtype_ = entry.dtype;
    head_dims_ = entry.dims;
    head_.Clear();
    head_.NumberField(0x08, entry.dtype);
    const size_t shape = head_.Open(0x12);
    for (const double dimension : entry.dims) {
      const size_t dim = head_.Open(0x12);
      head_.NumberField(0x08, static_cast<uint64_t>(dimension));
      head_.Close(dim);
    }
    head_.Close(shape);
  }
  value_.Clear();
  value_.Append(head_.view());
  value_.NumberField(0x18, entry.shard);
  value_.NumberField(0x20, entry.offset);
  value_.NumberField(0x28, entry.size);
  value_.Byte(0x35);
  value_.Fixed32(0);
  return table_.Add(key, value_.view()) - 4;
}

}  // namespace tensor_checkpoint
