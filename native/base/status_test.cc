#include "base/status.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

namespace tensor_checkpoint {
namespace {

TEST(Status, IsOkByDefault) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.code(), Code::kOk);
  EXPECT_EQ(status.error(), 0);
  EXPECT_EQ(status.syscall(), "");
  EXPECT_EQ(status.path(), "");
  EXPECT_EQ(status.message(), "");
  EXPECT_EQ(status.offset(), Status::kNoOffset);
}

TEST(Status, KeepsEverythingThatIsKnownOfAFailedSystemCall) {
  const Status status = Status::FromErrno(ENOSPC, "pwrite", "/data/ckpt-1.data-00000-of-00001", 4096);
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.code(), Code::kNoSpace);
  EXPECT_EQ(status.error(), ENOSPC);
  EXPECT_EQ(status.syscall(), "pwrite");
  EXPECT_EQ(status.path(), "/data/ckpt-1.data-00000-of-00001");
  EXPECT_EQ(status.offset(), 4096);
  EXPECT_EQ(status.message(),
            "pwrite '/data/ckpt-1.data-00000-of-00001' at offset 4096 failed: No space left on device (ENOSPC)");
}

TEST(Status, LeavesTheOffsetOutOfTheMessageWhereThereIsNone) {
  EXPECT_EQ(Status::FromErrno(ENOENT, "openat", "x").message(),
            "openat 'x' failed: No such file or directory (ENOENT)");
}

TEST(Status, KeepsAFailureThatNoSystemCallReported) {
  const Status status(Code::kDataLoss, "the file ends early", "x", 7);
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_EQ(status.error(), 0);
  EXPECT_EQ(status.syscall(), "");
  EXPECT_EQ(status.path(), "x");
  EXPECT_EQ(status.offset(), 7);
  EXPECT_EQ(status.message(), "the file ends early");
}

TEST(Status, MapsErrnoToTheCodesOfTheContract) {
  const std::pair<int, Code> expected[] = {
      {ENOSPC, Code::kNoSpace},         {EDQUOT, Code::kNoSpace},     {ENOENT, Code::kNotFound},
      {EOPNOTSUPP, Code::kUnsupported}, {ENOSYS, Code::kUnsupported}, {ECANCELED, Code::kAborted},
      {EIO, Code::kIoError},            {EACCES, Code::kIoError},     {EROFS, Code::kIoError},
      {EINVAL, Code::kIoError},         {EEXIST, Code::kIoError},     {9999, Code::kIoError},
  };
  for (const auto& [error, code] : expected) {
    EXPECT_EQ(Status::FromErrno(error, "write", "p").code(), code) << error;
  }
}

TEST(Status, SharesAFailureBetweenCopies) {
  Status original = Status::FromErrno(EIO, "fsync", "p");
  const Status copy = original;
  original = Status::Ok();
  EXPECT_TRUE(original.ok());
  EXPECT_EQ(copy.error(), EIO);
  EXPECT_EQ(copy.path(), "p");
}

TEST(Status, IsOkAfterItWasMovedFrom) {
  Status original = Status::FromErrno(EIO, "fsync", "p");
  const Status moved = std::move(original);
  EXPECT_TRUE(original.ok());  // NOLINT(bugprone-use-after-move): promised.
  EXPECT_EQ(moved.error(), EIO);
}

TEST(CodeName, SpellsCodesAsTheContractDoes) {
  const std::pair<Code, const char*> expected[] = {
      {Code::kOk, "OK"},
      {Code::kInvalidArgument, "INVALID_ARGUMENT"},
      {Code::kNotFound, "NOT_FOUND"},
      {Code::kDataLoss, "DATA_LOSS"},
      {Code::kNoSpace, "NO_SPACE"},
      {Code::kIoError, "IO_ERROR"},
      {Code::kAborted, "ABORTED"},
      {Code::kDirectoryLocked, "DIRECTORY_LOCKED"},
      {Code::kUnsupported, "UNSUPPORTED"},
      {Code::kOutOfRange, "OUT_OF_RANGE"},
      {Code::kCudaUnavailable, "CUDA_UNAVAILABLE"},
      {Code::kCudaError, "CUDA_ERROR"},
  };
  for (const auto& [code, name] : expected) EXPECT_EQ(CodeName(code), name);
}

TEST(ErrnoName, NamesWhatFileOperationsReport) {
  EXPECT_EQ(ErrnoName(ENOSPC), "ENOSPC");
  EXPECT_EQ(ErrnoName(EWOULDBLOCK), "EAGAIN");
  EXPECT_EQ(ErrnoName(9999), "errno 9999");
}

TEST(Result, HoldsAValue) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(3);
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(result.status().ok());
  EXPECT_EQ(**result, 3);
  const std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 3);
}

TEST(Result, HoldsTheReasonWhyThereIsNoValue) {
  const Result<int> result = Status::FromErrno(EIO, "read", "p", 8);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().error(), EIO);
  EXPECT_EQ(result.status().offset(), 8);
}

}  // namespace
}  // namespace tensor_checkpoint
