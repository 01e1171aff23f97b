#include "pipeline/save_run.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/thread_pool.h"
#include "checksum/crc32c.h"
#include "io/faulty_file_system.h"
#include "io/posix_file_system.h"
#include "io/recording_file_system.h"

namespace tensor_checkpoint {
namespace {

class Events final : public EventSink {
 public:
  void OnEvent(Event event) override { list.push_back(std::move(event)); }
  const Event& last() const { return list.back(); }
  int Count(Event::Type type) const {
    return static_cast<int>(std::count_if(list.begin(), list.end(), [&](const Event& e) { return e.type == type; }));
  }
  std::vector<Event> list;
};

class SaveRunTest : public testing::Test {
 protected:
  static constexpr size_t kLarge = (5 << 20) + 777;
  static constexpr size_t kSmall = 1001;

  SaveRunTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "save-run-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    large_ = AlignedBuffer::AllocateZeroed(kLarge);
    for (size_t i = 0; i < kLarge; ++i) large_.data()[i] = static_cast<uint8_t>(i * 131 + (i >> 9));
    small_.assign(kSmall, 42);
  }
  ~SaveRunTest() override { std::filesystem::remove_all(directory_); }

  std::string Path(const std::string& name) const { return directory_ + "/" + name; }

  // Two shards, an index that commits, a state file, and the deletion of an old file: the protocol of a manager's save.
  SaveProgram Program() {
    SaveProgram program;
    program.paths = {Path("d0"), Path("d1")};
    program.sizes = {4096 + kLarge, kSmall};
    program.extents.resize(2);
    program.extents[0] = {.memory = large_.data(), .bytes = kLarge, .file_offset = 4096, .file = 0, .tensor = 0};
    program.extents[1] = {.memory = small_.data(), .bytes = kSmall, .file_offset = 0, .file = 1, .tensor = 1};
    program.tensor_count = 2;
    Blob index;
    index.temporary_path = Path("index.tmp");
    index.bytes.assign(16, 0);
    index.patches = {{0, 0}, {4, 1}};
    index.seals = {{0, 8, 8}};
    Blob state;
    state.temporary_path = Path("state.tmp");
    state.bytes = {'s'};
    program.blobs = {index, state};
    using Op = Step::Op;
    program.steps = {{.op = Op::kCreate, .blob = 0}, {.op = Op::kCreate, .blob = 1}, {.op = Op::kWrite},
                     {.op = Op::kFinish, .blob = 0}, {.op = Op::kFinish, .blob = 1}, {.op = Op::kSync},
                     {.op = Op::kSyncDirectory, .path = directory_},
                     {.op = Op::kPublish, .blob = 0, .path = Path("index"), .commits = true},
                     {.op = Op::kSyncDirectory, .path = directory_}, {.op = Op::kIndexed},
                     {.op = Op::kPublish, .blob = 1, .path = Path("state")},
                     {.op = Op::kSyncDirectory, .path = directory_}, {.op = Op::kCommitted}};
    program.undo = {{.op = Op::kUnlink, .path = Path("index")}, {.op = Op::kSyncDirectory, .path = directory_},
                    {.op = Op::kUnlink, .path = Path("d0")}, {.op = Op::kUnlink, .path = Path("d1")}};
    return program;
  }

  void Run(FileSystem& fs, SaveProgram program) {
    SaveRun(std::move(program), fs, pool_, aborted_, events_).Run();
  }

