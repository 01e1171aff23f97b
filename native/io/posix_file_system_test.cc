#include "io/posix_file_system.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/thread_pool.h"
#include "io/temporary_directory_for_test.h"
#include "io/transfer.h"

namespace tensor_checkpoint {
namespace {

class PosixFiles : public testing::Test {
 protected:
  PosixFiles() : fs_(nullptr) {}

  void Put(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }
  std::string Get(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  TemporaryDirectory directory_;
  PosixFileSystem fs_;
};

TEST_F(PosixFiles, CreatesOnlyWhatDoesNotExist) {
  const std::string path = directory_ / "file";
  ASSERT_TRUE(fs_.Create(path, false).ok());
  const auto again = fs_.Create(path, false);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.status().error(), EEXIST);
  EXPECT_EQ(again.status().path(), path);
  EXPECT_EQ(again.status().syscall(), "open");
}

TEST_F(PosixFiles, NeverFollowsALinkThatSomeoneLeftUnderANewName) {
  Put(directory_ / "victim", "precious");
  ASSERT_EQ(symlink((directory_ / "victim").c_str(), (directory_ / "file").c_str()), 0);
  EXPECT_EQ(fs_.Create(directory_ / "file", false).status().error(), EEXIST);
  EXPECT_EQ(Get(directory_ / "victim"), "precious");
}

TEST_F(PosixFiles, SaysWhatIsMissing) {
  const std::string missing = directory_ / "missing";
  EXPECT_EQ(fs_.Open(missing, true).status().code(), Code::kNotFound);
  EXPECT_EQ(fs_.Open(missing, true).status().path(), missing);
  EXPECT_EQ(fs_.Create(missing + "/file", true).status().code(), Code::kNotFound);
  EXPECT_EQ(fs_.Stat(missing).status().code(), Code::kNotFound);
  EXPECT_EQ(fs_.Unlink(missing).code(), Code::kNotFound);
  EXPECT_EQ(fs_.Rename(missing, directory_ / "x").code(), Code::kNotFound);
  EXPECT_EQ(fs_.ReadDirectory(missing).status().code(), Code::kNotFound);
  EXPECT_EQ(fs_.SyncDirectory(missing).code(), Code::kNotFound);
  EXPECT_EQ(fs_.LockDirectory(missing).status().code(), Code::kNotFound);
  EXPECT_EQ(fs_.MakeDirectory(missing + "/x").code(), Code::kNotFound);
}

TEST_F(PosixFiles, RefusesToTakeADirectoryForAFile) {
  auto opened = fs_.Open(directory_.path(), false);
  const Status status = opened.ok() ? fs_.Size(**opened).status() : opened.status();
  EXPECT_EQ(status.error(), EISDIR);
  EXPECT_EQ(fs_.ReadDirectory(directory_ / "..").ok(), true);
}

TEST_F(PosixFiles, PreallocatesTheFinalSizeAndReadsItAsZeros) {
  auto file = fs_.Create(directory_ / "file", false);
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(fs_.Preallocate(**file, 0).ok());
  ASSERT_TRUE(fs_.Preallocate(**file, 100001).ok());
  EXPECT_EQ(*fs_.Size(**file), 100001u);
  EXPECT_EQ(Get(directory_ / "file"), std::string(100001, '\0'));
}

TEST_F(PosixFiles, ReportsThatADiskCannotHoldAFileBeforeItIsWritten) {
  auto file = fs_.Create(directory_ / "file", false);
  ASSERT_TRUE(file.ok());
  // Larger than any file system: refused by preallocation (ENOSPC or EFBIG), not discovered while writing.
  const Status status = fs_.Preallocate(**file, uint64_t{1} << 62);
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.path(), directory_ / "file");
}

TEST_F(PosixFiles, OffersDirectIoOnlyWithAnAlignment) {
  auto file = fs_.Create(directory_ / "file", true);
  ASSERT_TRUE(file.ok());
  const DirectAlignment alignment = (*file)->direct();
  if (!alignment.possible()) GTEST_SKIP() << "no direct I/O in " << directory_.path();
  EXPECT_EQ(alignment.offset & (alignment.offset - 1), 0u);
  EXPECT_GT(alignment.memory, 0u);
  EXPECT_LE(alignment.offset, AlignedBuffer::kPage);
  EXPECT_LE(alignment.memory, AlignedBuffer::kPage);
  auto buffered = fs_.Open(directory_ / "file", false);
  ASSERT_TRUE(buffered.ok());
  EXPECT_FALSE((*buffered)->direct().possible());
}

TEST_F(PosixFiles, SyncSucceedsOnAFileAndOnItsDirectory) {
  auto file = fs_.Create(directory_ / "file", false);
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(TransferAndWait(fs_, {.kind = IoRequest::Kind::kSync, .file = file->get()}).status.ok());
  EXPECT_TRUE(fs_.SyncDirectory(directory_.path()).ok());
}

TEST_F(PosixFiles, RenameReplacesAtOnce) {
  Put(directory_ / "new", "new");
  Put(directory_ / "old", "old");
  ASSERT_TRUE(fs_.Rename(directory_ / "new", directory_ / "old").ok());
  EXPECT_EQ(Get(directory_ / "old"), "new");
  EXPECT_EQ(*fs_.ReadDirectory(directory_.path()), std::vector<std::string>{"old"});
}

TEST_F(PosixFiles, ListsADirectoryInOrderWithoutItselfAndItsParent) {
  for (const char* name : {"b", "a", ".hidden", "c"}) Put(directory_ / name, "");
  EXPECT_EQ(*fs_.ReadDirectory(directory_.path()), (std::vector<std::string>{".hidden", "a", "b", "c"}));
  EXPECT_EQ(fs_.ReadDirectory(directory_ / "a").status().error(), ENOTDIR);
}

TEST_F(PosixFiles, TellsSizeTimeAndKind) {
  const double before = static_cast<double>(std::time(nullptr)) * 1000;
  Put(directory_ / "file", "12345");
  const auto file = fs_.Stat(directory_ / "file");
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->size, 5u);
  EXPECT_FALSE(file->is_directory);
  EXPECT_GE(file->mtime_ms, before - 2000);
  EXPECT_TRUE(fs_.Stat(directory_.path())->is_directory);
}

