#ifndef TENSOR_CHECKPOINT_DEVICE_EARLIER_WORK_H_
#define TENSOR_CHECKPOINT_DEVICE_EARLIER_WORK_H_

#include <atomic>
#include <memory>
#include <mutex>

#include "device/cuda_context.h"

namespace tensor_checkpoint {

// Waits for work that somebody else has given a device, which may take long or never end. So the driver is asked again
// and again, with pauses of up to a millisecond, and `aborted` ends the wait: it gives kAborted. Nothing of ours is
// given to the device before, where it would stand behind that work and hold up other programs.
Status WaitForEvent(const CudaContext& context, CUevent event, const std::atomic<bool>& aborted);

// The same for all work of a context. The driver has no question for that, only a call which waits (cuCtxSynchronize):
// it is made by a thread of its own, which an abort leaves behind. Owned by a CudaDevice; any thread.
class AllEarlierWork {
 public:
  Status Wait(const std::shared_ptr<const CudaContext>& context, const std::atomic<bool>& aborted);

 private:
  struct Call {
    Status status;  // Once it has ended.
    std::atomic<bool> ended = false;
  };
  std::mutex mutex_;
  // Left behind by an abort. The next wait begins after it, so that there is never more than one.
  std::shared_ptr<const Call> left_behind_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_DEVICE_EARLIER_WORK_H_
