#ifndef TENSOR_CHECKPOINT_BINDING_DEVICE_HANDLE_H_
#define TENSOR_CHECKPOINT_BINDING_DEVICE_HANDLE_H_

#include <memory>

#include "binding/node_api.h"
#include "device/device_buffer.h"
#include "pipeline/engine.h"

namespace tensor_checkpoint {

// The context of a device that tensors live in. Retained once a process and kept: making a primary context takes up to
// a second, and a program that lets go of its last tensor mostly makes another one. Any thread.
Result<std::shared_ptr<const CudaContext>> ContextForTensors(uint32_t ordinal);

// A share in device memory that JS holds, as an External which never leaves src/cuda. The memory goes with its last
// share: DLPack tensors that were handed out have shares too.
class DeviceHandle {
 public:
  // How the memory is let go of. The driver waits for the device's work when it frees memory, which must not hold up
  // the JS thread; what DLPack brought is given back there, where it came from.
  enum class Release { kOnEngine, kHere };

  static Napi::Value New(Napi::Env env, const std::shared_ptr<Engine>& engine, std::shared_ptr<void> memory,
                         Release release);
  static DeviceHandle& Of(Napi::Value external) { return *external.As<Napi::External<DeviceHandle>>().Data(); }

  const std::shared_ptr<void>& memory() const { return memory_; }
  // Gives up the share; again does nothing.
  void Drop();
  ~DeviceHandle() { Drop(); }

 private:
  DeviceHandle(const std::shared_ptr<Engine>& engine, std::shared_ptr<void> memory, Release release)
      : engine_(engine), memory_(std::move(memory)), release_(release) {}

  // Weak: handles are finalized when their environment is gone already.
  const std::weak_ptr<Engine> engine_;
  std::shared_ptr<void> memory_;
  const Release release_;
};

// New device memory. Where there is not enough, memory that is being freed is waited for.
Result<std::shared_ptr<DeviceBuffer>> AllocateForTensor(const std::shared_ptr<const CudaContext>& context,
                                                        size_t bytes);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_DEVICE_HANDLE_H_
