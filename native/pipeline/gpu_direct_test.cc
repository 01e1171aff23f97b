#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ostream>
#include <string>

#include "pipeline/device_program_for_test.h"

namespace tensor_checkpoint {
namespace {

// Saves and restores that don't pass the host, on the stand-in's cuFile. What breaks a rule of cuFile's ends the test.
class GpuDirectProgram : public DeviceProgramTest {
 protected:
  // Several chunks of one device each, some that devices or host share, and an end that fits no direct I/O.
  static Layout Large() { return {{9 << 20, 9 << 20, (5 << 20) + 123, 4096, 70000, 0, 12 << 20, 1, 5 << 20}, 4096, SIZE_MAX}; }

  void SetUp() override {
    DeviceProgramTest::SetUp();
    Reload(STANDIN_CUDA);
  }
  // As in a new process with this library.
  void Reload(const std::string& library) {
    devices_.reset();  // Before the library that it used.
    cufile_ = CuFile::Load(library);
    devices_.emplace([this] { return Result<const CudaDriver*>(&standin_.driver()); },
                     [this]() -> Result<const CuFile*> {
                       if (!cufile_.ok()) return cufile_.status();
                       return static_cast<const CuFile*>(cufile_->get());
                     });
  }
  SaveProgram MakeDirectSave(const Layout& layout, GpuDirectUse use = GpuDirectUse::kRequired) {
    SaveProgram program = MakeDeviceSave(layout);
    program.options.gpu_direct = use;
    return program;
  }
  ReadOutcome LoadAndTell(const LoadProgram& program, Stats& stats, std::vector<Event>& events) {
    return ReadExtents(program, {&fs_, &pool_, &aborted_, [&](Event event) { events.push_back(std::move(event)); }, &staging_, &*devices_},
                       stats);
  }
  void ExpectRestored(const Layout& layout) {
    for (uint32_t t = 0; t < memory_.size(); ++t) {
      if (memory_[t].empty()) continue;
      const std::vector<uint8_t> found = OnDevice(t, layout.tensor_bytes[t]);
      EXPECT_EQ(std::memcmp(found.data(), tensors_[t].data(), found.size()), 0) << t;
    }
  }
  void RemoveFiles() {
    for (const std::string& name : Names()) ASSERT_TRUE(base_.Unlink(directory_ / name).ok());
  }

