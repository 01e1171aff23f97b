#include "pipeline/device_save.h"

#include <semaphore>
#include <string>
#include <utility>

#include "pipeline/limits.h"

namespace tensor_checkpoint {
namespace {

// Copies start where the device's own transactions do.
constexpr uint64_t kShadowUnit = 256;

uint64_t ShadowBytes(uint64_t bytes) { return (bytes + kShadowUnit - 1) / kShadowUnit * kShadowUnit; }
CUdeviceptr Address(const uint8_t* memory) { return static_cast<CUdeviceptr>(reinterpret_cast<uintptr_t>(memory)); }

}  // namespace

Result<std::unique_ptr<DeviceSave>> DeviceSave::Begin(const SaveProgram& program, const std::vector<std::unique_ptr<File>>& files,
                                                      const TransferContext& context) {
  auto session = DeviceSession::Open(context.devices, program.devices, program.extents, program.options.SumsOnDevice());
  if (!session.ok()) return session.status();
  if (*session == nullptr) return std::unique_ptr<DeviceSave>();
  std::unique_ptr<DeviceSave> save(new DeviceSave(program, context));
  save->session_ = std::move(*session);
  auto direct = GpuDirect::Open(program.options, files, save->session_.get(), context.emit);
  Status status = direct.status();
  if (direct.ok()) save->direct_ = std::move(*direct);
  if (status.ok()) status = save->session_->WaitForEarlierWork(*context.aborted);
  // First: the caller waits for it.
  if (status.ok() && program.options.device_shadow) status = save->CopyToShadows();
  if (status.ok() && program.options.snapshot_pool_bytes > 0) status = save->ReserveSnapshotPool();
  if (!status.ok()) {
    save->End(status);
    return status;
  }
  return save;
}

void DeviceSave::Extend(Scheduler::Limits& limits) const {
  ExtendForDevices(limits, device_count());
  if (program_.options.snapshot_pool_bytes == 0) return;
  // As fast as the devices deliver.
  limits.snapshot = program_.options.snapshot_pool_bytes;
  limits.window = UINT32_MAX;
}

std::unique_ptr<ChunkSource> DeviceSave::MakeSource(WriteState& state) const {
  DeviceSourceOptions options{*session_, std::vector<bool>(device_count()), program_.options.snapshot_pool_bytes > 0,
                              program_.options.SumsOnDevice(), direct_.get()};
  for (const Shadow& shadow : shadows_) options.shadowed[shadow.device] = true;
  return MakeDeviceSource(state, std::move(options));
}

void DeviceSave::End(const Status& status) {
  session_->Failed(status);
  for (Shadow& shadow : shadows_) session_->device(shadow.device).GiveShadow(std::move(shadow.memory));
  shadows_.clear();
}

Status DeviceSave::ReserveSnapshotPool() {
  PinnedPool& pool = context_.devices->pinned();
  Status status = pool.Reserve(session_->device(0).context(), program_.options.snapshot_pool_bytes, kLargestChunk,
                               *context_.executor);
  if (status.ok() || !PinnedPool::IsLimit(status)) return status;
  Warn("unlocked", std::move(status));
  return Status::Ok();
}

Status DeviceSave::CopyToShadows() {
  extents_ = program_.extents;
  for (uint32_t device = 0; device < device_count(); ++device) {
    Status status = CopyToShadow(device);
    if (!status.ok()) return status;
  }
  return Status::Ok();
}

Status DeviceSave::CopyToShadow(uint32_t number) {
  const auto is_here = [&](const Extent& extent) {
    return extent.device != kHost && extent.bytes > 0 && session_->DeviceOf(extent.device) == number;
  };
  uint64_t bytes = 0;
  for (const Extent& extent : program_.extents) bytes += is_here(extent) ? ShadowBytes(extent.bytes) : 0;
  CudaDevice& device = session_->device(number);
  auto memory = device.TakeShadow(bytes);
  if (!memory.ok()) {
    if (memory.status().error_name() != "CUDA_ERROR_OUT_OF_MEMORY") return memory.status();
    Warn("shadow", memory.status());
    return Status::Ok();
  }
  const CUdeviceptr base = memory->address();
  shadows_.push_back({number, std::move(*memory)});

  std::counting_semaphore<> ended(0);
  Status status;
  device.queue().Submit(
      [&](CUstream stream) {
        const CudaContext& context = *device.context();
        uint64_t at = 0;
        for (const Extent& extent : program_.extents) {
          if (!is_here(extent)) continue;
          Status copies = context.Check(context.call().cuMemcpyDtoDAsync(base + at, Address(extent.memory), extent.bytes, stream),
                                        "cuMemcpyDtoDAsync", std::to_string(extent.bytes) + " bytes");
          if (!copies.ok()) return copies;
          at += ShadowBytes(extent.bytes);
        }
        return Status::Ok();
      },
      [&](Status result) {
        status = std::move(result);
        ended.release();
      });
  ended.acquire();
  if (!status.ok()) return status;
  uint64_t at = 0;
  for (Extent& extent : extents_) {
    if (!is_here(extent)) continue;
    extent.memory = reinterpret_cast<uint8_t*>(static_cast<uintptr_t>(base + at));
    at += ShadowBytes(extent.bytes);
  }
  return Status::Ok();
}

void DeviceSave::Warn(const char* kind, Status status) {
  context_.emit({.type = Event::Type::kWarning, .warning = kind, .failure = {std::move(status)}});
}

}  // namespace tensor_checkpoint
