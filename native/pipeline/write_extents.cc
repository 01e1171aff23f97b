#include <algorithm>
#include <cerrno>
#include <utility>

#include "checksum/crc32c.h"
#include "io/transfer.h"
#include "pipeline/extents.h"
#include "pipeline/limits.h"
#include "pipeline/plan.h"
#include "pipeline/task_runner.h"
#include "pipeline/tensor_ledger.h"

// How a chunk is written:
//   in place: sum, write, and for memory that others can write to: sum again. Where the sums differ, the chunk is
//             copied, the copy summed, and the copy written: what is stored always matches its checksum.
//   staged:   copy and sum in one pass over memory, write the copy.
namespace tensor_checkpoint {
namespace {

using Resource = Scheduler::Resource;

class Writer {
 public:
  Writer(const SaveProgram& program, const std::vector<std::unique_ptr<File>>& files, const TransferContext& context,
         Stats& stats, const std::function<void()>& captured, Plan plan)
      : program_(program),
        files_(files),
        context_(context),
        stats_(stats),
        captured_(captured),
        plan_(std::move(plan)),
        ledger_(program.extents, plan_, program.tensor_count),
        staging_pool_(*context.staging),
        staging_(plan_.chunks.size()),
        failures_(plan_.chunks.size()),
        warned_(program.tensor_count),
        runner_(*context.executor, Scheduler(Tasks(), 1, LimitsFor(program.options, program.options.copy)),
                [this](Scheduler::Start start) { Perform(start); },
                [this](Scheduler::Start start, const Scheduler& scheduler) { return After(start, scheduler); }) {}

  WriteOutcome Run() {
    if (plan_.chunks.empty()) captured_();
    runner_.Run();
    WriteOutcome outcome;
    if (failure_.status.ok() && *context_.aborted) failure_ = {Status(Code::kAborted, "the save was aborted")};
    if (!failure_.status.ok()) {
      outcome.failure = std::move(failure_);
      return outcome;
    }
    outcome.checksums.resize(program_.tensor_count);
    for (uint32_t t = 0; t < program_.tensor_count; ++t) outcome.checksums[t] = ledger_.Sum(t);
    if (program_.options.progress) context_.emit({.type = Event::Type::kProgress, .progress = ledger_.progress()});
    return outcome;
  }

 private:
  std::vector<Scheduler::Task> Tasks() const {
    std::vector<Scheduler::Task> tasks;
    tasks.reserve(plan_.chunks.size());
    for (const Chunk& chunk : plan_.chunks) {
      Scheduler::Task task;
      task.phases = {Resource::kProcessor, Resource::kLane, Resource::kProcessor};
      task.shares = Scheduler::SharesOf(chunk.bytes);
      if (chunk.staged) {
        task.staging = StagingPool::SizeOf(chunk.bytes);
        task.phase_count = 2;
        task.releases_source_after = 0;
      } else {
        task.phase_count = plan_.pieces[chunk.first_piece].mutable_memory ? 3 : 2;
        task.releases_source_after = task.phase_count - 1;
      }
      tasks.push_back(task);
    }
    return tasks;
  }

  void Perform(Scheduler::Start start) {
    const Chunk& chunk = plan_.chunks[start.task];
    if (start.phase == 1) {
      uint8_t* data = chunk.staged ? staging_[start.task].data() : plan_.pieces[chunk.first_piece].memory;
      return Write(start, data);
    }
    if (chunk.staged) {
      Stage(start.task, chunk);
    } else {
      const Piece& piece = plan_.pieces[chunk.first_piece];
      const uint32_t crc = Crc32c(0, piece.memory, piece.bytes);
      if (start.phase == 2 && crc != ledger_.PieceSum(chunk.first_piece)) return Rewrite(start, chunk);
      ledger_.SetSum(chunk.first_piece, crc);
    }
    runner_.Done(start);
  }

  void Stage(uint32_t task, const Chunk& chunk) {
    AlignedBuffer buffer = staging_pool_.Take(chunk.bytes);
    if (buffer.empty()) {
      failures_[task] = Status::FromErrno(ENOMEM, "mmap", files_[chunk.file]->path());
      return;
    }
    uint64_t end = 0;
    for (uint32_t i = chunk.first_piece; i < chunk.first_piece + chunk.piece_count; ++i) {
      const Piece& piece = plan_.pieces[i];
      std::fill(buffer.data() + end, buffer.data() + piece.at, uint8_t{0});
      ledger_.SetSum(i, Crc32cCopy(0, buffer.data() + piece.at, piece.memory, piece.bytes));
      end = piece.at + piece.bytes;
    }
    std::fill(buffer.data() + end, buffer.data() + chunk.bytes, uint8_t{0});
    staging_[task] = std::move(buffer);
  }

