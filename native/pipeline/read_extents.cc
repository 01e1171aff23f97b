#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "base/lazy_rows.h"
#include "checksum/crc32c.h"
#include "io/transfer.h"
#include "pipeline/device_target.h"
#include "pipeline/extents.h"
#include "pipeline/limits.h"
#include "pipeline/pending_warnings.h"
#include "pipeline/plan.h"
#include "pipeline/staging_buffer.h"
#include "pipeline/task_runner.h"
#include "pipeline/tensor_ledger.h"

// How a chunk is read: into its place, or into staging and from there copied and summed in one pass; what belongs on a
// device is summed in staging and then copied there. A tensor is verified as soon as its last chunk has arrived.
namespace tensor_checkpoint {
namespace {

using Resource = Scheduler::Resource;

class Reader {
 public:
  Reader(const LoadProgram& program, const std::vector<std::unique_ptr<File>>& files, const std::vector<Status>& opened,
         const TransferContext& context, Stats& stats, ReadOutcome& outcome, Plan plan, std::unique_ptr<DeviceSession> session,
        std::unique_ptr<GpuDirect> direct)
      : program_(program),
        files_(files),
        opened_(opened),
        context_(context),
        stats_(stats),
        outcome_(outcome),
        plan_(std::move(plan)),
        ledger_(program.extents, plan_, static_cast<uint32_t>(program.expected.size())),
        staging_pool_(*context.staging),
        staging_(plan_.chunks.size()),
        was_cached_(files.size()),
        read_buffered_(files.size()),
        direct_(plan_.chunks.size()),
        read_(plan_.chunks.size()),
        failures_(plan_.chunks.size()),
        damaged_(program.expected.size()),
        runner_(*context.executor, MakeScheduler(std::move(session), std::move(direct)),
                [this](Scheduler::Start start) { Perform(start); },
                [this](Scheduler::Start start, const Scheduler& scheduler) { return After(start, scheduler); },
                TaskRunner::CallerBeside(program.options.priority)) {}

  void Run() {
    if (!CheckFilesAndEmptyTensors()) return;
    for (size_t i = 0; i < files_.size(); ++i) {
      if (files_[i] != nullptr) was_cached_[i] = context_.fs->CachedBytes(*files_[i], 0, INT64_MAX) > 0;
    }
    runner_.Run();
    warnings_.Emit(context_.emit);
    staging_.clear();  // What is left of a failure must go before the devices do.
    LeaveTheCacheAsItWas();
    if (outcome_.failure.status.ok() && *context_.aborted) {
      outcome_.failure = {Status(Code::kAborted, "the load was aborted")};
    }
    if (program_.options.progress) context_.emit({.type = Event::Type::kProgress, .progress = ledger_.progress()});
    if (devices_.has_value()) devices_->End(outcome_.failure.status);
  }

 private:
  Scheduler MakeScheduler(std::unique_ptr<DeviceSession> session, std::unique_ptr<GpuDirect> direct) {
    Scheduler::Limits limits = LimitsFor(program_.options, false);
    if (session == nullptr) return Scheduler(Tasks(), 1, limits);
    devices_.emplace(std::move(session), std::move(direct), staging_pool_, program_, plan_,
                     [this](Event event) { warnings_.Add(std::move(event)); });
    ExtendForDevices(limits, devices_->device_count());
    return Scheduler(Tasks(), 1, limits, devices_->device_count());
  }

  std::vector<Scheduler::Task> Tasks() const {
    std::vector<Scheduler::Task> tasks;
    tasks.reserve(plan_.chunks.size());
    for (const Chunk& chunk : plan_.chunks) {
      Scheduler::Task task;
      task.phases = {Resource::kLane, Resource::kProcessor};
      task.phase_count = 2;
      task.shares = Scheduler::SharesOf(chunk.bytes);
      task.staging = chunk.staged ? StagingPool::SizeOf(chunk.bytes) : 0;
      if (chunk.device != kHost) devices_->Describe(chunk, task);
      tasks.push_back(task);
    }
    return tasks;
  }

