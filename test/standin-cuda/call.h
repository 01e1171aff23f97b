#ifndef STANDIN_CUDA_CALL_H_
#define STANDIN_CUDA_CALL_H_

#include <mutex>
#include <string>

#include "abi.h"
#include "state.h"

namespace standin {

// One call of a driver function, from its first line to its return: it counts, is refused where it must be, and holds
// the lock.
class Call {
 public:
  enum class Needs { kNothing, kDriver, kContext };

  Call(const char* function, Needs needs);

  // What the call returns at once unless it is kSuccess.
  Result refused() const { return refused_; }
  // For calls that release something. After a loss they say so, but what they were given is gone all the same; so is
  // what a failed context had.
  bool keeps() const { return refused_ != kSuccess && !lost_; }
  // Injected: what its work shall fail with when its turn comes.
  Result later() const { return later_; }
  // The calling thread's context: never nullptr where needed and not refused.
  Context* context() const { return context_; }
  State& state() { return state_; }
  std::unique_lock<std::mutex>& lock() { return lock_; }

  // Records a violation, with the function's name before it, and returns `code` for the caller to return.
  Result Violation(const std::string& what, Result code) const;

 private:
  const char* const function_;
  State& state_;
  std::unique_lock<std::mutex> lock_;
  Result refused_ = kSuccess;
  Result later_ = kSuccess;
  bool lost_ = false;
  Context* context_ = nullptr;
};

// The calling thread's stack of contexts.
std::vector<Context*>& ContextStack();

}  // namespace standin

#endif  // STANDIN_CUDA_CALL_H_
