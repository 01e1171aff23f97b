#include <utility>

#include "io/transfer.h"
#include "pipeline/chunk_source.h"
#include "pipeline/device_save.h"
#include "pipeline/limits.h"
#include "pipeline/pending_warnings.h"
#include "pipeline/task_runner.h"

// Writes chunks, however their bytes are obtained: that is their source's business (chunk_source.h).
namespace tensor_checkpoint {
namespace {

class Writer {
 public:
  Writer(const SaveProgram& program, const std::vector<std::unique_ptr<File>>& files, const TransferContext& context,
         Stats& stats, const std::function<void()>& captured, Plan plan, DeviceSave* device_save)
      : program_(program),
        files_(files),
        context_(context),
        stats_(stats),
        captured_(captured),
        plan_(std::move(plan)),
        ledger_(program.extents, plan_, program.tensor_count),
        staging_pool_(*context.staging),
        state_{program, files, context, plan_, ledger_, staging_pool_,
               LazyRows<StagingBuffer>(plan_.chunks.size()), LazyRows<Failure>(plan_.chunks.size()),
               [this](Scheduler::Start start) { runner_.Done(start); },
               [this](Scheduler::Start start, uint8_t* data) { Write(start, data); },
               [this](Event event) { warnings_.Add(std::move(event)); }},
        in_place_(MakeInPlaceSource(state_)),
        staged_(MakeStagedSource(state_)),
        on_device_(device_save == nullptr ? nullptr : device_save->MakeSource(state_)),
        warned_(program.tensor_count),
        runner_(*context.executor, MakeScheduler(device_save), [this](Scheduler::Start start) { Perform(start); },
                [this](Scheduler::Start start, const Scheduler& scheduler) { return After(start, scheduler); },
                TaskRunner::CallerBeside(program.options.priority)) {}

  WriteOutcome Run() {
    if (tasks_reading_sources_ == 0) Captured();
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
  ChunkSource& SourceOf(const Chunk& chunk) const {
    if (!chunk.staged) return *in_place_;
    return chunk.device == kHost ? *staged_ : *on_device_;
  }

  Scheduler MakeScheduler(const DeviceSave* device_save) {
    std::vector<Scheduler::Task> tasks(plan_.chunks.size());
    for (size_t i = 0; i < tasks.size(); ++i) {
      tasks[i].shares = Scheduler::SharesOf(plan_.chunks[i].bytes);
      SourceOf(plan_.chunks[i]).Describe(plan_.chunks[i], tasks[i]);
      tasks_reading_sources_ += tasks[i].releases_source_after != Scheduler::kNoSource;
    }
    Scheduler::Limits limits = LimitsFor(program_.options, program_.options.copy);
    if (device_save != nullptr) device_save->Extend(limits);
    return Scheduler(std::move(tasks), 1, limits, device_save == nullptr ? 0 : device_save->device_count());
  }

  void Perform(Scheduler::Start start) {
    const Chunk& chunk = plan_.chunks[start.task];
    ChunkSource& source = SourceOf(chunk);
    if (start.phase != source.write_phase()) return source.Perform(start, chunk);
    uint8_t* const data = source.Data(start.task, chunk);
    if (data == nullptr) return source.Perform(start, chunk);
    Write(start, data);
  }

  void Write(Scheduler::Start start, uint8_t* data) {
    if (state_.failures.Find(start.task) != nullptr) return runner_.Done(start);
    const Chunk& chunk = plan_.chunks[start.task];
    File& file = *files_[chunk.file];
    const IoRequest request{.kind = IoRequest::Kind::kWrite, .direct = chunk.direct, .file = &file, .data = data,
                            .bytes = chunk.bytes, .offset = chunk.offset};
    Transfer(*context_.fs, request, [this, start, &chunk, &file](IoResult result) {
      if (!result.status.ok()) state_.Fail(start.task, std::move(result.status));
      // Dirty pages start on their way at once, so that the sync at the end has little left to do.
      else if (!chunk.direct && chunk.bytes >= (1u << 20)) context_.fs->StartWriteback(file, chunk.offset, chunk.bytes);
      runner_.Done(start);
    });
  }

  // Under the runner's lock.
  bool After(Scheduler::Start start, const Scheduler& scheduler) {
    const Chunk& chunk = plan_.chunks[start.task];
    const Piece& first = plan_.pieces[chunk.first_piece];
    warnings_.Emit(context_.emit);
    if (const Failure* failure = state_.failures.Find(start.task); failure != nullptr) {
      if (failure_.status.ok()) failure_ = {failure->status, failure->tensor == kNoTensor ? first.tensor : failure->tensor};
      return false;
    }
    const StagingBuffer* const staging = state_.staging.Find(start.task);
    const uint8_t write_phase = SourceOf(chunk).write_phase();
    if (start.phase == write_phase) {
      stats_.bytes += chunk.payload;
      if (chunk.direct) stats_.direct_bytes += chunk.payload;
      if (staging != nullptr && !staging->on_device.empty()) stats_.gpu_direct_bytes += chunk.payload;
      else if (chunk.staged) stats_.bytes_copied += chunk.payload;
    }
    const bool rewritten = start.phase > write_phase && staging != nullptr;
    if (rewritten) {
      stats_.bytes_copied += chunk.payload;
      if (std::exchange(warned_[first.tensor], uint8_t{1}) == 0) WarnChanged(chunk, first.tensor);
    }
    if (scheduler.IsLast(start)) {
      if (staging != nullptr) staging_pool_.Give(state_.staging.Take(start.task).memory);
      complete_.clear();
      ledger_.Arrived(chunk, complete_);
      if (program_.options.progress && ledger_.Due()) {
        context_.emit({.type = Event::Type::kProgress, .progress = ledger_.progress()});
      }
    }
    if (!captured_reported_ && scheduler.sources_released()) Captured();
    return !*context_.aborted;
  }

  void Captured() {
    captured_reported_ = true;
    captured_();
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
  WriteState state_;
  const std::unique_ptr<ChunkSource> in_place_, staged_, on_device_;
  std::vector<uint8_t> warned_;
  std::vector<uint32_t> complete_;
  PendingWarnings warnings_;
  Failure failure_;
  size_t tasks_reading_sources_ = 0;
  bool captured_reported_ = false;
  TaskRunner runner_;
};

}  // namespace

WriteOutcome WriteExtents(const SaveProgram& program, const std::vector<std::unique_ptr<File>>& files,
                          const TransferContext& context, Stats& stats, const std::function<void()>& captured) {
  auto device_save = DeviceSave::Begin(program, files, context);
  if (!device_save.ok()) return {{device_save.status()}, {}};
  const std::vector<Extent>& extents = *device_save == nullptr ? program.extents : (*device_save)->extents();
  std::vector<DirectAlignment> alignments;
  for (const auto& file : files) alignments.push_back(file->direct());
  PlanOptions options;
  options.chunk_bytes = ChunkBytes(program.options);
  options.copy = program.options.copy;
  auto plan = PlanTransfer(extents, alignments, program.sizes, options);
  if (!plan.ok()) return {{plan.status()}, {}};
  WriteOutcome outcome = Writer(program, files, context, stats, captured, std::move(*plan), device_save->get()).Run();
  if (*device_save != nullptr) (*device_save)->End(outcome.failure.status);
  return outcome;
}

}  // namespace tensor_checkpoint
