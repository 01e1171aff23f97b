#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <ostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "io/transfer.h"
#include "pipeline/extents.h"
#include "pipeline/program_for_test.h"

namespace tensor_checkpoint {
namespace {

struct Way {
  const char* name;
  bool direct;
  size_t alignment;
  uint64_t staging_bytes;

  friend void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }
};

class Loads : public ProgramTest, public testing::WithParamInterface<Way> {
 protected:
  // Two files with the tensors of a layout in them, and a program that loads them into memory that was never written.
  LoadProgram MakeLoad(Layout layout) {
    layout.alignment = GetParam().alignment;
    const SaveProgram save = MakeSave(layout);
    LoadProgram program;
    program.paths = save.paths;
    program.extents = save.extents;
    program.expected.assign(save.tensor_count, 0);
    program.verify.assign(save.tensor_count, 1);
    for (const std::string& path : save.paths) std::ofstream(path, std::ios::binary);
    for (Extent& extent : program.extents) {
      std::fstream file(program.paths[extent.file], std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(static_cast<std::streamoff>(extent.file_offset));
      file.write(reinterpret_cast<const char*>(extent.memory), static_cast<std::streamsize>(extent.bytes));
      uint32_t& sum = program.expected[extent.tensor];
      sum = Crc32c(sum, extent.memory, extent.bytes);
    }
    // As after a restart: what lies in the page cache would be read from there.
    for (const std::string& path : save.paths) Evict(path);
    for (const size_t bytes : layout.tensor_bytes) {
      loaded_.push_back(AlignedBuffer::Allocate(std::max<size_t>(bytes, 1)));
      std::memset(loaded_.back().data(), 0xcc, bytes);
    }
    for (Extent& extent : program.extents) {
      extent.memory = loaded_[extent.tensor].data() + (extent.memory - tensors_[extent.tensor].data());
    }
    program.options.direct = GetParam().direct;
    program.options.staging_bytes = GetParam().staging_bytes;
    program.options.threads = 2;
    return program;
  }

  void Evict(const std::string& path) {
    auto file = base_.Open(path, false);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(TransferAndWait(base_, {.kind = IoRequest::Kind::kSync, .file = file->get()}).status.ok());
    base_.DropCache(**file);
  }
  uint64_t Cached(const std::string& path) {
    auto file = base_.Open(path, false);
    return file.ok() ? base_.CachedBytes(**file, 0, INT64_MAX) : 0;
  }

  ReadOutcome Run(const LoadProgram& program) {
    stats_ = Stats{};
    return ReadExtents(program, {&fs_, &pool_, &aborted_, [](Event) {}, &staging_}, stats_);
  }

  void ExpectLoaded(const LoadProgram& program) {
    for (const Extent& extent : program.extents) {
      const uint8_t* const saved = tensors_[extent.tensor].data() + (extent.memory - loaded_[extent.tensor].data());
      EXPECT_EQ(std::memcmp(extent.memory, saved, extent.bytes), 0) << "tensor " << extent.tensor;
    }
  }

  static void FlipBit(const std::string& path, uint64_t offset) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(byte);
  }

