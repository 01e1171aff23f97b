#include <cerrno>
#include <utility>

#include "checksum/crc32c.h"
#include "pipeline/chunk_source.h"

namespace tensor_checkpoint {
namespace {

using Resource = Scheduler::Resource;

// Sum, write, and for memory that others can write to: sum again. Where the sums differ, the chunk is copied, the copy
// summed, and the copy written: what is stored always matches its checksum.
class InPlaceSource final : public ChunkSource {
 public:
  explicit InPlaceSource(WriteState& state) : state_(state) {}

  void Describe(const Chunk& chunk, Scheduler::Task& task) const override {
    task.phases = {Resource::kProcessor, Resource::kLane, Resource::kProcessor};
    task.phase_count = PieceOf(chunk).mutable_memory ? 3 : 2;
    task.releases_source_after = task.phase_count - 1;
  }
  uint8_t write_phase() const override { return 1; }
  uint8_t* Data(uint32_t, const Chunk& chunk) const override { return PieceOf(chunk).memory; }

  void Perform(Scheduler::Start start, const Chunk& chunk) override {
    const Piece& piece = PieceOf(chunk);
    const uint32_t crc = Crc32c(0, piece.memory, piece.bytes);
    if (start.phase == 2 && crc != state_.ledger.PieceSum(chunk.first_piece)) return Rewrite(start, chunk);
    state_.ledger.SetSum(chunk.first_piece, crc);
    state_.done(start);
  }

 private:
  const Piece& PieceOf(const Chunk& chunk) const { return state_.plan.pieces[chunk.first_piece]; }

  // The owner of the memory wrote to it meanwhile.
  void Rewrite(Scheduler::Start start, const Chunk& chunk) {
    const Piece& piece = PieceOf(chunk);
    StagingBuffer buffer{state_.pool.Take(piece.bytes), {}, {}};
    if (buffer.empty()) {
      state_.Fail(start.task, Status::FromErrno(ENOMEM, "mmap", state_.files[chunk.file]->path()));
      return state_.done(start);
    }
    state_.ledger.SetSum(chunk.first_piece, Crc32cCopy(0, buffer.data(), piece.memory, piece.bytes));
    PublishCopies();
    state_.staging[start.task] = std::move(buffer);
    state_.write(start, state_.Staged(start.task));
  }

  WriteState& state_;
};

}  // namespace

std::unique_ptr<ChunkSource> MakeInPlaceSource(WriteState& state) { return std::make_unique<InPlaceSource>(state); }

}  // namespace tensor_checkpoint
