#include <algorithm>
#include <cerrno>
#include <utility>

#include "checksum/crc32c.h"
#include "pipeline/chunk_source.h"

namespace tensor_checkpoint {
namespace {

using Resource = Scheduler::Resource;

// Copy and sum in one pass over memory, write the copy.
class StagedSource final : public ChunkSource {
 public:
  explicit StagedSource(WriteState& state) : state_(state) {}

  void Describe(const Chunk& chunk, Scheduler::Task& task) const override {
    task.phases = {Resource::kProcessor, Resource::kLane};
    task.phase_count = 2;
    task.staging = StagingPool::SizeOf(chunk.bytes);
    task.releases_source_after = 0;
  }
  uint8_t write_phase() const override { return 1; }
  uint8_t* Data(uint32_t task, const Chunk&) const override { return state_.Staged(task); }

  void Perform(Scheduler::Start start, const Chunk& chunk) override {
    StagingBuffer buffer{state_.pool.Take(chunk.bytes), {}, {}};
    if (buffer.empty()) {
      state_.Fail(start.task, Status::FromErrno(ENOMEM, "mmap", state_.files[chunk.file]->path()));
    } else {
      FillStaging(state_, chunk, buffer.data());
      state_.staging[start.task] = std::move(buffer);
    }
    state_.done(start);
  }

 private:
  WriteState& state_;
};

// Has the processor fetch the beginning of a piece that is copied next: small ones end before it would do so by itself.
void Prefetch(const Piece& piece) {
  constexpr uint32_t kLine = 64;
  const uint32_t bytes = std::min<uint32_t>(piece.bytes, 1024);
  for (uint32_t at = 0; at < bytes; at += kLine) __builtin_prefetch(piece.memory + at);
}

}  // namespace

std::unique_ptr<ChunkSource> MakeStagedSource(WriteState& state) { return std::make_unique<StagedSource>(state); }

void FillStaging(WriteState& state, const Chunk& chunk, uint8_t* staging, const std::function<void(uint32_t)>& sum) {
  uint64_t end = 0;
  const uint32_t behind = chunk.first_piece + chunk.piece_count;
  for (uint32_t i = chunk.first_piece; i < behind; ++i) {
    const Piece& piece = state.plan.pieces[i];
    if (i + 1 < behind && state.plan.pieces[i + 1].device == kHost) Prefetch(state.plan.pieces[i + 1]);
    std::fill(staging + end, staging + piece.at, uint8_t{0});
    if (piece.device != kHost) sum(i);
    else state.ledger.SetSum(i, Crc32cCopy(0, staging + piece.at, piece.memory, piece.bytes));
    end = piece.at + piece.bytes;
  }
  std::fill(staging + end, staging + chunk.bytes, uint8_t{0});
  PublishCopies();
}

}  // namespace tensor_checkpoint
