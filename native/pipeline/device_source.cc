#include <utility>

#include "checksum/crc32c.h"
#include "pipeline/device_save.h"
#include "pipeline/device_staging.h"
#include "pipeline/limits.h"

namespace tensor_checkpoint {
namespace {

using Resource = Scheduler::Resource;

// Copied by the device into locked staging memory, summed there, and written from there. Pieces of the host that share
// the chunk (small tensors lie side by side in a file) are copied in the pass that sums.
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
    task.from_snapshot = options_.snapshot;
    task.staging = options_.snapshot ? kLargestChunk : DeviceStaging::SizeFor(chunk.bytes);
    task.releases_source_after = Scheduler::kNoSource;
    for (uint32_t i = chunk.first_piece; i < chunk.first_piece + chunk.piece_count; ++i) {
      const Piece& piece = state_.plan.pieces[i];
      if (piece.device == kHost) task.releases_source_after = 1;
      else if (options_.shadowed[options_.session.DeviceOf(piece.device)]) continue;
      else if (task.releases_source_after == Scheduler::kNoSource) task.releases_source_after = 0;
    }
  }
  uint8_t write_phase() const override { return 2; }
  uint8_t* Data(uint32_t task, const Chunk&) const override { return state_.staging[task].data(); }

  void Perform(Scheduler::Start start, const Chunk& chunk) override {
    if (start.phase == 0) {
      // Locking memory takes a while the first time, and this thread may be one that must not wait.
      return state_.context.executor->Run([this, start, &chunk] { Fetch(start, chunk); });
    }
    Sum(start.task, chunk);
    state_.done(start);
  }

 private:
  void Fetch(Scheduler::Start start, const Chunk& chunk) {
    auto buffer = staging_.Take(chunk.device, chunk.bytes);
    if (!buffer.ok()) {
      state_.failures[start.task].status = buffer.status();
      return state_.done(start);
    }
    state_.staging[start.task] = std::move(*buffer);
    uint8_t* const data = state_.staging[start.task].data();
    std::vector<DeviceSession::Piece> pieces;
    for (uint32_t i = chunk.first_piece; i < chunk.first_piece + chunk.piece_count; ++i) {
      const Piece& piece = state_.plan.pieces[i];
      if (piece.device == kHost) continue;
      pieces.push_back({piece.device, piece.memory, data + piece.at, piece.bytes, options_.checksum ? &device_sums_[i] : nullptr});
    }
    options_.session.Copy(DeviceSession::Direction::kToHost, std::move(pieces), [this, start](Status status) {
      state_.failures[start.task].status = std::move(status);
      state_.done(start);
    });
  }

  void Sum(uint32_t task, const Chunk& chunk) {
    uint8_t* const data = state_.staging[task].data();
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
