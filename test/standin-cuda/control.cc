#include "control.h"

#include <cstdio>
#include <cstdlib>
#include <string>

#include "faults.h"
#include "settings.h"
#include "state.h"
#include "violations.h"

using namespace standin;

namespace {

void CopyText(const std::string& from, char* to, size_t bytes) {
  if (to != nullptr && bytes > 0) std::snprintf(to, bytes, "%s", from.c_str());
}

// Host address of device memory; called under the lock.
uint8_t* Place(uint64_t pointer, size_t bytes) {
  const auto memory = State::Get().memory.FindDevice(pointer);
  if (memory == nullptr || pointer - memory->address + bytes > memory->bytes) return nullptr;
  return memory->host + (pointer - memory->address);
}

// A test may write device memory while the device reads it. That is a race on the device, which ThreadSanitizer must not
// take for one of the program's: this copy is not seen by it. (The barrier keeps the loop from becoming a memcpy.)
__attribute__((no_sanitize("thread"))) void CopyUnseen(uint8_t* to, const uint8_t* from, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) {
    to[i] = from[i];
    asm volatile("" ::: "memory");
  }
}

}  // namespace

void standin_cuda_fail(const char* function, uint64_t nth, int code, int mode) {
  Faults::Get().Add(function, nth, code, static_cast<Faults::Mode>(mode));
}

void standin_cuda_reset() {
  Faults::Get().Clear();
  standin_cuda_limit_locked(UINT64_MAX);
  standin_cuda_slow_copies(20, 0);
  standin_cuda_cufile("", UINT64_MAX);
  State& state = State::Get();
  std::lock_guard lock(state.mutex);
  for (Context& context : state.contexts) context.error = kSuccess;
}

void standin_cuda_limit_locked(uint64_t bytes) { Settings::Get().locked_limit = bytes; }

void standin_cuda_slow_copies(uint64_t microseconds, uint64_t bytes_per_second) {
  Settings::Get().copy_microseconds = microseconds;
  Settings::Get().copy_bytes_per_second = bytes_per_second;
}

void standin_cuda_cufile(const char* mode, uint64_t most_bytes) {
  if (!Settings::Get().SetCuFileMode(mode)) std::abort();
  Settings::Get().cufile_most_bytes = most_bytes;
}

void standin_cuda_abort_on_violation(int abort) { AbortOnViolation(abort != 0); }

size_t standin_cuda_take_violations(char* text, size_t bytes) {
  std::string all;
  const auto violations = TakeViolations();
  for (const std::string& violation : violations) all += violation + "\n";
  CopyText(all, text, bytes);
  return violations.size();
}

void standin_cuda_describe(char* text, size_t bytes) { CopyText(State::Get().Describe(), text, bytes); }

uint64_t standin_cuda_calls(const char* function) { return Faults::Get().CallsOf(function); }

int standin_cuda_read(uint64_t pointer, void* to, size_t bytes) {
  State& state = State::Get();
  std::lock_guard lock(state.mutex);
  const uint8_t* const from = Place(pointer, bytes);
  if (from != nullptr) CopyUnseen(static_cast<uint8_t*>(to), from, bytes);
  return from != nullptr;
}

int standin_cuda_write(uint64_t pointer, const void* from, size_t bytes) {
  State& state = State::Get();
  std::lock_guard lock(state.mutex);
  uint8_t* const to = Place(pointer, bytes);
  if (to != nullptr) CopyUnseen(to, static_cast<const uint8_t*>(from), bytes);
  return to != nullptr;
}
