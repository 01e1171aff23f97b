#include "format/read_index.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "checksum/crc32c.h"
#include "format/table_reader.h"
#include "format/wire_reader.h"

namespace tensor_checkpoint {
namespace {

constexpr uint64_t kLargest = (uint64_t{1} << 53) - 1;
// TensorShape::MaxDimensions.
constexpr size_t kMaxRank = 254;
constexpr uint32_t kMaxShards = 99999;
// The bundle version that is read, TensorFlow's kTensorBundleVersion.
constexpr uint32_t kBundleVersion = 1;
// The first byte of a slice's key.
constexpr char kSliceKeyMark = '\0';
// What an entry takes, about, with what its key doesn't share with the last one.
constexpr size_t kEntryBytes = 40;

// A model has a few dozen. Not more, because whoever makes up an index can have all of them meet in one bucket of the map.
constexpr size_t kRememberedShapes = 256;

// a * b, or more than kLargest.
uint64_t Product(uint64_t a, uint64_t b) { return b != 0 && a > kLargest / b ? kLargest + 1 : a * b; }

class IndexReader {
 public:
  IndexReader(std::string_view file, const ElementBytes& element_bytes) : file_(file), element_bytes_(element_bytes) {}

  std::optional<IndexRows> Read() {
    bool has_header = false;
    const bool read = ReadTable(file_, [this, &has_header](std::string_view key, std::string_view value) {
      if (!std::exchange(has_header, true)) return key.empty() && TakeHeader(value);
      return TakeEntry(key, value);
    });
    if (!read || !has_header) return std::nullopt;
    return std::move(rows_);
  }

 private:
  struct Shape {
    uint32_t number = 0;
    // Elements, and what they would be without empty dimensions: those don't make an absurd shape harmless.
    uint64_t count = 1;
    uint64_t extent = 1;
  };

  bool TakeHeader(std::string_view value) {
    WireReader reader(value);
    while (!reader.done()) {
      const uint64_t tag = reader.Varint();
      if (tag == 0x08) rows_.shards = reader.Int32();
      else if (tag == 0x1a) TakeVersion(reader);
      else if (tag != 0x10 || reader.Int32() != 0) reader.Fail();  // 0x10: the endianness, zero for little.
    }
    if (!reader.ok() || rows_.shards > kMaxShards) return false;
    const size_t rows = file_.size() / kEntryBytes;
    rows_.dtype.reserve(rows);
    rows_.shape.reserve(rows);
    rows_.shard.reserve(rows);
    rows_.offset.reserve(rows);
    rows_.size.reserve(rows);
    rows_.crc32c.reserve(rows);
    rows_.key_start.reserve(rows + 1);
    rows_.key_start.push_back(0);
    return true;
  }

  static void TakeVersion(WireReader& reader) {
    WireReader version(reader.Bytes());
    while (!version.done()) {
      const uint64_t tag = version.Varint();
      const uint32_t number = version.Int32();
      const bool fits = tag == 0x08 || (tag == 0x10 && number <= kBundleVersion);
      if (!fits) version.Fail();
    }
    if (!version.ok()) reader.Fail();
  }

  bool TakeEntry(std::string_view key, std::string_view value) {
    if (key.front() == kSliceKeyMark || !IsAscii(key)) return false;
    uint32_t dtype = 0, shard = 0, masked = 0;
    uint64_t offset = 0, size = 0;
    std::optional<std::string_view> shape;
    WireReader reader(value);
    while (!reader.done()) {
      switch (reader.Varint()) {
        case 0x08:
          dtype = reader.Int32();
          break;
        case 0x12:
          if (shape.has_value()) reader.Fail();
          else shape = reader.Bytes();
          break;
        case 0x18:
          shard = reader.Int32();
          break;
        case 0x20:
          offset = reader.Varint();
          break;
        case 0x28:
          size = reader.Varint();
          break;
        case 0x35:
          masked = reader.Fixed32();
          break;
        default:
          reader.Fail();
      }
    }
    // A scalar's shape may be left out.
    if (!reader.ok() || !FindShape(shape.value_or(""))) return false;
    if (dtype >= element_bytes_.size() || shard >= rows_.shards) return false;
    const uint64_t element = element_bytes_[dtype];
    if (element == kUnknown || Product(shape_.extent, std::max<uint64_t>(element, 1)) > kLargest) return false;
    if (offset + size > kLargest || (element != kVaries && size != shape_.count * element)) return false;
    // Keys that share much with their neighbours take more memory than the file does, and someone may have meant that.
    if (rows_.text.size() + key.size() > std::min<uint64_t>(UINT32_MAX, 64 * file_.size())) return false;
    rows_.dtype.push_back(static_cast<uint8_t>(dtype));
    rows_.shape.push_back(shape_.number);
    rows_.shard.push_back(shard);
    rows_.offset.push_back(static_cast<double>(offset));
    rows_.size.push_back(static_cast<double>(size));
    rows_.crc32c.push_back(UnmaskCrc32c(masked));
    rows_.text += key;
    rows_.key_start.push_back(static_cast<uint32_t>(rows_.text.size()));
    return true;
  }

  // Makes these bytes' shape shape_; false for one that no tensor has. The next tensor often has the same.
  bool FindShape(std::string_view bytes) {
    if (has_shape_ && bytes == shape_bytes_) return true;
    const auto found = shapes_.find(std::string(bytes));
    if (found != shapes_.end()) {
      shape_ = found->second;
    } else {
      shape_ = {.number = static_cast<uint32_t>(rows_.dim_end.size())};
      if (!TakeShape(bytes, shape_)) return false;
      if (shapes_.size() < kRememberedShapes) shapes_.emplace(bytes, shape_);
    }
    has_shape_ = true;
    shape_bytes_ = bytes;
    return true;
  }

  bool TakeShape(std::string_view bytes, Shape& shape) {
    const size_t first = rows_.dims.size();
    WireReader reader(bytes);
    while (!reader.done()) {
      const uint64_t tag = reader.Varint();
      if (tag == 0x12) {
        const uint64_t dimension = Dimension(reader);
        rows_.dims.push_back(static_cast<double>(dimension));
        shape.count = dimension == 0 ? 0 : Product(shape.count, dimension);
        shape.extent = Product(shape.extent, std::max<uint64_t>(dimension, 1));
      } else if (tag != 0x18 || reader.Varint() != 0) {
        reader.Fail();
      }
    }
    if (!reader.ok() || rows_.dims.size() - first > kMaxRank || shape.extent > kLargest) return false;
    rows_.dim_end.push_back(static_cast<uint32_t>(rows_.dims.size()));
    return true;
  }

  static uint64_t Dimension(WireReader& reader) {
    uint64_t size = 0;
    WireReader dimension(reader.Bytes());
    while (!dimension.done()) {
      if (dimension.Varint() == 0x08) size = dimension.Varint();
      else dimension.Fail();
    }
    if (!dimension.ok()) reader.Fail();
    return size;
  }

  const std::string_view file_;
  const ElementBytes& element_bytes_;
  IndexRows rows_;
  std::unordered_map<std::string, Shape> shapes_;
  // The last tensor's, and its bytes in the file.
  Shape shape_;
  std::string_view shape_bytes_;
  bool has_shape_ = false;
};

}  // namespace

std::optional<IndexRows> ReadIndex(std::string_view file, const ElementBytes& element_bytes) {
  return IndexReader(file, element_bytes).Read();
}

}  // namespace tensor_checkpoint
