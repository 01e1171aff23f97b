#include "stream.h"

#include <chrono>
#include <thread>
#include <utility>

#include "settings.h"

namespace standin {
namespace {

thread_local bool in_host_function = false;

void PassTime(const Operation& operation) {
  if (!operation.is_copy) return;
  const Settings& settings = Settings::Get();
  uint64_t microseconds = settings.copy_microseconds;
  if (const uint64_t speed = settings.copy_bytes_per_second; speed > 0) {
    microseconds += operation.copied_bytes * 1'000'000 / speed;
  }
  std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
}

}  // namespace

bool Moment::Reached() const { return stream == nullptr || stream->completed >= count; }

Moment Stream::Submit(State& state, Operation operation) {
  const bool is_legacy = this == context->legacy.get();
  if (is_legacy) {
    for (Stream* other : state.streams) {
      if (other->context == context && (other->flags & kStreamNonBlocking) == 0) {
        operation.after.push_back({other->shared_from_this(), other->submitted});
      }
    }
  } else if ((flags & kStreamNonBlocking) == 0 && context->legacy->submitted > 0) {
    operation.after.push_back({context->legacy, context->legacy->submitted});
  }
  for (const auto& memory : operation.uses) ++memory->users;
  queue.push_back(std::move(operation));
  ++submitted;
  if (!std::exchange(has_thread, true)) {
    std::thread([self = shared_from_this()] { self->Run(); }).detach();
  }
  state.changed.notify_all();
  return {shared_from_this(), submitted};
}

void Stream::Run() {
  State& state = State::Get();
  std::unique_lock lock(state.mutex);
  while (true) {
    state.changed.wait(lock, [this] { return !queue.empty() || destroyed; });
    if (queue.empty()) return;
    Operation operation = std::move(queue.front());
    queue.pop_front();
    state.changed.wait(lock, [&operation] {
      for (const Moment& moment : operation.after) {
        if (!moment.Reached()) return false;
      }
      return true;
    });
    if (context->error == kSuccess && operation.fails != kSuccess) context->error = operation.fails;
    if (context->error == kSuccess) {
      lock.unlock();
      PassTime(operation);
      if (operation.run) operation.run();
      operation.run = nullptr;
      lock.lock();
    }
    for (const auto& memory : operation.uses) --memory->users;
    operation.uses.clear();
    ++completed;
    state.changed.notify_all();
  }
}

std::shared_ptr<Stream> StreamOf(State& state, Stream* handle, Context* context) {
  const auto number = reinterpret_cast<uintptr_t>(handle);
  if (number <= 1) return context->legacy;
  if (number == 2) return context->per_thread;
  if (state.streams.count(handle) == 0 || handle->context != context) return nullptr;
  return handle->shared_from_this();
}

Result Await(std::unique_lock<std::mutex>& lock, State& state, const Moment& moment, const Context& context) {
  state.changed.wait(lock, [&moment] { return moment.Reached(); });
  return context.error;
}

bool InHostFunction() { return in_host_function; }

void RunHostFunction(HostFunction function, void* user_data) {
  in_host_function = true;
  function(user_data);
  in_host_function = false;
}

}  // namespace standin