  Result<std::unique_ptr<CuFile>> cufile_ = Status(Code::kUnsupported, "not loaded");
};

struct Way {
  const char* name;
  GpuDirectUse use = GpuDirectUse::kRequired;
  uint64_t most_bytes = UINT64_MAX;
  bool shadow = false;
  uint64_t snapshot_pool_bytes = 0;
  uint64_t staging_bytes = 256 << 20;
  friend void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }
};

class GpuDirectWays : public GpuDirectProgram, public testing::WithParamInterface<Way> {};

INSTANTIATE_TEST_SUITE_P(Ways, GpuDirectWays,
                         testing::Values(Way{"Required"}, Way{"Auto", GpuDirectUse::kAuto},
                                         Way{"ShortTransfers", GpuDirectUse::kRequired, 1234567},
                                         Way{"Shadow", GpuDirectUse::kRequired, UINT64_MAX, true},
                                         Way{"SnapshotPool", GpuDirectUse::kRequired, UINT64_MAX, false, 64 << 20},
                                         Way{"LittleStaging", GpuDirectUse::kRequired, UINT64_MAX, false, 0, 1 << 20}),
                         [](const testing::TestParamInfo<Way>& info) { return info.param.name; });

TEST_P(GpuDirectWays, SaveAndRestoreTheSameBytesWithoutTheHost) {
  for (const Layout& layout : {Large(), Mixed()}) {
    tensors_.clear();
    memory_.clear();
    standin_.CuFileMode("", GetParam().most_bytes);
    SaveProgram program = MakeDirectSave(layout, GetParam().use);
    program.options.device_shadow = GetParam().shadow;
    program.options.snapshot_pool_bytes = GetParam().snapshot_pool_bytes;
    program.options.staging_bytes = GetParam().staging_bytes;
    EventLog log;
    Run(program, log);
    ASSERT_EQ(log.Summary(), "captured indexed committed finished") << log.last().failure.status.message();
    ExpectDeviceSaved(program);
    const bool large = layout.tensor_bytes[0] > 0;
    if (large) {
      EXPECT_GE(log.last().stats.gpu_direct_bytes, 16u << 20);
    }

    ClearDevices(layout);
    Stats stats;
    std::vector<Event> events;
    const ReadOutcome outcome = LoadAndTell(MakeDeviceLoad(program, layout), stats, events);
    ASSERT_TRUE(outcome.failure.status.ok()) << outcome.failure.status.message();
    EXPECT_TRUE(events.empty());
    ExpectRestored(layout);
    for (const uint8_t touched : outcome.touched) EXPECT_EQ(touched, 2);
    if (large) {
      EXPECT_GE(stats.gpu_direct_bytes, 16u << 20);
    }
    RemoveFiles();
  }
}

// What can stand in the way, and what is said about it.
struct Obstacle {
  const char* name;
  const char* mode;
  const char* library;
  const char* says;
  friend void PrintTo(const Obstacle& obstacle, std::ostream* out) { *out << obstacle.name; }
};

class GpuDirectObstacles : public GpuDirectProgram, public testing::WithParamInterface<Obstacle> {};

INSTANTIATE_TEST_SUITE_P(
    All, GpuDirectObstacles,
    testing::Values(Obstacle{"NoLibrary", "", "libcufile-missing.so.0", "libcufile-missing.so.0"},
                    Obstacle{"NoSymbol", "", STANDIN_CUDA_OLD, "has no cuFileDriverOpen"},
                    Obstacle{"NoKernelModule", "no-driver", STANDIN_CUDA, "nvidia-fs is not loaded"},
                    Obstacle{"CompatibilityModeOfOthers", "compat-in-use", STANDIN_CUDA, "allow_compat_mode"},
                    Obstacle{"FileSystem", "unsupported-file", STANDIN_CUDA, "file system or disk does not support it"}),
    [](const testing::TestParamInfo<Obstacle>& info) { return info.param.name; });

TEST_P(GpuDirectObstacles, FailWhatRequiresItWithTheReason) {
  const Layout layout = Large();
  SaveProgram program = MakeDirectSave(layout, GpuDirectUse::kOff);
  EventLog log;
  Run(program, log);
  ASSERT_EQ(log.last().type, Event::Type::kFinished);
  standin_.CuFileMode(GetParam().mode);
  Reload(GetParam().library);
  LoadProgram load = MakeDeviceLoad(program, layout);
  load.options.gpu_direct = GpuDirectUse::kRequired;
  Stats stats;
  std::vector<Event> events;
  const ReadOutcome outcome = LoadAndTell(load, stats, events);
  EXPECT_EQ(outcome.failure.status.code(), Code::kUnsupported);
  EXPECT_NE(outcome.failure.status.message().find(GetParam().says), std::string::npos) << outcome.failure.status.message();

  RemoveFiles();
  program.options.gpu_direct = GpuDirectUse::kRequired;
  EventLog again;
  Run(program, again);
  ASSERT_EQ(again.last().type, Event::Type::kFailed);
  EXPECT_EQ(again.last().failure.status.code(), Code::kUnsupported);
  EXPECT_NE(again.last().failure.status.message().find(GetParam().says), std::string::npos);
  EXPECT_TRUE(Names().empty());
}

TEST_P(GpuDirectObstacles, AreAWarningWhereItIsOptional) {
  const Layout layout = Large();
  standin_.CuFileMode(GetParam().mode);
  Reload(GetParam().library);
  const SaveProgram program = MakeDirectSave(layout, GpuDirectUse::kAuto);
  EventLog log;
  Run(program, log);
  ASSERT_EQ(log.last().type, Event::Type::kFinished) << log.last().failure.status.message();
  EXPECT_EQ(log.Count(Event::Type::kWarning), 1u);
  EXPECT_STREQ(log.Find(Event::Type::kWarning).warning, "gpuDirect");
  EXPECT_NE(log.Find(Event::Type::kWarning).failure.status.message().find(GetParam().says), std::string::npos);
  EXPECT_EQ(log.last().stats.gpu_direct_bytes, 0u);
  ExpectDeviceSaved(program);

  ClearDevices(layout);
  Stats stats;
  std::vector<Event> events;
  const ReadOutcome outcome = LoadAndTell(MakeDeviceLoad(program, layout), stats, events);
  ASSERT_TRUE(outcome.failure.status.ok()) << outcome.failure.status.message();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_STREQ(events[0].warning, "gpuDirect");
  EXPECT_EQ(stats.gpu_direct_bytes, 0u);
  ExpectRestored(layout);
}

TEST_F(GpuDirectProgram, CompatibilityModeIsSwitchedOffWhereNobodyElseUsesIt) {
  standin_.CuFileMode("compat");
  Reload(STANDIN_CUDA);
  EXPECT_TRUE(cufile_.ok()) << cufile_.status().message();
  CUfileDrvProps properties{};
  EXPECT_EQ((*cufile_)->call().cuFileDriverGetProperties(&properties).err, 0);
  EXPECT_EQ(properties.nvfs.dcontrolflags & (1u << CU_FILE_ALLOW_COMPAT_MODE), 0u);
}

TEST_F(GpuDirectProgram, AFullDiskIsNamedAsOne) {
  const SaveProgram program = MakeDirectSave(Large());
  standin_.Fail("cuFileWrite", 2, ENOSPC);
  EventLog log;
  Run(program, log);
  ASSERT_EQ(log.last().type, Event::Type::kFailed);
  EXPECT_EQ(log.last().failure.status.code(), Code::kNoSpace);
  EXPECT_EQ(log.last().failure.status.syscall(), "cuFileWrite");
  EXPECT_TRUE(Names().empty());
}

TEST_F(GpuDirectProgram, AnInterruptedTransferGoesOn) {
  const Layout layout = Large();
  const SaveProgram program = MakeDirectSave(layout);
  standin_.Fail("cuFileWrite", 1, EINTR);
  EventLog log;
  Run(program, log);
  ASSERT_EQ(log.last().type, Event::Type::kFinished) << log.last().failure.status.message();
  ExpectDeviceSaved(program);
}

TEST_F(GpuDirectProgram, WithoutMoreMemoryToRegisterTheRestGoesThroughTheHost) {
  const Layout layout = Large();
  constexpr int kPinningFailed = 5036;
  SaveProgram program = MakeDirectSave(layout, GpuDirectUse::kAuto);
  standin_.Fail("cuFileBufRegister", 2, kPinningFailed);
  EventLog log;
  Run(program, log);
  ASSERT_EQ(log.last().type, Event::Type::kFinished) << log.last().failure.status.message();
  EXPECT_EQ(log.Count(Event::Type::kWarning), 1u);
  EXPECT_EQ(log.Find(Event::Type::kWarning).failure.status.error_name(), "CU_FILE_GPU_MEMORY_PINNING_FAILED");
  ExpectDeviceSaved(program);
  RemoveFiles();

  devices_->Trim();
  program.options.gpu_direct = GpuDirectUse::kRequired;
  standin_.Fail("cuFileBufRegister", 1, kPinningFailed);
  EventLog again;
  Run(program, again);
  ASSERT_EQ(again.last().type, Event::Type::kFailed);
  EXPECT_EQ(again.last().failure.status.error_name(), "CU_FILE_GPU_MEMORY_PINNING_FAILED");
  EXPECT_TRUE(Names().empty());
}

TEST_F(GpuDirectProgram, WhatIsDamagedOnDiskIsNamedBeforeAnybodyTrustsIt) {
  const Layout layout = Large();
  const SaveProgram program = MakeDirectSave(layout);
  EventLog log;
  Run(program, log);
  ASSERT_EQ(log.last().type, Event::Type::kFinished);
  LoadProgram load = MakeDeviceLoad(program, layout);
  load.expected[0] ^= 1;
  Stats stats;
  std::vector<Event> events;
  const ReadOutcome outcome = LoadAndTell(load, stats, events);
  EXPECT_EQ(outcome.failure.status.code(), Code::kDataLoss);
  EXPECT_EQ(outcome.failure.tensor, 0u);
  EXPECT_EQ(outcome.touched[0], 1);

  standin_.Fail("cuFileRead", 1, EIO);
  EXPECT_EQ(LoadAndTell(MakeDeviceLoad(program, layout), stats, events).failure.status.code(), Code::kIoError);

  for (const std::string& path : program.paths) ASSERT_EQ(truncate(path.c_str(), (8 << 20) + 5000), 0);
  const ReadOutcome short_file = LoadAndTell(MakeDeviceLoad(program, layout), stats, events);
  EXPECT_EQ(short_file.failure.status.code(), Code::kDataLoss);
  EXPECT_NE(short_file.failure.status.message().find("ends at byte"), std::string::npos) << short_file.failure.status.message();
}

TEST_F(GpuDirectProgram, WhicheverCallFailsNothingIsLeftBehindAndTheNextSaveIsWhole) {
  const Layout layout{{5 << 20, 0, 9000, 0, 3 << 20}, 4096, SIZE_MAX};
  const SaveProgram program = MakeDirectSave(layout);
  size_t failed = 0;
  for (const char* function : {"cuFileHandleRegister", "cuFileBufRegister", "cuFileWrite", "cuMemcpyDtoDAsync_v2", "cuMemsetD8Async",
                               "cuMemAlloc_v2", "cuCtxPushCurrent_v2", "cuLaunchKernel"}) {
    for (const auto& [code, mode] : {std::pair{5030, Standin::kOnce}, {CUDA_ERROR_LAUNCH_FAILED, Standin::kDeviceLost}}) {
      for (uint64_t nth = 1; nth <= 3; ++nth) {
        SCOPED_TRACE(std::string(function) + " #" + std::to_string(nth) + " " + std::to_string(code));
        Reload(STANDIN_CUDA);
        const uint64_t calls = standin_.Calls(function);
        standin_.Fail(function, nth, code, mode);
        EventLog log;
        Run(program, log);
        const bool called = standin_.Calls(function) >= calls + nth;
        standin_.Reset();
        if (log.last().type == Event::Type::kFailed) {
          ++failed;
          EXPECT_TRUE(Names().empty());
        } else {
          ExpectDeviceSaved(program);
          RemoveFiles();
        }
        EventLog again;
        Run(program, again);
        ASSERT_EQ(again.last().type, Event::Type::kFinished) << again.last().failure.status.message();
        ExpectDeviceSaved(program);
        RemoveFiles();
        if (!called) break;
      }
    }
  }
  EXPECT_GT(failed, 15u);
}

}  // namespace
}  // namespace tensor_checkpoint
