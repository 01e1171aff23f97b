#include "pipeline/save_run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/program_for_test.h"

namespace tensor_checkpoint {
namespace {

// The ways in which bytes can travel.
struct Way {
  const char* name;
  bool direct;
  bool copy;
  bool mutable_memory;

  friend void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }
};

class SaveRuns : public ProgramTest, public testing::WithParamInterface<Way> {
 protected:
  SaveProgram MakeSave(const Layout& layout, const std::string& name = "ckpt-1") {
    SaveProgram program = ProgramTest::MakeSave(layout, name);
    program.options.direct = GetParam().direct;
    program.options.copy = GetParam().copy;
    for (Extent& extent : program.extents) extent.mutable_memory = GetParam().mutable_memory;
    return program;
  }
  // Runs a copy of the program to its end.
  void Run(const SaveProgram& program, EventLog& log, FileSystem* fs = nullptr) {
    SaveRun(program, fs != nullptr ? *fs : fs_, pool_, aborted_, log).Run();
    ASSERT_TRUE(log.ended());
  }
};

INSTANTIATE_TEST_SUITE_P(Ways, SaveRuns,
                         testing::Values(Way{"Direct", true, false, true}, Way{"Buffered", false, false, true},
                                         Way{"DirectCopied", true, true, true}, Way{"BufferedCopied", false, true, true},
                                         Way{"DirectPinned", true, false, false}),
                         [](const testing::TestParamInfo<Way>& info) { return info.param.name; });

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
  SaveRun(program, base, pool, aborted_, log).Run();
  EXPECT_EQ(log.Summary(), "captured indexed committed finished");
  ExpectSaved(program);
}

TEST_P(SaveRuns, SurviveInterruptedAndShortCalls) {
  std::atomic<int> call{0};
  fs_.set_fault([&](const FileOperation& o) {
    return o.call == "pwrite" && ++call % 3 == 0 ? std::optional(EINTR) : std::nullopt;
  });
  fs_.set_limit([](const FileOperation& o) { return std::max<size_t>(1, o.bytes / 3); });
  const SaveProgram program = MakeSave(Mixed());
  EventLog log;
  Run(program, log);
  EXPECT_EQ(log.Summary(), "captured indexed committed finished") << log.last().failure.status.message();
  ExpectSaved(program);
}

TEST_P(SaveRuns, KeepTheOrderOfDurability) {
  EventLog log;
  Run(MakeSave(Mixed()), log);
  const std::vector<FileOperation> operations = fs_.operations();
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
  EXPECT_EQ(fs_.Count("fdatasync"), 4u);  // Two data files, the index and the state file.
  ASSERT_EQ(directory_syncs.size(), 3u);
  ASSERT_EQ(renames.size(), 2u);
  EXPECT_LT(last_write, first_sync);
  EXPECT_LT(last_sync, directory_syncs[0]);
  EXPECT_LT(directory_syncs[0], renames[0]);
  EXPECT_LT(renames[0], directory_syncs[1]);
  EXPECT_LT(directory_syncs[1], renames[1]);
  EXPECT_LT(renames[1], directory_syncs[2]);
  EXPECT_NE(operations[renames[0]].path.find(".index"), std::string::npos);
}

TEST_P(SaveRuns, MakeTheSameFilesWithoutASyncWhereDurabilityIsNotWanted) {
  SaveProgram program = MakeSave(Mixed());
  program.options.durable = false;
  EventLog log;
  Run(program, log);
  EXPECT_EQ(log.Summary(), "captured indexed committed finished");
  EXPECT_EQ(fs_.Count("fdatasync"), 0u);
  EXPECT_EQ(fs_.Count("fsync"), 0u);
  EXPECT_EQ(log.last().stats.syncs, 0u);
  ExpectSaved(program);
}

// Every operation of a save fails once. However the save ends, what it says is true of the disk, and the next works.
TEST_P(SaveRuns, HandEveryFailureOfEveryOperationToTheCaller) {
  const Layout layout{{0, 1, 5000, 70000}, 1, SIZE_MAX};
  const SaveProgram program = MakeSave(layout);
  size_t operations;
  {
    EventLog log;
    Run(program, log);
    ASSERT_EQ(log.Summary(), "captured indexed committed finished");
    operations = fs_.operations().size();
    ASSERT_GT(operations, 15u);
  }
  for (const int error : {EIO, ENOSPC}) {
    for (size_t failing = 0; failing < operations; ++failing) {
      for (const std::string& name : Names()) ASSERT_TRUE(base_.Unlink(directory_ / name).ok());
      ObservedFileSystem fs(&base_);
      std::string failed;
      fs.set_fault([&, count = size_t{0}](const FileOperation& o) mutable -> std::optional<int> {
        if (count++ != failing) return std::nullopt;
        failed = o.ToString();
        return error;
      });
      EventLog log;
      Run(program, log, &fs);
      const Event& last = log.last();
      ASSERT_EQ(last.type, Event::Type::kFailed) << failed;
      EXPECT_EQ(last.failure.status.error(), error) << failed;
      EXPECT_FALSE(last.failure.status.path().empty()) << failed;
      EXPECT_TRUE(last.undone) << failed;
      const size_t renamed = fs.Count("rename") - (failed.rfind("rename", 0) == 0 ? 1 : 0);
      EXPECT_EQ(last.published, renamed > 0) << failed;
      // Nothing of it is left but, behind the index's commit, a state file that was already renamed.
      for (const std::string& left : Names()) EXPECT_EQ(left, "checkpoint") << "after " << failed;
    }
  }
  for (const std::string& name : Names()) ASSERT_TRUE(base_.Unlink(directory_ / name).ok());
  EventLog log;
  Run(program, log);
  EXPECT_EQ(log.Summary(), "captured indexed committed finished");
  ExpectSaved(program);
}

