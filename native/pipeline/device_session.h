#ifndef TENSOR_CHECKPOINT_PIPELINE_DEVICE_SESSION_H_
#define TENSOR_CHECKPOINT_PIPELINE_DEVICE_SESSION_H_

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "device/cuda_devices.h"
#include "pipeline/program.h"

namespace tensor_checkpoint {

// The devices of one program: each row of its table of devices becomes a device and an event behind which the row's
// memory may be read and written. Owned by the program's transfer, which it must outlive; nothing may be under way when
// it goes. Opened and waited for by the program's thread; after that any thread.
class DeviceSession {
 public:
  struct Piece {
    uint32_t row;
    uint8_t* device;   // The tensor's bytes, at an address of the device's. nullptr: zeros for device staging.
    uint8_t* staging;  // Of the host, or where the direction says so of the same device.
    uint64_t bytes;
    uint32_t* crc = nullptr;  // Where the device's own CRC-32C of it goes, if it is to compute one.
  };
  // Sums are those of the tensor's bytes; what is gathered is summed where it was gathered.
  enum class Direction : uint8_t { kToHost, kToDevice, kGather, kScatter };

  // Opens the devices that extents lie on, and records an event on each row's stream. Without such extents the session
  // is nullptr. Device memory that fits no device is not found here, but by the driver when it is copied. `checksum`:
  // devices sum what pieces ask for.
  static Result<std::unique_ptr<DeviceSession>> Open(CudaDevices* devices, const std::vector<DeviceRow>& rows,
                                                     const std::vector<Extent>& extents, bool checksum);
  ~DeviceSession();

  // Waits for the work on each row's stream until Open(), and where a row has none, until its device has nothing to do.
  // To be called before anything is copied. kAborted: it was given up.
  Status WaitForEarlierWork(const std::atomic<bool>& aborted);

  // Devices in use, numbered from 0, and the number of a row's.
  uint32_t device_count() const { return static_cast<uint32_t>(used_.size()); }
  uint32_t DeviceOf(uint32_t row) const { return rows_[row].device; }
  CudaDevice& device(uint32_t number) const { return *used_[number]; }
  CudaDevices& devices() const { return devices_; }

  // Copies pieces, perhaps of several devices; `done` as in CopyQueue. The memory of both sides must stay until then.
  void Copy(Direction direction, std::vector<Piece> pieces, std::function<void(Status)> done) const;

  // A program failed with this. If it might be the device that is broken, later programs open it anew.
  void Failed(const Status& status) const;

 private:
  struct Row {
    uint32_t device = UINT32_MAX;
    CUevent event = nullptr;
  };

  // Pieces of one device.
  struct Batch {
    Direction direction;
    std::vector<Piece> pieces;
    std::unique_ptr<DeviceChecksum::Job> checksums;
  };

  explicit DeviceSession(CudaDevices& devices) : devices_(devices) {}
  Status Use(uint32_t row, const DeviceRow& description, bool checksum);
  Status RecordEvent(Row& row, const DeviceRow& description);
  Status Enqueue(Batch& batch, CUstream stream) const;
  Status EnqueueChecksums(Batch& batch, CUstream stream) const;
  Status EnqueueCopies(const Batch& batch, CUstream stream) const;

  CudaDevices& devices_;
  std::vector<std::shared_ptr<CudaDevice>> used_;
  std::vector<std::shared_ptr<DeviceChecksum>> checksums_;  // Per device; nullptr where none are asked for.
  std::vector<Row> rows_;
  std::vector<bool> idle_first_;  // Per device: all of its work is to be waited for.
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_PIPELINE_DEVICE_SESSION_H_
