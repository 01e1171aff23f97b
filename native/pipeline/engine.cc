#include "pipeline/engine.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <utility>

#include "pipeline/save_run.h"
#include "pipeline/extents.h"

namespace tensor_checkpoint {
namespace {

// A program's own thread only waits and orders; the work is the pool's.
template <typename Body>
std::thread StartDriver(Body body) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread(std::move(body));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

void RunLoad(const LoadProgram& program, FileSystem& fs, Executor& executor, const std::atomic<bool>& aborted,
             EventSink& sink) {
  const auto start = std::chrono::steady_clock::now();
  Event last{};
  ReadOutcome outcome =
      ReadExtents(program, {&fs, &executor, &aborted, [&](Event event) { sink.OnEvent(std::move(event)); }}, last.stats);
  last.stats.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  last.type = outcome.failure.status.ok() ? Event::Type::kFinished : Event::Type::kFailed;
  last.failure = std::move(outcome.failure);
  last.damage = std::move(outcome.damage);
  last.touched = std::move(outcome.touched);
  sink.OnEvent(std::move(last));
}

}  // namespace

std::shared_ptr<Engine> Engine::Shared() {
  static std::mutex mutex;
  static std::weak_ptr<Engine> current;
  std::lock_guard lock(mutex);
  std::shared_ptr<Engine> engine = current.lock();
  if (engine == nullptr) current = engine = std::make_shared<Engine>();
  return engine;
}

std::unique_ptr<RunningProgram> Engine::StartSave(SaveProgram program, EventSink& sink) {
  pool_.Reserve(std::min<uint32_t>(program.options.threads, 256));
  auto running = std::make_unique<RunningProgram>();
  running->driver_ = StartDriver([this, &sink, aborted = &running->aborted_, program = std::move(program)]() mutable {
    SaveRun(std::move(program), fs_, pool_, *aborted, sink).Run();
  });
  return running;
}

std::unique_ptr<RunningProgram> Engine::StartLoad(LoadProgram program, EventSink& sink) {
  pool_.Reserve(std::min<uint32_t>(program.options.threads, 256));
  auto running = std::make_unique<RunningProgram>();
  running->driver_ = StartDriver([this, &sink, aborted = &running->aborted_, program = std::move(program)] {
    RunLoad(program, fs_, pool_, *aborted, sink);
  });
  return running;
}

}  // namespace tensor_checkpoint
