#include "binding/device_handle.h"

#include <condition_variable>
#include <map>
#include <mutex>
#include <utility>

namespace tensor_checkpoint {
namespace {

// Counts what is being freed on the engine's threads.
class PendingFrees {
 public:
  static PendingFrees& Get() {
    static PendingFrees* const frees = new PendingFrees;
    return *frees;
  }
  void Begin() {
    std::lock_guard lock(mutex_);
    ++count_;
  }
  void End() {
    std::lock_guard lock(mutex_);
    if (--count_ == 0) none_.notify_all();
  }
  // Whether there were any.
  bool Wait() {
    std::unique_lock lock(mutex_);
    if (count_ == 0) return false;
    none_.wait(lock, [this] { return count_ == 0; });
    return true;
  }

 private:
  std::mutex mutex_;
  std::condition_variable none_;
  size_t count_ = 0;
};

}  // namespace

Result<std::shared_ptr<const CudaContext>> ContextForTensors(uint32_t ordinal) {
  static auto& mutex = *new std::mutex;
  static auto& contexts = *new std::map<uint32_t, std::shared_ptr<const CudaContext>>;
  std::lock_guard lock(mutex);
  if (const auto found = contexts.find(ordinal); found != contexts.end()) return found->second;
  auto driver = CudaDriver::Shared();
  if (!driver.ok()) return driver.status();
  auto context = CudaContext::Retain(**driver, ordinal);
  if (context.ok()) contexts[ordinal] = *context;
  return context;
}

Result<std::shared_ptr<DeviceBuffer>> AllocateForTensor(const std::shared_ptr<const CudaContext>& context,
                                                        size_t bytes) {
  auto buffer = DeviceBuffer::Allocate(context, bytes);
  if (!buffer.ok() && PendingFrees::Get().Wait()) buffer = DeviceBuffer::Allocate(context, bytes);
  if (!buffer.ok()) return buffer.status();
  return std::make_shared<DeviceBuffer>(std::move(*buffer));
}

Napi::Value DeviceHandle::New(Napi::Env env, const std::shared_ptr<Engine>& engine, std::shared_ptr<void> memory,
                              Release release) {
  auto* const handle = new DeviceHandle(engine, std::move(memory), release);
  return Napi::External<DeviceHandle>::New(env, handle, [](Napi::Env, DeviceHandle* own) { delete own; });
}

void DeviceHandle::Drop() {
  if (memory_ == nullptr) return;
  std::shared_ptr<void> memory = std::move(memory_);
  memory_ = nullptr;
  const std::shared_ptr<Engine> engine = release_ == Release::kOnEngine ? engine_.lock() : nullptr;
  if (engine == nullptr) return;
  PendingFrees::Get().Begin();
  engine->pool().Run([memory = std::move(memory)]() mutable {
    memory.reset();
    PendingFrees::Get().End();
  });
}

}  // namespace tensor_checkpoint
