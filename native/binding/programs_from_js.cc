#include "binding/programs_from_js.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <utility>

namespace tensor_checkpoint {
namespace {

constexpr double kMaxSafe = 9007199254740991;  // 2^53 − 1
constexpr uint32_t kNoBuffer = UINT32_MAX;
constexpr uint64_t kMaxTensors = uint64_t{1} << 30;

// Reads one program. The first thing that is wrong becomes the pending exception, and all later reads are void.
class Reader {
 public:
  explicit Reader(Napi::Env env) : env_(env) {}

  bool ok() const { return ok_; }
  void Fail(const std::string& what) {
    if (std::exchange(ok_, false) && !env_.IsExceptionPending()) {
      Napi::TypeError::New(env_, "native program: " + what).ThrowAsJavaScriptException();
    }
  }

  Napi::Object Object(Napi::Value value, const char* name) {
    if (ok_ && !value.IsEmpty() && value.IsObject()) return value.As<Napi::Object>();
    Fail(std::string(name) + " must be an object");
    return Napi::Object::New(env_);
  }
  Napi::Object Member(Napi::Object object, const char* name) { return Object(Get(object, name), name); }
  Napi::Value Get(Napi::Object object, const char* name) {
    if (!ok_) return env_.Undefined();
    Napi::Value value = object.Get(name);
    if (value.IsEmpty()) {
      Fail(std::string(name) + " can't be read");
      return env_.Undefined();
    }
    return value;
  }
  Napi::Array List(Napi::Object object, const char* name) {
    Napi::Value value = Get(object, name);
    if (ok_ && value.IsArray()) return value.As<Napi::Array>();
    Fail(std::string(name) + " must be an array");
    return Napi::Array::New(env_);
  }
  std::string Path(Napi::Value value) {
    if (!ok_ || !value.IsString()) {
      Fail("paths must be strings");
      return {};
    }
    std::string path = value.As<Napi::String>().Utf8Value();
    if (path.empty() || path.find('\0') != std::string::npos) Fail("a path is empty or contains a NUL");
    return path;
  }
  bool Flag(Napi::Object object, const char* name) {
    Napi::Value value = Get(object, name);
    // No conversion while an exception is pending.
    return ok_ && value.IsBoolean() && value.As<Napi::Boolean>().Value();
  }
  uint64_t Whole(double value, const char* name) {
    if (value >= 0 && value <= kMaxSafe && value == std::floor(value)) return static_cast<uint64_t>(value);
    Fail(std::string(name) + " must be a whole number from 0 to 2^53 - 1");
    return 0;
  }
  uint64_t Number(Napi::Object object, const char* name) {
    Napi::Value value = Get(object, name);
    return Whole(value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1, name);
  }
  uint32_t Index(Napi::Object object, const char* name, size_t count) {
    const uint64_t value = Number(object, name);
    if (value >= count) Fail(std::string(name) + " is out of range");
    return ok_ ? static_cast<uint32_t>(value) : 0;
  }
  // The elements of a typed array of exactly this type, valid until JS runs again.
  template <typename T>
  std::span<const T> Typed(Napi::Object object, const char* name, napi_typedarray_type type) {
    Napi::Value value = Get(object, name);
    if (ok_ && value.IsTypedArray()) {
      napi_typedarray_type actual;
      size_t length = 0;
      void* data = nullptr;
      if (napi_get_typedarray_info(env_, value, &actual, &length, &data, nullptr, nullptr) == napi_ok && actual == type) {
        return {static_cast<const T*>(data), length};
      }
    }
    Fail(std::string(name) + " is not the typed array that the contract asks for");
    return {};
  }
  std::span<const double> Doubles(Napi::Object o, const char* name) { return Typed<double>(o, name, napi_float64_array); }
  std::span<const uint32_t> Words(Napi::Object o, const char* name) { return Typed<uint32_t>(o, name, napi_uint32_array); }
  std::span<const uint8_t> Bytes(Napi::Object o, const char* name) { return Typed<uint8_t>(o, name, napi_uint8_array); }