  std::vector<AlignedBuffer> loaded_;
  Stats stats_;
};

INSTANTIATE_TEST_SUITE_P(Ways, Loads,
                         testing::Values(Way{"Direct", true, 4096, 8 << 20}, Way{"DirectDense", true, 1, 8 << 20},
                                         Way{"Buffered", false, 4096, 8 << 20}, Way{"LittleStaging", true, 1, 1}),
                         [](const testing::TestParamInfo<Way>& info) { return info.param.name; });

TEST_P(Loads, BringEveryByteBackAndVerifyIt) {
  const LoadProgram program = MakeLoad(Mixed());
  const ReadOutcome outcome = Run(program);
  ASSERT_TRUE(outcome.failure.status.ok()) << outcome.failure.status.message();
  EXPECT_TRUE(outcome.damage.empty());
  ExpectLoaded(program);
}

TEST_P(Loads, CombineTheChecksumsOfATensorsExtents) {
  Layout layout = Mixed();
  layout.max_extent = 40000;
  const LoadProgram program = MakeLoad(layout);
  const ReadOutcome outcome = Run(program);
  ASSERT_TRUE(outcome.failure.status.ok()) << outcome.failure.status.message();
  ExpectLoaded(program);
}

TEST_P(Loads, SurviveInterruptedAndShortCalls) {
  const LoadProgram program = MakeLoad(Mixed());
  std::atomic<int> call{0};
  fs_.set_fault([&](const FileOperation& o) {
    return o.call == "pread" && ++call % 3 == 0 ? std::optional(EINTR) : std::nullopt;
  });
  fs_.set_limit([](const FileOperation& o) { return std::max<size_t>(1, o.bytes / 3); });
  const ReadOutcome outcome = Run(program);
  ASSERT_TRUE(outcome.failure.status.ok()) << outcome.failure.status.message();
  ExpectLoaded(program);
}

TEST_P(Loads, FindAFlippedBitAndNameItsTensor) {
  const LoadProgram program = MakeLoad(Mixed());
  for (const uint32_t tensor : {1u, 2u, 4u, 7u}) {
    const Extent& extent = program.extents[tensor];
    const uint64_t offset = extent.file_offset + extent.bytes / 2;
    FlipBit(program.paths[extent.file], offset);
    const ReadOutcome outcome = Run(program);
    EXPECT_EQ(outcome.failure.status.code(), Code::kDataLoss);
    EXPECT_EQ(outcome.failure.tensor, tensor);
    EXPECT_NE(outcome.touched[tensor], 2);
    FlipBit(program.paths[extent.file], offset);
  }
  EXPECT_TRUE(Run(program).failure.status.ok());
}

TEST_P(Loads, GoOnAndReportAllDamageWhereThatIsAsked) {
  LoadProgram program = MakeLoad(Mixed());
  program.options.keep_going = true;
  for (Extent& extent : program.extents) extent.memory = nullptr;  // Verification: read and sum only.
  for (const uint32_t tensor : {1u, 4u}) {
    FlipBit(program.paths[program.extents[tensor].file], program.extents[tensor].file_offset);
  }
  const ReadOutcome outcome = Run(program);
  EXPECT_TRUE(outcome.failure.status.ok()) << outcome.failure.status.message();
  std::vector<uint32_t> damaged;
  for (const Damage& damage : outcome.damage) {
    EXPECT_STREQ(damage.kind, "checksum");
    EXPECT_TRUE(damage.has_found);
    EXPECT_NE(damage.found, program.expected[damage.tensor]);
    EXPECT_EQ(damage.status.code(), Code::kDataLoss);
    damaged.push_back(damage.tensor);
  }
  std::sort(damaged.begin(), damaged.end());
  EXPECT_EQ(damaged, (std::vector<uint32_t>{1, 4}));
}

TEST_P(Loads, BelieveWhatIsReadWhereVerificationIsOff) {
  LoadProgram program = MakeLoad(Mixed());
  program.verify.assign(program.verify.size(), 0);
  FlipBit(program.paths[program.extents[4].file], program.extents[4].file_offset);
  EXPECT_TRUE(Run(program).failure.status.ok());
}

TEST_P(Loads, SayThatAFileEndsTooEarly) {
  const LoadProgram program = MakeLoad(Mixed());
  const Extent& last = program.extents[6];  // The last of the first file.
  ASSERT_EQ(truncate(program.paths[last.file].c_str(), static_cast<off_t>(last.file_offset + last.bytes - 1)), 0);
  const ReadOutcome outcome = Run(program);
  EXPECT_EQ(outcome.failure.status.code(), Code::kDataLoss);
  EXPECT_EQ(outcome.failure.status.path(), program.paths[last.file]);
  EXPECT_EQ(outcome.failure.tensor, 6u);
  ASSERT_FALSE(outcome.damage.empty());
  EXPECT_STREQ(outcome.damage.back().kind, "short");
}

TEST_P(Loads, SayWhichFileIsMissing) {
  LoadProgram program = MakeLoad(Mixed());
  ASSERT_TRUE(base_.Unlink(program.paths[1]).ok());
  const ReadOutcome outcome = Run(program);
  EXPECT_FALSE(outcome.failure.status.ok());
  EXPECT_EQ(outcome.failure.status.error(), ENOENT);
  EXPECT_EQ(outcome.failure.status.path(), program.paths[1]);
  program.options.keep_going = true;
  const ReadOutcome all = Run(program);
  EXPECT_TRUE(all.failure.status.ok()) << all.failure.status.message();
  EXPECT_FALSE(all.damage.empty());
  for (const Damage& damage : all.damage) {
    EXPECT_STREQ(damage.kind, "missing");
    EXPECT_EQ(damage.tensor % 2, 1u);  // Those of the second file.
  }
}

TEST_P(Loads, HandEveryFailedReadToTheCaller) {
  const LoadProgram program = MakeLoad(Mixed());
  ASSERT_TRUE(Run(program).failure.status.ok());
  const size_t reads = fs_.Count("pread");
  ASSERT_GT(reads, 0u);
  for (size_t failing = 0; failing < reads; ++failing) {
    fs_.set_fault([&, count = size_t{0}](const FileOperation& o) mutable -> std::optional<int> {
      return o.call == "pread" && count++ == failing ? std::optional(EIO) : std::nullopt;
    });
    const ReadOutcome outcome = Run(program);
    ASSERT_EQ(outcome.failure.status.error(), EIO) << failing;
    EXPECT_FALSE(outcome.failure.status.path().empty());
    EXPECT_GE(outcome.failure.status.offset(), 0);
    EXPECT_LT(outcome.failure.tensor, program.expected.size());
  }
  fs_.set_fault(nullptr);
  EXPECT_TRUE(Run(program).failure.status.ok());
  ExpectLoaded(program);
}

TEST_P(Loads, TakeWhatIsInThePageCacheFromThere) {
  const LoadProgram program = MakeLoad(Aligned());
  // More than once: the system may take a page back at any moment.
  for (int attempt = 0; attempt == 0 || (attempt < 5 && stats_.direct_bytes > 0); ++attempt) {
    for (const std::string& path : program.paths) ReadText(path);
    if (Cached(program.paths[0]) == 0) GTEST_SKIP() << "this system doesn't tell what is cached";
    ASSERT_TRUE(Run(program).failure.status.ok());
  }
  EXPECT_EQ(stats_.direct_bytes, 0u);
  ExpectLoaded(program);
}

TEST_P(Loads, LeaveNothingInThePageCacheThatWasNotThere) {
  const LoadProgram program = MakeLoad(Aligned());
  if (Cached(program.paths[0]) != 0) GTEST_SKIP() << "the page cache can't be emptied here";
  ASSERT_TRUE(Run(program).failure.status.ok());
  for (const std::string& path : program.paths) EXPECT_EQ(Cached(path), 0u) << path;
  ExpectLoaded(program);
}

TEST_P(Loads, StopWhenAborted) {
  const LoadProgram program = MakeLoad(Mixed());
  fs_.set_fault([&](const FileOperation& o) -> std::optional<int> {
    if (o.call == "pread") aborted_ = true;
    return std::nullopt;
  });
  fs_.set_limit([](const FileOperation&) { return size_t{65536}; });
  const ReadOutcome outcome = Run(program);
  EXPECT_EQ(outcome.failure.status.code(), Code::kAborted);
}

TEST_P(Loads, WriteNothingOutsideTheirDestinations) {
  // Destinations side by side, with a byte between them that nobody may touch.
  LoadProgram program = MakeLoad(Mixed());
  size_t total = 64;
  for (const Extent& extent : program.extents) total += extent.bytes + 1;
  std::vector<uint8_t> room(total, 0xa5);
  size_t position = 3;
  std::vector<size_t> gaps{0, 1, 2};
  for (Extent& extent : program.extents) {
    extent.memory = room.data() + position;
    position += extent.bytes;
    gaps.push_back(position++);
  }
  const ReadOutcome outcome = Run(program);
  ASSERT_TRUE(outcome.failure.status.ok()) << outcome.failure.status.message();
  for (const size_t gap : gaps) EXPECT_EQ(room[gap], 0xa5) << gap;
  for (const Extent& extent : program.extents) {
    EXPECT_EQ(std::memcmp(extent.memory, tensors_[extent.tensor].data(), extent.bytes), 0) << extent.tensor;
  }
}

}  // namespace
}  // namespace tensor_checkpoint
