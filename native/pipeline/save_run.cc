#include "pipeline/save_run.h"

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <semaphore>
#include <utility>

#include "checksum/crc32c.h"
#include "io/copy_file.h"
#include "io/transfer.h"

namespace tensor_checkpoint {
namespace {

void PutFixed32(uint8_t* at, uint32_t value) {
  for (int i = 0; i < 4; ++i) at[i] = static_cast<uint8_t>(value >> (8 * i));
}

// Whether a copy may do what a hard link can't: another device, a file system without links or with too many, or a
// kernel that protects files of others.
bool CanCopyInstead(int error) {
  return error == EXDEV || error == EPERM || error == EMLINK || error == EOPNOTSUPP || error == ENOTSUP || error == ENOSYS;
}

Failure Aborted() { return {Status(Code::kAborted, "the save was aborted")}; }

}  // namespace

SaveRun::SaveRun(SaveProgram program, FileSystem& fs, Executor& executor, StagingPool& staging,
                 const std::atomic<bool>& aborted, EventSink& sink, CudaDevices* devices)
    : program_(std::move(program)),
      fs_(fs),
      executor_(executor),
      staging_(staging),
      aborted_(aborted),
      sink_(sink),
      devices_(devices) {
  blob_files_.resize(program_.blobs.size());
}

void SaveRun::Run() {
  Failure failure;
  for (const Step& step : program_.steps) {
    failure = !published_ && aborted_ ? Aborted() : RunStep(step);
    if (!failure.status.ok()) break;
  }
  Event last{};
  if (failure.status.ok()) {
    // A program without a `write` step needs no memory of its caller's.
    if (!captured_) Emit({.type = Event::Type::kCaptured, .seconds = Seconds()});
    stats_.seconds = Seconds();
    last.type = Event::Type::kFinished;
    last.stats = stats_;
  } else {
    last.type = Event::Type::kFailed;
    last.failure = std::move(failure);
    last.published = published_;
    CleanUp(last.undone);
  }
  files_.clear();
  linked_files_.clear();
  blob_files_.clear();
  Emit(std::move(last));
}

Failure SaveRun::RunStep(const Step& step) {
  switch (step.op) {
    case Step::Op::kCreate:
      return CreateBlob(step);
    case Step::Op::kWrite:
      return Write();
    case Step::Op::kFinish:
      return FinishBlob(step);
    case Step::Op::kSync:
      return Sync();
    case Step::Op::kPublish:
      return Publish(step);
    case Step::Op::kLink:
      return Link(step);
    case Step::Op::kUnlink: {
      Status status = fs_.Unlink(step.path);
      // Chosen first: the order in which arguments are evaluated is the compiler's.
      const char* const kind = status.code() == Code::kNotFound ? "missing" : "unlink";
      if (!status.ok()) Warn(kind, {std::move(status)});
      return {};
    }
    case Step::Op::kSyncDirectory: {
      if (!program_.options.durable) return {};
      Status status = fs_.SyncDirectory(step.path);
      ++stats_.syncs;
      if (status.ok() || !step.optional) return {std::move(status)};
      Warn("syncDirectory", {std::move(status)});
      return {};
    }
    case Step::Op::kIndexed:
      Emit({.type = Event::Type::kIndexed, .seconds = Seconds()});
      return {};
    case Step::Op::kCommitted:
      committed_ = true;
      // What follows only tidies up: if it fails, the committed checkpoint must stay.
      program_.undo.clear();
      Emit({.type = Event::Type::kCommitted, .seconds = Seconds()});
      return {};
  }
  return {};
}

Failure SaveRun::CreateBlob(const Step& step) {
  const std::string& path = program_.blobs[step.blob].temporary_path;
  auto file = fs_.Create(path, false);
  if (!file.ok()) return {file.status()};
  created_.push_back(path);
  temporary_.push_back(path);
  blob_files_[step.blob] = std::move(*file);
  return {};
}

Failure SaveRun::Write() {
  const double begin = Seconds();
  for (size_t i = 0; i < program_.paths.size(); ++i) {
    if (aborted_) return Aborted();
    auto file = fs_.Create(program_.paths[i], program_.options.direct);
    if (!file.ok()) return {file.status()};
    created_.push_back(program_.paths[i]);
    files_.push_back(std::move(*file));
    unsynced_.push_back(files_.back().get());
    Status status = fs_.Preallocate(*files_.back(), program_.sizes[i]);
    if (!status.ok()) return {std::move(status)};
  }
  const TransferContext context{&fs_, &executor_, &aborted_, [this](Event event) { Emit(std::move(event)); },
                                &staging_, devices_};
  WriteOutcome outcome = WriteExtents(program_, files_, context, stats_, [this] {
    captured_ = true;
    stats_.captured_seconds = Seconds();
    Emit({.type = Event::Type::kCaptured, .seconds = stats_.captured_seconds});
  });
  checksums_ = std::move(outcome.checksums);
  stats_.write_seconds += Seconds() - begin;
  return std::move(outcome.failure);
}

Failure SaveRun::FinishBlob(const Step& step) {
  Blob& blob = program_.blobs[step.blob];
  for (const Blob::Patch& patch : blob.patches) {
    const uint32_t crc = patch.tensor < checksums_.size() ? checksums_[patch.tensor] : 0;
    PutFixed32(&blob.bytes[patch.position], MaskCrc32c(crc));
  }
  for (const Blob::Seal& seal : blob.seals) {
    PutFixed32(&blob.bytes[seal.position], MaskCrc32c(Crc32c(0, blob.bytes.data() + seal.start, seal.length)));
  }
  File* file = blob_files_[step.blob].get();
  if (file == nullptr) return {Status(Code::kInvalidArgument, "the program finishes a blob that it did not create")};
  IoRequest request{.kind = IoRequest::Kind::kWrite, .file = file, .data = blob.bytes.data(), .bytes = blob.bytes.size()};
  IoResult result = TransferAndWait(fs_, request);
  if (!result.status.ok()) return {std::move(result.status)};
  stats_.bytes += result.bytes;
  unsynced_.push_back(file);
  return {};
}

Failure SaveRun::Sync() {
  std::vector<File*> files = std::exchange(unsynced_, {});
  if (!program_.options.durable || files.empty()) return {};
  const double begin = Seconds();
  std::mutex mutex;
  Status failure;
  std::counting_semaphore<> finished(0);
  // All at once, the last one by this thread, which has to wait for them anyway.
  for (File* file : files) {
    const IoRequest request{.kind = IoRequest::Kind::kSync, .waited_for = file == files.back(), .file = file};
    Transfer(fs_, request, [&](IoResult result) {
      {
        std::lock_guard lock(mutex);
        if (failure.ok()) failure = std::move(result.status);
      }
      finished.release();
    });
  }
  for (size_t i = 0; i < files.size(); ++i) finished.acquire();
  stats_.syncs += files.size();
  stats_.sync_seconds += Seconds() - begin;
  // The state of a running training is wanted in memory, not a second time in the page cache.
  for (File* file : files) fs_.DropCache(*file);
  return {std::move(failure)};
}

Failure SaveRun::Publish(const Step& step) {
  const std::string& temporary = program_.blobs[step.blob].temporary_path;
  blob_files_[step.blob].reset();
  // From here on an abort comes too late: it must not undo what the rename below makes visible.
  Status status = fs_.Rename(temporary, step.path);
  if (!status.ok()) return {std::move(status)};
  std::erase(temporary_, temporary);
  std::erase(created_, temporary);
  if (step.commits) published_ = true;
  else if (!published_) created_.push_back(step.path);
  return {};
}

Failure SaveRun::Link(const Step& step) {
  Status linked = fs_.Link(step.from, step.path);
  if (!linked.ok() && !CanCopyInstead(linked.error())) return {std::move(linked)};
  auto file = linked.ok() ? fs_.Open(step.path, false) : fs_.Create(step.path, false);
  if (linked.ok() || file.ok()) {
    created_.push_back(step.path);
    const auto is_blob = [&](const Blob& blob) { return blob.temporary_path == step.path; };
    if (std::any_of(program_.blobs.begin(), program_.blobs.end(), is_blob)) temporary_.push_back(step.path);
  }
  if (!file.ok()) return {file.status()};
  if (!linked.ok()) {
    auto copied = CopyFile(fs_, step.from, **file, aborted_);
    if (!copied.ok()) return copied.status().code() == Code::kAborted ? Aborted() : Failure{copied.status()};
    stats_.bytes += *copied;
    stats_.bytes_copied += *copied;
  }
  // A linked file is synced too: nothing says that whoever wrote it did that.
  unsynced_.push_back(file->get());
  linked_files_.push_back(std::move(*file));
  return {};
}

void SaveRun::CleanUp(bool& undone) {
  // Closed first: some file systems keep the name of an open file that is removed (.nfs…).
  files_.clear();
  linked_files_.clear();
  for (auto& file : blob_files_) file.reset();
  undone = !committed_;
  if (published_) {
    // What was reported as committed stays.
    for (size_t i = 0; i < (committed_ ? 0 : program_.undo.size()); ++i) {
      const Step& step = program_.undo[i];
      Status status;
      if (step.op == Step::Op::kUnlink) status = fs_.Unlink(step.path);
      else if (step.op == Step::Op::kSyncDirectory) status = program_.options.durable ? fs_.SyncDirectory(step.path) : Status::Ok();
      else status = RunStep(step).status;
      if (!status.ok() && status.code() != Code::kNotFound) undone = false;
    }
    for (const std::string& path : temporary_) (void)fs_.Unlink(path);
    return;
  }
  // In reverse: the temporary index, which marks the prefix as being written, goes last.
  for (auto path = created_.rbegin(); path != created_.rend(); ++path) {
    Status status = fs_.Unlink(*path);
    if (!status.ok() && status.code() != Code::kNotFound) {
      undone = false;
      Warn("unlink", {std::move(status)});
    }
  }
}

void SaveRun::Warn(const char* kind, Failure failure) {
  Emit({.type = Event::Type::kWarning, .warning = kind, .failure = std::move(failure)});
}

void SaveRun::Emit(Event event) { sink_.OnEvent(std::move(event)); }

double SaveRun::Seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

}  // namespace tensor_checkpoint
