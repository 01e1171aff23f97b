#include "pipeline/transfer_run.h"

#include "checksum/crc32c.h"
#include "io/transfer.h"

namespace tensor_checkpoint {

WriteOutcome WriteExtents(const SaveProgram& program, const std::vector<std::unique_ptr<File>>& files,
                          const TransferContext& context, Stats& stats, const std::function<void()>& captured) {
  WriteOutcome outcome;
  outcome.checksums.assign(program.tensor_count, 0);
  std::vector<uint8_t> copy;
  for (const Extent& extent : program.extents) {
    if (*context.aborted) {
      outcome.failure = {Status(Code::kAborted, "the save was aborted")};
      return outcome;
    }
    if (extent.bytes == 0) continue;
    copy.resize(extent.bytes);
    uint32_t& crc = outcome.checksums[extent.tensor];
    crc = Crc32cCopy(crc, copy.data(), extent.memory, extent.bytes);
    IoResult result = TransferAndWait(*context.fs, {.kind = IoRequest::Kind::kWrite, .file = files[extent.file].get(),
                                                    .data = copy.data(), .bytes = extent.bytes, .offset = extent.file_offset});
    if (!result.status.ok()) {
      outcome.failure = {result.status, extent.tensor};
      return outcome;
    }
    stats.bytes += extent.bytes;
    stats.bytes_copied += extent.bytes;
  }
  captured();
  return outcome;
}

ReadOutcome ReadExtents(const LoadProgram& program, const TransferContext& context, Stats& stats) {
  ReadOutcome outcome;
  outcome.touched.assign(program.expected.size(), 0);
  std::vector<std::unique_ptr<File>> files;
  for (const std::string& path : program.paths) {
    auto file = context.fs->Open(path, false);
    if (!file.ok()) {
      outcome.failure = {file.status()};
      return outcome;
    }
    files.push_back(std::move(*file));
  }
  std::vector<uint32_t> sums(program.expected.size(), 0);
  std::vector<uint8_t> scratch;
  for (const Extent& extent : program.extents) {
    if (*context.aborted) {
      outcome.failure = {Status(Code::kAborted, "the load was aborted")};
      return outcome;
    }
    scratch.resize(extent.bytes);
    uint8_t* data = extent.memory != nullptr ? extent.memory : scratch.data();
    if (extent.memory != nullptr) outcome.touched[extent.tensor] = 1;
    File& file = *files[extent.file];
    IoResult result = TransferAndWait(*context.fs, {.kind = IoRequest::Kind::kRead, .file = &file, .data = data, .bytes = extent.bytes, .offset = extent.file_offset});
    if (!result.status.ok()) outcome.damage.push_back({extent.tensor, "io", result.status});
    else if (result.bytes < extent.bytes)
      outcome.damage.push_back({extent.tensor, "short", Status(Code::kDataLoss, "'" + file.path() + "' ends before the tensor does", file.path(), static_cast<int64_t>(extent.file_offset))});
    if (!outcome.damage.empty() && !program.options.keep_going) {
      outcome.failure = {outcome.damage.back().status, extent.tensor};
      return outcome;
    }
    sums[extent.tensor] = Crc32c(sums[extent.tensor], data, extent.bytes);
    stats.bytes += extent.bytes;
  }
  for (uint32_t t = 0; t < sums.size(); ++t) {
    if (program.verify[t] && sums[t] != program.expected[t]) {
      outcome.damage.push_back({t, "checksum", Status(Code::kDataLoss, "checksum mismatch"), true, sums[t]});
      if (!program.options.keep_going) {
        outcome.failure = {outcome.damage.back().status, t};
        return outcome;
      }
    } else {
      outcome.touched[t] = 2;
    }
  }
  return outcome;
}

}  // namespace tensor_checkpoint
