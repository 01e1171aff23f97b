#include "pipeline/device_session.h"

#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace tensor_checkpoint {
namespace {

// Waits for the parts of a copy that went to different devices, and reports the first failure.
struct Parts {
  explicit Parts(size_t count) : missing(count) {}
  std::mutex mutex;
  size_t missing;
  Status status;
  std::function<void(Status)> done;

  static void Ended(const std::shared_ptr<Parts>& parts, Status status) {
    {
      std::lock_guard lock(parts->mutex);
      if (parts->status.ok()) parts->status = std::move(status);
      if (--parts->missing > 0) return;
    }
    parts->done(std::move(parts->status));
  }
};

CUdeviceptr Address(const uint8_t* memory) { return static_cast<CUdeviceptr>(reinterpret_cast<uintptr_t>(memory)); }

struct Called {
  CUresult result;
  const char* function;
};

Called EnqueueCopy(const CudaFunctions& call, DeviceSession::Direction direction, const DeviceSession::Piece& piece, CUstream stream) {
  const CUdeviceptr device = Address(piece.device);
  switch (direction) {
    case DeviceSession::Direction::kToHost:
      return {call.cuMemcpyDtoHAsync(piece.staging, device, piece.bytes, stream), "cuMemcpyDtoHAsync"};
    case DeviceSession::Direction::kToDevice:
      return {call.cuMemcpyHtoDAsync(device, piece.staging, piece.bytes, stream), "cuMemcpyHtoDAsync"};
    case DeviceSession::Direction::kGather:
      if (piece.device == nullptr) return {call.cuMemsetD8Async(Address(piece.staging), 0, piece.bytes, stream), "cuMemsetD8Async"};
      return {call.cuMemcpyDtoDAsync(Address(piece.staging), device, piece.bytes, stream), "cuMemcpyDtoDAsync"};
    case DeviceSession::Direction::kScatter:
      break;
  }
  return {call.cuMemcpyDtoDAsync(device, Address(piece.staging), piece.bytes, stream), "cuMemcpyDtoDAsync"};
}

}  // namespace

Result<std::unique_ptr<DeviceSession>> DeviceSession::Open(CudaDevices* devices, const std::vector<DeviceRow>& rows,
                                                           const std::vector<Extent>& extents, bool checksum) {
  std::unique_ptr<DeviceSession> session;
  for (const Extent& extent : extents) {
    if (extent.device == kHost || extent.bytes == 0) continue;
    if (session == nullptr) {
      if (devices == nullptr) return Status(Code::kCudaUnavailable, "this engine runs without devices");
      session.reset(new DeviceSession(*devices));
      session->rows_.resize(rows.size());
    }
    if (session->rows_[extent.device].device != UINT32_MAX) continue;
    Status status = session->Use(extent.device, rows[extent.device], checksum);
    if (!status.ok()) {
      session->Failed(status);
      return status;
    }
  }
  return session;
}

DeviceSession::~DeviceSession() {
  for (const Row& row : rows_) {
    if (row.event == nullptr) continue;
    ReleaseIn(*used_[row.device]->context(), [&](const CudaFunctions& call) { (void)call.cuEventDestroy(row.event); });
  }
}

Status DeviceSession::Use(uint32_t number, const DeviceRow& description, bool checksum) {
  auto device = devices_.Open(description.ordinal);
  if (!device.ok()) return device.status();
  Row& row = rows_[number];
  for (row.device = 0; row.device < used_.size(); ++row.device) {
    if (used_[row.device] == *device) break;
  }
  if (row.device == used_.size()) {
    used_.push_back(*device);
    idle_first_.push_back(false);
    checksums_.push_back(nullptr);
    if (checksum) {
      auto loaded = (*device)->Checksum(devices_.pinned());
      if (!loaded.ok()) return loaded.status();
      checksums_.back() = std::move(*loaded);
    }
  }
  if (description.has_stream) return RecordEvent(row, description);
  idle_first_[row.device] = true;
  return Status::Ok();
}

