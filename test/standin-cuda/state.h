#ifndef STANDIN_CUDA_STATE_H_
#define STANDIN_CUDA_STATE_H_

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "abi.h"
#include "memory.h"

namespace standin {

// A device's primary context. `error`: its work has failed, and so does every later call in it.
struct Context {
  int device = 0;
  int retained = 0;
  Result error = kSuccess;
  std::shared_ptr<Stream> legacy;      // Handles 0 and 1.
  std::shared_ptr<Stream> per_thread;  // Handle 2; one for all threads here.
};

// All that the stand-in knows, under one mutex. Never destroyed: streams' threads may outlive the process's main().
struct State {
  std::mutex mutex;
  std::condition_variable changed;  // A stream has done something.

  bool initialized = false;
  std::vector<Context> contexts;  // By device; never resized once initialized.
  MemoryMap memory;
  std::set<Stream*> streams;  // Those that callers made.
  std::set<Event*> events;
  std::set<Module*> modules;
  // Of cuFile: descriptors, and device memory by its address.
  std::set<int*> file_handles;
  std::map<uint64_t, size_t> file_buffers;

  static State& Get();
  // What is alive, and how often each function was called, as JSON.
  std::string Describe();
};

// Whether a primary context is retained; `context` may be any value.
bool IsAlive(const State& state, const Context* context);

}  // namespace standin

#endif  // STANDIN_CUDA_STATE_H_
