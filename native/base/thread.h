#ifndef TENSOR_CHECKPOINT_BASE_THREAD_H_
#define TENSOR_CHECKPOINT_BASE_THREAD_H_

#include <pthread.h>
#include <signal.h>

#include <chrono>
#include <thread>
#include <utility>

namespace tensor_checkpoint {

// What a thread gets of the processors beside others that want them. Where a processor is free the two are alike.
enum class Priority {
  kNormal,
  // An equal part, but not at once: whoever wants a processor only for a moment, as JavaScript's thread does, goes first.
  // For work that takes long anyway; short work beside threads that compute would take several times as long.
  kBulk,
  // A small part, and not at once: for work that nobody waits for, beside threads that somebody does wait for.
  kBackground,
};

// Gives the calling thread this priority, and with it every thread that it will start. From kBackground there is no way
// back: lowering is everybody's right, raising is not.
void Enter(Priority priority);

// How long the system lets the calling thread keep a processor that others wait for; 0 where that can't be told.
std::chrono::nanoseconds Slice();

// While this lives, no signal is delivered to the thread that made it, nor to threads that it starts, ever. Signals
// belong to the process's own threads: a handler of Node's must not run on ours.
class SignalsBlocked {
 public:
  SignalsBlocked();
  ~SignalsBlocked();
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

// Starts a thread of ours. The system's tools show it under `name`, a literal of at most 15 characters.
template <typename Body>
std::thread StartThread(const char* name, Body body, Priority priority = Priority::kNormal) {
  const SignalsBlocked blocked;
  return std::thread([name, body = std::move(body), priority]() mutable {
    // By itself one system call; by another thread it would go through /proc.
    pthread_setname_np(pthread_self(), name);
    Enter(priority);
    body();
  });
}

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BASE_THREAD_H_
