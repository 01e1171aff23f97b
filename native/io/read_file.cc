#include "io/read_file.h"

#include "io/transfer.h"

namespace tensor_checkpoint {

Result<std::vector<uint8_t>> ReadWholeFile(FileSystem& fs, const std::string& path, uint64_t max_bytes) {
  auto file = fs.Open(path, false);
  if (!file.ok()) return file.status();
  auto size = fs.Size(**file);
  if (!size.ok()) return size.status();
  if (*size > max_bytes) {
    return Status(Code::kOutOfRange,
                  "'" + path + "' has " + std::to_string(*size) + " bytes, more than the " + std::to_string(max_bytes) +
                      " that are read at most",
                  path);
  }
  std::vector<uint8_t> bytes(*size);
  IoResult result = TransferAndWait(
      fs, {.kind = IoRequest::Kind::kRead, .file = file->get(), .data = bytes.data(), .bytes = bytes.size()});
  if (!result.status.ok()) return result.status;
  bytes.resize(result.bytes);  // It may have been truncated since.
  return bytes;
}

}  // namespace tensor_checkpoint
