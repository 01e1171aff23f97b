#ifndef STANDIN_CUDA_STREAM_H_
#define STANDIN_CUDA_STREAM_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "abi.h"
#include "state.h"

namespace standin {

// The moment in a stream behind `count` operations.
struct Moment {
  std::shared_ptr<Stream> stream;
  uint64_t count = 0;
  bool Reached() const;
};

// Work of a stream. It runs on the stream's thread, outside of the lock.
struct Operation {
  std::function<void()> run;
  std::vector<Moment> after;
  std::vector<std::shared_ptr<Memory>> uses;
  uint64_t copied_bytes = 0;  // How long it takes: see Settings.
  bool is_copy = false;
  Result fails = kSuccess;  // Instead of running it fails, and its context with it.
};

// A queue with a thread, which is started at its first operation and ends when the stream was destroyed and is done.
// All of it is guarded by State's mutex.
struct Stream : std::enable_shared_from_this<Stream> {
  Stream(Context* owner, unsigned creation_flags) : context(owner), flags(creation_flags) {}

  Context* const context;
  const unsigned flags;
  std::deque<Operation> queue;
  uint64_t submitted = 0;
  uint64_t completed = 0;
  bool has_thread = false;
  bool destroyed = false;
  std::shared_ptr<Stream>* owner = nullptr;  // What cuStreamDestroy deletes.

  // Appends with the order that the legacy default stream has with the others of its context. Under the lock.
  Moment Submit(State& state, Operation operation);

 private:
  void Run();
};

struct Event {
  Context* context;
  Moment moment;  // Without a stream: never recorded.
};

// The stream of a handle, or nullptr: none such, or of another context than `context`.
std::shared_ptr<Stream> StreamOf(State& state, Stream* handle, Context* context);
// Waits until the moment is reached; the error that its context has by then.
Result Await(std::unique_lock<std::mutex>& lock, State& state, const Moment& moment, const Context& context);

// Whether this thread runs a host function at present.
bool InHostFunction();
void RunHostFunction(HostFunction function, void* user_data);

}  // namespace standin

#endif  // STANDIN_CUDA_STREAM_H_
