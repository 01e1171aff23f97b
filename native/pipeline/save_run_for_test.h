#ifndef TENSOR_CHECKPOINT_PIPELINE_SAVE_RUN_FOR_TEST_H_
#define TENSOR_CHECKPOINT_PIPELINE_SAVE_RUN_FOR_TEST_H_

#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "pipeline/program_for_test.h"
#include "pipeline/save_run.h"

namespace tensor_checkpoint {

// The ways in which the bytes of a save can travel.
struct SaveWay {
  const char* name;
  bool direct;
  bool copy;
  bool mutable_memory;

  friend void PrintTo(const SaveWay& way, std::ostream* out) { *out << way.name; }
};

inline auto SaveWays() {
  return testing::Values(SaveWay{"Direct", true, false, true}, SaveWay{"Buffered", false, false, true},
                         SaveWay{"DirectCopied", true, true, true}, SaveWay{"BufferedCopied", false, true, true},
                         SaveWay{"DirectPinned", true, false, false});
}
inline std::string SaveWayName(const testing::TestParamInfo<SaveWay>& info) { return info.param.name; }

// Runs saves in one of the ways, on a file system that can be made to fail.
class SaveRunTest : public ProgramTest, public testing::WithParamInterface<SaveWay> {
 protected:
  SaveProgram MakeSave(const Layout& layout, const std::string& name = "ckpt-1") {
    SaveProgram program = ProgramTest::MakeSave(layout, name);
    program.options.direct = GetParam().direct;
    program.options.copy = GetParam().copy;
    for (Extent& extent : program.extents) extent.mutable_memory = GetParam().mutable_memory;
    return program;
  }
  // Runs a copy of the program to its end.
  void Run(const SaveProgram& program, EventLog& log, FileSystem* fs = nullptr) {
    SaveRun(program, fs != nullptr ? *fs : fs_, pool_, staging_, aborted_, log).Run();
    ASSERT_TRUE(log.ended());
  }
  void RemoveAll() {
    for (const std::string& name : Names()) ASSERT_TRUE(base_.Unlink(directory_ / name).ok());
  }
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_PIPELINE_SAVE_RUN_FOR_TEST_H_
