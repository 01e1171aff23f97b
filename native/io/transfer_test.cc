#include "io/transfer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/thread_pool.h"
#include "io/faulty_file_system_for_test.h"
#include "io/posix_file_system.h"
#include "io/temporary_directory_for_test.h"

namespace tensor_checkpoint {
namespace {

constexpr size_t kBytes = 64 * 1024;

class Transfers : public testing::Test {
 protected:
  Transfers() : base_(nullptr), fs_(&base_), data_(AlignedBuffer::Allocate(kBytes)) {
    for (size_t i = 0; i < kBytes; ++i) data_.data()[i] = static_cast<uint8_t>(i * 31 + i / 251);
    auto file = fs_.Create(path_, true);
    EXPECT_TRUE(file.ok()) << file.status().message();
    file_ = std::move(file).value();
  }

  IoRequest Write(size_t bytes = kBytes, uint64_t offset = 0) {
    return {.kind = IoRequest::Kind::kWrite, .file = file_.get(), .data = data_.data(), .bytes = bytes, .offset = offset};
  }
  IoRequest Read(uint8_t* into, size_t bytes, uint64_t offset = 0) {
    return {.kind = IoRequest::Kind::kRead, .file = file_.get(), .data = into, .bytes = bytes, .offset = offset};
  }
  // What is in the file, read past the wrapper.
  std::vector<uint8_t> Content() {
    const auto size = base_.Size(*file_);
    EXPECT_TRUE(size.ok());
    std::vector<uint8_t> bytes(*size);
    const IoResult result = TransferAndWait(base_, Read(bytes.data(), bytes.size()));
    EXPECT_TRUE(result.status.ok()) << result.status.message();
    EXPECT_EQ(result.bytes, bytes.size());
    return bytes;
  }
  std::vector<uint8_t> Expected(size_t bytes = kBytes) { return {data_.data(), data_.data() + bytes}; }
  bool SkipWithoutDirect() { return !file_->direct().possible(); }