  // Tensors that no chunk will speak for. false: the load has failed.
  bool CheckFilesAndEmptyTensors() {
    std::vector<uint64_t> bytes(program_.expected.size());
    for (const Extent& extent : program_.extents) {
      bytes[extent.tensor] += extent.bytes;
      if (files_[extent.file] != nullptr) continue;
      const Status& status = opened_[extent.file];
      if (!AddDamage({extent.tensor, status.code() == Code::kNotFound ? "missing" : "io", status})) return false;
    }
    for (uint32_t t = 0; t < bytes.size(); ++t) {
      if (bytes[t] == 0 && !damaged_[t] && !Verify(t)) return false;
    }
    return true;
  }

  void Perform(Scheduler::Start start) {
    const Chunk& chunk = plan_.chunks[start.task];
    if (start.phase == 2) return CopyToDevices(start, chunk);
    if (start.phase == 0) {
      if (chunk.device == kHost) return Read(start, chunk);
      // Locking memory takes a while the first time, and this thread may be one that must not wait.
      return context_.executor->Run([this, start, &chunk] { Read(start, chunk); });
    }
    if (failures_[start.task].ok()) Deliver(start.task, chunk);
    runner_.Done(start);
  }

  void Read(Scheduler::Start start, const Chunk& chunk) {
    if (files_[chunk.file] == nullptr) return runner_.Done(start);
    uint8_t* data = plan_.pieces[chunk.first_piece].memory;
    if (chunk.staged) {
      Status status = TakeStaging(start.task, chunk);
      if (!status.ok()) {
        failures_[start.task] = std::move(status);
        return runner_.Done(start);
      }
      if (IsOnDevice(start.task)) {
        direct_[start.task] = 1;
        IoResult result = devices_->Read(chunk, staging_[start.task]);
        read_[start.task] = static_cast<uint32_t>(result.bytes);
        failures_[start.task] = std::move(result.status);
        return runner_.Done(start);
      }
      data = staging_[start.task].data();
    } else {
      Touch(plan_.pieces[chunk.first_piece]);
    }
    File& file = *files_[chunk.file];
    // What is in memory already is copied from there, faster than any disk; the rest doesn't go through the cache.
    direct_[start.task] = chunk.direct && !(was_cached_[chunk.file] != 0 &&
                                            context_.fs->CachedBytes(file, chunk.offset, chunk.used) >= chunk.used);
    if (direct_[start.task] == 0) read_buffered_[chunk.file].store(true, std::memory_order_relaxed);
    const IoRequest request{.kind = IoRequest::Kind::kRead, .direct = direct_[start.task] != 0, .file = &file,
                            .data = data, .bytes = chunk.bytes, .offset = chunk.offset};
    Transfer(*context_.fs, request, [this, start](IoResult result) {
      read_[start.task] = static_cast<uint32_t>(result.bytes);
      failures_[start.task] = std::move(result.status);
      runner_.Done(start);
    });
  }

  // Files that a job reads besides are worth their place in the page cache; a checkpoint that is in memory now is not.
  void LeaveTheCacheAsItWas() {
    for (size_t i = 0; i < files_.size(); ++i) {
      if (files_[i] != nullptr && read_buffered_[i] && was_cached_[i] == 0) context_.fs->DropCache(*files_[i]);
    }
  }

  Status TakeStaging(uint32_t task, const Chunk& chunk) {
    if (chunk.device != kHost) {
      auto buffer = devices_->Take(chunk);
      if (!buffer.ok()) return buffer.status();
      staging_[task] = std::move(*buffer);
      return Status::Ok();
    }
    staging_[task].memory = staging_pool_.Take(chunk.bytes);
    return staging_[task].empty() ? Status::FromErrno(ENOMEM, "mmap", files_[chunk.file]->path()) : Status::Ok();
  }

  void CopyToDevices(Scheduler::Start start, const Chunk& chunk) {
    if (!failures_[start.task].ok()) return runner_.Done(start);
    devices_->Copy(chunk, staging_[start.task], read_[start.task], [this](const Piece& piece) { Touch(piece); },
                   [this, start, &chunk](Status status) {
                     if (IsOnDevice(start.task)) TakeSumsOfDevice(chunk);
                     failures_[start.task] = std::move(status);
                     runner_.Done(start);
                   });
  }

  bool IsOnDevice(uint32_t task) const {
    const StagingBuffer* const buffer = staging_.Find(task);
    return buffer != nullptr && !buffer->on_device.empty();
  }

