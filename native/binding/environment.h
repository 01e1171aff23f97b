#ifndef TENSOR_CHECKPOINT_BINDING_ENVIRONMENT_H_
#define TENSOR_CHECKPOINT_BINDING_ENVIRONMENT_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "binding/allocations.h"
#include "binding/node_api.h"
#include "binding/programs_from_js.h"
#include "pipeline/engine.h"
#include "tensorflow/runtime.h"

namespace tensor_checkpoint {

// What belongs to one JS environment (the main thread or a worker): its share of the engine, its programs, and the one
// thread-safe function that brings their events to its thread. Owned by the environment as instance data; used on its
// thread only, except for Post().
//
// Rules, each of which keeps a crash away:
// - The thread-safe function is unref'd, and ref'd while something is under way: a save keeps the process alive.
// - The cleanup hook is added anew with each program. So it runs before the hooks of the thread-safe function and of
//   the external buffers that the program uses. It aborts what can still be aborted and waits until no thread touches
//   this environment's memory; from then on nothing is posted.
// - JS handles never leave the JS thread: threads know ids, and the handles are looked up by id.
class Environment {
 public:
  explicit Environment(Napi::Env env);
  ~Environment();
  static Environment& Of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

  Engine& engine() { return *engine_; }
  const std::shared_ptr<Engine>& shared_engine() { return engine_; }

  // Starts a program; its events go to `on_event`, and `memory` is kept alive until the last one was delivered.
  uint32_t Start(Submission<SaveProgram> save, Napi::Function on_event, Napi::Object memory);
  uint32_t Start(Submission<LoadProgram> load, Napi::Function on_event, Napi::Object memory);
  void Abort(uint32_t id);

  // Runs `work` on the engine's threads, then `deliver` with `done` on the JS thread. `memory` is kept alive until then.
  using Deliver = std::function<void(Napi::Env, const Napi::Function& done)>;
  void RunTask(Napi::Function done, std::function<Deliver()> work, Napi::Object memory = Napi::Object());

  // Tensors that TensorFlow lent. They are given back by Release(), or at the environment's end when its programs have
  // ended. Giving back what nobody else holds any more frees it, and to free gigabytes takes a while: many bytes are given
  // back by a thread of the engine's.
  uint32_t Keep(std::unique_ptr<Borrow> borrow);
  void Release(uint32_t borrow);
  // The same, whatever their size, and calls `done` when their memory was given back.
  void Free(uint32_t borrow, Napi::Function done);

  // Keeps a JS object alive until the last copy has gone, on any thread, or until the environment ends. It doesn't keep
  // the process alive.
  std::shared_ptr<void> KeepAlive(Napi::Object object);

 private:
  // How threads that outlive the environment reach it.
  struct Kept {
    std::mutex mutex;
    Environment* environment = nullptr;  // nullptr: it has ended.
  };
  class Sink;
  struct Entry {
    Napi::FunctionReference callback;
    Napi::ObjectReference memory;
    std::deque<Allocations::Pin> pins;
    std::unique_ptr<Sink> sink;
    std::unique_ptr<RunningProgram> program;  // Before the sink in destruction: it waits for the last event.
  };
  struct Message {
    uint32_t id;
    bool last;
    Deliver deliver;
  };

  uint32_t Add(Napi::Function callback, Napi::Object memory);
  void MakeCleanupHookTheLatest();
  Entry& AddProgram(uint32_t& id, Napi::Function on_event, Napi::Object memory, std::deque<Allocations::Pin> pins,
                    bool is_load);
  void Post(Message message);
  void Drain();
  void Close();
  static void OnCleanup(void* self);
  static void OnWake(napi_env env, napi_value, void* context, void*);

  const Napi::Env env_;
  std::shared_ptr<Engine> engine_;
  napi_threadsafe_function wake_ = nullptr;
  std::unordered_map<uint32_t, Entry> entries_;
  std::unordered_map<uint32_t, std::unique_ptr<Borrow>> borrows_;
  std::unordered_map<uint32_t, Napi::ObjectReference> kept_;
  std::shared_ptr<Kept> keeper_;
  uint32_t next_id_ = 1;

  std::mutex mutex_;  // Guards what follows.
  std::condition_variable idle_;
  std::deque<Message> messages_;
  bool woken_ = false;
  bool closed_ = false;
  size_t tasks_ = 0;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_ENVIRONMENT_H_
