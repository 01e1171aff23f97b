#include "pipeline/device_target.h"

#include <string>
#include <utility>

namespace tensor_checkpoint {

// Unlocked staging is only slower, and the events of a load have no warnings.
DeviceTarget::DeviceTarget(std::unique_ptr<DeviceSession> session, StagingPool& pool, const LoadProgram& program, const Plan& plan)
    : session_(std::move(session)),
      program_(program),
      plan_(plan),
      staging_(*session_, pool, [](Event) {}),
      sums_(program.options.device_checksum ? plan.pieces.size() : 0) {}

void DeviceTarget::Describe(const Chunk& chunk, Scheduler::Task& task) const {
  task.phases[task.phase_count++] = Scheduler::Resource::kCopier;
  task.copier = session_->DeviceOf(chunk.device);
  task.staging = DeviceStaging::SizeFor(chunk.bytes);
}

void DeviceTarget::Copy(const Chunk& chunk, uint8_t* data, uint64_t read, const std::function<void(const Piece&)>& touch,
                        std::function<void(Status)> done) {
  std::vector<DeviceSession::Piece> pieces;
  for (uint32_t i = chunk.first_piece; i < chunk.first_piece + chunk.piece_count; ++i) {
    const Piece& piece = plan_.pieces[i];
    if (piece.device == kHost || piece.at + piece.bytes > read) continue;
    touch(piece);
    pieces.push_back({piece.device, piece.memory, data + piece.at, piece.bytes, Checks(piece) ? &sums_[i] : nullptr});
  }
  if (pieces.empty()) return done(Status::Ok());
  session_->Copy(DeviceSession::Direction::kToDevice, std::move(pieces), std::move(done));
}

Status DeviceTarget::Check(uint32_t i, uint32_t crc) const {
  if (!Checks(plan_.pieces[i]) || sums_[i] == crc) return Status::Ok();
  return Status(Code::kDataLoss, "the bytes read have the checksum " + std::to_string(crc) +
                                     ", those that arrived on the device have " + std::to_string(sums_[i]));
}

}  // namespace tensor_checkpoint
