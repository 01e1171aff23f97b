#include "binding/programs_from_js.h"

#include <deque>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "binding/columns_from_js.h"
#include "binding/js_reader.h"
#include "binding/steps_from_js.h"

namespace tensor_checkpoint {
namespace {

constexpr uint64_t kMaxTensors = uint64_t{1} << 30;

std::vector<std::string> Paths(JsReader& reader, Napi::Object files) {
  Napi::Array list = reader.List(files, "paths");
  std::vector<std::string> paths;
  for (uint32_t i = 0; reader.ok() && i < list.Length(); ++i) paths.push_back(reader.Path(list.Get(i)));
  return paths;
}

TransferOptions Options(JsReader& reader, Napi::Object program) {
  Napi::Object object = reader.Member(program, "options");
  TransferOptions options;
  options.threads = reader.Index(object, "threads", 1024);
  options.staging_bytes = reader.Number(object, "stagingBytes");
  options.copy = reader.Flag(object, "copy");
  options.durable = reader.Flag(object, "durable");
  options.direct = reader.Flag(object, "direct");
  options.progress = reader.Flag(object, "progress");
  options.keep_going = reader.Flag(object, "keepGoing");
  if (reader.Flag(object, "background")) options.priority = Priority::kBackground;
  if (!reader.Get(object, "snapshotPoolBytes").IsUndefined()) {
    options.snapshot_pool_bytes = reader.Number(object, "snapshotPoolBytes");
  }
  options.device_shadow = reader.Flag(object, "deviceShadow");
  options.device_checksum = reader.Flag(object, "deviceChecksum");
  if (!reader.Get(object, "gpuDirect").IsUndefined()) {
    options.gpu_direct = static_cast<GpuDirectUse>(reader.Index(object, "gpuDirect", 3));
  }
  return options;
}

std::vector<DeviceRow> Devices(JsReader& reader, Napi::Object program) {
  std::vector<DeviceRow> devices;
  Napi::Value value = reader.Get(program, "devices");
  if (value.IsUndefined()) return devices;
  Napi::Object object = reader.Object(value, "devices");
  const auto ordinal = reader.Words(object, "ordinal");
  const auto stream = reader.Doubles(object, "stream");
  if (ordinal.size() != stream.size()) reader.Fail("the columns of devices differ in length");
  for (size_t i = 0; reader.ok() && i < ordinal.size(); ++i) {
    const bool has_stream = stream[i] != -1;
    devices.push_back({ordinal[i], has_stream, has_stream ? reader.Whole(stream[i], "devices.stream") : 0});
  }
  return devices;
}

// What a program's thread needs to complete it, and the memory of ours, which then belongs to the program's entry.
template <typename Columns>
std::shared_ptr<Columns> TakeBuffersOf(JsReader& reader, Napi::Object program, std::deque<Allocations::Pin>& pins) {
  auto columns = std::make_shared<Columns>();
  columns->buffers = BuffersOf(reader, program);
  pins = std::move(columns->buffers.pins);
  return columns;
}

struct SaveColumns {
  BufferTable buffers;
  ExtentColumns extents;
  std::vector<BlobColumns> blobs;

  Status Complete(SaveProgram& program) const {
    const size_t tensors = program.tensor_count;
    Status status = extents.ToExtents(buffers, {program.paths.size(), tensors, program.devices.size()}, program.extents);
    for (size_t i = 0; status.ok() && i < program.extents.size(); ++i) {
      const Extent& extent = program.extents[i];
      if (extent.file_offset + extent.bytes > program.sizes[extent.file]) {
        status = Status(Code::kInvalidArgument, "native program: an extent ends beyond its file");
      }
    }
    for (size_t i = 0; status.ok() && i < blobs.size(); ++i) status = blobs[i].ToBlob(tensors, program.blobs[i]);
    return status;
  }
};

struct LoadColumns {
  BufferTable buffers;
  ExtentColumns extents;
  std::span<const uint32_t> expected;
  std::span<const uint8_t> verify;

  Status Complete(LoadProgram& program) const {
    program.expected.assign(expected.begin(), expected.end());
    program.verify.assign(verify.begin(), verify.end());
    return extents.ToExtents(buffers, {program.paths.size(), expected.size(), program.devices.size()}, program.extents);
  }
};

}  // namespace

bool SaveProgramFromJs(Napi::Value value, Submission<SaveProgram>& submission) {
  JsReader reader(value.Env());
  Napi::Object object = reader.Object(value, "the program");
  Napi::Object files = reader.Member(object, "files");
  SaveProgram& program = submission.program;
  program.paths = Paths(reader, files);
  const auto sizes = reader.Doubles(files, "sizes");
  if (sizes.size() != program.paths.size()) reader.Fail("files.sizes and files.paths differ in length");
  for (size_t i = 0; reader.ok() && i < sizes.size(); ++i) program.sizes.push_back(reader.Whole(sizes[i], "files.sizes"));
  program.tensor_count = reader.Index(object, "tensorCount", kMaxTensors);
  program.options = Options(reader, object);
  program.devices = Devices(reader, object);
  auto columns = TakeBuffersOf<SaveColumns>(reader, object, submission.pins);
  columns->extents = ExtentColumns::FromJs(reader, object, "source", true);
  Napi::Array blobs = reader.List(object, "blobs");
  for (uint32_t i = 0; reader.ok() && i < blobs.Length(); ++i) {
    Blob& blob = program.blobs.emplace_back();
    columns->blobs.push_back(BlobColumns::FromJs(reader, reader.Object(blobs.Get(i), "blob"), blob));
  }
  program.steps = StepsFromJs(reader, object, "steps", program.blobs.size());
  program.undo = StepsFromJs(reader, object, "undo", program.blobs.size());
  submission.complete = [columns = std::move(columns)](SaveProgram& started) { return columns->Complete(started); };
  return reader.ok();
}

bool LoadProgramFromJs(Napi::Value value, Submission<LoadProgram>& submission) {
  JsReader reader(value.Env());
  Napi::Object object = reader.Object(value, "the program");
  LoadProgram& program = submission.program;
  program.paths = Paths(reader, reader.Member(object, "files"));
  Napi::Object tensors = reader.Member(object, "tensors");
  const uint32_t count = reader.Index(tensors, "count", kMaxTensors);
  program.options = Options(reader, object);
  program.devices = Devices(reader, object);
  auto columns = TakeBuffersOf<LoadColumns>(reader, object, submission.pins);
  columns->extents = ExtentColumns::FromJs(reader, object, "target", false);
  columns->expected = reader.Words(tensors, "expected");
  columns->verify = reader.Bytes(tensors, "verify");
  if (columns->expected.size() != count || columns->verify.size() != count) {
    reader.Fail("tensors.expected and verify need one entry a tensor");
  }
  submission.complete = [columns = std::move(columns)](LoadProgram& started) { return columns->Complete(started); };
  return reader.ok();
}

}  // namespace tensor_checkpoint
