#include <gtest/gtest.h>

#include <cerrno>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "io/faulty_file_system_for_test.h"
#include "io/make_directories.h"
#include "io/posix_file_system.h"
#include "io/read_file.h"
#include "io/temporary_directory_for_test.h"

namespace tensor_checkpoint {
namespace {

class SmallFiles : public testing::Test {
 protected:
  SmallFiles() : base_(nullptr), fs_(&base_) {}
  using Paths = std::vector<std::string>;

  TemporaryDirectory directory_;
  PosixFileSystem base_;
  FaultyFileSystem fs_;
};

TEST_F(SmallFiles, AreReadWhole) {
  { std::ofstream(directory_ / "file", std::ios::binary) << std::string("a\0b", 3); }
  const auto bytes = ReadWholeFile(fs_, directory_ / "file", 3);
  ASSERT_TRUE(bytes.ok()) << bytes.status().message();
  EXPECT_EQ(*bytes, (std::vector<uint8_t>{'a', 0, 'b'}));
  { std::ofstream(directory_ / "empty"); }
  EXPECT_TRUE(ReadWholeFile(fs_, directory_ / "empty", 0)->empty());
}

TEST_F(SmallFiles, AreRefusedBeyondTheLimitBeforeMemoryIsTaken) {
  { std::ofstream(directory_ / "file") << "1234"; }
  const auto bytes = ReadWholeFile(fs_, directory_ / "file", 3);
  EXPECT_EQ(bytes.status().code(), Code::kOutOfRange);
  EXPECT_EQ(bytes.status().path(), directory_ / "file");
  EXPECT_EQ(fs_.Count("pread"), 0u);
}

TEST_F(SmallFiles, HandEveryFailureToTheCaller) {
  { std::ofstream(directory_ / "file") << "1234"; }
  for (const std::string failing : {"open", "fstat", "pread"}) {
    fs_.set_fault([&](const FileOperation& o) { return o.call == failing ? std::optional(EIO) : std::nullopt; });
    const auto bytes = ReadWholeFile(fs_, directory_ / "file", 100);
    EXPECT_EQ(bytes.status().error(), EIO) << failing;
    EXPECT_EQ(bytes.status().path(), directory_ / "file") << failing;
  }
  fs_.set_fault(nullptr);
  EXPECT_TRUE(ReadWholeFile(fs_, directory_ / "file", 100).ok());
}

TEST_F(SmallFiles, AreNotReadFromADirectoryOrFromNowhere) {
  EXPECT_EQ(ReadWholeFile(fs_, directory_.path(), 100).status().error(), EISDIR);
  EXPECT_EQ(ReadWholeFile(fs_, directory_ / "missing", 100).status().code(), Code::kNotFound);
}

TEST_F(SmallFiles, DirectoriesAreMadeWithTheirParentsOutermostFirst) {
  const auto made = MakeDirectories(fs_, directory_ / "a/b/c");
  ASSERT_TRUE(made.ok()) << made.status().message();
  EXPECT_EQ(*made, (Paths{directory_ / "a", directory_ / "a/b", directory_ / "a/b/c"}));
  EXPECT_TRUE(fs_.Stat(directory_ / "a/b/c")->is_directory);
  EXPECT_EQ(*MakeDirectories(fs_, directory_ / "a/b/c"), Paths{});
  EXPECT_EQ(*MakeDirectories(fs_, directory_ / "a/b/d"), Paths{directory_ / "a/b/d"});
  EXPECT_EQ(*MakeDirectories(fs_, directory_ / "a/e//f/"), (Paths{directory_ / "a/e", directory_ / "a/e//f"}));
}

TEST_F(SmallFiles, DirectoriesAreNotMadeWhereAFileStands) {
  { std::ofstream(directory_ / "file") << "x"; }
  EXPECT_EQ(MakeDirectories(fs_, directory_ / "file").status().error(), ENOTDIR);
  EXPECT_EQ(MakeDirectories(fs_, directory_ / "file/a").status().error(), ENOTDIR);
}

TEST_F(SmallFiles, DirectoriesThatSomebodyElseMakesMeanwhileAreFine) {
  fs_.set_fault([&](const FileOperation& o) -> std::optional<int> {
    if (o.call == "mkdir") {
      EXPECT_TRUE(base_.MakeDirectory(o.path).ok());
    }
    return std::nullopt;
  });
  EXPECT_TRUE(MakeDirectories(fs_, directory_ / "a/b").ok());
  EXPECT_TRUE(base_.Stat(directory_ / "a/b")->is_directory);
}

TEST_F(SmallFiles, DirectoriesThatCannotBeMadeAreNamed) {
  fs_.set_fault([&](const FileOperation& o) {
    return o.call == "mkdir" && o.path == directory_ / "a/b" ? std::optional(EACCES) : std::nullopt;
  });
  const auto made = MakeDirectories(fs_, directory_ / "a/b/c");
  EXPECT_EQ(made.status().error(), EACCES);
  EXPECT_EQ(made.status().path(), directory_ / "a/b");
}

}  // namespace
}  // namespace tensor_checkpoint