  // Nobody else has seen the bytes.
  void TakeSumsOfDevice(const Chunk& chunk) {
    for (uint32_t i = chunk.first_piece; i < chunk.first_piece + chunk.piece_count; ++i) ledger_.SetSum(i, devices_->Sum(i));
  }

  void Deliver(uint32_t task, const Chunk& chunk) {
    if (IsOnDevice(task)) return;
    for (uint32_t i = chunk.first_piece; i < chunk.first_piece + chunk.piece_count; ++i) {
      const Piece& piece = plan_.pieces[i];
      if (piece.at + piece.bytes > read_[task]) continue;  // Beyond the end of the file: After() reports it.
      const bool verify = program_.verify[piece.tensor] != 0;
      const uint8_t* data = chunk.staged ? staging_[task].data() + piece.at : piece.memory;
      if (!chunk.staged || piece.memory == nullptr || piece.device != kHost) {
        if (verify) ledger_.SetSum(i, Crc32c(0, data, piece.bytes));
        continue;
      }
      Touch(piece);
      if (verify) ledger_.SetSum(i, Crc32cCopy(0, piece.memory, data, piece.bytes));
      else std::memcpy(piece.memory, data, piece.bytes);
    }
    PublishCopies();
  }

  // Several chunks of a tensor may be at work at once.
  void Touch(const Piece& piece) {
    if (piece.memory != nullptr) std::atomic_ref(outcome_.touched[piece.tensor]).store(1, std::memory_order_relaxed);
  }

  // Under the runner's lock.
  bool After(Scheduler::Start start, const Scheduler& scheduler) {
    const Chunk& chunk = plan_.chunks[start.task];
    warnings_.Emit(context_.emit);
    if (failures_[start.task].code() == Code::kCudaError) {
      // Nothing is wrong with the file.
      if (outcome_.failure.status.ok()) outcome_.failure = {failures_[start.task], plan_.pieces[chunk.first_piece].tensor};
      return false;
    }
    if (!scheduler.IsLast(start)) return !*context_.aborted;
    const bool gpu_direct = IsOnDevice(start.task);
    if (chunk.staged) staging_pool_.Give(staging_.Take(start.task).memory);
    if (files_[chunk.file] == nullptr) return true;
    const File& file = *files_[chunk.file];
    stats_.bytes += std::min(chunk.payload, read_[start.task]);
    if (direct_[start.task] != 0) stats_.direct_bytes += std::min(chunk.payload, read_[start.task]);
    if (gpu_direct) stats_.gpu_direct_bytes += std::min(chunk.payload, read_[start.task]);
    else if (chunk.staged) stats_.bytes_copied += std::min(chunk.payload, read_[start.task]);
    for (uint32_t i = chunk.first_piece; i < chunk.first_piece + chunk.piece_count; ++i) {
      const Piece& piece = plan_.pieces[i];
      if (!failures_[start.task].ok()) {
        if (!AddDamage({piece.tensor, "io", failures_[start.task]})) return false;
      } else if (piece.at + piece.bytes > read_[start.task]) {
        Status status(Code::kDataLoss,
                      "'" + file.path() + "' ends at byte " + std::to_string(chunk.offset + read_[start.task]) +
                          ", before the tensor's bytes at offset " + std::to_string(chunk.offset + piece.at) + " do",
                      file.path(), static_cast<int64_t>(chunk.offset + piece.at));
        if (!AddDamage({piece.tensor, "short", std::move(status)})) return false;
      } else if (devices_.has_value()) {
        Status status = devices_->Check(i, ledger_.PieceSum(i));
        if (!status.ok() && !AddDamage({piece.tensor, "checksum", std::move(status)})) return false;
      }
    }
    complete_.clear();
    ledger_.Arrived(chunk, complete_);
    for (uint32_t tensor : complete_) {
      if (!damaged_[tensor] && !Verify(tensor)) return false;
    }
    if (program_.options.progress && ledger_.Due()) {
      context_.emit({.type = Event::Type::kProgress, .progress = ledger_.progress()});
    }
    return !*context_.aborted;
  }

