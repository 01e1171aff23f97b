#include "base/thread.h"

#include <sys/resource.h>

namespace tensor_checkpoint {
namespace {

// A thread at 15 gets a thirtieth of one at 0. Measured beside a training loop on every core (npm run bench -- DIR tax):
// at 10 one step in a hundred still takes 1.6 times as long as undisturbed, at 15 1.15 times, at 19 a save gets nowhere.
constexpr int kBackgroundNice = 15;

}  // namespace

void Enter(Priority priority) {
  // On Linux a thread has a niceness of its own, by default that of the thread that started it. A system that forbids
  // lowering it leaves the thread as it is.
  if (priority == Priority::kBackground && getpriority(PRIO_PROCESS, 0) < kBackgroundNice) {
    setpriority(PRIO_PROCESS, 0, kBackgroundNice);
  }
}

SignalsBlocked::SignalsBlocked() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before_);
}

SignalsBlocked::~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

}  // namespace tensor_checkpoint
