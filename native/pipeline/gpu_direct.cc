#include "pipeline/gpu_direct.h"

#include <cerrno>
#include <string>
#include <utility>

namespace tensor_checkpoint {
namespace {

Event Warning(Status reason) { return {.type = Event::Type::kWarning, .warning = "gpuDirect", .failure = {std::move(reason)}}; }

}  // namespace

Result<std::unique_ptr<GpuDirect>> GpuDirect::Open(const TransferOptions& options, const std::vector<std::unique_ptr<File>>& files,
                                                   const DeviceSession* session, const Warn& warn) {
  const bool required = options.gpu_direct == GpuDirectUse::kRequired;
  if (options.gpu_direct == GpuDirectUse::kOff || session == nullptr || files.empty()) return std::unique_ptr<GpuDirect>();
  const CudaContext& context = *session->device(0).context();
  CurrentContext current(context);
  if (!current.status().ok()) return current.status();
  auto cufile = session->devices().cufile();
  if (!cufile.ok()) {
    if (required) return cufile.status();
    warn(Warning(cufile.status()));
    return std::unique_ptr<GpuDirect>();
  }
  std::unique_ptr<GpuDirect> made(new GpuDirect(**cufile, *session, required));
  made->handles_.resize(files.size());
  made->files_.resize(files.size());
  Status refused;
  for (size_t i = 0; i < files.size(); ++i) {
    if (files[i] == nullptr) continue;
    made->files_[i] = files[i].get();
    Status status = made->Register(*files[i], made->handles_[i]);
    if (status.ok()) continue;
    if (required) return status;
    if (std::exchange(refused, std::move(status)).ok()) warn(Warning(refused));
  }
  return made;
}

GpuDirect::~GpuDirect() {
  for (CUfileHandle handle : handles_) {
    if (handle != nullptr) cufile_.call().cuFileHandleDeregister(handle);
  }
}

Status GpuDirect::Register(File& file, CUfileHandle& handle) const {
  const int fd = file.direct().possible() ? file.direct_descriptor() : -1;
  if (fd < 0) {
    return Status(Code::kUnsupported, "no GPUDirect Storage: '" + file.path() + "' has no direct I/O", file.path());
  }
  CUfileDescr description{};
  description.type = CU_FILE_HANDLE_TYPE_OPAQUE_FD;
  description.handle.fd = fd;
  const CUfileError result = cufile_.call().cuFileHandleRegister(&handle, &description);
  if (result.err == 0) return Status::Ok();
  handle = nullptr;
  const Status status = CuFile::Check(result, "cuFileHandleRegister", "'" + file.path() + "'");
  return Status(Code::kUnsupported, "no GPUDirect Storage: " + status.message(), file.path());
}

bool GpuDirect::Covers(const Plan& plan, const Chunk& chunk) const {
  if (chunk.device == kHost || !chunk.direct || handles_[chunk.file] == nullptr) return false;
  if (chunk.offset % kUnit != 0 || chunk.bytes % kUnit != 0) return false;
  for (uint32_t i = chunk.first_piece; i < chunk.first_piece + chunk.piece_count; ++i) {
    const uint32_t row = plan.pieces[i].device;
    if (row == kHost || session_.DeviceOf(row) != session_.DeviceOf(chunk.device)) return false;
  }
  return true;
}

Result<RegisteredPool::Buffer> GpuDirect::Take(const Chunk& chunk, const Warn& warn) {
  if (exhausted_) return RegisteredPool::Buffer();
  CudaDevice& device = session_.device(session_.DeviceOf(chunk.device));
  auto buffer = device.registered().Take(device.context(), cufile_, chunk.bytes);
  if (buffer.ok() || required_) return buffer;
  // Whatever the reason: if the device is broken, the way through the host will say so.
  if (!exhausted_.exchange(true)) warn(Warning(buffer.status()));
  return RegisteredPool::Buffer();
}

IoResult GpuDirect::Transfer(IoRequest::Kind kind, const Chunk& chunk, CUdeviceptr memory) const {
  const bool reads = kind == IoRequest::Kind::kRead;
  const File& file = *files_[chunk.file];
  CurrentContext current(*session_.device(session_.DeviceOf(chunk.device)).context());
  if (!current.status().ok()) return {current.status()};
  auto* const base = reinterpret_cast<void*>(memory);
  const char* const function = reads ? "cuFileRead" : "cuFileWrite";
  uint64_t moved = 0;
  while (moved < chunk.bytes) {
    // A short transfer goes on from the unit in which it ended, whose beginning is moved once more.
    const uint64_t from = moved - moved % kUnit;
    const auto file_offset = static_cast<off_t>(chunk.offset + from);
    errno = 0;
    const ssize_t result =
        reads ? cufile_.call().cuFileRead(handles_[chunk.file], base, chunk.bytes - from, file_offset, static_cast<off_t>(from))
              : cufile_.call().cuFileWrite(handles_[chunk.file], base, chunk.bytes - from, file_offset, static_cast<off_t>(from));
    const int error = errno;
    if (result < 0) {
      if (result == -1 && error == EINTR) continue;
      return {CuFile::TransferFailure(result, error, function, file.path(), static_cast<int64_t>(chunk.offset + from)), moved};
    }
    const uint64_t now = from + static_cast<uint64_t>(result);
    if (now <= moved) {
      if (reads) break;  // The end of the file.
      return {Status(Code::kIoError, "cuFileWrite '" + file.path() + "' wrote nothing", file.path(),
                     static_cast<int64_t>(chunk.offset + moved)),
              moved};
    }
    moved = now;
  }
  return {Status::Ok(), moved};
}

}  // namespace tensor_checkpoint
