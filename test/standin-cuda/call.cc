#include "call.h"

#include "faults.h"
#include "stream.h"
#include "violations.h"

namespace standin {

std::vector<Context*>& ContextStack() {
  static thread_local std::vector<Context*> stack;
  return stack;
}

Call::Call(const char* function, Needs needs) : function_(function), state_(State::Get()) {
  if (InHostFunction()) {
    refused_ = Violation("called from a host function, which must not call the driver", kNotPermitted);
    return;
  }
  const Faults::Outcome outcome = Faults::Get().Count(function);
  lock_ = std::unique_lock(state_.mutex);
  later_ = outcome.later;
  lost_ = outcome.lost;
  refused_ = outcome.now;
  if ((refused_ != kSuccess && !lost_) || needs == Needs::kNothing) return;
  const Result lost = refused_;
  if (!state_.initialized) {
    refused_ = Violation("called before cuInit", kNotInitialized);
    return;
  }
  if (needs == Needs::kDriver) return;
  context_ = ContextStack().empty() ? nullptr : ContextStack().back();
  if (!IsAlive(state_, context_)) {
    refused_ = Violation(context_ == nullptr ? "no context is current on this thread"
                                             : "the current context was released",
                         kInvalidContext);
  } else {
    refused_ = lost != kSuccess ? lost : context_->error;
    lost_ = refused_ != kSuccess;
  }
}

Result Call::Violation(const std::string& what, Result code) const {
  Violate(std::string(function_) + ": " + what);
  return code;
}

}  // namespace standin