TEST_P(SaveRuns, SayWhichTensorCouldNotBeWritten) {
  const SaveProgram program = MakeSave(Aligned());
  const Extent& victim = program.extents[2];
  // The write that failed; several tensors may travel in it.
  FileOperation failed;
  fs_.set_fault([&](const FileOperation& o) -> std::optional<int> {
    if (o.call != "pwrite" || o.path != program.paths[victim.file] || o.offset >= victim.file_offset + victim.bytes ||
        o.offset + o.bytes <= victim.file_offset) {
      return std::nullopt;
    }
    if (failed.bytes == 0) failed = o;
    return ENOSPC;
  });
  EventLog log;
  Run(program, log);
  ASSERT_EQ(log.last().type, Event::Type::kFailed);
  EXPECT_EQ(log.last().failure.status.code(), Code::kNoSpace);
  EXPECT_EQ(log.last().failure.status.path(), program.paths[victim.file]);
  ASSERT_LT(log.last().failure.tensor, program.tensor_count);
  const Extent& named = program.extents[log.last().failure.tensor];
  EXPECT_EQ(named.file, victim.file);
  EXPECT_LT(named.file_offset, failed.offset + failed.bytes);
  EXPECT_GT(named.file_offset + named.bytes, failed.offset);
  EXPECT_FALSE(log.last().published);
  EXPECT_TRUE(Names().empty());
}

// An abort at every operation: honoured up to the rename of the index, and no longer.
TEST_P(SaveRuns, StopWhereverTheyAreAborted) {
  const SaveProgram program = MakeSave({{0, 1, 5000, 70000}, 1, SIZE_MAX});
  size_t operations;
  {
    EventLog log;
    Run(program, log);
    operations = fs_.operations().size();
  }
  size_t stopped = 0;
  for (size_t at = 0; at < operations; ++at) {
    for (const std::string& name : Names()) ASSERT_TRUE(base_.Unlink(directory_ / name).ok());
    aborted_ = false;
    ObservedFileSystem fs(&base_);
    bool renaming = false;
    fs.set_fault([&, count = size_t{0}](const FileOperation& o) mutable -> std::optional<int> {
      if (count++ == at) {
        aborted_ = true;
        renaming = o.call == "rename";
      }
      return std::nullopt;
    });
    EventLog log;
    Run(program, log, &fs);
    if (log.last().type == Event::Type::kFailed) {
      ++stopped;
      EXPECT_EQ(log.last().failure.status.code(), Code::kAborted);
      EXPECT_FALSE(log.last().published);
      EXPECT_FALSE(renaming);
      EXPECT_TRUE(Names().empty()) << Names()[0] << " is left after an abort at operation " << at;
    } else {
      EXPECT_EQ(log.Summary(), "captured indexed committed finished");
      ExpectSaved(program);
    }
  }
  EXPECT_GT(stopped, operations / 2);
  EXPECT_LT(stopped, operations);
  aborted_ = false;
}

TEST_P(SaveRuns, NeverWriteOverAFileThatExists) {
  const SaveProgram program = MakeSave(Mixed());
  { std::ofstream(program.paths[1]) << "precious"; }
  EventLog log;
  Run(program, log);
  EXPECT_EQ(log.last().type, Event::Type::kFailed);
  EXPECT_EQ(log.last().failure.status.error(), EEXIST);
  EXPECT_EQ(ReadText(program.paths[1]), "precious");
  EXPECT_EQ(Names().size(), 1u);
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

TEST_P(SaveRuns, KeepWhatWasCommittedWhenTidyingUpFails) {
  SaveProgram program = MakeSave(Mixed());
  program.steps.push_back({.op = Step::Op::kSyncDirectory, .path = directory_ / "nowhere"});
  EventLog log;
  Run(program, log);
  EXPECT_EQ(log.Summary(), "captured indexed committed failed");
  EXPECT_TRUE(log.last().published);
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
      for (AlignedBuffer& tensor : tensors_) ++tensor.data()[0];
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
  SaveRun(program, fs_, pool_, aborted_, scribble).Run();
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
  SaveRun(program, fs_, pool_, aborted_, watch).Run();
  ExpectSaved(program);
}

}  // namespace
}  // namespace tensor_checkpoint
