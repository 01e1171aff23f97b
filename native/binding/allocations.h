#ifndef TENSOR_CHECKPOINT_BINDING_ALLOCATIONS_H_
#define TENSOR_CHECKPOINT_BINDING_ALLOCATIONS_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "base/aligned_buffer.h"

namespace tensor_checkpoint {

// The memory behind the ArrayBuffers that allocate() made. It belongs to its ArrayBuffer and to every program that
// uses it: JS can let go of it under a running program (by transferring it to another thread that drops it; Node does
// it when a worker is terminated), and then it lives until the program has ended. Process-wide, since memory moves
// between environments; any thread.
class Allocations {
 public:
  using Pin = std::shared_ptr<AlignedBuffer>;

  static void Add(AlignedBuffer buffer) {
    State& state = Get();
    std::lock_guard lock(state.mutex);
    void* address = buffer.data();
    state.live[address] = std::make_shared<AlignedBuffer>(std::move(buffer));
  }
  // The ArrayBuffer is gone.
  static void Release(void* address) {
    Pin last;  // Freed outside of the lock.
    State& state = Get();
    std::lock_guard lock(state.mutex);
    const auto found = state.live.find(address);
    if (found == state.live.end()) return;
    last = std::move(found->second);
    state.live.erase(found);
  }
  // nullptr for memory that is not ours.
  static Pin Find(void* address) {
    if (reinterpret_cast<uintptr_t>(address) % AlignedBuffer::kPage != 0) return nullptr;  // Nearly all others.
    State& state = Get();
    std::lock_guard lock(state.mutex);
    const auto found = state.live.find(address);
    return found == state.live.end() ? nullptr : found->second;
  }

 private:
  struct State {
    std::mutex mutex;
    std::unordered_map<void*, Pin> live;
  };
  // Never destroyed: finalizers may run after static destructors have.
  static State& Get() {
    static State* state = new State;
    return *state;
  }
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_ALLOCATIONS_H_
