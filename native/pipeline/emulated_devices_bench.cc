// Emulated devices in real time: whether the engine keeps a device busy that is faster than any disk of this machine.
//
// Model: a device (io/throttled_file_system_for_test.h) that takes 1, 10 or 50 GB/s, one request after the other, and
// touches no byte; chunks of 4 MiB whose phases on processors do nothing. Scheduler, TaskRunner, ThreadPool and Transfer
// are real, with the default limits, and so is time: what is lost is lost in handing over. The aim: at least 0.95 of what
// was configured.
//
//   node scripts/native-bench.mjs emulated_devices [-- SECONDS]

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "io/throttled_file_system_for_test.h"
#include "io/transfer.h"
#include "pipeline/limits.h"
#include "pipeline/task_runner.h"

namespace tensor_checkpoint {
namespace {

double BytesPerSecond(double configured, double seconds) {
  using Resource = Scheduler::Resource;
  const auto chunks = static_cast<size_t>(configured * seconds / static_cast<double>(kLargestChunk));
  ThrottledFileSystem fs(configured);
  auto file = fs.Create("device", true);
  uint8_t byte = 0;
  ThreadPool pool(ThreadsFor({}));
  Scheduler scheduler(std::vector<Scheduler::Task>(
                          chunks, {.phase_count = 3,
                                   .phases = {Resource::kProcessor, Resource::kLane, Resource::kProcessor},
                                   .releases_source_after = 2}),
                      1, LimitsFor({}, false));
  TaskRunner* self = nullptr;
  TaskRunner runner(
      pool, std::move(scheduler),
      [&](Scheduler::Start start) {
        if (start.phase != 1) return self->Done(start);
        Transfer(fs,
                 {.kind = IoRequest::Kind::kWrite, .direct = true, .file = file->get(), .data = &byte,
                  .bytes = kLargestChunk, .offset = uint64_t{start.task} * kLargestChunk},
                 [&, start](IoResult) { self->Done(start); });
      },
      [](Scheduler::Start, const Scheduler&) { return true; });
  self = &runner;
  const auto begin = std::chrono::steady_clock::now();
  runner.Run();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  return static_cast<double>(chunks * kLargestChunk) / elapsed.count();
}

void Main(double seconds) {
  std::printf("chunks of %llu MiB, %u requests under way\n%16s %12s %7s\n",
              static_cast<unsigned long long>(kLargestChunk >> 20), kDefaultLanes, "configured GB/s", "reached", "ratio");
  for (const double configured : {1e9, 10e9, 50e9}) {
    const double reached = BytesPerSecond(configured, seconds);
    std::printf("%16.0f %12.2f %7.3f\n", configured / 1e9, reached / 1e9, reached / configured);
  }
}

}  // namespace
}  // namespace tensor_checkpoint

int main(int argc, char** argv) { tensor_checkpoint::Main(argc > 1 ? std::atof(argv[1]) : 2); }
