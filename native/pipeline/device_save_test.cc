#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "pipeline/device_program_for_test.h"

namespace tensor_checkpoint {
namespace {

struct Way {
  const char* name;
  bool direct = true;
  bool copy = false;
  uint64_t snapshot_pool_bytes = 0;
  bool shadow = false;
  bool checksum = false;

  friend void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }
};

// Saves and restores of device memory, in every way that they can go.
class DevicePrograms : public DeviceProgramTest, public testing::WithParamInterface<Way> {
 protected:
  SaveProgram MakeSave(const Layout& layout, const std::string& name = "ckpt-1") {
    SaveProgram program = MakeDeviceSave(layout, name);
    program.options.direct = GetParam().direct;
    program.options.copy = GetParam().copy;
    program.options.snapshot_pool_bytes = GetParam().snapshot_pool_bytes;
    program.options.device_shadow = GetParam().shadow;
    program.options.device_checksum = GetParam().checksum;
    return program;
  }
};

std::string WayName(const testing::TestParamInfo<Way>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Ways, DevicePrograms,
                         testing::Values(Way{"Direct"}, Way{"Buffered", false}, Way{"HostCopied", true, true},
                                         Way{"SnapshotPool", true, false, 64 << 20}, Way{"Shadow", true, false, 0, true},
                                         Way{"Checksum", true, false, 0, false, true},
                                         Way{"Everything", true, true, 64 << 20, true, true}),
                         WayName);

TEST_P(DevicePrograms, SaveWhatLiesOnDevicesAndOnTheHost) {
  for (const Layout& layout : {Mixed(), Aligned()}) {
    tensors_.clear();
    memory_.clear();
    const std::string name = layout.alignment == 1 ? "ckpt-1" : "ckpt-2";
    const SaveProgram program = MakeSave(layout, name);
    EventLog log;
    Run(program, log);
    ASSERT_EQ(log.Summary(), "captured indexed committed finished") << log.last().failure.status.message();
    ExpectDeviceSaved(program, name);
  }
}

TEST_P(DevicePrograms, RestoreIntoTheSameMemory) {
  const Layout layout = Mixed();
  const SaveProgram program = MakeSave(layout);
  EventLog log;
  Run(program, log);
  ASSERT_EQ(log.last().type, Event::Type::kFinished);
  ClearDevices(layout);
  const ReadOutcome outcome = Load(MakeDeviceLoad(program, layout));
  ASSERT_TRUE(outcome.failure.status.ok()) << outcome.failure.status.message();
  EXPECT_TRUE(outcome.damage.empty());
  for (uint32_t t = 0; t < memory_.size(); ++t) {
    EXPECT_EQ(outcome.touched[t], 2) << t;
    if (memory_[t].empty()) continue;
    const std::vector<uint8_t> found = OnDevice(t, layout.tensor_bytes[t]);
    EXPECT_EQ(std::memcmp(found.data(), tensors_[t].data(), found.size()), 0) << t;
  }
}

TEST_P(DevicePrograms, SaveManyTimesWithoutTakingMore) {
  const Layout layout = Mixed();
  const SaveProgram program = MakeSave(layout);
  for (int round = 0; round < 3; ++round) {
    EventLog log;
    Run(program, log);
    ASSERT_EQ(log.last().type, Event::Type::kFinished) << log.last().failure.status.message();
    ExpectDeviceSaved(program);
    for (const std::string& name : Names()) ASSERT_TRUE(base_.Unlink(directory_ / name).ok());
  }
}

TEST_P(DevicePrograms, NameTheTensorThatIsDamagedOnDisk) {
  const Layout layout = Mixed();
  const SaveProgram program = MakeSave(layout);
  EventLog log;
  Run(program, log);
  ASSERT_EQ(log.last().type, Event::Type::kFinished);
  LoadProgram load = MakeDeviceLoad(program, layout);
  load.expected[4] ^= 1;
  const ReadOutcome outcome = Load(load);
  EXPECT_EQ(outcome.failure.status.code(), Code::kDataLoss);
  EXPECT_EQ(outcome.failure.tensor, 4u);
  EXPECT_EQ(outcome.touched[4], 1);
}

// Each call of each driver function fails once, with each kind of error. However it ends, what is said is true, nothing
// is left behind in the driver (the fixture's end), and the next save works.
class FailingDevices : public DevicePrograms {};

INSTANTIATE_TEST_SUITE_P(Ways, FailingDevices,
                         testing::Values(Way{"Staged"}, Way{"Everything", true, true, 64 << 20, true, true}), WayName);

TEST_P(FailingDevices, AreSurvivedWhicheverCallFails) {
  const Layout layout{{100, 70000, 5000, 9000, 3 << 20}, 1, SIZE_MAX};
  const SaveProgram program = MakeSave(layout);
  const LoadProgram load = MakeDeviceLoad(program, layout);
  const char* const functions[] = {
      "cuDeviceGet", "cuDevicePrimaryCtxRetain", "cuCtxPushCurrent_v2", "cuCtxSynchronize", "cuStreamCreate", "cuEventCreate",
      "cuEventRecord", "cuEventSynchronize", "cuStreamWaitEvent", "cuStreamSynchronize", "cuMemAlloc_v2", "cuMemHostAlloc",
      "cuMemHostRegister_v2", "cuMemcpyDtoHAsync_v2", "cuMemcpyHtoDAsync_v2", "cuMemcpyDtoDAsync_v2", "cuModuleLoadData",
      "cuModuleGetFunction", "cuLaunchKernel", "cuDeviceGetAttribute"};
  size_t failed = 0;
  for (const char* function : functions) {
    for (const auto& [code, mode] : {std::pair{CUDA_ERROR_OUT_OF_MEMORY, Standin::kOnce}, {CUDA_ERROR_LAUNCH_FAILED, Standin::kOnce},
                                     {CUDA_ERROR_ECC_UNCORRECTABLE, Standin::kDeviceLost}}) {
      for (uint64_t nth = 1; nth <= 2; ++nth) {
        const std::string what = std::string(function) + " #" + std::to_string(nth) + " " + std::to_string(code);
        SCOPED_TRACE(what);
        devices_.reset();
        devices_.emplace([this] { return Result<const CudaDriver*>(&standin_.driver()); });
        const uint64_t calls = standin_.Calls(function);
        standin_.Fail(function, nth, code, mode);
        EventLog log;
        Run(program, log);
        const bool save_failed = log.last().type == Event::Type::kFailed;
        if (save_failed) {
          const Status& status = log.last().failure.status;
          EXPECT_EQ(status.code(), Code::kCudaError) << status.message();
          EXPECT_EQ(status.error_name().rfind("CUDA_ERROR_", 0), 0u) << status.error_name();
          EXPECT_NE(status.message().find(status.error_name()), std::string::npos);
          EXPECT_TRUE(Names().empty()) << "what was begun is removed";
          ++failed;
        } else {
          ExpectDeviceSaved(program);
          const ReadOutcome outcome = Load(load);
          EXPECT_TRUE(outcome.failure.status.ok() || outcome.failure.status.code() == Code::kCudaError);
        }
        const bool called = standin_.Calls(function) >= calls + nth;
        standin_.Reset();
        for (const std::string& name : Names()) ASSERT_TRUE(base_.Unlink(directory_ / name).ok());
        EventLog again;
        Run(program, again);
        ASSERT_EQ(again.last().type, Event::Type::kFinished) << again.last().failure.status.message();
        for (const std::string& name : Names()) ASSERT_TRUE(base_.Unlink(directory_ / name).ok());
        if (!called) break;
      }
    }
  }
  EXPECT_GT(failed, 30u);
}

}  // namespace
}  // namespace tensor_checkpoint
