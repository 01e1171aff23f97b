#include "binding/columns_from_js.h"

#include <string>

#include "binding/native_bytes.h"
#include "binding/whole_number.h"

namespace tensor_checkpoint {
namespace {

constexpr uint32_t kNoBuffer = UINT32_MAX;

Status Broken(const std::string& what) { return Status(Code::kInvalidArgument, "native program: " + what); }

Status OutOfRange(const char* name) { return Broken(std::string(name) + " is out of range"); }

}  // namespace

ExtentColumns ExtentColumns::FromJs(JsReader& reader, Napi::Object program, const char* addresses, bool save) {
  Napi::Object object = reader.Member(program, "extents");
  ExtentColumns columns;
  columns.save_ = save;
  columns.addresses_ = addresses;
  columns.has_kind_ = save || !reader.Get(object, "kind").IsUndefined();
  if (columns.has_kind_) columns.kind_ = reader.Bytes(object, "kind");
  columns.buffer_ = reader.Words(object, "buffer");
  columns.address_ = reader.Doubles(object, addresses);
  columns.bytes_ = reader.Doubles(object, "bytes");
  columns.file_ = reader.Words(object, "file");
  columns.offset_ = reader.Doubles(object, "fileOffset");
  columns.tensor_ = reader.Words(object, "tensor");
  const size_t count = columns.bytes_.size();
  if ((columns.has_kind_ && columns.kind_.size() != count) || columns.buffer_.size() != count ||
      columns.address_.size() != count || columns.file_.size() != count || columns.offset_.size() != count ||
      columns.tensor_.size() != count) {
    reader.Fail("the columns of extents differ in length");
  }
  return columns;
}

Status ExtentColumns::ToExtents(const BufferTable& buffers, const Counts& counts, std::vector<Extent>& out) const {
  out.resize(bytes_.size());
  for (size_t row = 0; row < out.size(); ++row) {
    if (Status status = Row(row, buffers, counts, out[row]); !status.ok()) return status;
  }
  return Status::Ok();
}

// Each cell is read once: what was checked is what is used.
Status ExtentColumns::Row(size_t row, const BufferTable& buffers, const Counts& counts, Extent& extent) const {
  uint64_t at = 0;
  if (!WholeNumber(bytes_[row], extent.bytes)) return Broken(NotWhole("extents.bytes"));
  if (!WholeNumber(offset_[row], extent.file_offset)) return Broken(NotWhole("extents.fileOffset"));
  if (!WholeNumber(address_[row], at)) return Broken(NotWhole(addresses_));
  extent.file = file_[row];
  extent.tensor = tensor_[row];
  if (extent.file >= counts.files) return OutOfRange("extents.file");
  if (extent.tensor >= counts.tensors) return OutOfRange("extents.tensor");
  if (static_cast<double>(extent.bytes) + static_cast<double>(extent.file_offset) > kMaxSafe) {
    return Broken("an extent ends beyond 2^53 - 1");
  }
  const uint32_t buffer = buffer_[row];
  if (!save_ && buffer == kNoBuffer) return Status::Ok();
  const uint8_t kind = has_kind_ ? kind_[row] : 0;
  if (kind != 0) {
    if (kind > 3) return Broken("extents.kind is not supported");
    extent.memory = reinterpret_cast<uint8_t*>(static_cast<uintptr_t>(at));
    extent.mutable_memory = false;
    extent.copied = kind == 3;
    if (at == 0 && extent.bytes > 0) return Broken("an extent lies at address 0");
    if (kind != 2) return Status::Ok();
    extent.device = buffer;
    return buffer < counts.devices ? Status::Ok() : Broken("extents.buffer is no row of devices");
  }
  if (buffer >= buffers.memory.size()) return OutOfRange("extents.buffer");
  const BufferTable::Memory& memory = buffers.memory[buffer];
  if (at > memory.size || extent.bytes > memory.size - at) return Broken("an extent lies outside of its buffer");
  extent.memory = memory.data + at;
  return Status::Ok();
}

BlobColumns BlobColumns::FromJs(JsReader& reader, Napi::Object object, Blob& blob) {
  BlobColumns columns;
  blob.temporary_path = reader.Path(reader.Get(object, "temporaryPath"));
  const auto native = NativeBytesFromJs(reader.Get(object, "bytes"));
  columns.bytes_ = native ? *native : reader.Bytes(object, "bytes");
  if (Napi::Value value = reader.Get(object, "values"); !value.IsUndefined()) {
    Napi::Object values = reader.Object(value, "values");
    columns.value_position_ = reader.Doubles(values, "position");
    columns.value_ = reader.Words(values, "value");
    if (columns.value_position_.size() != columns.value_.size()) {
      reader.Fail("the columns of values differ in length");
    }
  }
  if (Napi::Value value = reader.Get(object, "patches"); !value.IsUndefined()) {
    Napi::Object patches = reader.Object(value, "patches");
    columns.patch_position_ = reader.Doubles(patches, "position");
    columns.patch_tensor_ = reader.Words(patches, "tensor");
    if (columns.patch_position_.size() != columns.patch_tensor_.size()) {
      reader.Fail("the columns of patches differ in length");
    }
  }
  if (Napi::Value value = reader.Get(object, "seals"); !value.IsUndefined()) {
    Napi::Object seals = reader.Object(value, "seals");
    columns.seal_start_ = reader.Doubles(seals, "start");
    columns.seal_length_ = reader.Doubles(seals, "length");
    columns.seal_position_ = reader.Doubles(seals, "position");
    if (columns.seal_start_.size() != columns.seal_length_.size() ||
        columns.seal_start_.size() != columns.seal_position_.size()) {
      reader.Fail("the columns of seals differ in length");
    }
  }
  return columns;
}

Status BlobColumns::ToBlob(size_t tensors, Blob& blob) const {
  const uint64_t size = bytes_.size();
  const auto fits = [&](uint64_t start, uint64_t length) { return start <= size && length <= size - start; };
  blob.bytes.assign(bytes_.begin(), bytes_.end());
  for (size_t i = 0; i < value_.size(); ++i) {
    uint64_t at = 0;
    if (!WholeNumber(value_position_[i], at)) return Broken(NotWhole("values.position"));
    if (!fits(at, 4)) return Broken("a value is out of range");
    for (int byte = 0; byte < 4; ++byte) blob.bytes[at + byte] = static_cast<uint8_t>(value_[i] >> (8 * byte));
  }
  blob.patches.reserve(patch_position_.size());
  for (size_t i = 0; i < patch_position_.size(); ++i) {
    Blob::Patch patch{0, patch_tensor_[i]};
    if (!WholeNumber(patch_position_[i], patch.position)) return Broken(NotWhole("patches.position"));
    if (!fits(patch.position, 4) || patch.tensor >= tensors) return Broken("a patch is out of range");
    blob.patches.push_back(patch);
  }
  blob.seals.reserve(seal_start_.size());
  for (size_t i = 0; i < seal_start_.size(); ++i) {
    Blob::Seal seal{};
    if (!WholeNumber(seal_start_[i], seal.start)) return Broken(NotWhole("seals.start"));
    if (!WholeNumber(seal_length_[i], seal.length)) return Broken(NotWhole("seals.length"));
    if (!WholeNumber(seal_position_[i], seal.position)) return Broken(NotWhole("seals.position"));
    if (!fits(seal.start, seal.length) || !fits(seal.position, 4)) return Broken("a seal is out of range");
    blob.seals.push_back(seal);
  }
  return Status::Ok();
}

}  // namespace tensor_checkpoint
