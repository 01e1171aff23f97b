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
    state.live[address] = {std::make_shared<AlignedBuffer>(std::move(buffer)), false};
  }
  // The ArrayBuffer is gone.
  static void Release(void* address) {
    Pin last;  // Freed outside of the lock.
    State& state = Get();
    std::lock_guard lock(state.mutex);
    const auto found = state.live.find(address);
    if (found == state.live.end()) return;
    last = std::move(found->second.pin);
    state.live.erase(found);
  }
  // nullptr for memory that is not ours.
  static Pin Find(void* address) {
    if (reinterpret_cast<uintptr_t>(address) % AlignedBuffer::kPage != 0) return nullptr;  // Nearly all others.
    State& state = Get();
    std::lock_guard lock(state.mutex);
    const auto found = state.live.find(address);
    return found == state.live.end() ? nullptr : found->second.pin;
  }

  // For memory that V8 isn't to count: whoever takes it off V8's count says so here, and whoever makes V8 take it off puts
  // that many bytes back before. CountAgain() gives them once.
  static bool DoNotCount(void* address) {
    State& state = Get();
    std::lock_guard lock(state.mutex);
    const auto found = state.live.find(address);
    return found != state.live.end() && !std::exchange(found->second.uncounted, true);
  }
  static size_t CountAgain(void* address) {
    State& state = Get();
    std::lock_guard lock(state.mutex);
    const auto found = state.live.find(address);
    if (found == state.live.end() || !std::exchange(found->second.uncounted, false)) return 0;
    return found->second.pin->size();
  }

 private:
  struct Live {
    Pin pin;
    bool uncounted;
  };
  struct State {
    std::mutex mutex;
    std::unordered_map<void*, Live> live;
  };
  // Never destroyed: finalizers may run after static destructors have.
  static State& Get() {
    static State* state = new State;
    return *state;
  }
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_ALLOCATIONS_H_