TEST_F(PosixFiles, MakesOneDirectoryAndSaysIfItExists) {
  EXPECT_TRUE(fs_.MakeDirectory(directory_ / "d").ok());
  EXPECT_EQ(fs_.MakeDirectory(directory_ / "d").error(), EEXIST);
  EXPECT_TRUE(fs_.Stat(directory_ / "d")->is_directory);
}

TEST_F(PosixFiles, LocksADirectoryOnceAndFreesItWithItsOwner) {
  auto first = fs_.LockDirectory(directory_.path());
  ASSERT_TRUE(first.ok()) << first.status().message();
  const auto second = fs_.LockDirectory(directory_.path());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), Code::kDirectoryLocked);
  EXPECT_EQ(second.status().path(), directory_.path());
  first.value().reset();
  EXPECT_TRUE(fs_.LockDirectory(directory_.path()).ok());
}

TEST_F(PosixFiles, KeepsTheContentOfAnOpenFileThatWasUnlinked) {
  Put(directory_ / "file", "content");
  auto file = fs_.Open(directory_ / "file", false);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(fs_.Unlink(directory_ / "file").ok());
  std::vector<uint8_t> bytes(7);
  EXPECT_EQ(TransferAndWait(fs_, {.kind = IoRequest::Kind::kRead, .file = file->get(), .data = bytes.data(), .bytes = 7})
                .bytes,
            7u);
  EXPECT_EQ(std::memcmp(bytes.data(), "content", 7), 0);
}

TEST_F(PosixFiles, NeedsNoOtherThreadForWhatTheCallerWaitsFor) {
  ThreadPool pool(1);
  PosixFileSystem fs(&pool);
  std::latch over(1);
  pool.Run([&] { over.wait(); });  // The only thread.
  auto file = fs.Create(directory_ / "file", false);
  ASSERT_TRUE(file.ok());
  std::string text = "content";
  EXPECT_EQ(TransferAndWait(fs, {.kind = IoRequest::Kind::kWrite, .file = file->get(),
                                 .data = reinterpret_cast<uint8_t*>(text.data()), .bytes = text.size()})
                .bytes,
            text.size());
  EXPECT_TRUE(TransferAndWait(fs, {.kind = IoRequest::Kind::kSync, .file = file->get()}).status.ok());
  over.count_down();
  EXPECT_EQ(Get(directory_ / "file"), "content");
}

TEST_F(PosixFiles, RefusesToWriteToAFileOpenedForReading) {
  Put(directory_ / "file", "content");
  auto file = fs_.Open(directory_ / "file", false);
  ASSERT_TRUE(file.ok());
  uint8_t byte = 'x';
  const IoResult result =
      TransferAndWait(fs_, {.kind = IoRequest::Kind::kWrite, .file = file->get(), .data = &byte, .bytes = 1});
  EXPECT_EQ(result.status.error(), EBADF);
  EXPECT_EQ(Get(directory_ / "file"), "content");
}

TEST_F(PosixFiles, ClosesEveryDescriptor) {
  const auto count = [&] { return fs_.ReadDirectory("/proc/self/fd")->size(); };
  const size_t before = count();
  for (int round = 0; round < 20; ++round) {
    const std::string path = directory_ / ("file" + std::to_string(round));
    { auto file = fs_.Create(path, true); }
    { auto file = fs_.Open(path, true); }
    (void)fs_.Open(path + "x", true);
    (void)fs_.Create(path, true);
    (void)fs_.SyncDirectory(directory_.path());
    (void)fs_.ReadDirectory(directory_.path());
    { auto lock = fs_.LockDirectory(directory_.path()); }
  }
  EXPECT_EQ(count(), before);
}

TEST_F(PosixFiles, TransfersOnTheExecutorAndNotOnTheCaller) {
  ThreadPool pool(1);
  PosixFileSystem fs(&pool);
  auto file = fs.Create(directory_ / "file", false);
  ASSERT_TRUE(file.ok());
  uint8_t byte = 'x';
  std::thread::id ran;
  std::latch done(1);
  fs.Submit({.kind = IoRequest::Kind::kWrite, .file = file->get(), .data = &byte, .bytes = 1}, [&](IoResult result) {
    EXPECT_TRUE(result.status.ok());
    ran = std::this_thread::get_id();
    done.count_down();
  });
  done.wait();
  EXPECT_NE(ran, std::this_thread::get_id());
  EXPECT_EQ(Get(directory_ / "file"), "x");
}

}  // namespace
}  // namespace tensor_checkpoint
