#include "binding/environment.h"

#include <utility>

#include "binding/events_to_js.h"

namespace tensor_checkpoint {

// Turns the events of one program into messages for its environment.
class Environment::Sink final : public EventSink {
 public:
  Sink(Environment& environment, uint32_t id, bool load) : environment_(environment), id_(id), load_(load) {}

  void OnEvent(Event event) override {
    const bool last = event.type == Event::Type::kFinished || event.type == Event::Type::kFailed;
    // std::function wants a copyable callable.
    auto shared = std::make_shared<Event>(std::move(event));
    environment_.Post({id_, last, [shared, load = load_](Napi::Env env, const Napi::Function& callback) {
                         callback.Call({load ? LoadEventToJs(env, *shared) : SaveEventToJs(env, *shared)});
                       }});
  }

 private:
  Environment& environment_;
  const uint32_t id_;
  const bool load_;
};

Environment::Environment(Napi::Env env) : env_(env), engine_(Engine::Shared()) {
  napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "tensor-checkpoint"), 0, 1, nullptr,
                                  nullptr, this, OnWake, &wake_);
  napi_unref_threadsafe_function(env, wake_);
  napi_add_env_cleanup_hook(env_, OnCleanup, this);
}

void Environment::OnCleanup(void* self) { static_cast<Environment*>(self)->Close(); }

Environment::~Environment() = default;

uint32_t Environment::Add(Napi::Function callback, Napi::Object memory) {
  if (entries_.empty()) napi_ref_threadsafe_function(env_, wake_);
  MakeCleanupHookTheLatest();
  const uint32_t id = next_id_++;
  Entry& entry = entries_[id];
  entry.callback = Napi::Persistent(callback);
  if (!memory.IsEmpty()) entry.memory = Napi::Persistent(memory);
  return id;
}

// Hooks run in reverse order, and every external buffer has one that frees its memory: ours must be the latest, so that
// it runs, and waits, before the memory of the program that starts now goes. The addon of tfjs-node has one as well, and
// tensors over its typed arrays must be given back before.
void Environment::MakeCleanupHookTheLatest() {
  napi_remove_env_cleanup_hook(env_, OnCleanup, this);
  napi_add_env_cleanup_hook(env_, OnCleanup, this);
}

uint32_t Environment::Keep(std::unique_ptr<Borrow> borrow) {
  MakeCleanupHookTheLatest();
  const uint32_t id = next_id_++;
  borrows_[id] = std::move(borrow);
  return id;
}

void Environment::Release(uint32_t id) {
  constexpr uint64_t kMany = uint64_t{16} << 20;
  const auto found = borrows_.find(id);
  if (found == borrows_.end()) return;
  std::shared_ptr<Borrow> borrow = std::move(found->second);
  borrows_.erase(found);
  if (borrow->bytes() < kMany) return;
  engine_->pool().Run([borrow = std::move(borrow)]() mutable { borrow.reset(); });
}

void Environment::Free(uint32_t id, Napi::Function done) {
  std::shared_ptr<Borrow> borrow;
  if (const auto found = borrows_.find(id); found != borrows_.end()) {
    borrow = std::move(found->second);
    borrows_.erase(found);
  }
  RunTask(done, [borrow = std::move(borrow)]() mutable -> Deliver {
    borrow.reset();
    return [](Napi::Env, const Napi::Function& done) { done.Call({}); };
  });
}

std::shared_ptr<void> Environment::KeepAlive(Napi::Object object) {
  if (keeper_ == nullptr) {
    keeper_ = std::make_shared<Kept>();
    keeper_->environment = this;
  }
  const uint32_t id = next_id_++;
  kept_[id] = Napi::Persistent(object);
  return std::shared_ptr<void>(nullptr, [id, keeper = keeper_](void*) {
    std::lock_guard lock(keeper->mutex);
    if (keeper->environment != nullptr) keeper->environment->Post({id, true, nullptr});
  });
}

Environment::Entry& Environment::AddProgram(uint32_t& id, Napi::Function on_event, Napi::Object memory,
                                            std::deque<Allocations::Pin> pins, bool is_load) {
  id = Add(on_event, memory);
  Entry& entry = entries_[id];
  entry.pins = std::move(pins);
  entry.sink = std::make_unique<Sink>(*this, id, is_load);
  return entry;
}

uint32_t Environment::Start(Submission<SaveProgram> save, Napi::Function on_event, Napi::Object memory) {
  uint32_t id;
  Entry& entry = AddProgram(id, on_event, memory, std::move(save.pins), false);
  entry.program = engine_->StartSave(std::move(save.program), *entry.sink, std::move(save.complete));
  return id;
}

uint32_t Environment::Start(Submission<LoadProgram> load, Napi::Function on_event, Napi::Object memory) {
  uint32_t id;
  Entry& entry = AddProgram(id, on_event, memory, std::move(load.pins), true);
  entry.program = engine_->StartLoad(std::move(load.program), *entry.sink, std::move(load.complete));
  return id;
}

void Environment::Abort(uint32_t id) {
  const auto found = entries_.find(id);
  if (found != entries_.end() && found->second.program) found->second.program->Abort();
}

void Environment::RunTask(Napi::Function done, std::function<Deliver()> work, Napi::Object memory) {
  const uint32_t id = Add(done, memory);
  {
    std::lock_guard lock(mutex_);
    ++tasks_;
  }
  engine_->pool().Run([this, id, work = std::move(work)] {
    Post({id, true, work()});
    // Last of all, under the lock: Close() may let the environment go as soon as it sees no task.
    std::lock_guard lock(mutex_);
    if (--tasks_ == 0) idle_.notify_all();
  });
}

void Environment::Post(Message message) {
  std::lock_guard lock(mutex_);
  if (closed_) return;
  messages_.push_back(std::move(message));
  if (std::exchange(woken_, true)) return;
  // Unlimited queue, never blocks. Under the lock, so that no call is made after Close().
  napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking);
}

void Environment::OnWake(napi_env env, napi_value, void* context, void*) {
  // A null env: the function is being torn down with calls still queued.
  if (env != nullptr) static_cast<Environment*>(context)->Drain();
}

void Environment::Drain() {
  std::deque<Message> messages;
  {
    std::lock_guard lock(mutex_);
    messages.swap(messages_);
    woken_ = false;
  }
  for (Message& message : messages) {
    Napi::HandleScope scope(env_);
    if (kept_.erase(message.id) > 0) continue;
    const auto found = entries_.find(message.id);
    if (found == entries_.end()) continue;
    Napi::Function callback = found->second.callback.Value();
    if (message.last) {
      // Before the callback, which may start the next program or end the process.
      entries_.erase(found);
      if (entries_.empty()) napi_unref_threadsafe_function(env_, wake_);
    }
    message.deliver(env_, callback);
    // A callback that throws must not take the events behind it along.
    if (env_.IsExceptionPending()) napi_fatal_exception(env_, env_.GetAndClearPendingException().Value());
  }
}

void Environment::Close() {
  if (keeper_ != nullptr) {
    std::lock_guard lock(keeper_->mutex);
    keeper_->environment = nullptr;
  }
  kept_.clear();
  for (auto& [id, entry] : entries_) {
    if (entry.program) entry.program->Abort();
  }
  for (auto& [id, entry] : entries_) entry.program.reset();  // Waits.
  borrows_.clear();
  {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return tasks_ == 0; });
    closed_ = true;
    messages_.clear();
  }
  entries_.clear();
  // The thread-safe function is Node's to release: it does so next. The last environment ends the engine's threads
  // here, while the code that they run is still loaded.
  engine_.reset();
}

}  // namespace tensor_checkpoint
