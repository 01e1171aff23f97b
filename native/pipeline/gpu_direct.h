#ifndef TENSOR_CHECKPOINT_PIPELINE_GPU_DIRECT_H_
#define TENSOR_CHECKPOINT_PIPELINE_GPU_DIRECT_H_

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "device/cufile.h"
#include "io/file_system.h"
#include "pipeline/device_session.h"
#include "pipeline/plan.h"

namespace tensor_checkpoint {

// The chunks of one program that move between devices and disks without passing the host (GPUDirect Storage): those
// that fit direct I/O and lie on one device alone. They are put together in registered memory of that device
// (RegisteredPool), where its own kernel sums them. All others, such as a file's unaligned end, go through the host.
//
// Where it isn't possible, `kRequired` fails with the reason, and with `kAuto` there is one warning with it.
//
// Owned by the program's transfer; it must go before its session and its files. After Open(), any thread.
class GpuDirect {
 public:
  using Warn = std::function<void(Event)>;
  // Transfers begin and end at multiples of it, so that cuFile needs no buffers of its own between.
  static constexpr uint32_t kUnit = 4096;

  // nullptr: not asked for, nothing lies on devices, or not possible and `kAuto`.
  static Result<std::unique_ptr<GpuDirect>> Open(const TransferOptions& options, const std::vector<std::unique_ptr<File>>& files,
                                                 const DeviceSession* session, const Warn& warn);
  ~GpuDirect();

  bool Covers(const Plan& plan, const Chunk& chunk) const;
  // Memory of the chunk's device. Empty: there is no more, and the chunk has to go through the host.
  Result<RegisteredPool::Buffer> Take(const Chunk& chunk, const Warn& warn);
  // Moves the chunk between its file and the memory, on the calling thread. As Transfer() in io/transfer.h.
  IoResult Transfer(IoRequest::Kind kind, const Chunk& chunk, CUdeviceptr memory) const;

 private:
  GpuDirect(const CuFile& cufile, const DeviceSession& session, bool required)
      : cufile_(cufile), session_(session), required_(required) {}
  Status Register(File& file, CUfileHandle& handle) const;

  const CuFile& cufile_;
  const DeviceSession& session_;
  const bool required_;
  std::vector<CUfileHandle> handles_;  // Per file; nullptr: it goes through the host.
  std::vector<const File*> files_;
  std::atomic<bool> exhausted_ = false;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_PIPELINE_GPU_DIRECT_H_
