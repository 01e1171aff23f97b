#include "device/earlier_work.h"

#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "base/thread.h"

namespace tensor_checkpoint {
namespace {

// false: aborted before it was ready.
template <typename Ready>
bool WaitUntil(const std::atomic<bool>& aborted, Ready ready) {
  constexpr std::chrono::microseconds kLongest(1000);
  for (std::chrono::microseconds pause(20); !ready(); pause = std::min(2 * pause, kLongest)) {
    if (aborted) return false;
    std::this_thread::sleep_for(pause);
  }
  return true;
}

Status Aborted() { return Status(Code::kAborted, "aborted while it waited for the device's earlier work"); }

// The code that a thread left behind returns to must not be unloaded, as it may be with the last worker thread.
void KeepThisLibraryLoaded() {
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(&KeepThisLibraryLoaded), &info) == 0) return;
  (void)dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
}

}  // namespace

Status WaitForEvent(const CudaContext& context, CUevent event, const std::atomic<bool>& aborted) {
  CUresult result = CUDA_SUCCESS;
  const bool waited = WaitUntil(aborted, [&] {
    result = context.call().cuEventQuery(event);
    return result != CUDA_ERROR_NOT_READY;
  });
  return waited ? context.Check(result, "cuEventQuery", "the tensors' stream") : Aborted();
}

Status AllEarlierWork::Wait(const std::shared_ptr<const CudaContext>& context, const std::atomic<bool>& aborted) {
  std::shared_ptr<const Call> before;
  {
    std::lock_guard lock(mutex_);
    before = left_behind_;
  }
  if (before != nullptr && !WaitUntil(aborted, [&] { return before->ended.load(); })) return Aborted();

  auto call = std::make_shared<Call>();
  std::thread thread = StartThread("tensor-ckpt-gpu", [call, held = context]() mutable {
    {
      CurrentContext current(*held);
      call->status = current.status();
      if (call->status.ok()) call->status = held->Check(held->call().cuCtxSynchronize(), "cuCtxSynchronize");
    }
    held.reset();
    call->ended = true;
  });
  if (WaitUntil(aborted, [&] { return call->ended.load(); })) {
    thread.join();
    return call->status;
  }
  KeepThisLibraryLoaded();
  thread.detach();
  std::lock_guard lock(mutex_);
  left_behind_ = std::move(call);
  return Aborted();
}

}  // namespace tensor_checkpoint
