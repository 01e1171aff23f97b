// Contention: what it costs to hand out work, when the work itself costs nothing.
//
// Model: ten million tasks of 4 KiB, each of a phase on a processor that does nothing (a null checksum) and a request to
// a file system that takes it at once and keeps nothing (a null sink). Everything between is real: Scheduler, TaskRunner,
// ThreadPool and Transfer. As many processors and lanes as threads, from 2 to 128; the machine's cores stay what they are.
//
// Shown: seconds, CPU time a task, and the time in relation to two threads. The aim: at most 1 µs of CPU a task, and 128
// threads in at most 1.25 times the time of 2.
//
//   node scripts/native-bench.mjs contention [-- TASKS]

#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "io/null_file_system_for_test.h"
#include "io/transfer.h"
#include "pipeline/task_runner.h"

namespace tensor_checkpoint {
namespace {

double CpuSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Figures {
  double seconds, cpu;
};

Figures Run(size_t tasks, uint32_t threads) {
  using Resource = Scheduler::Resource;
  constexpr size_t kBytes = 4096;
  NullFileSystem fs;
  auto file = fs.Create("null", true);
  uint8_t byte = 0;
  ThreadPool pool(threads);
  std::vector<Scheduler::Task> work(tasks, {.phase_count = 2,
                                            .phases = {Resource::kProcessor, Resource::kLane},
                                            .releases_source_after = 1,
                                            .shares = Scheduler::SharesOf(kBytes)});
  Scheduler scheduler(std::move(work), 1, {.processors = threads, .lanes = threads, .window = 2 * threads});
  TaskRunner* self = nullptr;
  size_t ended = 0;
  TaskRunner runner(
      pool, std::move(scheduler),
      [&](Scheduler::Start start) {
        if (start.phase == 0) return self->Done(start);
        Transfer(fs,
                 {.kind = IoRequest::Kind::kWrite, .direct = true, .file = file->get(), .data = &byte, .bytes = kBytes,
                  .offset = start.task * kBytes},
                 [&, start](IoResult) { self->Done(start); });
      },
      [&](Scheduler::Start start, const Scheduler&) {
        ended += start.phase;
        return true;
      });
  self = &runner;
  const double cpu = CpuSeconds();
  const auto begin = std::chrono::steady_clock::now();
  runner.Run();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  if (ended != tasks) std::abort();
  return {seconds.count(), CpuSeconds() - cpu};
}

void Main(size_t tasks) {
  std::printf("%zu tasks of 4 KiB, null checksum, null sink\n%8s %9s %14s %8s\n", tasks, "threads", "seconds",
              "CPU us a task", "to 2");
  double two = 0;
  for (const uint32_t threads : {2u, 4u, 8u, 16u, 32u, 64u, 128u}) {
    const Figures f = Run(tasks, threads);
    if (threads == 2) two = f.seconds;
    std::printf("%8u %9.2f %14.3f %8.2f\n", threads, f.seconds, f.cpu / static_cast<double>(tasks) * 1e6, f.seconds / two);
  }
}

}  // namespace
}  // namespace tensor_checkpoint

int main(int argc, char** argv) {
  tensor_checkpoint::Main(argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 10'000'000);
}