  // The owner of the memory wrote to it meanwhile.
  void Rewrite(Scheduler::Start start, const Chunk& chunk) {
    const Piece& piece = plan_.pieces[chunk.first_piece];
    AlignedBuffer buffer = staging_pool_.Take(piece.bytes);
    if (buffer.empty()) {
      failures_[start.task] = Status::FromErrno(ENOMEM, "mmap", files_[chunk.file]->path());
      return runner_.Done(start);
    }
    ledger_.SetSum(chunk.first_piece, Crc32cCopy(0, buffer.data(), piece.memory, piece.bytes));
    staging_[start.task] = std::move(buffer);
    Write(start, staging_[start.task].data());
  }

  void Write(Scheduler::Start start, uint8_t* data) {
    if (!failures_[start.task].ok()) return runner_.Done(start);
    const Chunk& chunk = plan_.chunks[start.task];
    File& file = *files_[chunk.file];
    const IoRequest request{.kind = IoRequest::Kind::kWrite, .direct = chunk.direct, .file = &file, .data = data,
                            .bytes = chunk.bytes, .offset = chunk.offset};
    Transfer(*context_.fs, request, [this, start, &chunk, &file](IoResult result) {
      if (!result.status.ok()) failures_[start.task] = std::move(result.status);
      // Dirty pages start on their way at once, so that the sync at the end has little left to do.
      else if (!chunk.direct && chunk.bytes >= (1u << 20)) context_.fs->StartWriteback(file, chunk.offset, chunk.bytes);
      runner_.Done(start);
    });
  }

  // Under the runner's lock.
  bool After(Scheduler::Start start, const Scheduler& scheduler) {
    const Chunk& chunk = plan_.chunks[start.task];
    const Piece& first = plan_.pieces[chunk.first_piece];
    if (!failures_[start.task].ok()) {
      if (failure_.status.ok()) failure_ = {failures_[start.task], first.tensor};
      return false;
    }
    if (start.phase == 1) {
      stats_.bytes += chunk.payload;
      if (chunk.direct) stats_.direct_bytes += chunk.payload;
      if (chunk.staged) stats_.bytes_copied += chunk.payload;
    }
    const bool rewritten = start.phase == 2 && !staging_[start.task].empty();
    if (rewritten) {
      stats_.bytes_copied += chunk.payload;
      if (std::exchange(warned_[first.tensor], uint8_t{1}) == 0) WarnChanged(chunk, first.tensor);
    }
    if ((start.phase == 1 && (chunk.staged || !first.mutable_memory)) || start.phase == 2) {
      if (!staging_[start.task].empty()) staging_pool_.Give(std::exchange(staging_[start.task], AlignedBuffer()));
      complete_.clear();
      ledger_.Arrived(chunk, complete_);
      if (program_.options.progress && ledger_.Due()) {
        context_.emit({.type = Event::Type::kProgress, .progress = ledger_.progress()});
      }
    }
    if (!captured_reported_ && scheduler.sources_released()) {
      captured_reported_ = true;
      captured_();
    }
    return !*context_.aborted;
  }

  void WarnChanged(const Chunk& chunk, uint32_t tensor) {
    Status status(Code::kDataLoss, "memory was written to while it was being saved; a consistent copy was stored",
                  files_[chunk.file]->path(), static_cast<int64_t>(chunk.offset));
    context_.emit({.type = Event::Type::kWarning, .warning = "changed", .failure = {std::move(status), tensor}});
  }

  const SaveProgram& program_;
  const std::vector<std::unique_ptr<File>>& files_;
  const TransferContext& context_;
  Stats& stats_;
  const std::function<void()>& captured_;
  const Plan plan_;
  TensorLedger ledger_;
  StagingPool& staging_pool_;
  std::vector<AlignedBuffer> staging_;  // Per chunk, while it has one.
  std::vector<Status> failures_;        // Per chunk; written by the thread that works on it.
  std::vector<uint8_t> warned_;
  std::vector<uint32_t> complete_;
  Failure failure_;
  bool captured_reported_ = false;
  TaskRunner runner_;
};

}  // namespace

WriteOutcome WriteExtents(const SaveProgram& program, const std::vector<std::unique_ptr<File>>& files,
                          const TransferContext& context, Stats& stats, const std::function<void()>& captured) {
  std::vector<DirectAlignment> alignments;
  for (const auto& file : files) alignments.push_back(file->direct());
  PlanOptions options;
  options.chunk_bytes = ChunkBytes(program.options);
  options.copy = program.options.copy;
  auto plan = PlanTransfer(program.extents, alignments, program.sizes, options);
  if (!plan.ok()) return {{plan.status()}, {}};
  return Writer(program, files, context, stats, captured, std::move(*plan)).Run();
}

}  // namespace tensor_checkpoint
