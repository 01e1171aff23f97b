#include "violations.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <utility>

namespace standin {
namespace {

struct Record {
  std::mutex mutex;
  std::vector<std::string> violations;
  std::atomic<bool> abort{true};

  Record() {
    const char* const mode = std::getenv("STANDIN_CUDA_ON_VIOLATION");
    if (mode != nullptr && std::strcmp(mode, "record") == 0) abort = false;
  }
  static Record& Get() {
    static Record* const record = new Record;
    return *record;
  }
};

}  // namespace

void Violate(const std::string& what) {
  Record& record = Record::Get();
  {
    std::lock_guard lock(record.mutex);
    record.violations.push_back(what);
    if (const char* const path = std::getenv("STANDIN_CUDA_VIOLATIONS")) {
      if (std::FILE* const file = std::fopen(path, "a")) {
        std::fprintf(file, "%s\n", what.c_str());
        std::fclose(file);
      }
    }
  }
  if (!record.abort) return;
  std::fprintf(stderr, "stand-in CUDA driver: VIOLATION: %s\n", what.c_str());
  std::abort();
}

void AbortOnViolation(bool abort) { Record::Get().abort = abort; }

std::vector<std::string> TakeViolations() {
  Record& record = Record::Get();
  std::lock_guard lock(record.mutex);
  return std::exchange(record.violations, {});
}

}  // namespace standin
