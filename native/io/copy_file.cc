#include "io/copy_file.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "io/transfer.h"

namespace tensor_checkpoint {

Result<uint64_t> CopyFile(FileSystem& fs, const std::string& from, File& to, const std::atomic<bool>& aborted) {
  constexpr uint64_t kChunk = 4 << 20;
  auto source = fs.Open(from, false);
  if (!source.ok()) return source.status();
  auto size = fs.Size(**source);
  if (!size.ok()) return size.status();
  Status status = fs.Preallocate(to, *size);
  if (!status.ok()) return status;
  std::vector<uint8_t> buffer(static_cast<size_t>(std::min(kChunk, *size)));
  for (uint64_t at = 0; at < *size;) {
    if (aborted) return Status(Code::kAborted, "the copy was aborted", from);
    IoRequest request{.kind = IoRequest::Kind::kRead,
                      .file = source->get(),
                      .data = buffer.data(),
                      .bytes = static_cast<size_t>(std::min<uint64_t>(kChunk, *size - at)),
                      .offset = at};
    IoResult read = TransferAndWait(fs, request);
    if (!read.status.ok()) return read.status;
    if (read.bytes == 0) return Status(Code::kDataLoss, "'" + from + "' became shorter while it was copied", from);
    request.kind = IoRequest::Kind::kWrite;
    request.file = &to;
    request.bytes = read.bytes;
    IoResult written = TransferAndWait(fs, request);
    if (!written.status.ok()) return written.status;
    at += read.bytes;
    // Written back as it comes, so that the sync behind it finds little to do.
    fs.StartWriteback(to, at - read.bytes, read.bytes);
  }
  fs.DropCache(**source);
  return *size;
}

}  // namespace tensor_checkpoint
