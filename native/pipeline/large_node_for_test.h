#ifndef TENSOR_CHECKPOINT_PIPELINE_LARGE_NODE_FOR_TEST_H_
#define TENSOR_CHECKPOINT_PIPELINE_LARGE_NODE_FOR_TEST_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <queue>
#include <random>
#include <utility>
#include <vector>

#include "pipeline/scheduler.h"

namespace tensor_checkpoint {

// A node with many GPUs and disks, simulated: the real Scheduler on a virtual clock. Deterministic.
//
// A tensor is one task: its GPU's lane copies it to staging memory, a worker sums it there, its disk writes it. GPU lanes
// and disks are servers: they serve one request after the other at their full rate, in the order of arrival. A disk's
// request ends when its bytes were served and, besides, its latency is over: lognormal, and for some of them a stall.
// Latency holds one of the requests that a disk is given at once, not the disk.
struct LargeNode {
  uint32_t workers = 64;
  double worker_rate = 20e9;  // Bytes a second that a worker sums.
  uint32_t gpus = 8;
  double gpu_rate = 55e9;
  std::vector<double> disk_rates = std::vector<double>(8, 6.25e9);
  double latency_median = 100e-6, latency_sigma = 0.5;
  double stall_probability = 0.01, stall = 50e-3;
  uint64_t bytes = 1'000'000'000'000;
  uint32_t tensors = 1'000'000;
  uint32_t lanes = 16;                    // Per disk: requests under way.
  uint32_t copies = 2;                    // Per GPU: copies under way.
  uint64_t staging = uint64_t{1} << 30;
  // Which part of the tensors each disk gets; empty: equal ones.
  std::vector<double> shares;
  uint64_t seed = 1;
};

struct LargeNodeRun {
  double seconds;               // On the virtual clock.
  double bound;                 // No schedule can be faster, with each tensor on the disk that it is on.
  std::vector<double> ended;    // Per disk: its last request.
  uint64_t most_staging;
};

inline LargeNodeRun Simulate(const LargeNode& node) {
  using Resource = Scheduler::Resource;
  const auto disks = static_cast<uint32_t>(node.disk_rates.size());
  const double size = static_cast<double>(node.bytes) / node.tensors;
  std::mt19937_64 random(node.seed);

  // Each tensor goes where least of what it shall get has gone so far: neighbours on different disks.
  std::vector<double> shares = node.shares;
  if (shares.empty()) shares.assign(disks, 1.0 / disks);
  std::vector<uint32_t> given(disks);
  std::vector<Scheduler::Task> tasks(node.tensors);
  for (uint32_t i = 0; i < node.tensors; ++i) {
    uint32_t disk = 0;
    for (uint32_t d = 1; d < disks; ++d) {
      if ((given[d] + 1) / shares[d] < (given[disk] + 1) / shares[disk]) disk = d;
    }
    ++given[disk];
    tasks[i] = {.staging = static_cast<uint64_t>(size),
                .device = disk,
                .copier = i % node.gpus,
                .phase_count = 3,
                .phases = {Resource::kCopier, Resource::kProcessor, Resource::kLane},
                .releases_source_after = 0,
                .shares = Scheduler::SharesOf(static_cast<uint64_t>(size))};
  }
  std::vector<uint32_t> disk_of(node.tensors);
  for (uint32_t i = 0; i < node.tensors; ++i) disk_of[i] = tasks[i].device;

  LargeNodeRun run{0, 0, std::vector<double>(disks), 0};
  for (uint32_t d = 0; d < disks; ++d) run.bound = std::max(run.bound, given[d] * size / node.disk_rates[d]);
  run.bound = std::max(run.bound, static_cast<double>(node.bytes) / (node.gpu_rate * node.gpus));
  run.bound = std::max(run.bound, static_cast<double>(node.bytes) / (node.worker_rate * node.workers));

  Scheduler scheduler(std::move(tasks), disks,
                      {.processors = node.workers, .lanes = node.lanes, .copier_lanes = node.copies,
                       .staging = node.staging, .window = node.lanes + node.workers},
                      node.gpus);
  struct End {
    double time;
    uint64_t sequence;
    Scheduler::Start start;
    bool operator<(const End& other) const {
      return time != other.time ? time > other.time : sequence > other.sequence;
    }
  };
  std::priority_queue<End> ends;
  std::vector<double> gpu_free(node.gpus), disk_free(disks);
  std::lognormal_distribution<double> latency(std::log(node.latency_median), node.latency_sigma);
  std::bernoulli_distribution stalls(node.stall_probability);
  std::vector<Scheduler::Start> starts;
  uint64_t sequence = 0;
  const auto serve = [](double& free, double now, double seconds) { return free = std::max(free, now) + seconds; };
  for (;;) {
    starts.clear();
    scheduler.Next(starts);
    for (const Scheduler::Start& start : starts) {
      double end;
      if (start.phase == 0) {
        end = serve(gpu_free[start.task % node.gpus], run.seconds, size / node.gpu_rate);
      } else if (start.phase == 1) {
        end = run.seconds + size / node.worker_rate;
      } else {
        const uint32_t disk = disk_of[start.task];
        const double served = serve(disk_free[disk], run.seconds, size / node.disk_rates[disk]);
        end = served + latency(random) + (stalls(random) ? node.stall : 0);
      }
      ends.push({end, sequence++, start});
    }
    run.most_staging = std::max(run.most_staging, scheduler.staging_used());
    if (ends.empty()) return run;
    const End end = ends.top();
    ends.pop();
    run.seconds = end.time;
    if (end.start.phase == 2) run.ended[disk_of[end.start.task]] = end.time;
    scheduler.Done(end.start.task);
  }
}

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_PIPELINE_LARGE_NODE_FOR_TEST_H_
