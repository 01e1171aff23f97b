#ifndef TENSOR_CHECKPOINT_IO_TEMPORARY_DIRECTORY_FOR_TEST_H_
#define TENSOR_CHECKPOINT_IO_TEMPORARY_DIRECTORY_FOR_TEST_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace tensor_checkpoint {

// A directory of its own for a test, removed at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = testing::TempDir() + "tensor-checkpoint-XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr) << name;
    path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_IO_TEMPORARY_DIRECTORY_FOR_TEST_H_
