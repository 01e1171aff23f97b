#include "faults.h"

#include <cstdio>
#include <cstdlib>
#include <sstream>

namespace standin {

Faults& Faults::Get() {
  static Faults* const faults = [] {
    auto* made = new Faults;
    const char* const text = std::getenv("STANDIN_CUDA_FAIL");
    if (text != nullptr && !made->Parse(text)) {
      // A fault that is not injected would make its test pass for nothing.
      std::fprintf(stderr, "stand-in CUDA driver: STANDIN_CUDA_FAIL=%s is not function:nth=code[!~],...\n", text);
      std::abort();
    }
    return made;
  }();
  return *faults;
}

void Faults::Add(const std::string& function, uint64_t nth, Result code, Mode mode) {
  std::lock_guard lock(mutex_);
  faults_.push_back({function, calls_[function] + nth, code, mode});
}

bool Faults::Parse(const std::string& text) {
  std::istringstream items(text);
  for (std::string item; std::getline(items, item, ',');) {
    const size_t colon = item.find(':');
    const size_t equals = item.find('=', colon == std::string::npos ? 0 : colon);
    if (colon == std::string::npos || equals == std::string::npos) return false;
    char* end = nullptr;
    const uint64_t nth = std::strtoull(item.c_str() + colon + 1, &end, 10);
    if (*end != '=' || nth == 0) return false;
    const auto code = static_cast<Result>(std::strtol(item.c_str() + equals + 1, &end, 10));
    const Mode mode = *end == '!' ? Mode::kDeviceLost : *end == '~' ? Mode::kLater : Mode::kOnce;
    if (code == kSuccess || (*end != '\0' && mode == Mode::kOnce)) return false;
    Add(item.substr(0, colon), nth, code, mode);
  }
  return true;
}

void Faults::Clear() {
  std::lock_guard lock(mutex_);
  faults_.clear();
  lost_ = kSuccess;
}

Faults::Outcome Faults::Count(const std::string& function) {
  std::lock_guard lock(mutex_);
  const uint64_t call = ++calls_[function];
  if (lost_ != kSuccess) return {lost_, kSuccess, true};
  for (const Fault& fault : faults_) {
    if (fault.function != function || fault.at != call) continue;
    if (fault.mode == Mode::kLater) return {kSuccess, fault.code, false};
    if (fault.mode == Mode::kDeviceLost) lost_ = fault.code;
    return {fault.code, kSuccess, lost_ != kSuccess};
  }
  return {};
}

uint64_t Faults::CallsOf(const std::string& function) const {
  std::lock_guard lock(mutex_);
  const auto found = calls_.find(function);
  return found == calls_.end() ? 0 : found->second;
}

std::map<std::string, uint64_t> Faults::Calls() const {
  std::lock_guard lock(mutex_);
  return calls_;
}

}  // namespace standin
