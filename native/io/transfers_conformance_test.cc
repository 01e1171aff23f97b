// What every way of moving bytes must do alike: blocking calls on threads, and io_uring.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <future>
#include <latch>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/thread_pool.h"
#include "io/faulty_file_system_for_test.h"
#include "io/make_file_system.h"
#include "io/temporary_directory_for_test.h"
#include "io/transfer.h"

namespace tensor_checkpoint {
namespace {

using Kind = IoRequest::Kind;

class Transfers : public testing::TestWithParam<const char*> {
 protected:
  Transfers() : pool_(4), chosen_(MakeFileSystem(&pool_, GetParam())) {}

  void SetUp() override {
    if (std::string(chosen_.io) != GetParam()) GTEST_SKIP() << "this process can't use io_uring";
  }

  FileSystem& fs() { return *chosen_.fs; }

  // To its end, on whatever threads the file system has for requests that nobody waits for.
  IoResult Carry(const IoRequest& request) { return Carry(fs(), request); }
  IoResult Carry(FileSystem& fs, const IoRequest& request) {
    std::promise<IoResult> carried;
    Transfer(fs, request, [&](IoResult result) { carried.set_value(std::move(result)); });
    return carried.get_future().get();
  }

  AlignedBuffer Random(size_t bytes, uint32_t seed = 1) {
    AlignedBuffer buffer = AlignedBuffer::Allocate(bytes);
    std::mt19937_64 random(seed);
    for (size_t i = 0; i < bytes; ++i) buffer.data()[i] = static_cast<uint8_t>(random());
    return buffer;
  }