  struct Memory {
    uint8_t* data = nullptr;
    size_t size = 0;
  };
  std::vector<Memory> Buffers(Napi::Object program, std::vector<Allocations::Pin>& pins) {
    Napi::Array list = List(program, "buffers");
    std::vector<Memory> buffers(list.Length());
    // There may be a hundred thousand of them, while the event loop waits: as few calls for each as will do.
    constexpr uint32_t kScope = 256;
    for (uint32_t first = 0; ok_ && first < buffers.size(); first += kScope) {
      Napi::HandleScope scope(env_);
      const uint32_t end = std::min<uint32_t>(first + kScope, buffers.size());
      for (uint32_t i = first; ok_ && i < end; ++i) {
        buffers[i] = BufferMemory(list.Get(i));
        if (Allocations::Pin pin = Allocations::Find(buffers[i].data)) pins.push_back(std::move(pin));
      }
    }
    return buffers;
  }

 private:
  Memory BufferMemory(Napi::Value value) {
    void* data = nullptr;
    size_t size = 0;
    if (!value.IsEmpty() && napi_get_arraybuffer_info(env_, value, &data, &size) == napi_ok) {
      bool detached = false;
      if (size == 0) napi_is_detached_arraybuffer(env_, value, &detached);
      if (detached) {
        Fail("a buffer is detached");
        return {};
      }
    } else {
      // Node-API 8 sees a SharedArrayBuffer only through a view.
      if (value.IsEmpty() || !value.IsObject()) {
        Fail("buffers must be ArrayBuffers or SharedArrayBuffers");
        return {};
      }
      Napi::Object view = env_.Global().Get("Uint8Array").As<Napi::Function>().New({value});
      napi_typedarray_type type;
      if (view.IsEmpty() || napi_get_typedarray_info(env_, view, &type, &size, &data, nullptr, nullptr) != napi_ok) {
        Fail("buffers must be ArrayBuffers or SharedArrayBuffers");
        return {};
      }
    }
    return {static_cast<uint8_t*>(data), size};
  }