Status DeviceSession::RecordEvent(Row& row, const DeviceRow& description) {
  const CudaContext& context = *used_[row.device]->context();
  const CudaFunctions& call = context.call();
  if (description.stream == reinterpret_cast<uintptr_t>(CU_STREAM_PER_THREAD)) {
    return Status(Code::kInvalidArgument,
                  "the per-thread default stream means another one on every thread: pass a stream's own handle, or none");
  }
  CurrentContext current(context);
  if (!current.status().ok()) return current.status();
  Status status = context.Check(call.cuEventCreate(&row.event, CU_EVENT_DISABLE_TIMING), "cuEventCreate");
  if (!status.ok()) {
    row.event = nullptr;
    return status;
  }
  const auto stream = reinterpret_cast<CUstream>(static_cast<uintptr_t>(description.stream));
  return context.Check(call.cuEventRecord(row.event, stream), "cuEventRecord", "the tensors' stream");
}

Status DeviceSession::WaitForEarlierWork(const std::atomic<bool>& aborted) {
  Status status;
  for (size_t i = 0; i < rows_.size() && status.ok(); ++i) {
    if (rows_[i].event == nullptr) continue;
    status = WaitForEvent(*used_[rows_[i].device]->context(), rows_[i].event, aborted);
  }
  for (size_t i = 0; i < used_.size() && status.ok(); ++i) {
    if (idle_first_[i]) status = used_[i]->earlier_work().Wait(used_[i]->context(), aborted);
  }
  Failed(status);
  return status;
}

void DeviceSession::Copy(Direction direction, std::vector<Piece> pieces, std::function<void(Status)> done) const {
  // Nearly always there is one device.
  std::map<uint32_t, std::shared_ptr<Batch>> batches;
  for (Piece& piece : pieces) {
    std::shared_ptr<Batch>& batch = batches[DeviceOf(piece.row)];
    if (batch == nullptr) batch = std::make_shared<Batch>(Batch{direction, {}, nullptr});
    batch->pieces.push_back(piece);
  }
  auto parts = std::make_shared<Parts>(batches.size());
  parts->done = std::move(done);
  for (auto& [number, batch] : batches) {
    used_[number]->queue().Submit([this, batch](CUstream stream) { return Enqueue(*batch, stream); },
                                  [parts, batch](Status status) {
                                    if (status.ok() && batch->checksums != nullptr) batch->checksums->Deliver();
                                    batch->checksums.reset();
                                    Parts::Ended(parts, std::move(status));
                                  });
  }
}

Status DeviceSession::Enqueue(Batch& batch, CUstream stream) const {
  Status status;
  // What a device sums is what was there before a save's copies to the host, and what is there after all others.
  const bool sums_first = batch.direction == Direction::kToHost;
  if (sums_first) status = EnqueueChecksums(batch, stream);
  if (status.ok()) status = EnqueueCopies(batch, stream);
  if (status.ok() && !sums_first) status = EnqueueChecksums(batch, stream);
  return status;
}

Status DeviceSession::EnqueueChecksums(Batch& batch, CUstream stream) const {
  std::vector<DeviceChecksum::Range> ranges;
  for (const Piece& piece : batch.pieces) {
    const uint8_t* const summed = batch.direction == Direction::kGather ? piece.staging : piece.device;
    if (piece.crc != nullptr) ranges.push_back({Address(summed), piece.bytes, piece.crc});
  }
  if (ranges.empty()) return Status::Ok();
  auto job = checksums_[DeviceOf(batch.pieces.front().row)]->Enqueue(stream, std::move(ranges));
  if (!job.ok()) return job.status();
  batch.checksums = std::move(*job);
  return Status::Ok();
}

Status DeviceSession::EnqueueCopies(const Batch& batch, CUstream stream) const {
  const CudaContext& context = *used_[DeviceOf(batch.pieces.front().row)]->context();
  // Never two in one copy, even if they lie side by side: a copy must not reach from one allocation into another.
  for (const Piece& piece : batch.pieces) {
    const auto [result, function] = EnqueueCopy(context.call(), batch.direction, piece, stream);
    if (result != CUDA_SUCCESS) return context.Check(result, function, std::to_string(piece.bytes) + " bytes");
  }
  return Status::Ok();
}

void DeviceSession::Failed(const Status& status) const {
  if (status.code() != Code::kCudaError) return;
  // These say that a call was refused, and nothing about the device.
  const std::string name = status.error_name();
  if (name == "CUDA_ERROR_INVALID_VALUE" || name == "CUDA_ERROR_OUT_OF_MEMORY") return;
  if (name.starts_with("CU_FILE_") && name != "CU_FILE_CUDA_DRIVER_ERROR") return;
  for (const auto& device : used_) devices_.Distrust(device);
}

}  // namespace tensor_checkpoint
