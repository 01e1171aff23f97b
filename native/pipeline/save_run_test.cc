#include "pipeline/save_run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "io/recording_file_system_for_test.h"
#include "pipeline/save_run_for_test.h"

namespace tensor_checkpoint {
namespace {

// What a save stores, in which order, and what it reports.
class SaveRuns : public SaveRunTest {};

INSTANTIATE_TEST_SUITE_P(Ways, SaveRuns, SaveWays(), SaveWayName);

TEST_P(SaveRuns, StoreEveryByteAndItsChecksum) {
  for (const Layout& layout : {Mixed(), Aligned()}) {
    tensors_.clear();
    const std::string name = layout.alignment == 1 ? "dense" : "aligned";
    const SaveProgram program = MakeSave(layout, name);
    EventLog log;
    Run(program, log);
    EXPECT_EQ(log.Summary(), "captured indexed committed finished") << log.last().failure.status.message();
    ExpectSaved(program, name);
    uint64_t bytes = 0;
    for (const size_t tensor : layout.tensor_bytes) bytes += tensor;
    EXPECT_GE(log.last().stats.bytes, bytes);
    if (!GetParam().direct) {
      EXPECT_EQ(log.last().stats.direct_bytes, 0u);
    }
    if (GetParam().copy) {
      EXPECT_GE(log.last().stats.bytes_copied, bytes);
    }
  }
}

TEST_P(SaveRuns, CombineTheChecksumsOfATensorsExtents) {
  Layout layout = Mixed();
  layout.max_extent = 40000;
  const SaveProgram program = MakeSave(layout);
  EventLog log;
  Run(program, log);
  EXPECT_EQ(log.Summary(), "captured indexed committed finished");
  ExpectSaved(program);
}

TEST_P(SaveRuns, FinishWithLittleStaging) {
  SaveProgram program = MakeSave(Mixed());
  program.options.staging_bytes = 1;
  EventLog log;
  Run(program, log);
  EXPECT_EQ(log.Summary(), "captured indexed committed finished") << log.last().failure.status.message();
  ExpectSaved(program);
}

TEST_P(SaveRuns, FinishOnOneThread) {
  ThreadPool pool(1);
  PosixFileSystem base(&pool);
  SaveProgram program = MakeSave(Mixed());
  program.options.threads = 1;
  EventLog log;
  SaveRun(program, base, pool, staging_, aborted_, log).Run();
  EXPECT_EQ(log.Summary(), "captured indexed committed finished");
  ExpectSaved(program);
}

TEST_P(SaveRuns, KeepTheOrderOfDurability) {
  RecordingFileSystem fs(&base_);
  EventLog log;
  Run(MakeSave(Mixed()), log, &fs);
  const std::vector<FileOperation> operations = fs.operations();
  size_t last_write = 0, first_sync = SIZE_MAX, last_sync = 0;
  std::vector<size_t> directory_syncs, renames;
  for (size_t i = 0; i < operations.size(); ++i) {
    const std::string& call = operations[i].call;
    if (call == "pwrite" || call == "create") last_write = i;
    if (call == "fdatasync") {
      first_sync = std::min(first_sync, i);
      last_sync = i;
    }
    if (call == "fsync") directory_syncs.push_back(i);
    if (call == "rename") renames.push_back(i);
  }
  EXPECT_EQ(fs.Count("fdatasync"), 4u);  // Two data files, the index and the state file.
  ASSERT_EQ(directory_syncs.size(), 3u);
  ASSERT_EQ(renames.size(), 2u);
  EXPECT_LT(last_write, first_sync);
  EXPECT_LT(last_sync, directory_syncs[0]);
  EXPECT_LT(directory_syncs[0], renames[0]);
  EXPECT_LT(renames[0], directory_syncs[1]);
  EXPECT_LT(directory_syncs[1], renames[1]);
  EXPECT_LT(renames[1], directory_syncs[2]);
  EXPECT_NE(operations[renames[0]].path.find(".index"), std::string::npos);
  // The temporary name of the index comes first: by it the sweep of a later start knows whose files the others are.
  EXPECT_EQ(operations[0].call, "create");
  EXPECT_NE(operations[0].path.find(".index.tempstate"), std::string::npos);
}

TEST_P(SaveRuns, MakeTheSameFilesWithoutASyncWhereDurabilityIsNotWanted) {
  SaveProgram program = MakeSave(Mixed());
  program.options.durable = false;
  RecordingFileSystem fs(&base_);
  EventLog log;
  Run(program, log, &fs);
  EXPECT_EQ(log.Summary(), "captured indexed committed finished");
  EXPECT_EQ(fs.Count("fdatasync"), 0u);
  EXPECT_EQ(fs.Count("fsync"), 0u);
  EXPECT_EQ(log.last().stats.syncs, 0u);
  ExpectSaved(program);
}

TEST_P(SaveRuns, WarnWhereAFileToBeDeletedIsMissingOrCannotBeDeleted) {
  SaveProgram program = MakeSave(Mixed());
  program.steps.push_back({.op = Step::Op::kUnlink, .path = directory_ / "missing"});
  program.steps.push_back({.op = Step::Op::kUnlink, .path = directory_ / "stuck"});
  program.steps.push_back({.op = Step::Op::kSyncDirectory, .path = directory_ / "nowhere", .optional = true});
  ASSERT_TRUE(base_.MakeDirectory(directory_ / "stuck").ok());
  EventLog log;
  Run(program, log);
  EXPECT_EQ(log.Summary(), "captured indexed committed warning:missing warning:unlink warning:syncDirectory finished");
  ExpectSaved(program);
}

TEST_P(SaveRuns, StoreAConsistentCopyOfMemoryThatChangesMeanwhile) {
  if (!GetParam().mutable_memory) GTEST_SKIP() << "this memory can't change";
  const Layout layout = Aligned();
  const SaveProgram program = MakeSave(layout);
  // The owner writes to a tensor between the moment when it is summed and the moment when it is written.
  fs_.set_fault([&](const FileOperation& o) -> std::optional<int> {
    if (o.call == "pwrite") {
      // Never back to a value that it had: what is summed before and after could not see that.
      for (AlignedBuffer& tensor : tensors_) ChangeAsOwner(tensor.data());
    }
    return std::nullopt;
  });
  EventLog log;
  Run(program, log);
  ASSERT_EQ(log.last().type, Event::Type::kFinished) << log.last().failure.status.message();
  std::vector<uint32_t> sums(program.tensor_count);
  for (const Extent& extent : program.extents) {
    sums[extent.tensor] = Crc32c(
        sums[extent.tensor], ReadText(program.paths[extent.file]).data() + extent.file_offset, extent.bytes);
  }
  ExpectIndexHas(sums);
  fs_.set_fault(nullptr);
}

TEST_P(SaveRuns, WarnOnceOfATensorThatChangesMeanwhile) {
  if (!GetParam().mutable_memory || GetParam().copy) GTEST_SKIP() << "this memory can't change";
  const SaveProgram program = MakeSave(Aligned());
  const uint32_t victim = 1;  // In more than one write.
  uint8_t* const begin = tensors_[victim].data();
  uint8_t* const end = begin + program.extents[victim].bytes;
  int changes = 0;
  fs_.set_fault([&](const FileOperation& o) -> std::optional<int> {
    if (o.call == "pwrite" && o.data >= begin && o.data + 5 < end && changes++ < 2) ChangeAsOwner(o.data + 5);
    return std::nullopt;
  });
  EventLog log;
  Run(program, log);
  fs_.set_fault(nullptr);
  ASSERT_GE(changes, 2);
  EXPECT_EQ(log.Count(Event::Type::kWarning), 1u);
  EXPECT_NE(log.Summary().find("warning:changed"), std::string::npos) << log.Summary();
  EXPECT_EQ(log.Find(Event::Type::kWarning).failure.tensor, victim);
  EXPECT_GT(log.last().stats.bytes_copied, 0u);
  ExpectSaved(program);
}

TEST_P(SaveRuns, ReportACaptureWhenTheLastByteIsNoLongerNeeded) {
  const SaveProgram program = MakeSave(Aligned());
  // Whoever hears of it may change everything at once.
  class Scribble final : public EventSink {
   public:
    Scribble(EventLog& log, std::vector<AlignedBuffer>& tensors) : log_(log), tensors_(tensors) {}
    void OnEvent(Event event) override {
      if (event.type == Event::Type::kCaptured) {
        for (AlignedBuffer& tensor : tensors_) std::memset(tensor.data(), 0xdd, tensor.size());
      }
      log_.OnEvent(std::move(event));
    }

   private:
    EventLog& log_;
    std::vector<AlignedBuffer>& tensors_;
  };
  std::vector<uint32_t> before(program.tensor_count);
  for (const Extent& e : program.extents) before[e.tensor] = Crc32c(before[e.tensor], e.memory, e.bytes);
  EventLog log;
  Scribble scribble(log, tensors_);
  SaveRun(program, fs_, pool_, staging_, aborted_, scribble).Run();
  EXPECT_EQ(log.Summary(), "captured indexed committed finished");
  ExpectIndexHas(before);
  for (uint32_t tensor = 0; tensor < program.tensor_count; ++tensor) {
    const Extent& e = program.extents[tensor];
    EXPECT_EQ(Sum(ReadText(program.paths[e.file]).data() + e.file_offset, e.bytes), before[tensor]);
  }
}

TEST_P(SaveRuns, CountsProgressUpToTheEnd) {
  SaveProgram program = MakeSave(Mixed());
  program.options.progress = true;
  class Watch final : public EventSink {
   public:
    void OnEvent(Event event) override {
      if (event.type != Event::Type::kProgress) return;
      EXPECT_GE(event.progress.bytes_done, done_);
      EXPECT_LE(event.progress.bytes_done, event.progress.bytes_total);
      EXPECT_LE(event.progress.tensors_done, event.progress.tensors_total);
      EXPECT_EQ(event.progress.tensors_total, 8u);
      done_ = event.progress.bytes_done;
    }

   private:
    uint64_t done_ = 0;
  } watch;
  SaveRun(program, fs_, pool_, staging_, aborted_, watch).Run();
  ExpectSaved(program);
}

}  // namespace
}  // namespace tensor_checkpoint