  std::vector<uint8_t> Read(const std::string& name) const {
    std::ifstream stream(Path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  }
  static uint32_t Fixed32(const std::vector<uint8_t>& bytes, size_t at) {
    return bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16 | uint32_t{bytes[at + 3]} << 24;
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  // The files are whole, and the index holds the checksums of what is in them.
  void ExpectConsistent() {
    const std::vector<uint8_t> index = Read("index"), d0 = Read("d0"), d1 = Read("d1");
    ASSERT_EQ(d0.size(), 4096 + kLarge);
    ASSERT_EQ(d1.size(), kSmall);
    EXPECT_EQ(Fixed32(index, 0), MaskCrc32c(Crc32c(0, d0.data() + 4096, kLarge)));
    EXPECT_EQ(Fixed32(index, 4), MaskCrc32c(Crc32c(0, d1.data(), kSmall)));
    EXPECT_EQ(Fixed32(index, 8), MaskCrc32c(Crc32c(0, index.data(), 8)));
  }

  std::string directory_;
  AlignedBuffer large_;
  std::vector<uint8_t> small_;
  ThreadPool pool_{6};
  PosixFileSystem posix_{&pool_};
  std::atomic<bool> aborted_ = false;
  Events events_;
};

TEST_F(SaveRunTest, MakesEachBarrierDurableBeforeTheNextName) {
  RecordingFileSystem fs(posix_);
  Run(fs, Program());
  ASSERT_EQ(events_.last().type, Event::Type::kFinished) << events_.last().failure.status.message();
  ExpectConsistent();
  const std::vector<std::string> operations = fs.operations();
  const auto at = [&](const std::string& line, size_t from = 0) -> size_t {
    const auto found = std::find(operations.begin() + from, operations.end(), line);
    EXPECT_NE(found, operations.end()) << line;
    return found - operations.begin();
  };
  const std::string directory_sync = "syncDirectory " + directory_.substr(directory_.rfind('/') + 1);
  const size_t names_durable = at(directory_sync);
  for (const char* name : {"d0", "d1", "index.tmp", "state.tmp"}) {
    EXPECT_LT(at(std::string("create ") + name), at(std::string("write ") + name));
    EXPECT_LT(at(std::string("write ") + name), at(std::string("sync ") + name));
    EXPECT_LT(at(std::string("sync ") + name), names_durable);
  }
  EXPECT_LT(at("create index.tmp"), at("create d0"));  // The sweep of a later start must know whose files these are.
  EXPECT_LT(names_durable, at("rename index"));
  const size_t index_durable = at(directory_sync, at("rename index"));
  EXPECT_LT(index_durable, at("rename state"));
  EXPECT_LT(at("rename state"), at(directory_sync, at("rename state")));
}

TEST_F(SaveRunTest, EveryFailureBeforeTheCommitReachesTheResultAndLeavesNoFile) {
  for (const auto& [operation, count] : {std::pair{"create", 4}, {"preallocate", 2}, {"write", 4}, {"sync", 4}, {"syncDirectory", 1}, {"rename", 1}}) {
    for (int n = 0; n < count; ++n) {
      SCOPED_TRACE(std::string(operation) + " " + std::to_string(n));
      events_.list.clear();
      FaultyFileSystem fs(posix_);
      fs.FailAt(operation, n, ENOSPC);
      Run(fs, Program());
      ASSERT_TRUE(fs.failed());
      ASSERT_EQ(events_.last().type, Event::Type::kFailed);
      EXPECT_EQ(events_.last().failure.status.code(), Code::kNoSpace);
      EXPECT_EQ(events_.last().failure.status.error(), ENOSPC);
      EXPECT_FALSE(events_.last().published);
      EXPECT_TRUE(events_.last().undone);
      EXPECT_EQ(Names(), std::vector<std::string>());
    }
  }
  // The next save works.
  events_.list.clear();
  Run(posix_, Program());
  EXPECT_EQ(events_.last().type, Event::Type::kFinished);
}

TEST_F(SaveRunTest, AFailureBehindTheCommitRunsTheUndoSteps) {
  for (const auto& [operation, n] : {std::pair{"syncDirectory", 1}, {"rename", 1}, {"syncDirectory", 2}}) {
    SCOPED_TRACE(operation);
    events_.list.clear();
    FaultyFileSystem fs(posix_);
    fs.FailAt(operation, n, EIO);
    Run(fs, Program());
    ASSERT_EQ(events_.last().type, Event::Type::kFailed);
    EXPECT_TRUE(events_.last().published);
    EXPECT_TRUE(events_.last().undone);
    // Once the state file was renamed it is not the program's to remove: the undo steps say what is.
    for (const std::string& name : Names()) EXPECT_EQ(name, "state");
    std::filesystem::remove(Path("state"));
  }
}

TEST_F(SaveRunTest, AFailedSyncIsNotTriedAgain) {
  FaultyFileSystem faulty(posix_);
  faulty.FailAt("sync", 0, EIO);
  RecordingFileSystem fs(faulty);
  Run(fs, Program());
  ASSERT_EQ(events_.last().type, Event::Type::kFailed);
  EXPECT_EQ(events_.last().failure.status.code(), Code::kIoError);
  int syncs = 0;
  for (const std::string& line : fs.operations()) syncs += line.starts_with("sync ");
  EXPECT_EQ(syncs, 4);
}

TEST_F(SaveRunTest, InterruptedAndShortTransfersAreContinued) {
  for (const char* operation : {"write", "sync"}) {
    FaultyFileSystem fs(posix_);
    fs.FailAt(operation, 0, EINTR);
    fs.LimitTransfers(100'000);
    Run(fs, Program());
    ASSERT_TRUE(fs.failed());
    ASSERT_EQ(events_.last().type, Event::Type::kFinished);
    ExpectConsistent();
    for (const std::string& name : Names()) std::filesystem::remove(Path(name));
  }
}

TEST_F(SaveRunTest, MemoryThatChangesWhileItIsWrittenIsStoredConsistentlyWithOneWarning) {
  FaultyFileSystem fs(posix_);
  std::atomic<int> changes = 0;
  fs.OnWrite([&](const IoRequest& request) {
    // Behind the sum and before the write, in two chunks of the same tensor.
    if (request.data < large_.data() || request.data >= large_.data() + kLarge) return;
    if (changes.fetch_add(1) < 2) request.data[5] ^= 0xff;
  });
  Run(fs, Program());
  ASSERT_EQ(events_.last().type, Event::Type::kFinished);
  ExpectConsistent();
  ASSERT_EQ(events_.Count(Event::Type::kWarning), 1);
  for (const Event& event : events_.list) {
    if (event.type != Event::Type::kWarning) continue;
    EXPECT_STREQ(event.warning, "changed");
    EXPECT_EQ(event.failure.tensor, 0u);
  }
  EXPECT_GT(events_.last().stats.bytes_copied, 4u << 20);
}

TEST_F(SaveRunTest, CopyModeCapturesBeforeTheFirstWriteEndsWhereStagingHoldsTheState) {
  SaveProgram program = Program();
  program.options.copy = true;
  program.options.staging_bytes = 64 << 20;
  const std::vector<uint8_t> before(large_.data(), large_.data() + kLarge);
  Run(posix_, std::move(program));
  ASSERT_EQ(events_.last().type, Event::Type::kFinished);
  EXPECT_EQ(events_.list.front().type, Event::Type::kCaptured);
  ExpectConsistent();
  EXPECT_GE(events_.last().stats.bytes_copied, kLarge + kSmall);
}

TEST_F(SaveRunTest, BufferedWritesGiveTheSameBytes) {
  SaveProgram program = Program();
  program.options.direct = false;
  Run(posix_, std::move(program));
  ASSERT_EQ(events_.last().type, Event::Type::kFinished);
  EXPECT_EQ(events_.last().stats.direct_bytes, 0u);
  ExpectConsistent();
}

TEST_F(SaveRunTest, AnAbortRemovesEverythingBeforeTheCommit) {
  FaultyFileSystem fs(posix_);
  fs.OnWrite([&](const IoRequest&) { aborted_ = true; });
  Run(fs, Program());
  ASSERT_EQ(events_.last().type, Event::Type::kFailed);
  EXPECT_EQ(events_.last().failure.status.code(), Code::kAborted);
  EXPECT_EQ(Names(), std::vector<std::string>());
}

TEST_F(SaveRunTest, WithoutDurabilityNothingIsSynced) {
  SaveProgram program = Program();
  program.options.durable = false;
  RecordingFileSystem fs(posix_);
  Run(fs, std::move(program));
  ASSERT_EQ(events_.last().type, Event::Type::kFinished);
  for (const std::string& line : fs.operations()) EXPECT_FALSE(line.starts_with("sync")) << line;
  ExpectConsistent();
}

TEST_F(SaveRunTest, AFileThatExistsIsNeverWrittenTo) {
  std::ofstream(Path("d1")) << "precious";
  Run(posix_, Program());
  ASSERT_EQ(events_.last().type, Event::Type::kFailed);
  EXPECT_EQ(events_.last().failure.status.error(), EEXIST);
  EXPECT_EQ(Names(), std::vector<std::string>({"d1"}));
  EXPECT_EQ(Read("d1").size(), 8u);
}

TEST_F(SaveRunTest, AMissingFileIsAWarningAndSoIsADeletionThatFails) {
  SaveProgram program = Program();
  program.steps.push_back({.op = Step::Op::kUnlink, .path = Path("nowhere")});
  program.steps.push_back({.op = Step::Op::kUnlink, .path = directory_});
  program.steps.push_back({.op = Step::Op::kSyncDirectory, .path = Path("nowhere"), .optional = true});
  Run(posix_, std::move(program));
  ASSERT_EQ(events_.last().type, Event::Type::kFinished);
  std::vector<std::string> kinds;
  for (const Event& event : events_.list) {
    if (event.type == Event::Type::kWarning) kinds.push_back(event.warning);
  }
  EXPECT_EQ(kinds, std::vector<std::string>({"missing", "unlink", "syncDirectory"}));
}

}  // namespace
}  // namespace tensor_checkpoint
