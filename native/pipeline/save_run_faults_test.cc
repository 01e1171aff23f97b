#include "pipeline/save_run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fstream>
#include <optional>
#include <string>

#include "pipeline/save_run_for_test.h"

namespace tensor_checkpoint {
namespace {

// What becomes of a save in which something fails, or which is aborted.
class FailingSaveRuns : public SaveRunTest {};

INSTANTIATE_TEST_SUITE_P(Ways, FailingSaveRuns, SaveWays(), SaveWayName);

TEST_P(FailingSaveRuns, SurviveInterruptedAndShortCalls) {
  std::atomic<int> call{0};
  fs_.set_fault([&](const FileOperation& o) {
    return (o.call == "pwrite" || o.call == "fdatasync") && ++call % 3 == 0 ? std::optional(EINTR) : std::nullopt;
  });
  fs_.set_limit([](const FileOperation& o) { return std::max<size_t>(1, o.bytes / 3); });
  const SaveProgram program = MakeSave(Mixed());
  EventLog log;
  Run(program, log);
  EXPECT_EQ(log.Summary(), "captured indexed committed finished") << log.last().failure.status.message();
  ExpectSaved(program);
}

// Every operation of a save fails once. However the save ends, what it says is true of the disk, and the next works.
TEST_P(FailingSaveRuns, HandEveryFailureOfEveryOperationToTheCaller) {
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
      RemoveAll();
      FaultyFileSystem fs(&base_);
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
  RemoveAll();
  EventLog log;
  Run(program, log);
  EXPECT_EQ(log.Summary(), "captured indexed committed finished");
  ExpectSaved(program);
}

TEST_P(FailingSaveRuns, NeverRepeatASyncThatFailed) {
  const SaveProgram program = MakeSave(Mixed());
  bool failed = false;
  fs_.set_fault([&](const FileOperation& o) -> std::optional<int> {
    if (o.call != "fdatasync" || failed) return std::nullopt;
    failed = true;
    return EIO;
  });
  EventLog log;
  Run(program, log);
  ASSERT_EQ(log.last().type, Event::Type::kFailed);
  EXPECT_EQ(log.last().failure.status.code(), Code::kIoError);
  EXPECT_EQ(fs_.Count("fdatasync"), 4u);  // Each file once.
}

TEST_P(FailingSaveRuns, SayWhichTensorCouldNotBeWritten) {
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
TEST_P(FailingSaveRuns, StopWhereverTheyAreAborted) {
  const SaveProgram program = MakeSave({{0, 1, 5000, 70000}, 1, SIZE_MAX});
  size_t operations;
  {
    EventLog log;
    Run(program, log);
    operations = fs_.operations().size();
  }
  size_t stopped = 0;
  for (size_t at = 0; at < operations; ++at) {
    RemoveAll();
    aborted_ = false;
    FaultyFileSystem fs(&base_);
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

TEST_P(FailingSaveRuns, NeverWriteOverAFileThatExists) {
  const SaveProgram program = MakeSave(Mixed());
  { std::ofstream(program.paths[1]) << "precious"; }
  EventLog log;
  Run(program, log);
  EXPECT_EQ(log.last().type, Event::Type::kFailed);
  EXPECT_EQ(log.last().failure.status.error(), EEXIST);
  EXPECT_EQ(ReadText(program.paths[1]), "precious");
  EXPECT_EQ(Names().size(), 1u);
}

TEST_P(FailingSaveRuns, KeepWhatWasCommittedWhenTidyingUpFails) {
  SaveProgram program = MakeSave(Mixed());
  program.steps.push_back({.op = Step::Op::kSyncDirectory, .path = directory_ / "nowhere"});
  EventLog log;
  Run(program, log);
  EXPECT_EQ(log.Summary(), "captured indexed committed failed");
  EXPECT_TRUE(log.last().published);
  ExpectSaved(program);
}

}  // namespace
}  // namespace tensor_checkpoint
