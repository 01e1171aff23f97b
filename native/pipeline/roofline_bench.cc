// Roofline: a whole save — program, plan, scheduler, threads, checksums, ledger — to a sink that costs nothing, beside the
// bandwidth with which the same threads read the same memory in the same run.
//
// Model: a null sink (io/null_file_system_for_test.h) takes every request at once. Everything else is real, memory and
// checksum included. Memory that can't change is summed once, so its bytes pass once: the aim is at least 0.9 of the
// bandwidth. Memory that others may write to is summed again after it was written, and copied memory is read and
// written: both are shown with the traffic they cause.
//
// Rounds alternate with readings of the bandwidth, by the same threads over the same memory, the best of each: what the
// code can do, not what else was running. Copies are compared with plain copying, where that moves more than reading does.
//
//   node scripts/native-bench.mjs roofline [-- MIB]

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <utility>

#include "base/aligned_buffer.h"
#include "base/memory_bandwidth_for_test.h"
#include "base/thread_pool.h"
#include "io/null_file_system_for_test.h"
#include "pipeline/limits.h"
#include "pipeline/save_run.h"

namespace tensor_checkpoint {
namespace {

class LastEvent final : public EventSink {
 public:
  void OnEvent(Event event) override { last = std::move(event); }
  Event last{};
};

struct Case {
  const char* name;
  size_t tensor_bytes;
  bool mutable_memory, copy;
  double traffic;  // Bytes that pass between processor and memory, per byte saved.
};

class Roofline {
 public:
  explicit Roofline(size_t bytes)
      : memory_(AlignedBuffer::Allocate(bytes)), copy_(AlignedBuffer::Allocate(std::min(bytes, size_t{256} << 20))) {
    std::memset(copy_.data(), 0, copy_.size());
    for (size_t i = 0; i < bytes; i += 8) {
      const uint64_t word = i * 0x9e3779b97f4a7c15u;
      std::memcpy(memory_.data() + i, &word, 8);
    }
  }

  void Measure(const Case& c) {
    double best = 0, bandwidth = 0;
    for (int round = 0; round < 5; ++round) {
      const size_t threads = std::thread::hardware_concurrency();
      bandwidth = std::max(bandwidth, ReadBandwidth(memory_.data(), memory_.size(), threads));
      if (c.copy) bandwidth = std::max(bandwidth, CopyBandwidth(copy_.data(), memory_.data(), copy_.size(), threads));
      const auto begin = std::chrono::steady_clock::now();
      Save(c);
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
      best = std::max(best, static_cast<double>(memory_.size()) / seconds.count());
    }
    std::printf("%-44s %8.1f %8.1f %8.1f %7.2f\n", c.name, best / 1e9, best * c.traffic / 1e9, bandwidth / 1e9,
                best * c.traffic / bandwidth);
  }

 private:
  void Save(const Case& c) {
    SaveProgram program;
    const size_t count = memory_.size() / c.tensor_bytes;
    program.extents.reserve(count);
    program.paths = {"null"};
    program.sizes = {memory_.size()};
    program.tensor_count = static_cast<uint32_t>(count);
    for (uint32_t i = 0; i < count; ++i) {
      program.extents.push_back({.memory = memory_.data() + i * c.tensor_bytes,
                                 .bytes = c.tensor_bytes,
                                 .file_offset = i * c.tensor_bytes,
                                 .tensor = i,
                                 .mutable_memory = c.mutable_memory});
    }
    program.options.copy = c.copy;
    program.steps = {{.op = Step::Op::kWrite}, {.op = Step::Op::kSync}, {.op = Step::Op::kCommitted}};
    LastEvent events;
    SaveRun(std::move(program), fs_, pool_, staging_, aborted_, events).Run();
    if (events.last.type != Event::Type::kFinished) std::abort();
  }

  const AlignedBuffer memory_, copy_;
  NullFileSystem fs_;
  ThreadPool pool_{ThreadsFor({})};
  StagingPool staging_;
  const std::atomic<bool> aborted_{false};
};

void Main(size_t bytes) {
  constexpr size_t kLarge = size_t{64} << 20;
  Roofline roofline(bytes / kLarge * kLarge);
  std::printf("%zu MiB, %u threads, GB/s; ratio: traffic to the bandwidth\n%-44s %8s %8s %8s %7s\n", bytes >> 20,
              std::thread::hardware_concurrency(), "", "saved", "traffic", "memory", "ratio");
  for (const Case& c : {Case{"tensors of 64 MiB that can't change", kLarge, false, false, 1},
                        Case{"tensors of 1 MiB that can't change", 1 << 20, false, false, 1},
                        Case{"tensors of 64 MiB, summed before and after", kLarge, true, false, 2},
                        Case{"tensors of 64 MiB, copied", kLarge, true, true, 2},
                        Case{"tensors of 4 KiB, copied", 4096, true, true, 2}}) {
    roofline.Measure(c);
  }
}

}  // namespace
}  // namespace tensor_checkpoint

int main(int argc, char** argv) {
  tensor_checkpoint::Main((argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1024) << 20);
}