  std::string Get(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  TemporaryDirectory directory_;
  ThreadPool pool_;
  ChosenFileSystem chosen_;
};

INSTANTIATE_TEST_SUITE_P(Io, Transfers, testing::Values("threads", "uring"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(Transfers, WriteAndReadBackPastThePageCacheAndThroughIt) {
  for (const bool direct : {false, true}) {
    const std::string path = directory_ / (direct ? "direct" : "buffered");
    auto file = fs().Create(path, true);
    ASSERT_TRUE(file.ok());
    if (direct && !(*file)->direct().possible()) GTEST_SKIP() << "no direct I/O in " << directory_.path();
    const AlignedBuffer out = Random(3 << 20);
    ASSERT_TRUE(fs().Preallocate(**file, out.size()).ok());
    const IoResult written = Carry(
        {.kind = Kind::kWrite, .direct = direct, .file = file->get(), .data = out.data(), .bytes = out.size()});
    ASSERT_TRUE(written.status.ok()) << written.status.message();
    EXPECT_EQ(written.bytes, out.size());
    ASSERT_TRUE(Carry({.kind = Kind::kSync, .file = file->get()}).status.ok());
    AlignedBuffer in = AlignedBuffer::Allocate(out.size());
    const IoResult read = Carry(
        {.kind = Kind::kRead, .direct = direct, .file = file->get(), .data = in.data(), .bytes = in.size()});
    ASSERT_TRUE(read.status.ok()) << read.status.message();
    EXPECT_EQ(std::memcmp(in.data(), out.data(), out.size()), 0);
  }
}

TEST_P(Transfers, ReadUpToTheEndOfTheFile) {
  auto file = fs().Create(directory_ / "file", true);
  ASSERT_TRUE(file.ok());
  const AlignedBuffer out = Random(10000);
  ASSERT_TRUE(Carry({.kind = Kind::kWrite, .file = file->get(), .data = out.data(), .bytes = out.size()})
                  .status.ok());
  AlignedBuffer in = AlignedBuffer::Allocate(1 << 16);
  for (const bool direct : {false, (*file)->direct().possible()}) {
    const IoResult read = Carry(
        {.kind = Kind::kRead, .direct = direct, .file = file->get(), .data = in.data(), .bytes = in.size()});
    EXPECT_TRUE(read.status.ok()) << read.status.message();
    EXPECT_EQ(read.bytes, 10000u);
    EXPECT_EQ(std::memcmp(in.data(), out.data(), 10000), 0);
  }
}

TEST_P(Transfers, KeepHundredsUnderWayFromManyThreads) {
  constexpr size_t kBlock = 4096, kCount = 2000, kThreads = 4;
  auto file = fs().Create(directory_ / "file", true);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(fs().Preallocate(**file, kBlock * kCount).ok());
  const bool direct = (*file)->direct().possible();
  const AlignedBuffer out = Random(kBlock * kCount);
  std::latch written(kCount);
  std::atomic<size_t> failures{0};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = t; i < kCount; i += kThreads) {
        Transfer(fs(),
                 {.kind = Kind::kWrite, .direct = direct, .file = file->get(), .data = out.data() + i * kBlock,
                  .bytes = kBlock, .offset = i * kBlock},
                 [&](IoResult result) {
                   if (!result.status.ok() || result.bytes != kBlock) ++failures;
                   written.count_down();
                 });
      }
    });
  }
  for (auto& thread : threads) thread.join();
  written.wait();
  EXPECT_EQ(failures, 0u);
  const std::string found = Get(directory_ / "file");
  ASSERT_EQ(found.size(), out.size());
  EXPECT_EQ(std::memcmp(found.data(), out.data(), out.size()), 0);
}

TEST_P(Transfers, MayBeSubmittedFromACompletion) {
  auto file = fs().Create(directory_ / "file", true);
  ASSERT_TRUE(file.ok());
  constexpr size_t kBlock = 4096, kCount = 300;
  ASSERT_TRUE(fs().Preallocate(**file, kBlock * kCount).ok());
  const AlignedBuffer out = Random(kBlock);
  std::latch finished(1);
  std::atomic<size_t> done{0};
  std::function<void()> next = [&] {
    const size_t at = done;
    fs().Submit({.kind = Kind::kWrite, .direct = (*file)->direct().possible(), .file = file->get(), .data = out.data(),
                 .bytes = kBlock, .offset = at * kBlock},
                [&](IoResult result) {
                  EXPECT_TRUE(result.status.ok());
                  if (++done == kCount) finished.count_down();
                  else next();
                });
  };
  next();
  finished.wait();
  EXPECT_EQ(done, kCount);
}

TEST_P(Transfers, SayWhichCallFailedWhereAndWhy) {
  { std::ofstream(directory_ / "file") << std::string(8192, 'x'); }
  auto file = fs().Open(directory_ / "file", true);  // For reading only.
  ASSERT_TRUE(file.ok());
  const AlignedBuffer data = Random(4096);
  for (const bool direct : {false, (*file)->direct().possible()}) {
    const IoResult result = Carry({.kind = Kind::kWrite, .direct = direct, .file = file->get(),
                                                   .data = data.data(), .bytes = 4096, .offset = 4096});
    EXPECT_EQ(result.status.error(), EBADF);
    EXPECT_EQ(result.status.syscall(), "pwrite");
    EXPECT_EQ(result.status.path(), directory_ / "file");
    EXPECT_EQ(result.status.offset(), 4096);
  }
  // The file system goes on working.
  AlignedBuffer in = AlignedBuffer::Allocate(8192);
  EXPECT_TRUE(Carry({.kind = Kind::kRead, .direct = (*file)->direct().possible(), .file = file->get(),
                                     .data = in.data(), .bytes = 8192})
                  .status.ok());
}

TEST_P(Transfers, SurviveInterruptionsAndShortCalls) {
  auto file = fs().Create(directory_ / "file", true);
  ASSERT_TRUE(file.ok());
  const bool direct = (*file)->direct().possible();
  FaultyFileSystem faulty(&fs());
  std::atomic<int> calls{0};
  faulty.set_fault([&](const FileOperation& operation) -> std::optional<int> {
    if (operation.call == "fdatasync" || ++calls % 3 != 0) return std::nullopt;
    return EINTR;
  });
  faulty.set_limit([](const FileOperation& operation) { return std::max<size_t>(4096, operation.bytes / 8192 * 4096); });
  const AlignedBuffer out = Random(1 << 20);
  const IoResult written = Carry(
      faulty, {.kind = Kind::kWrite, .direct = direct, .file = file->get(), .data = out.data(), .bytes = out.size()});
  ASSERT_TRUE(written.status.ok()) << written.status.message();
  AlignedBuffer in = AlignedBuffer::Allocate(out.size());
  const IoResult read = Carry(
      faulty, {.kind = Kind::kRead, .direct = direct, .file = file->get(), .data = in.data(), .bytes = in.size()});
  ASSERT_TRUE(read.status.ok()) << read.status.message();
  EXPECT_EQ(read.bytes, out.size());
  EXPECT_EQ(std::memcmp(in.data(), out.data(), out.size()), 0);
  EXPECT_GT(calls, 10);
}

TEST_P(Transfers, GoOnBufferedWhereTheKernelRefusesDirect) {
  auto file = fs().Create(directory_ / "file", true);
  ASSERT_TRUE(file.ok());
  if (!(*file)->direct().possible()) GTEST_SKIP() << "no direct I/O in " << directory_.path();
  const AlignedBuffer out = Random(8192);
  // Neither the offset nor the length fit: EINVAL from the kernel.
  const IoResult written = Carry({.kind = Kind::kWrite, .direct = true, .file = file->get(),
                                                  .data = out.data(), .bytes = 1001, .offset = 7});
  EXPECT_TRUE(written.status.ok()) << written.status.message();
  EXPECT_EQ(Get(directory_ / "file").substr(7), std::string(reinterpret_cast<char*>(out.data()), 1001));
}

}  // namespace
}  // namespace tensor_checkpoint
