#ifndef TENSOR_CHECKPOINT_PIPELINE_DEVICE_PROGRAM_FOR_TEST_H_
#define TENSOR_CHECKPOINT_PIPELINE_DEVICE_PROGRAM_FOR_TEST_H_

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "device/cuda_devices.h"
#include "device/standin_for_test.h"
#include "pipeline/extents.h"
#include "pipeline/program_for_test.h"
#include "pipeline/save_run.h"

namespace tensor_checkpoint {

// Programs whose tensors lie on the stand-in's two devices: tensor t on device t % 2, but for every fourth, which stays on
// the host. At the end nothing may be alive that was not before: memory, locked memory, streams, events, contexts.
class DeviceProgramTest : public ProgramTest {
 protected:
  enum Rows : uint32_t { kDevice0, kDevice1, kDevice0WithStream };

  void SetUp() override {
    standin_.Reset();
    before_ = Alive();
    devices_.emplace([this] { return Result<const CudaDriver*>(&standin_.driver()); });
    for (uint32_t ordinal = 0; ordinal < 2; ++ordinal) contexts_.push_back(CudaContext::Retain(standin_.driver(), ordinal).value());
  }
  void TearDown() override {
    standin_.Reset();
    devices_.reset();
    memory_.clear();
    contexts_.clear();
    EXPECT_EQ(Alive(), before_);
    EXPECT_EQ(standin_.TakeViolations(), "");
  }

  // All that is alive in the driver.
  std::string Alive() {
    const std::string all = standin_.Describe();
    return all.substr(0, all.find(",\"calls\""));
  }

  static bool IsOnDevice(uint32_t tensor) { return tensor % 4 != 3; }
  static uint32_t DeviceOf(uint32_t tensor) { return tensor % 2; }

  // As MakeSave of the base, with most tensors on devices. The host keeps its copy, for comparisons.
  SaveProgram MakeDeviceSave(const Layout& layout, const std::string& name = "ckpt-1") {
    SaveProgram program = ProgramTest::MakeSave(layout, name);
    program.devices = {{.ordinal = 0}, {.ordinal = 1}};
    AllocateOnDevices(layout);
    for (size_t t = 0; t < memory_.size(); ++t) {
      if (memory_[t].empty()) continue;
      EXPECT_TRUE(standin_.Write(memory_[t].address(), tensors_[t].data(), layout.tensor_bytes[t]));
    }
    MoveToDevices(program.extents);
    return program;
  }
  // Extents at the tensors' places on the host become those on the devices.
  void MoveToDevices(std::vector<Extent>& extents) {
    for (Extent& extent : extents) {
      if (!IsOnDevice(extent.tensor) || extent.bytes == 0) continue;
      const size_t at = extent.memory - tensors_[extent.tensor].data();
      extent.memory = reinterpret_cast<uint8_t*>(memory_[extent.tensor].address() + at);
      extent.device = DeviceOf(extent.tensor);
      extent.mutable_memory = false;
    }
  }
  void AllocateOnDevices(const Layout& layout) {
    if (!memory_.empty()) return;
    for (uint32_t t = 0; t < layout.tensor_bytes.size(); ++t) {
      memory_.emplace_back();
      if (!IsOnDevice(t) || layout.tensor_bytes[t] == 0) continue;
      memory_.back() = DeviceBuffer::Allocate(contexts_[DeviceOf(t)], layout.tensor_bytes[t]).value();
    }
  }

  void Run(const SaveProgram& program, EventLog& log) {
    SaveRun(program, fs_, pool_, staging_, aborted_, log, &*devices_).Run();
    ASSERT_TRUE(log.ended());
  }
  ReadOutcome Load(const LoadProgram& program) {
    Stats stats;
    return ReadExtents(program, {&fs_, &pool_, &aborted_, [](Event) {}, &staging_, &*devices_}, stats);
  }

  // As ExpectSaved of the base, whose tensors are on the host.
  void ExpectDeviceSaved(SaveProgram program, const std::string& name = "ckpt-1") {
    for (Extent& extent : program.extents) {
      if (extent.device == kHost) continue;
      extent.memory = tensors_[extent.tensor].data() + (reinterpret_cast<uintptr_t>(extent.memory) - memory_[extent.tensor].address());
    }
    ExpectSaved(program, name);
  }
  // The load of what was saved, into the same memory.
  LoadProgram MakeDeviceLoad(const SaveProgram& saved, const Layout& layout) {
    LoadProgram program;
    program.paths = saved.paths;
    program.extents = saved.extents;
    program.devices = saved.devices;
    program.options = saved.options;
    for (size_t t = 0; t < layout.tensor_bytes.size(); ++t) {
      program.expected.push_back(Sum(tensors_[t].data(), layout.tensor_bytes[t]));
      program.verify.push_back(1);
    }
    return program;
  }
  std::vector<uint8_t> OnDevice(uint32_t tensor, size_t bytes) {
    std::vector<uint8_t> found(bytes);
    EXPECT_TRUE(standin_.Read(memory_[tensor].address(), found.data(), bytes));
    return found;
  }
  void ClearDevices(const Layout& layout) {
    for (size_t t = 0; t < memory_.size(); ++t) {
      const std::vector<uint8_t> zeros(layout.tensor_bytes[t]);
      if (memory_[t].empty()) continue;
      EXPECT_TRUE(standin_.Write(memory_[t].address(), zeros.data(), zeros.size()));
    }
  }

  Standin& standin_ = Standin::Get();
  std::string before_;
  std::optional<CudaDevices> devices_;
  std::vector<std::shared_ptr<const CudaContext>> contexts_;
  std::vector<DeviceBuffer> memory_;  // Per tensor; empty where it stays on the host.
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_PIPELINE_DEVICE_PROGRAM_FOR_TEST_H_
