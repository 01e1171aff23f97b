#include <utility>

#include "checksum/crc32c.h"
#include "pipeline/device_save.h"
#include "pipeline/device_staging.h"
#include "pipeline/limits.h"

namespace tensor_checkpoint {
namespace {

using Resource = Scheduler::Resource;

// Copied by the device into locked staging memory, summed there, and written from there. Pieces of the host that share
// the chunk (small tensors lie side by side in a file) are copied in the pass that sums. Or, with GPUDirect Storage,
// gathered and summed on the device, and written from there.
class DeviceSource final : public ChunkSource {
 public:
  DeviceSource(WriteState& state, DeviceSourceOptions options)
      : state_(state), options_(std::move(options)), staging_(options_.session, state.pool, state.warn) {
    if (options_.checksum) device_sums_.resize(state.plan.pieces.size());
  }

  void Describe(const Chunk& chunk, Scheduler::Task& task) const override {
    task.phases = {Resource::kCopier, Resource::kProcessor, Resource::kLane};
    task.phase_count = 3;
    task.copier = options_.session.DeviceOf(chunk.device);
    // The host's memory has no part in what goes to the disk directly.
    task.from_snapshot = options_.snapshot && !GoesDirectly(chunk);
    task.staging = task.from_snapshot ? kLargestChunk : DeviceStaging::SizeFor(chunk.bytes);
    task.releases_source_after = Scheduler::kNoSource;
    for (uint32_t i = chunk.first_piece; i < chunk.first_piece + chunk.piece_count; ++i) {
      const Piece& piece = state_.plan.pieces[i];
      if (piece.device == kHost) task.releases_source_after = 1;
      else if (options_.shadowed[options_.session.DeviceOf(piece.device)]) continue;
      else if (task.releases_source_after == Scheduler::kNoSource) task.releases_source_after = 0;
    }
  }
  uint8_t write_phase() const override { return 2; }
  uint8_t* Data(uint32_t task, const Chunk&) const override { return state_.Staged(task); }

  void Perform(Scheduler::Start start, const Chunk& chunk) override {
    // Locking memory takes a while the first time, and this thread may be one that must not wait.
    if (start.phase == 0) return state_.context.executor->Run([this, start, &chunk] { Fetch(start, chunk); });
    if (start.phase == write_phase()) {
      return state_.context.executor->Run([this, start, &chunk] { WriteDirectly(start, chunk); });
    }
    Sum(start.task, chunk);
    state_.done(start);
  }

 private:
  bool GoesDirectly(const Chunk& chunk) const { return options_.direct != nullptr && options_.direct->Covers(state_.plan, chunk); }

  void Fetch(Scheduler::Start start, const Chunk& chunk) {
    if (GoesDirectly(chunk)) {
      auto memory = options_.direct->Take(chunk, state_.warn);
      if (!memory.ok()) {
        state_.Fail(start.task, memory.status());
        return state_.done(start);
      }
      if (!memory->empty()) return Gather(start, chunk, std::move(*memory));
    }
    auto buffer = staging_.Take(chunk.device, chunk.bytes);
    if (!buffer.ok()) {
      state_.Fail(start.task, buffer.status());
      return state_.done(start);
    }
    state_.staging[start.task] = std::move(*buffer);
    uint8_t* const data = state_.Staged(start.task);
    std::vector<DeviceSession::Piece> pieces;
    for (uint32_t i = chunk.first_piece; i < chunk.first_piece + chunk.piece_count; ++i) {
      const Piece& piece = state_.plan.pieces[i];
      if (piece.device == kHost) continue;
      pieces.push_back({piece.device, piece.memory, data + piece.at, piece.bytes, options_.checksum ? &device_sums_[i] : nullptr});
    }
    Copy(start, DeviceSession::Direction::kToHost, std::move(pieces));
  }

  void Gather(Scheduler::Start start, const Chunk& chunk, RegisteredPool::Buffer memory) {
    auto* const staging = reinterpret_cast<uint8_t*>(memory.address());
    std::vector<DeviceSession::Piece> pieces;
    uint64_t end = 0;
    const auto zeros = [&](uint64_t until) {
      if (until > end) pieces.push_back({chunk.device, nullptr, staging + end, until - end});
    };
    for (uint32_t i = chunk.first_piece; i < chunk.first_piece + chunk.piece_count; ++i) {
      const Piece& piece = state_.plan.pieces[i];
      zeros(piece.at);
      pieces.push_back({piece.device, piece.memory, staging + piece.at, piece.bytes, &device_sums_[i]});
      end = piece.at + piece.bytes;
    }
    zeros(chunk.bytes);
    state_.staging[start.task].on_device = std::move(memory);
    Copy(start, DeviceSession::Direction::kGather, std::move(pieces));
  }

  void Copy(Scheduler::Start start, DeviceSession::Direction direction, std::vector<DeviceSession::Piece> pieces) {
    options_.session.Copy(direction, std::move(pieces), [this, start](Status status) {
      if (!status.ok()) state_.Fail(start.task, std::move(status));
      state_.done(start);
    });
  }

  void WriteDirectly(Scheduler::Start start, const Chunk& chunk) {
    const CUdeviceptr memory = state_.staging[start.task].on_device.address();
    Status status = options_.direct->Transfer(IoRequest::Kind::kWrite, chunk, memory).status;
    if (!status.ok()) state_.Fail(start.task, std::move(status));
    state_.done(start);
  }

  void Sum(uint32_t task, const Chunk& chunk) {
    if (!state_.staging[task].on_device.empty()) {
      for (uint32_t i = chunk.first_piece; i < chunk.first_piece + chunk.piece_count; ++i) state_.ledger.SetSum(i, device_sums_[i]);
      return;
    }
    uint8_t* const data = state_.Staged(task);
    FillStaging(state_, chunk, data, [&](uint32_t i) {
      const Piece& piece = state_.plan.pieces[i];
      const uint32_t crc = Crc32c(0, data + piece.at, piece.bytes);
      state_.ledger.SetSum(i, crc);
      if (!options_.checksum || device_sums_[i] == crc) return;
      state_.failures[task] = {
          Status(Code::kDataLoss, "the device's bytes have the checksum " + std::to_string(device_sums_[i]) +
                                      ", those that arrived on the host have " + std::to_string(crc)),
          piece.tensor};
    });
  }

  WriteState& state_;
  const DeviceSourceOptions options_;
  DeviceStaging staging_;
  std::vector<uint32_t> device_sums_;  // Per piece.
};

}  // namespace

std::unique_ptr<ChunkSource> MakeDeviceSource(WriteState& state, DeviceSourceOptions options) {
  return std::make_unique<DeviceSource>(state, std::move(options));
}

}  // namespace tensor_checkpoint
