#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <semaphore>
#include <string>
#include <thread>

#include "pipeline/device_program_for_test.h"

namespace tensor_checkpoint {
namespace {

// When device memory is read and written, and what is said about it.
class DeviceOrder : public DeviceProgramTest {
 protected:
  static Layout OneTensor() { return {{1 << 20}, 4096, SIZE_MAX}; }

  CUstream MakeStream(uint32_t ordinal) {
    CurrentContext current(*contexts_[ordinal]);
    CUstream stream = nullptr;
    EXPECT_EQ(standin_.call().cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
    return stream;
  }
  void DestroyStream(uint32_t ordinal, CUstream stream) {
    CurrentContext current(*contexts_[ordinal]);
    EXPECT_EQ(standin_.call().cuStreamSynchronize(stream), CUDA_SUCCESS);
    EXPECT_EQ(standin_.call().cuStreamDestroy(stream), CUDA_SUCCESS);
  }
  // Work of a training step: later than anything that is submitted now, the tensor gets these bytes.
  void WriteLater(uint32_t ordinal, CUstream stream, uint32_t tensor, const PinnedPool::Buffer& bytes, size_t size) {
    CurrentContext current(*contexts_[ordinal]);
    EXPECT_EQ(standin_.call().cuMemcpyHtoDAsync(memory_[tensor].address(), bytes.data(), size, stream), CUDA_SUCCESS);
  }
};

TEST_F(DeviceOrder, SavesWaitForTheStreamOnWhichATensorIsBeingWritten) {
  const Layout layout = OneTensor();
  for (const bool shadow : {false, true}) {
    for (const bool names_stream : {true, false}) {
      SaveProgram program = MakeDeviceSave(layout, "ckpt-" + std::to_string(2 * shadow + names_stream));
      ClearDevices(layout);
      const CUstream stream = MakeStream(0);
      program.options.device_shadow = shadow;
      if (names_stream) program.devices[0] = {0, true, reinterpret_cast<uintptr_t>(stream)};
      {
        auto next = devices_->pinned().Take(contexts_[0], layout.tensor_bytes[0]).value();
        std::memcpy(next.data(), tensors_[0].data(), layout.tensor_bytes[0]);
        standin_.SlowCopies(50'000);
        WriteLater(0, stream, 0, next, layout.tensor_bytes[0]);
        standin_.SlowCopies(20);
        EventLog log;
        Run(program, log);
        ASSERT_EQ(log.last().type, Event::Type::kFinished) << log.last().failure.status.message();
        DestroyStream(0, stream);
      }
      ExpectDeviceSaved(program, "ckpt-" + std::to_string(2 * shadow + names_stream));
    }
  }
}

TEST_F(DeviceOrder, LoadsWaitForTheStreamThatStillReadsTheOldValues) {
  const Layout layout = OneTensor();
  SaveProgram saved = MakeDeviceSave(layout);
  EventLog log;
  Run(saved, log);
  ASSERT_EQ(log.last().type, Event::Type::kFinished);
  ClearDevices(layout);
  const CUstream stream = MakeStream(0);
  saved.devices[0] = {0, true, reinterpret_cast<uintptr_t>(stream)};
  {
    // Work that comes first must not come last: it would overwrite what was restored.
    auto old = devices_->pinned().Take(contexts_[0], layout.tensor_bytes[0]).value();
    std::memset(old.data(), 0x55, layout.tensor_bytes[0]);
    standin_.SlowCopies(50'000);
    WriteLater(0, stream, 0, old, layout.tensor_bytes[0]);
    standin_.SlowCopies(20);
    const ReadOutcome outcome = Load(MakeDeviceLoad(saved, layout));
    ASSERT_TRUE(outcome.failure.status.ok()) << outcome.failure.status.message();
    DestroyStream(0, stream);
  }
  const auto found = OnDevice(0, layout.tensor_bytes[0]);
  EXPECT_EQ(std::memcmp(found.data(), tensors_[0].data(), found.size()), 0);
}

// Overwrites the tensors as soon as they are captured, as the next training step does.
class Overwriting final : public EventSink {
 public:
  Overwriting(EventLog& log, std::function<void()> overwrite) : log_(log), overwrite_(std::move(overwrite)) {}
  void OnEvent(Event event) override {
    if (event.type == Event::Type::kCaptured) overwrite_();
    log_.OnEvent(std::move(event));
  }

 private:
  EventLog& log_;
  const std::function<void()> overwrite_;
};

TEST_F(DeviceOrder, CapturedMeansThatTheTensorsMayChange) {
  const Layout layout{{3 << 20, 1 << 20, 9 << 20, 100, 5 << 20}, 4096, SIZE_MAX};
  for (const bool shadow : {false, true}) {
    for (const uint64_t pool : {0, 64 << 20}) {
      const std::string name = "ckpt-" + std::to_string(shadow) + "-" + std::to_string(pool);
      SaveProgram program = MakeDeviceSave(layout, name);
      for (Extent& extent : program.extents) extent.mutable_memory = false;
      program.options.device_shadow = shadow;
      program.options.snapshot_pool_bytes = pool;
      EventLog log;
      // Tensor 3 lies on the host, where it is borrowed; it stays as it is.
      Overwriting sink(log, [&] { ClearDevices(layout); });
      SaveRun(program, fs_, pool_, staging_, aborted_, sink, &*devices_).Run();
      ASSERT_EQ(log.last().type, Event::Type::kFinished) << log.last().failure.status.message();
      ExpectDeviceSaved(program, name);
    }
  }
}

TEST_F(DeviceOrder, AShadowIsCapturedBeforeAnythingIsWritten) {
  const Layout layout{{3 << 20, 1 << 20}, 4096, SIZE_MAX};
  SaveProgram program = MakeDeviceSave(layout);
  program.options.device_shadow = true;
  EventLog log;
  size_t written_at_capture = SIZE_MAX;
  Overwriting sink(log, [&] { written_at_capture = fs_.Count("pwrite"); });
  SaveRun(program, fs_, pool_, staging_, aborted_, sink, &*devices_).Run();
  ASSERT_EQ(log.last().type, Event::Type::kFinished) << log.last().failure.status.message();
  EXPECT_EQ(written_at_capture, 0u);
}

TEST_F(DeviceOrder, WhereNoMemoryCanBeLockedASaveGoesOnWithAWarning) {
  for (const uint64_t pool : {0, 64 << 20}) {
    const Layout layout = Mixed();
    const std::string name = "ckpt-" + std::to_string(pool);
    SaveProgram program = MakeDeviceSave(layout, name);
    program.options.snapshot_pool_bytes = pool;
    standin_.LimitLocked(1 << 20);
    EventLog log;
    Run(program, log);
    standin_.LimitLocked(UINT64_MAX);
    ASSERT_EQ(log.last().type, Event::Type::kFinished) << log.last().failure.status.message();
    EXPECT_EQ(log.Count(Event::Type::kWarning), 1u);
    const Event& warning = log.Find(Event::Type::kWarning);
    EXPECT_STREQ(warning.warning, "unlocked");
    EXPECT_EQ(warning.failure.status.error_name(), "CUDA_ERROR_OUT_OF_MEMORY");
    ExpectDeviceSaved(program, name);
    ClearDevices(layout);
    ASSERT_TRUE(Load(MakeDeviceLoad(program, layout)).failure.status.ok());
    EXPECT_EQ(std::memcmp(OnDevice(4, layout.tensor_bytes[4]).data(), tensors_[4].data(), layout.tensor_bytes[4]), 0);
    devices_->Trim();
  }
}

TEST_F(DeviceOrder, WithoutMemoryForAShadowASaveReadsTheTensorsThemselves) {
  const Layout layout = Mixed();
  SaveProgram program = MakeDeviceSave(layout);
  program.options.device_shadow = true;
  standin_.Fail("cuMemAlloc_v2", 1, CUDA_ERROR_OUT_OF_MEMORY);
  EventLog log;
  Run(program, log);
  ASSERT_EQ(log.last().type, Event::Type::kFinished) << log.last().failure.status.message();
  EXPECT_EQ(log.Count(Event::Type::kWarning), 1u);
  EXPECT_STREQ(log.Find(Event::Type::kWarning).warning, "shadow");
  ExpectDeviceSaved(program);
}

TEST_F(DeviceOrder, AnAbortLeavesNothingBehind) {
  const Layout layout{{20 << 20, 20 << 20, 20 << 20}, 4096, SIZE_MAX};
  const SaveProgram program = MakeDeviceSave(layout);
  standin_.SlowCopies(5'000);
  std::thread aborting([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    aborted_ = true;
  });
  EventLog log;
  Run(program, log);
  aborting.join();
  ASSERT_EQ(log.last().type, Event::Type::kFailed);
  EXPECT_EQ(log.last().failure.status.code(), Code::kAborted);
  EXPECT_TRUE(Names().empty());
}

// Work that never ends, as of a kernel that hangs: it stands on the stream until it is let go.
class Hanging {
 public:
  Hanging(Standin& standin, const CudaContext& context, CUstream stream) {
    CurrentContext current(context);
    EXPECT_EQ(standin.call().cuLaunchHostFunc(stream, [](void* self) { static_cast<Hanging*>(self)->let_go_.acquire(); }, this),
              CUDA_SUCCESS);
  }
  void LetGo() { let_go_.release(); }

 private:
  std::binary_semaphore let_go_{0};
};

TEST_F(DeviceOrder, AProgramThatWaitsForAStreamWhichNeverEndsCanBeAborted) {
  const Layout layout = OneTensor();
  SaveProgram saved = MakeDeviceSave(layout);
  EventLog first;
  Run(saved, first);
  ASSERT_EQ(first.last().type, Event::Type::kFinished);
  for (const bool names_stream : {true, false}) {
    for (const bool shadow : {false, true}) {
      SCOPED_TRACE(std::to_string(names_stream) + std::to_string(shadow));
      const CUstream stream = MakeStream(0);
      Hanging hanging(standin_, *contexts_[0], stream);
      SaveProgram program = MakeDeviceSave(layout, "ckpt-2");
      program.options.device_shadow = shadow;
      if (names_stream) program.devices[0] = {0, true, reinterpret_cast<uintptr_t>(stream)};
      const auto names = Names();
      std::thread aborting([this] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        aborted_ = true;
      });
      EventLog log;
      Run(program, log);
      aborting.join();
      EXPECT_EQ(log.last().type, Event::Type::kFailed);
      EXPECT_EQ(log.last().failure.status.code(), Code::kAborted);
      EXPECT_EQ(Names(), names) << "what was begun is removed";

      LoadProgram load = MakeDeviceLoad(saved, layout);
      load.devices = program.devices;
      const uint64_t copies = standin_.Calls("cuMemcpyHtoDAsync_v2");
      EXPECT_EQ(Load(load).failure.status.code(), Code::kAborted);
      EXPECT_EQ(standin_.Calls("cuMemcpyHtoDAsync_v2"), copies);

      // The device is as good as before: what is not aborted waits, and is done.
      aborted_ = false;
      std::thread letting_go([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        hanging.LetGo();
      });
      EventLog again;
      Run(program, again);
      letting_go.join();
      EXPECT_EQ(again.last().type, Event::Type::kFinished) << again.last().failure.status.message();
      ExpectDeviceSaved(program, "ckpt-2");
      DestroyStream(0, stream);
      for (const std::string& name : Names()) {
        if (std::find(names.begin(), names.end(), name) != names.end()) continue;
        ASSERT_TRUE(base_.Unlink(directory_ / name).ok());
      }
    }
  }
}

// One program's wait for a stream must not hold up another's copies.
TEST_F(DeviceOrder, AStreamThatHangsHoldsUpNoOtherProgram) {
  const Layout layout = OneTensor();
  const SaveProgram saved = MakeDeviceSave(layout, "ckpt-1");
  EventLog first, second;
  Run(saved, first);
  ASSERT_EQ(first.last().type, Event::Type::kFinished);
  const CUstream hung = MakeStream(0), idle = MakeStream(0);
  Hanging hanging(standin_, *contexts_[0], hung);
  SaveProgram waiting = MakeDeviceSave(layout, "ckpt-2");
  waiting.devices[0] = {0, true, reinterpret_cast<uintptr_t>(hung)};
  std::thread blocked([&] { Run(waiting, second); });
  LoadProgram load = MakeDeviceLoad(saved, layout);
  load.devices[0] = {0, true, reinterpret_cast<uintptr_t>(idle)};
  const ReadOutcome outcome = Load(load);
  EXPECT_TRUE(outcome.failure.status.ok()) << outcome.failure.status.message();
  hanging.LetGo();
  blocked.join();
  EXPECT_EQ(second.last().type, Event::Type::kFinished) << second.last().failure.status.message();
  ExpectDeviceSaved(waiting, "ckpt-2");
  DestroyStream(0, hung);
  DestroyStream(0, idle);
}

TEST_F(DeviceOrder, TheMemoryStagedAtOnceStaysWithinTheBudget) {
  const Layout layout{{40 << 20}, 4096, SIZE_MAX};
  SaveProgram program = MakeDeviceSave(layout);
  program.options.staging_bytes = 8 << 20;
  EventLog log;
  Run(program, log);
  ASSERT_EQ(log.last().type, Event::Type::kFinished);
  // What was locked is kept, so it says how much was needed.
  const std::string all = standin_.Describe();
  const size_t at = all.find("\"lockedBytes\":");
  ASSERT_NE(at, std::string::npos);
  EXPECT_LE(std::stoull(all.substr(at + 14)), program.options.staging_bytes);
  ExpectDeviceSaved(program);
}

TEST_F(DeviceOrder, ADeviceThatIsNotThereIsNamed) {
  SaveProgram program = MakeDeviceSave(OneTensor());
  program.devices[0].ordinal = 5;
  EventLog log;
  Run(program, log);
  ASSERT_EQ(log.last().type, Event::Type::kFailed);
  EXPECT_EQ(log.last().failure.status.code(), Code::kInvalidArgument);
  EXPECT_NE(log.last().failure.status.message().find("device 5"), std::string::npos);
  EXPECT_TRUE(Names().empty());
}

TEST_F(DeviceOrder, WithoutADriverASaveSaysWhy) {
  const SaveProgram program = MakeDeviceSave(OneTensor());
  devices_.emplace([] { return Result<const CudaDriver*>(Status(Code::kCudaUnavailable, "no CUDA driver")); });
  EventLog log;
  Run(program, log);
  ASSERT_EQ(log.last().type, Event::Type::kFailed);
  EXPECT_EQ(log.last().failure.status.code(), Code::kCudaUnavailable);
  EXPECT_TRUE(Names().empty());
}

TEST_F(DeviceOrder, ThePerThreadStreamIsRefused) {
  SaveProgram program = MakeDeviceSave(OneTensor());
  program.devices[0] = {0, true, 2};
  EventLog log;
  Run(program, log);
  ASSERT_EQ(log.last().type, Event::Type::kFailed);
  EXPECT_EQ(log.last().failure.status.code(), Code::kInvalidArgument);
}

// The memory changes between the device's sum and the copy: only the device's own checksum can tell.
TEST_F(DeviceOrder, BytesThatChangeOnTheirWayAreFound) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "that the memory is written to meanwhile is the point";
#endif
  const Layout layout = OneTensor();
  SaveProgram program = MakeDeviceSave(layout);
  program.options.device_checksum = true;
  std::atomic<bool> ended = false;
  std::thread changing([&] {
    // Every copy is slow, and the tensor never the same twice.
    for (uint8_t byte = 0; !ended; ++byte) {
      for (size_t at = 0; at < layout.tensor_bytes[0]; at += 64 << 10) {
        (void)standin_.Write(memory_[0].address() + at, &byte, 1);
      }
    }
  });
  standin_.SlowCopies(20'000);
  EventLog log;
  Run(program, log);
  ended = true;
  changing.join();
  ASSERT_EQ(log.last().type, Event::Type::kFailed);
  EXPECT_EQ(log.last().failure.status.code(), Code::kDataLoss);
  EXPECT_EQ(log.last().failure.tensor, 0u);
  EXPECT_TRUE(Names().empty());
}

}  // namespace
}  // namespace tensor_checkpoint