  bool Verify(uint32_t tensor) {
    if (program_.verify[tensor] != 0) {
      const uint32_t found = ledger_.Sum(tensor);
      if (found != program_.expected[tensor]) {
        const Extent* extent = FirstExtent(tensor);
        const std::string path = extent == nullptr ? std::string() : program_.paths[extent->file];
        Status status(Code::kDataLoss,
                      "checksum mismatch in '" + path + "': the index says " + std::to_string(program_.expected[tensor]) +
                          ", the bytes have " + std::to_string(found),
                      path, extent == nullptr ? Status::kNoOffset : static_cast<int64_t>(extent->file_offset));
        return AddDamage({tensor, "checksum", std::move(status), true, found});
      }
    }
    outcome_.touched[tensor] = 2;
    return true;
  }

  // Only for messages about damage: not worth an index of its own.
  const Extent* FirstExtent(uint32_t tensor) const {
    for (const Extent& extent : program_.extents) {
      if (extent.tensor == tensor) return &extent;
    }
    return nullptr;
  }

  // One damage a tensor. false: the load fails with it.
  bool AddDamage(Damage damage) {
    if (damaged_[damage.tensor]) return true;
    damaged_[damage.tensor] = true;
    if (!program_.options.keep_going && outcome_.failure.status.ok()) outcome_.failure = {damage.status, damage.tensor};
    outcome_.damage.push_back(std::move(damage));
    return program_.options.keep_going;
  }

  const LoadProgram& program_;
  const std::vector<std::unique_ptr<File>>& files_;  // nullptr: it can't be opened.
  const std::vector<Status>& opened_;
  const TransferContext& context_;
  Stats& stats_;
  ReadOutcome& outcome_;
  const Plan plan_;
  TensorLedger ledger_;
  StagingPool& staging_pool_;
  LazyRows<StagingBuffer> staging_;  // Per chunk, while it has one.
  std::vector<uint8_t> was_cached_;                // Per file: anything of it, before.
  std::vector<std::atomic<bool>> read_buffered_;   // Per file: anything of it.
  std::vector<uint8_t> direct_;                    // Per chunk: whether it was read past the cache.
  std::vector<uint32_t> read_;    // Per chunk: bytes that the file gave.
  std::vector<Status> failures_;  // Per chunk.
  std::vector<bool> damaged_;
  std::vector<uint32_t> complete_;
  PendingWarnings warnings_;
  std::optional<DeviceTarget> devices_;  // Where anything goes to one.
  TaskRunner runner_;
};

}  // namespace

ReadOutcome ReadExtents(const LoadProgram& program, const TransferContext& context, Stats& stats) {
  ReadOutcome outcome;
  outcome.touched.assign(program.expected.size(), 0);
  std::vector<std::unique_ptr<File>> files;
  std::vector<Status> opened;
  std::vector<DirectAlignment> alignments;
  for (const std::string& path : program.paths) {
    auto file = context.fs->Open(path, program.options.direct);
    opened.push_back(file.status());
    files.push_back(file.ok() ? std::move(*file) : nullptr);
    alignments.push_back(files.back() == nullptr ? DirectAlignment() : files.back()->direct());
  }
  auto session = DeviceSession::Open(context.devices, program.devices, program.extents, program.options.SumsOnDevice());
  if (!session.ok()) {
    outcome.failure = {session.status()};
    return outcome;
  }
  auto direct = GpuDirect::Open(program.options, files, session->get(), context.emit);
  if (!direct.ok()) {
    outcome.failure = {direct.status()};
    return outcome;
  }
  if (*direct != nullptr) {
    for (DirectAlignment& a : alignments) a.offset = a.possible() ? std::max(a.offset, GpuDirect::kUnit) : 0;
  }
  if (*session != nullptr) {
    Status status = (*session)->WaitForEarlierWork(*context.aborted);
    if (!status.ok()) {
      outcome.failure = {std::move(status)};
      return outcome;
    }
  }
  PlanOptions options;
  options.chunk_bytes = ChunkBytes(program.options);
  options.writing = false;
  auto plan = PlanTransfer(program.extents, alignments, {}, options);
  if (!plan.ok()) {
    outcome.failure = {plan.status()};
    return outcome;
  }
  Reader(program, files, opened, context, stats, outcome, std::move(*plan), std::move(*session), std::move(*direct)).Run();
  return outcome;
}

}  // namespace tensor_checkpoint
