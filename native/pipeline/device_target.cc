#include "pipeline/device_target.h"

#include <string>
#include <utility>

namespace tensor_checkpoint {

DeviceTarget::DeviceTarget(std::unique_ptr<DeviceSession> session, std::unique_ptr<GpuDirect> direct, StagingPool& pool,
                           const LoadProgram& program, const Plan& plan, std::function<void(Event)> warn)
    : session_(std::move(session)),
      direct_(std::move(direct)),
      program_(program),
      plan_(plan),
      warn_(std::move(warn)),
      staging_(*session_, pool, warn_),
      sums_(program.options.SumsOnDevice() ? plan.pieces.size() : 0) {}

void DeviceTarget::Describe(const Chunk& chunk, Scheduler::Task& task) const {
  task.phases[task.phase_count++] = Scheduler::Resource::kCopier;
  task.copier = session_->DeviceOf(chunk.device);
  task.staging = DeviceStaging::SizeFor(chunk.bytes);
}

Result<StagingBuffer> DeviceTarget::Take(const Chunk& chunk) {
  if (direct_ != nullptr && direct_->Covers(plan_, chunk)) {
    auto memory = direct_->Take(chunk, warn_);
    if (!memory.ok()) return memory.status();
    if (!memory->empty()) return StagingBuffer{{}, {}, std::move(*memory)};
  }
  return staging_.Take(chunk.device, chunk.bytes);
}

void DeviceTarget::Copy(const Chunk& chunk, const StagingBuffer& staging, uint64_t read,
                        const std::function<void(const Piece&)>& touch, std::function<void(Status)> done) {
  const bool scatters = !staging.on_device.empty();
  auto* const data = scatters ? reinterpret_cast<uint8_t*>(staging.on_device.address()) : staging.data();
  std::vector<DeviceSession::Piece> pieces;
  for (uint32_t i = chunk.first_piece; i < chunk.first_piece + chunk.piece_count; ++i) {
    const Piece& piece = plan_.pieces[i];
    if (piece.device == kHost || piece.at + piece.bytes > read) continue;
    touch(piece);
    pieces.push_back({piece.device, piece.memory, data + piece.at, piece.bytes, Checks(piece) ? &sums_[i] : nullptr});
  }
  if (pieces.empty()) return done(Status::Ok());
  session_->Copy(scatters ? DeviceSession::Direction::kScatter : DeviceSession::Direction::kToDevice, std::move(pieces), std::move(done));
}

Status DeviceTarget::Check(uint32_t i, uint32_t crc) const {
  if (!Checks(plan_.pieces[i]) || sums_[i] == crc) return Status::Ok();
  return Status(Code::kDataLoss, "the bytes read have the checksum " + std::to_string(crc) +
                                     ", those that arrived on the device have " + std::to_string(sums_[i]));
}

}  // namespace tensor_checkpoint
