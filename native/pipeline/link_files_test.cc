#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <fstream>
#include <optional>
#include <string>

#include "pipeline/program_for_test.h"
#include "pipeline/save_run.h"

namespace tensor_checkpoint {
namespace {

ino_t InodeOf(const std::string& path) {
  struct stat info {};
  EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
  return info.st_ino;
}

// Programs that give the files of a checkpoint a second name, as src/checkpoint/link.ts composes them.
class LinkedFiles : public ProgramTest {
 protected:
  LinkedFiles() {
    Put("from.index", "an index");
    Put("from.data-00000-of-00001", std::string(9 << 20, 'x'));
    state_.temporary_path = state_path_ + ".tmp1";
    state_.bytes.assign({'s', 't', 'a', 't', 'e'});
    index_.temporary_path = directory_ / "to.index.tmp1";
  }

  SaveProgram MakeLink() {
    using Op = Step::Op;
    SaveProgram program;
    program.blobs = {index_, state_};
    const std::string& where = directory_.path();
    program.steps = {
        {.op = Op::kLink, .path = index_.temporary_path, .from = directory_ / "from.index"},
        {.op = Op::kLink, .path = directory_ / kData, .from = directory_ / "from.data-00000-of-00001"},
        {.op = Op::kCreate, .blob = 1},
        {.op = Op::kFinish, .blob = 1},
        {.op = Op::kSync},
        {.op = Op::kSyncDirectory, .path = where},
        {.op = Op::kPublish, .blob = 0, .path = directory_ / "to.index", .commits = true},
        {.op = Op::kSyncDirectory, .path = where},
        {.op = Op::kIndexed},
        {.op = Op::kPublish, .blob = 1, .path = state_path_},
        {.op = Op::kSyncDirectory, .path = where},
        {.op = Op::kCommitted},
    };
    program.undo = {{.op = Op::kUnlink, .path = directory_ / "to.index"}, {.op = Op::kUnlink, .path = directory_ / kData}};
    return program;
  }

  void Put(const std::string& name, const std::string& text) { std::ofstream(directory_ / name, std::ios::binary) << text; }
  void Run(const SaveProgram& program, EventLog& log, FileSystem& fs) { SaveRun(program, fs, pool_, staging_, aborted_, log).Run(); }
  bool IsLinked(const std::string& from, const std::string& to) { return InodeOf(directory_ / from) == InodeOf(directory_ / to); }
  // What a failed program must have left: the checkpoint it began from.
  void ExpectNothingNew(const std::string& after) {
    for (const std::string& name : Names()) {
      EXPECT_TRUE(name.rfind("from.", 0) == 0 || name == "checkpoint") << name << " after " << after;
    }
    EXPECT_EQ(ReadText(directory_ / "from.index"), "an index") << after;
  }

