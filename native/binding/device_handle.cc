#include "binding/device_handle.h"

#include <condition_variable>
#include <map>
#include <mutex>
#include <utility>

namespace tensor_checkpoint {
namespace {

// Counts what is freed on the engine's threads.
class Frees {
 public:
  static Frees& Get() {
    static Frees* const frees = new Frees;
    return *frees;
  }
  void Begin() {
    std::lock_guard lock(mutex_);
    ++under_way_;
  }
  void End() {
    std::lock_guard lock(mutex_);
    ++ended_;
    if (--under_way_ == 0) none_.notify_all();
  }
  uint64_t ended() {
    std::lock_guard lock(mutex_);
    return ended_;
  }
  // Waits for all that are under way. Whether any has ended since there were `before`, waited for or not.
  bool Wait(uint64_t before) {
    std::unique_lock lock(mutex_);
    none_.wait(lock, [this] { return under_way_ == 0; });
    return ended_ != before;
  }

 private:
  std::mutex mutex_;
  std::condition_variable none_;
  size_t under_way_ = 0;
  uint64_t ended_ = 0;
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
  const uint64_t before = Frees::Get().ended();
  auto buffer = DeviceBuffer::Allocate(context, bytes);
  if (!buffer.ok() && Frees::Get().Wait(before)) buffer = DeviceBuffer::Allocate(context, bytes);
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
  Frees::Get().Begin();
  engine->pool().Run([memory = std::move(memory)]() mutable {
    memory.reset();
    Frees::Get().End();
  });
}

}  // namespace tensor_checkpoint
