#include "state.h"

#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "faults.h"

namespace standin {
namespace {

void Report() {
  const char* const path = std::getenv("STANDIN_CUDA_REPORT");
  if (path == nullptr) return;
  if (std::FILE* const file = std::fopen(path, "w")) {
    std::fprintf(file, "%s\n", State::Get().Describe().c_str());
    std::fclose(file);
  }
}

}  // namespace

State& State::Get() {
  static State* const state = [] {
    std::atexit(Report);
    return new State;
  }();
  return *state;
}

std::string State::Describe() {
  std::lock_guard lock(mutex);
  std::ostringstream text;
  size_t device_bytes = 0;
  int retained = 0;
  for (const Context& context : contexts) {
    device_bytes += memory.used(context.device);
    retained += context.retained;
  }
  text << "{\"deviceAllocations\":" << memory.device_allocations() << ",\"deviceBytes\":" << device_bytes
       << ",\"hostAllocations\":" << memory.host_allocations() << ",\"lockedBytes\":" << memory.locked()
       << ",\"streams\":" << streams.size() << ",\"events\":" << events.size() << ",\"modules\":" << modules.size()
       << ",\"fileHandles\":" << file_handles.size()
       << ",\"fileBuffers\":" << file_buffers.size() << ",\"contextsRetained\":" << retained << ",\"calls\":{";
  const char* separator = "";
  for (const auto& [function, calls] : Faults::Get().Calls()) {
    text << separator << '"' << function << "\":" << calls;
    separator = ",";
  }
  text << "}}";
  return text.str();
}

bool IsAlive(const State& state, const Context* context) {
  for (const Context& known : state.contexts) {
    if (&known == context) return known.retained > 0;
  }
  return false;
}

}  // namespace standin