  TemporaryDirectory directory_;
  const std::string path_ = directory_ / "file";
  PosixFileSystem base_;
  FaultyFileSystem fs_;
  AlignedBuffer data_;
  std::unique_ptr<File> file_;
};

TEST_F(Transfers, MoveAllBytesInOneCallWhereTheSystemTakesThem) {
  const IoResult written = TransferAndWait(fs_, Write());
  EXPECT_TRUE(written.status.ok());
  EXPECT_EQ(written.bytes, kBytes);
  EXPECT_EQ(fs_.Count("pwrite"), 1u);
  EXPECT_EQ(Content(), Expected());
}

TEST_F(Transfers, ContinueShortWritesWhereTheyStopped) {
  fs_.set_limit([](const FileOperation&) { return size_t{1000}; });
  const IoResult written = TransferAndWait(fs_, Write(2500, 10));
  EXPECT_TRUE(written.status.ok());
  EXPECT_EQ(written.bytes, 2500u);
  std::vector<uint64_t> offsets;
  for (const FileOperation& operation : fs_.operations()) {
    if (operation.call == "pwrite") offsets.push_back(operation.offset);
  }
  EXPECT_EQ(offsets, (std::vector<uint64_t>{10, 1010, 2010}));
  const std::vector<uint8_t> content = Content();
  ASSERT_EQ(content.size(), 2510u);
  EXPECT_EQ(std::memcmp(content.data() + 10, data_.data(), 2500), 0);
}

TEST_F(Transfers, SurviveTransfersOfOneByteAtATime) {
  fs_.set_limit([](const FileOperation&) { return size_t{1}; });
  EXPECT_EQ(TransferAndWait(fs_, Write(3000)).bytes, 3000u);
  EXPECT_EQ(Content(), Expected(3000));
}

TEST_F(Transfers, RepeatInterruptedCallsWithoutLosingOrRepeatingBytes) {
  int call = 0;
  fs_.set_fault([&](const FileOperation&) { return ++call % 2 == 1 ? std::optional(EINTR) : std::nullopt; });
  fs_.set_limit([](const FileOperation&) { return size_t{777}; });
  const IoResult written = TransferAndWait(fs_, Write(5000));
  EXPECT_TRUE(written.status.ok());
  EXPECT_EQ(written.bytes, 5000u);
  EXPECT_EQ(fs_.Count("pwrite"), 2u * 7);
  EXPECT_EQ(Content(), Expected(5000));
}

TEST_F(Transfers, ContinueShortReadsAndRepeatInterruptedOnes) {
  ASSERT_TRUE(TransferAndWait(base_, Write(5000)).status.ok());
  int call = 0;
  fs_.set_fault([&](const FileOperation&) { return ++call % 3 == 0 ? std::optional(EINTR) : std::nullopt; });
  fs_.set_limit([](const FileOperation&) { return size_t{600}; });
  std::vector<uint8_t> bytes(4000);
  const IoResult read = TransferAndWait(fs_, Read(bytes.data(), 4000, 500));
  EXPECT_TRUE(read.status.ok());
  EXPECT_EQ(read.bytes, 4000u);
  EXPECT_EQ(std::memcmp(bytes.data(), data_.data() + 500, 4000), 0);
}

TEST_F(Transfers, OfAReadEndAtTheEndOfTheFile) {
  ASSERT_TRUE(TransferAndWait(base_, Write(1000)).status.ok());
  std::vector<uint8_t> bytes(4096, 0xee);
  const IoResult read = TransferAndWait(fs_, Read(bytes.data(), bytes.size(), 600));
  EXPECT_TRUE(read.status.ok());
  EXPECT_EQ(read.bytes, 400u);
  EXPECT_EQ(bytes[400], 0xee);
  EXPECT_EQ(TransferAndWait(fs_, Read(bytes.data(), bytes.size(), 5000)).bytes, 0u);
}

TEST_F(Transfers, FailWhereAWriteTakesNothing) {
  fs_.set_limit([](const FileOperation&) { return size_t{0}; });
  const IoResult written = TransferAndWait(fs_, Write(100));
  EXPECT_EQ(written.status.code(), Code::kIoError);
  EXPECT_EQ(written.status.path(), path_);
}

TEST_F(Transfers, HandEveryErrorToTheCallerWithPathAndOffset) {
  for (const int error : {EIO, ENOSPC, EDQUOT, EFBIG, EROFS, EBADF, ENOMEM, ESTALE, EINVAL}) {
    for (const auto kind : {IoRequest::Kind::kRead, IoRequest::Kind::kWrite}) {
      fs_.set_fault([&](const FileOperation&) { return std::optional(error); });
      IoRequest request = Write(100, 4096);
      request.kind = kind;
      const IoResult result = TransferAndWait(fs_, request);
      EXPECT_EQ(result.status.error(), error);
      EXPECT_EQ(result.status.path(), path_);
      EXPECT_EQ(result.status.offset(), 4096);
      EXPECT_EQ(result.bytes, 0u);
    }
  }
  // The next one works.
  fs_.set_fault(nullptr);
  EXPECT_TRUE(TransferAndWait(fs_, Write()).status.ok());
  EXPECT_EQ(Content(), Expected());
}

TEST_F(Transfers, TellHowFarTheyCameBeforeTheyFailed) {
  fs_.set_limit([](const FileOperation&) { return size_t{1000}; });
  fs_.set_fault([](const FileOperation& o) { return o.offset >= 3000 ? std::optional(ENOSPC) : std::nullopt; });
  const IoResult written = TransferAndWait(fs_, Write(5000));
  EXPECT_EQ(written.status.code(), Code::kNoSpace);
  EXPECT_EQ(written.status.offset(), 3000);
  EXPECT_EQ(written.bytes, 3000u);
}

TEST_F(Transfers, NeverRepeatASyncThatFailed) {
  fs_.set_fault([](const FileOperation&) { return std::optional(EIO); });
  const IoResult synced = TransferAndWait(fs_, {.kind = IoRequest::Kind::kSync, .file = file_.get()});
  EXPECT_EQ(synced.status.error(), EIO);
  EXPECT_EQ(synced.status.syscall(), "fdatasync");
  EXPECT_EQ(fs_.Count("fdatasync"), 1u);
}

TEST_F(Transfers, OfNothingMakeNoCall) {
  const IoResult written = TransferAndWait(fs_, Write(0));
  EXPECT_TRUE(written.status.ok());
  EXPECT_EQ(written.bytes, 0u);
  EXPECT_EQ(fs_.Count("pwrite"), 0u);
}

TEST_F(Transfers, GoDirectAndArriveTheSame) {
  if (SkipWithoutDirect()) GTEST_SKIP() << "no direct I/O in " << directory_.path();
  IoRequest request = Write();
  request.direct = true;
  ASSERT_TRUE(TransferAndWait(fs_, request).status.ok());
  ASSERT_TRUE(fs_.operations().back().direct);
  EXPECT_EQ(Content(), Expected());
  AlignedBuffer bytes = AlignedBuffer::AllocateZeroed(kBytes);
  request = Read(bytes.data(), kBytes);
  request.direct = true;
  EXPECT_EQ(TransferAndWait(fs_, request).bytes, kBytes);
  EXPECT_EQ(std::memcmp(bytes.data(), data_.data(), kBytes), 0);
}

TEST_F(Transfers, GoOnBufferedWhereTheRestNoLongerFitsDirectIo) {
  if (SkipWithoutDirect()) GTEST_SKIP() << "no direct I/O in " << directory_.path();
  // The first call stops in the middle of a sector.
  fs_.set_limit([](const FileOperation& o) { return o.offset == 0 ? size_t{4096 + 1000} : o.bytes; });
  IoRequest request = Write(3 * 4096);
  request.direct = true;
  EXPECT_EQ(TransferAndWait(fs_, request).bytes, 3u * 4096);
  const std::vector<FileOperation> operations = fs_.operations();
  ASSERT_EQ(operations.size(), 3u);  // create, and two writes
  EXPECT_TRUE(operations[1].direct);
  EXPECT_FALSE(operations[2].direct);
  EXPECT_EQ(operations[2].offset, 5096u);
  EXPECT_EQ(Content(), Expected(3 * 4096));
}

TEST_F(Transfers, StayDirectWhereTheRestStillFits) {
  if (SkipWithoutDirect()) GTEST_SKIP() << "no direct I/O in " << directory_.path();
  fs_.set_limit([](const FileOperation&) { return size_t{4096}; });
  IoRequest request = Write(3 * 4096);
  request.direct = true;
  EXPECT_EQ(TransferAndWait(fs_, request).bytes, 3u * 4096);
  for (const FileOperation& operation : fs_.operations()) EXPECT_TRUE(operation.direct) << operation.ToString();
  EXPECT_EQ(Content(), Expected(3 * 4096));
}

TEST_F(Transfers, GoOnBufferedWhereDirectIoIsRefused) {
  fs_.set_fault([](const FileOperation& o) { return o.direct ? std::optional(EINVAL) : std::nullopt; });
  IoRequest request = Write();
  request.direct = true;
  const IoResult written = TransferAndWait(fs_, request);
  EXPECT_TRUE(written.status.ok()) << written.status.message();
  EXPECT_EQ(written.bytes, kBytes);
  EXPECT_EQ(Content(), Expected());
}

TEST_F(Transfers, RunOnTheExecutorAndCompleteOnce) {
  ThreadPool pool(4);
  PosixFileSystem threaded(&pool);
  FaultyFileSystem fs(&threaded);
  fs.set_limit([](const FileOperation& o) { return o.bytes / 2 + 1; });
  constexpr size_t kPieces = 32;
  constexpr size_t kPiece = kBytes / kPieces;
  std::atomic<size_t> completed{0};
  std::atomic<size_t> moved{0};
  for (size_t piece = 0; piece < kPieces; ++piece) {
    IoRequest request = Write(kPiece, piece * kPiece);
    request.data += piece * kPiece;
    Transfer(fs, request, [&](IoResult result) {
      EXPECT_TRUE(result.status.ok());
      moved += result.bytes;
      if (++completed == kPieces) completed.notify_one();
    });
  }
  for (size_t seen = completed; seen != kPieces; seen = completed) completed.wait(seen);
  EXPECT_EQ(moved, kBytes);
  EXPECT_EQ(Content(), Expected());
}

}  // namespace
}  // namespace tensor_checkpoint
