#ifndef TENSOR_CHECKPOINT_DEVICE_COPY_QUEUE_H_
#define TENSOR_CHECKPOINT_DEVICE_COPY_QUEUE_H_

#include <array>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "device/cuda_context.h"

namespace tensor_checkpoint {

// The work of one device: copies, and kernels that sum, on streams of our own, so that nothing of the training's waits
// for them and they overlap each other.
//
// Completion: one thread per device enqueues what was submitted and then waits for the oldest event in flight; while it
// waits, the device works through what lies behind that. Why not cuLaunchHostFunc: after an error in the context the
// driver never calls a host function, so a save would hang; and a host function holds up its stream. Why not polling:
// it burns a processor that the checksums need. Why not a worker per copy: they are few, and wanted for the checksums.
//
// Owned by a CudaDevice. Submit() may be called by any thread. The destructor waits for what is under way.
class CopyQueue {
 public:
  static constexpr size_t kStreams = 2;
  // Pieces of work that the device is given ahead; what is submitted beyond waits in the queue.
  static constexpr size_t kInFlight = 8;

  // Enqueues asynchronous work on the stream it is given, in the device's context, on the queue's thread. After a
  // failure nothing of what it enqueued is relied upon.
  using Enqueue = std::function<Status(CUstream)>;
  // Called exactly once, on the queue's thread, when nothing of the work is under way any more. Must not block.
  using Done = std::function<void(Status)>;

  static Result<std::unique_ptr<CopyQueue>> Create(std::shared_ptr<const CudaContext> context);
  ~CopyQueue();

  void Submit(Enqueue enqueue, Done done);

 private:
  struct Batch {
    Enqueue enqueue;
    Done done;
    CUstream stream = nullptr;
    CUevent event = nullptr;
    Status status;
  };

  explicit CopyQueue(std::shared_ptr<const CudaContext> context) : context_(std::move(context)) {}
  void Work();
  void Start(Batch& batch);
  void Finish(Batch& batch);

  const std::shared_ptr<const CudaContext> context_;
  std::array<CUstream, kStreams> streams_{};
  std::vector<CUevent> idle_events_;   // Of kInFlight; the thread's, as what follows.
  size_t next_stream_ = 0;
  std::deque<Batch> in_flight_;

  std::mutex mutex_;  // Guards what follows.
  std::condition_variable wake_;
  std::deque<Batch> submitted_;
  bool ending_ = false;

  std::thread thread_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_DEVICE_COPY_QUEUE_H_