  const Napi::Env env_;
  bool ok_ = true;
};

std::vector<std::string> Paths(Reader& reader, Napi::Object files) {
  Napi::Array list = reader.List(files, "paths");
  std::vector<std::string> paths;
  for (uint32_t i = 0; reader.ok() && i < list.Length(); ++i) paths.push_back(reader.Path(list.Get(i)));
  return paths;
}

TransferOptions Options(Reader& reader, Napi::Object program) {
  Napi::Object object = reader.Member(program, "options");
  TransferOptions options;
  options.threads = reader.Index(object, "threads", 1024);
  options.staging_bytes = reader.Number(object, "stagingBytes");
  options.copy = reader.Flag(object, "copy");
  options.durable = reader.Flag(object, "durable");
  options.direct = reader.Flag(object, "direct");
  options.progress = reader.Flag(object, "progress");
  options.keep_going = reader.Flag(object, "keepGoing");
  if (!reader.Get(object, "snapshotPoolBytes").IsUndefined()) {
    options.snapshot_pool_bytes = reader.Number(object, "snapshotPoolBytes");
  }
  options.device_shadow = reader.Flag(object, "deviceShadow");
  options.device_checksum = reader.Flag(object, "deviceChecksum");
  return options;
}

std::vector<DeviceRow> Devices(Reader& reader, Napi::Object program) {
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

// The part of extents that saves and loads share; `addresses` is the column with offsets into the buffers.
void Extents(Reader& reader, Napi::Object program, const char* addresses, size_t files, size_t tensors, bool save,
             size_t devices, std::vector<Extent>& out, std::vector<Allocations::Pin>& pins) {
  const std::vector<Reader::Memory> buffers = reader.Buffers(program, pins);
  // No JS runs from here on: the columns stay where they are.
  Napi::Object object = reader.Member(program, "extents");
  const bool has_kind = save || !reader.Get(object, "kind").IsUndefined();
  const auto kind = has_kind ? reader.Bytes(object, "kind") : std::span<const uint8_t>();
  const auto buffer = reader.Words(object, "buffer");
  const auto address = reader.Doubles(object, addresses);
  const auto bytes = reader.Doubles(object, "bytes");
  const auto file = reader.Words(object, "file");
  const auto offset = reader.Doubles(object, "fileOffset");
  const auto tensor = reader.Words(object, "tensor");
  const size_t count = bytes.size();
  if ((has_kind && kind.size() != count) || buffer.size() != count || address.size() != count || file.size() != count ||
      offset.size() != count || tensor.size() != count) {
    return reader.Fail("the columns of extents differ in length");
  }
  out.resize(count);
  for (size_t i = 0; reader.ok() && i < count; ++i) {
    Extent& extent = out[i];
    extent.bytes = reader.Whole(bytes[i], "extents.bytes");
    extent.file_offset = reader.Whole(offset[i], "extents.fileOffset");
    extent.file = file[i];
    extent.tensor = tensor[i];
    const uint64_t at = reader.Whole(address[i], addresses);
    if (file[i] >= files) return reader.Fail("extents.file is out of range");
    if (tensor[i] >= tensors) return reader.Fail("extents.tensor is out of range");
    if (static_cast<double>(extent.bytes) + static_cast<double>(extent.file_offset) > kMaxSafe) {
      return reader.Fail("an extent ends beyond 2^53 - 1");
    }
    if (!save && buffer[i] == kNoBuffer) continue;
    if (has_kind && kind[i] != 0) {
      if (kind[i] > 2) return reader.Fail("extents.kind is not supported");
      extent.memory = reinterpret_cast<uint8_t*>(static_cast<uintptr_t>(at));
      extent.mutable_memory = false;
      if (at == 0 && extent.bytes > 0) return reader.Fail("an extent lies at address 0");
      if (kind[i] == 1) continue;
      extent.device = buffer[i];
      if (extent.device >= devices) return reader.Fail("extents.buffer is no row of devices");
      continue;
    }
    if (buffer[i] >= buffers.size()) return reader.Fail("extents.buffer is out of range");
    const Reader::Memory& memory = buffers[buffer[i]];
    if (at > memory.size || extent.bytes > memory.size - at) return reader.Fail("an extent lies outside of its buffer");
    extent.memory = memory.data + at;
  }
}

std::vector<Step> Steps(Reader& reader, Napi::Object program, const char* name, size_t blobs) {
  Napi::Array list = reader.List(program, name);
  std::vector<Step> steps;
  for (uint32_t i = 0; reader.ok() && i < list.Length(); ++i) {
    Napi::Object object = reader.Object(list.Get(i), "step");
    Napi::Value op = reader.Get(object, "op");
    const std::string text = op.IsString() ? op.As<Napi::String>().Utf8Value() : std::string();
    Step step{};
    const auto blob = [&] { step.blob = reader.Index(object, "blob", blobs); };
    const auto path = [&] { step.path = reader.Path(reader.Get(object, "path")); };
    if (text == "create") {
      step.op = Step::Op::kCreate;
      blob();
    } else if (text == "write") {
      step.op = Step::Op::kWrite;
    } else if (text == "finish") {
      step.op = Step::Op::kFinish;
      blob();
    } else if (text == "sync") {
      step.op = Step::Op::kSync;
    } else if (text == "publish") {
      step.op = Step::Op::kPublish;
      blob();
      path();
      step.commits = reader.Flag(object, "commits");
    } else if (text == "link") {
      step.op = Step::Op::kLink;
      step.from = reader.Path(reader.Get(object, "from"));
      path();
    } else if (text == "unlink") {
      step.op = Step::Op::kUnlink;
      path();
    } else if (text == "syncDirectory") {
      step.op = Step::Op::kSyncDirectory;
      path();
      step.optional = reader.Flag(object, "optional");
    } else if (text == "milestone") {
      Napi::Value milestone = reader.Get(object, "name");
      const bool committed = milestone.IsString() && milestone.As<Napi::String>().Utf8Value() == "committed";
      step.op = committed ? Step::Op::kCommitted : Step::Op::kIndexed;
    } else {
      reader.Fail("unknown step '" + text + "'");
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

Blob BlobFromJs(Reader& reader, Napi::Object object, uint32_t tensors) {
  Blob blob;
  blob.temporary_path = reader.Path(reader.Get(object, "temporaryPath"));
  const auto bytes = reader.Bytes(object, "bytes");
  blob.bytes.assign(bytes.begin(), bytes.end());
  const uint64_t size = blob.bytes.size();
  const auto fits = [&](uint64_t start, uint64_t length) { return start <= size && length <= size - start; };
  if (Napi::Value value = reader.Get(object, "patches"); !value.IsUndefined()) {
    Napi::Object patches = reader.Object(value, "patches");
    const auto position = reader.Doubles(patches, "position");
    const auto tensor = reader.Words(patches, "tensor");
    if (position.size() != tensor.size()) reader.Fail("the columns of patches differ in length");
    blob.patches.reserve(position.size());
    for (size_t i = 0; reader.ok() && i < position.size(); ++i) {
      const uint64_t at = reader.Whole(position[i], "patches.position");
      if (!fits(at, 4) || tensor[i] >= tensors) reader.Fail("a patch is out of range");
      blob.patches.push_back({at, tensor[i]});
    }
  }
  if (Napi::Value value = reader.Get(object, "seals"); !value.IsUndefined()) {
    Napi::Object seals = reader.Object(value, "seals");
    const auto start = reader.Doubles(seals, "start");
    const auto length = reader.Doubles(seals, "length");
    const auto position = reader.Doubles(seals, "position");
    if (start.size() != length.size() || start.size() != position.size()) {
      reader.Fail("the columns of seals differ in length");
    }
    for (size_t i = 0; reader.ok() && i < start.size(); ++i) {
      const Blob::Seal seal{reader.Whole(start[i], "seals.start"), reader.Whole(length[i], "seals.length"),
                            reader.Whole(position[i], "seals.position")};
      if (!fits(seal.start, seal.length) || !fits(seal.position, 4)) reader.Fail("a seal is out of range");
      blob.seals.push_back(seal);
    }
  }
  return blob;
}

}  // namespace

bool SaveProgramFromJs(Napi::Value value, SaveProgram& program, std::vector<Allocations::Pin>& pins) {
  Reader reader(value.Env());
  Napi::Object object = reader.Object(value, "the program");
  Napi::Object files = reader.Member(object, "files");
  program.paths = Paths(reader, files);
  const auto sizes = reader.Doubles(files, "sizes");
  if (sizes.size() != program.paths.size()) reader.Fail("files.sizes and files.paths differ in length");
  for (size_t i = 0; reader.ok() && i < sizes.size(); ++i) program.sizes.push_back(reader.Whole(sizes[i], "files.sizes"));
  program.tensor_count = reader.Index(object, "tensorCount", kMaxTensors);
  program.options = Options(reader, object);
  program.devices = Devices(reader, object);
  Extents(reader, object, "source", program.paths.size(), program.tensor_count, true, program.devices.size(),
          program.extents, pins);
  for (size_t i = 0; reader.ok() && i < program.extents.size(); ++i) {
    const Extent& extent = program.extents[i];
    if (extent.file_offset + extent.bytes > program.sizes[extent.file]) reader.Fail("an extent ends beyond its file");
  }
  Napi::Array blobs = reader.List(object, "blobs");
  for (uint32_t i = 0; reader.ok() && i < blobs.Length(); ++i) {
    program.blobs.push_back(BlobFromJs(reader, reader.Object(blobs.Get(i), "blob"), program.tensor_count));
  }
  program.steps = Steps(reader, object, "steps", program.blobs.size());
  program.undo = Steps(reader, object, "undo", program.blobs.size());
  return reader.ok();
}

bool LoadProgramFromJs(Napi::Value value, LoadProgram& program, std::vector<Allocations::Pin>& pins) {
  Reader reader(value.Env());
  Napi::Object object = reader.Object(value, "the program");
  program.paths = Paths(reader, reader.Member(object, "files"));
  Napi::Object tensors = reader.Member(object, "tensors");
  const uint32_t count = reader.Index(tensors, "count", kMaxTensors);
  const auto expected = reader.Words(tensors, "expected");
  const auto verify = reader.Bytes(tensors, "verify");
  if (expected.size() != count || verify.size() != count) reader.Fail("tensors.expected and verify need one entry a tensor");
  program.expected.assign(expected.begin(), expected.end());
  program.verify.assign(verify.begin(), verify.end());
  program.options = Options(reader, object);
  program.devices = Devices(reader, object);
  Extents(reader, object, "target", program.paths.size(), count, false, program.devices.size(), program.extents, pins);
  return reader.ok();
}

}  // namespace tensor_checkpoint
