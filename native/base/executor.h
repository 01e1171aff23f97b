#ifndef TENSOR_CHECKPOINT_BASE_EXECUTOR_H_
#define TENSOR_CHECKPOINT_BASE_EXECUTOR_H_

#include <functional>

namespace tensor_checkpoint {

// Where work runs: a pool of threads for real, a queue on a virtual clock in tests.
class Executor {
 public:
  virtual ~Executor() = default;
  // Runs `task` soon, never before Run() has returned. May be called by any thread, and never blocks.
  virtual void Run(std::function<void()> task) = 0;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BASE_EXECUTOR_H_
