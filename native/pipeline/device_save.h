#ifndef TENSOR_CHECKPOINT_PIPELINE_DEVICE_SAVE_H_
#define TENSOR_CHECKPOINT_PIPELINE_DEVICE_SAVE_H_

#include <memory>
#include <vector>

#include "pipeline/chunk_source.h"
#include "pipeline/device_session.h"
#include "pipeline/gpu_direct.h"

namespace tensor_checkpoint {

// The devices' part in one save. Made, used and ended by the thread that runs the program; it outlives the writer.
class DeviceSave {
 public:
  // Waits for the work that the program's memory depends on, sets the snapshot pool aside, and copies what is to have a
  // shadow. Where bytes are to reach the files without the host, these are readied for it, and must outlive it. nullptr:
  // no extent lies on a device. What can be done without is a warning.
  static Result<std::unique_ptr<DeviceSave>> Begin(const SaveProgram& program, const std::vector<std::unique_ptr<File>>& files,
                                                   const TransferContext& context);

  // The program's, at the addresses from which they are read.
  const std::vector<Extent>& extents() const { return shadows_.empty() ? program_.extents : extents_; }
  uint32_t device_count() const { return session_->device_count(); }
  // Adds what the devices take.
  void Extend(Scheduler::Limits& limits) const;
  // For chunks with pieces on devices. The state must outlive it.
  std::unique_ptr<ChunkSource> MakeSource(WriteState& state) const;
  // The transfer has ended like this, and nothing is under way.
  void End(const Status& status);

 private:
  struct Shadow {
    uint32_t device;
    DeviceBuffer memory;
  };

  DeviceSave(const SaveProgram& program, const TransferContext& context) : program_(program), context_(context) {}
  Status ReserveSnapshotPool();
  Status CopyToShadows();
  Status CopyToShadow(uint32_t device);
  void Warn(const char* kind, Status status);

  const SaveProgram& program_;
  const TransferContext& context_;
  std::unique_ptr<DeviceSession> session_;
  std::unique_ptr<GpuDirect> direct_;
  std::vector<Extent> extents_;
  std::vector<Shadow> shadows_;
};

// What a source of device chunks has to know.
struct DeviceSourceOptions {
  const DeviceSession& session;
  std::vector<bool> shadowed;  // Per device: nothing of it is read any more.
  bool snapshot;               // Staged in the snapshot pool.
  bool checksum;               // Compare with the device's own.
  GpuDirect* direct;           // nullptr: all goes through the host.
};
std::unique_ptr<ChunkSource> MakeDeviceSource(WriteState& state, DeviceSourceOptions options);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_PIPELINE_DEVICE_SAVE_H_
