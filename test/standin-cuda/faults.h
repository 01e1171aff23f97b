#ifndef STANDIN_CUDA_FAULTS_H_
#define STANDIN_CUDA_FAULTS_H_

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "abi.h"

namespace standin {

// Which calls fail, and how often each function was called. Any thread.
class Faults {
 public:
  enum class Mode {
    kOnce,      // This call fails, and nothing else.
    kDeviceLost,  // From this call on every call fails.
    kLater,     // The call succeeds; its work, when its turn comes, fails with its whole context.
  };
  struct Outcome {
    Result now = kSuccess;
    Result later = kSuccess;
    bool lost = false;  // Every call fails.
  };

  static Faults& Get();

  // The `nth` call of `function` from now on (1: the next one) fails with `code`.
  void Add(const std::string& function, uint64_t nth, Result code, Mode mode);
  // "function:nth=code", with "!" for kDeviceLost or "~" for kLater behind it, separated by commas.
  bool Parse(const std::string& text);
  // No call fails any more, and no device is lost.
  void Clear();
  // Counts a call and says what becomes of it.
  Outcome Count(const std::string& function);
  uint64_t CallsOf(const std::string& function) const;
  std::map<std::string, uint64_t> Calls() const;

 private:
  struct Fault {
    std::string function;
    uint64_t at;
    Result code;
    Mode mode;
  };

  mutable std::mutex mutex_;
  std::map<std::string, uint64_t> calls_;
  std::vector<Fault> faults_;
  Result lost_ = kSuccess;
};

}  // namespace standin

#endif  // STANDIN_CUDA_FAULTS_H_
