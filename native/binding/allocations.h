#ifndef TENSOR_CHECKPOINT_BINDING_ALLOCATIONS_H_
#define TENSOR_CHECKPOINT_BINDING_ALLOCATIONS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "base/aligned_buffer.h"
#include "base/slabs.h"

namespace tensor_checkpoint {

// The memory behind the ArrayBuffers that allocate() made. It belongs to its ArrayBuffer and to every program that
// uses it: JS can let go of it under a running program (by transferring it to another thread that drops it; Node does
// it when a worker is terminated), and then it lives until the program has ended. Process-wide, since memory moves
// between environments; any thread.
class Allocations {
 public:
  using Pin = std::shared_ptr<void>;

  // nullptr where there is not enough. Zeroed, unless it is to stand `alone`: that is for memory whose next owner fills it,
  // and lets go of it when he pleases.
  static uint8_t* New(size_t bytes, bool alone) {
    std::shared_ptr<uint8_t> memory;
    State& state = Get();
    if (alone) {
      auto own = std::make_shared<AlignedBuffer>(AlignedBuffer::Allocate(bytes));
      memory = {own, own->data()};
    } else {
      memory = state.slabs.AllocateZeroed(bytes);
    }
    uint8_t* const address = memory.get();
    if (address == nullptr) return nullptr;
    std::lock_guard lock(state.mutex);
    state.live[address] = {std::move(memory), bytes, 0};
    state.bytes += bytes;
    return address;
  }
  // Of all that is live.
  static size_t Bytes() {
    State& state = Get();
    std::lock_guard lock(state.mutex);
    return state.bytes;
  }
  // The ArrayBuffer is gone.
  static void Release(void* address) {
    Pin last;  // Freed outside of the lock.
    State& state = Get();
    std::lock_guard lock(state.mutex);
    const auto found = state.live.find(address);
    if (found == state.live.end()) return;
    last = std::move(found->second.pin);
    state.bytes -= found->second.bytes;
    state.live.erase(found);
  }
  // nullptr for memory that is not ours.
  static Pin Find(void* address) {
    if (reinterpret_cast<uintptr_t>(address) % Slabs::kLine != 0) return nullptr;  // Most others.
    State& state = Get();
    std::lock_guard lock(state.mutex);
    const auto found = state.live.find(address);
    return found == state.live.end() ? nullptr : found->second.pin;
  }

  // Of memory that V8 counts in part: whoever takes bytes off V8's count says so here, and puts them back when V8 takes
  // all of it off. CountAgain() gives them once.
  static void Uncount(void* address, size_t bytes) {
    State& state = Get();
    std::lock_guard lock(state.mutex);
    if (const auto found = state.live.find(address); found != state.live.end()) found->second.uncounted += bytes;
  }
  static size_t CountAgain(void* address) {
    State& state = Get();
    std::lock_guard lock(state.mutex);
    const auto found = state.live.find(address);
    return found == state.live.end() ? 0 : std::exchange(found->second.uncounted, 0);
  }

 private:
  struct Live {
    Pin pin;
    size_t bytes;
    size_t uncounted;
  };
  struct State {
    std::mutex mutex;
    std::unordered_map<void*, Live> live;
    size_t bytes = 0;
    Slabs slabs;
  };
  // Never destroyed: finalizers may run after static destructors have.
  static State& Get() {
    static State* state = new State;
    return *state;
  }
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_ALLOCATIONS_H_
