#include "base/thread.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

namespace tensor_checkpoint {
namespace {

// A thread at 15 gets a thirtieth of one at 0. Measured beside a training loop on every core (npm run bench -- DIR tax):
// at 10 one step in a hundred still takes 1.6 times as long as undisturbed, at 15 1.15 times, at 19 a save gets nowhere.
constexpr int kBackgroundNice = 15;

#ifdef SYS_sched_setattr

// The kernel's, as in sched_setattr(2): some C libraries don't declare it.
struct SchedulingAttributes {
  uint32_t size;
  uint32_t policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime;  // The slice. Kernels before 6.12 have one for all threads and put 0 here.
  uint64_t deadline;
  uint64_t period;
};

// false also for a thread that isn't an ordinary one: its runtime means something else.
bool Get(SchedulingAttributes* attributes) {
  return syscall(SYS_sched_getattr, 0, attributes, sizeof(*attributes), 0) == 0 &&
         (attributes->policy == SCHED_OTHER || attributes->policy == SCHED_BATCH);
}

bool Set(SchedulingAttributes attributes) { return syscall(SYS_sched_setattr, 0, &attributes, 0) == 0; }

#else

struct SchedulingAttributes {
  uint64_t runtime = 0;
};
bool Get(SchedulingAttributes*) { return false; }
bool Set(SchedulingAttributes) { return false; }

#endif

// Linux lets a thread that wakes have the processor of one with a longer slice at once; one with the same slice it lets
// finish, and so does whoever else is in line. So a restore of 4 GiB on two processors kept JavaScript's thread waiting
// for up to 10 ms, and for 5 with long slices, at the same speed.
constexpr std::chrono::nanoseconds kLongSlice = std::chrono::milliseconds(20);

// A system that has no such thing, or forbids it, leaves the thread as it is.
void LengthenSlice() {
  SchedulingAttributes attributes{};
  if (!Get(&attributes) || attributes.runtime == 0) return;
  attributes.runtime = std::max<uint64_t>(attributes.runtime, kLongSlice.count());
  Set(attributes);
}

}  // namespace

void Enter(Priority priority) {
  // On Linux a thread has a niceness of its own, by default that of the thread that started it. A system that forbids
  // lowering it leaves the thread as it is.
  if (priority == Priority::kBackground && getpriority(PRIO_PROCESS, 0) < kBackgroundNice) {
    setpriority(PRIO_PROCESS, 0, kBackgroundNice);
  }
  if (priority != Priority::kNormal) LengthenSlice();
}

std::chrono::nanoseconds Slice() {
  SchedulingAttributes attributes{};
  return std::chrono::nanoseconds(Get(&attributes) ? attributes.runtime : 0);
}

SignalsBlocked::SignalsBlocked() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before_);
}

SignalsBlocked::~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

}  // namespace tensor_checkpoint