  static constexpr const char* kData = "to.data-00000-of-00001";
  Blob index_, state_;
};

TEST_F(LinkedFiles, AreTheSameFilesAndNoByteIsWritten) {
  EventLog log;
  Run(MakeLink(), log, fs_);
  ASSERT_EQ(log.Summary(), "indexed committed captured finished") << log.last().failure.status.message();
  EXPECT_TRUE(IsLinked("from.index", "to.index"));
  EXPECT_TRUE(IsLinked("from.data-00000-of-00001", kData));
  EXPECT_EQ(ReadText(state_path_), "state");
  EXPECT_EQ(log.last().stats.bytes, state_.bytes.size());
  EXPECT_EQ(fs_.Count("pwrite"), 1u);
  // The linked ones too: nobody says that they were synced.
  EXPECT_EQ(fs_.Count("fdatasync"), 3u);
}

TEST_F(LinkedFiles, AreCopiedWhereTheFileSystemCanNotLink) {
  for (const int error : {EXDEV, EPERM, EMLINK, ENOTSUP, EOPNOTSUPP, ENOSYS}) {
    FaultyFileSystem fs(&base_);
    fs.set_fault([&](const FileOperation& o) { return o.call == "link" ? std::optional(error) : std::nullopt; });
    fs.set_limit([](const FileOperation& o) { return std::max<size_t>(1, o.bytes / 2); });
    EventLog log;
    Run(MakeLink(), log, fs);
    ASSERT_EQ(log.Summary(), "indexed committed captured finished") << log.last().failure.status.message();
    EXPECT_FALSE(IsLinked("from.data-00000-of-00001", kData));
    EXPECT_EQ(ReadText(directory_ / kData), std::string(9 << 20, 'x'));
    EXPECT_EQ(ReadText(directory_ / "to.index"), "an index");
    EXPECT_EQ(log.last().stats.bytes_copied, (9u << 20) + 8);
    EXPECT_EQ(fs.Count("fdatasync"), 3u);
    for (const char* name : {"to.index", kData}) ASSERT_TRUE(base_.Unlink(directory_ / name).ok());
  }
}

TEST_F(LinkedFiles, ThatExistAlreadyFailTheProgramAndStay) {
  Put(kData, "mine");
  EventLog log;
  Run(MakeLink(), log, fs_);
  ASSERT_EQ(log.last().type, Event::Type::kFailed);
  EXPECT_EQ(log.last().failure.status.error(), EEXIST);
  EXPECT_EQ(ReadText(directory_ / kData), "mine");
  EXPECT_NE(ReadText(directory_ / "to.index.tmp1"), "an index");
}

TEST_F(LinkedFiles, OfAMissingOneFailNamingIt) {
  ASSERT_TRUE(base_.Unlink(directory_ / "from.data-00000-of-00001").ok());
  EventLog log;
  Run(MakeLink(), log, fs_);
  ASSERT_EQ(log.last().type, Event::Type::kFailed);
  EXPECT_EQ(log.last().failure.status.code(), Code::kNotFound);
  EXPECT_EQ(log.last().failure.status.path(), directory_ / "from.data-00000-of-00001");
  ExpectNothingNew("a missing file");
}

// Every operation fails once, with links and with copies. What was there stays whole, and nothing half-made is left.
TEST_F(LinkedFiles, LeaveNothingBehindWhereAnyOperationFails) {
  for (const bool copies : {false, true}) {
    size_t operations = SIZE_MAX;
    for (size_t failing = 0; failing < operations; ++failing) {
      FaultyFileSystem fs(&base_);
      std::string failed;
      fs.set_fault([&, count = size_t{0}](const FileOperation& o) mutable -> std::optional<int> {
        if (count++ == failing) {
          failed = o.ToString();
          return EIO;
        }
        return copies && o.call == "link" ? std::optional(EXDEV) : std::nullopt;
      });
      EventLog log;
      Run(MakeLink(), log, fs);
      if (failed.empty()) {
        EXPECT_EQ(log.Summary(), "indexed committed captured finished");
        operations = 0;
        continue;
      }
      ASSERT_EQ(log.last().type, Event::Type::kFailed) << failed;
      EXPECT_TRUE(log.last().undone) << failed;
      ExpectNothingNew(failed);
    }
    for (const char* name : {"to.index", kData}) ASSERT_TRUE(base_.Unlink(directory_ / name).ok());
  }
}

TEST_F(LinkedFiles, StopCopyingWhenAborted) {
  fs_.set_fault([&](const FileOperation& o) -> std::optional<int> {
    if (o.call == "pwrite" && o.path == directory_ / kData) aborted_ = true;
    return o.call == "link" ? std::optional(EXDEV) : std::nullopt;
  });
  EventLog log;
  Run(MakeLink(), log, fs_);
  ASSERT_EQ(log.last().type, Event::Type::kFailed);
  EXPECT_EQ(log.last().failure.status.code(), Code::kAborted);
  ExpectNothingNew("an abort");
}

}  // namespace
}  // namespace tensor_checkpoint
