#include "pipeline/engine.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <numeric>
#include <utility>

#include "pipeline/save_run.h"
#include "pipeline/extents.h"

namespace tensor_checkpoint {
namespace {

void RunLoad(const LoadProgram& program, FileSystem& fs, Executor& executor, StagingPool& staging,
             const std::atomic<bool>& aborted, EventSink& sink, CudaDevices& devices) {
  const auto start = std::chrono::steady_clock::now();
  Event last{};
  ReadOutcome outcome = ReadExtents(
      program, {&fs, &executor, &aborted, [&](Event event) { sink.OnEvent(std::move(event)); }, &staging, &devices}, last.stats);
  last.stats.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  last.type = outcome.failure.status.ok() ? Event::Type::kFinished : Event::Type::kFailed;
  last.failure = std::move(outcome.failure);
  last.damage = std::move(outcome.damage);
  last.touched = std::move(outcome.touched);
  sink.OnEvent(std::move(last));
}

uint64_t Bytes(const std::vector<Extent>& extents) {
  return std::accumulate(extents.begin(), extents.end(), uint64_t{0},
                         [](uint64_t sum, const Extent& extent) { return sum + extent.bytes; });
}

// Completes a program; false after the last event of one that couldn't be. What was needed for it is gone then.
template <typename Program>
bool Completed(Program& program, std::function<Status(Program&)> complete, EventSink& sink) {
  Status status = complete ? complete(program) : Status::Ok();
  if (status.ok()) return true;
  Event failed{};
  failed.type = Event::Type::kFailed;
  failed.failure = {std::move(status)};
  failed.undone = true;
  sink.OnEvent(std::move(failed));
  return false;
}

// What the process has one of. process.exit() ends the process without tearing environments down, but it runs
// destructors of static objects, while all threads and all memory are still there: the last chance to end cleanly.
struct Process {
  std::mutex mutex;
  std::weak_ptr<Engine> engine;
  ~Process() {
    if (std::shared_ptr<Engine> running = engine.lock()) running->AbortAllAndWait();
  }
};

}  // namespace

RunningProgram::RunningProgram(Engine& engine) : engine_(engine) {
  std::lock_guard lock(engine_.mutex_);
  engine_.programs_.insert(this);
}

RunningProgram::~RunningProgram() {
  std::unique_lock lock(engine_.mutex_);
  engine_.ended_.wait(lock, [this] { return ended_; });
  engine_.programs_.erase(this);
}

std::shared_ptr<Engine> Engine::Shared() {
  static Process process;
  std::lock_guard lock(process.mutex);
  std::shared_ptr<Engine> engine = process.engine.lock();
  if (engine == nullptr) process.engine = engine = std::make_shared<Engine>();
  return engine;
}

void Engine::AbortAllAndWait() {
  std::unique_lock lock(mutex_);
  for (RunningProgram* program : programs_) program->Abort();
  ended_.wait(lock, [this] { return AllEnded(); });
}

bool Engine::AllEnded() const {
  return std::all_of(programs_.begin(), programs_.end(), [](RunningProgram* program) { return program->ended_; });
}

template <typename Body>
std::unique_ptr<RunningProgram> Engine::Start(Body body) {
  auto running = std::make_unique<RunningProgram>(*this);
  drivers_.Run([this, program = running.get(), body = std::make_shared<Body>(std::move(body))]() mutable {
    (*body)(program->aborted_);
    // What it holds is its caller's, too.
    body.reset();
    std::lock_guard lock(mutex_);
    program->ended_ = true;
    if (AllEnded()) staging_.Rest();
    ended_.notify_all();
  });
  return running;
}

template <typename Program>
Crew& Engine::CrewFor(Program& program) {
  TransferOptions& options = program.options;
  if (options.priority == Priority::kNormal && Bytes(program.extents) >= kBulkBytes) options.priority = Priority::kBulk;
  Crew& crew = options.priority == Priority::kNormal ? crew_ : options.priority == Priority::kBulk ? bulk_ : background_;
  crew.pool.Reserve(std::min<uint32_t>(ThreadsFor(options), 256));
  return crew;
}

std::unique_ptr<RunningProgram> Engine::StartSave(SaveProgram program, EventSink& sink, Complete<SaveProgram> complete) {
  return Start([this, &sink, program = std::move(program),
                complete = std::move(complete)](const std::atomic<bool>& aborted) mutable {
    if (!Completed(program, std::move(complete), sink)) return;
    Crew& crew = CrewFor(program);
    SaveRun(std::move(program), *crew.file_system.fs, crew.pool, staging_, aborted, sink, &devices_).Run();
  });
}

std::unique_ptr<RunningProgram> Engine::StartLoad(LoadProgram program, EventSink& sink, Complete<LoadProgram> complete) {
  return Start([this, &sink, program = std::move(program),
                complete = std::move(complete)](const std::atomic<bool>& aborted) mutable {
    if (!Completed(program, std::move(complete), sink)) return;
    Crew& crew = CrewFor(program);
    RunLoad(program, *crew.file_system.fs, crew.pool, staging_, aborted, sink, devices_);
  });
}

}  // namespace tensor_checkpoint
