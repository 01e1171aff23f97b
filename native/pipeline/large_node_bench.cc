// A large node, SIMULATED: the real Scheduler on a virtual clock. No figure here was measured on such a machine.
//
// Model (pipeline/large_node_for_test.h): 64 workers that sum 20 GB/s each, 8 GPU lanes of 55 GB/s, 8 disks of 6.25 GB/s
// with lognormal latency (median 100 µs, sigma 0.5) and stalls of 50 ms in 1 % of all requests; 1 TB in a million tensors,
// 16 requests under way per disk, 1 GiB of staging. The bound is the disks': what lies on each, at its full rate. The
// aims: within 3 % of it, and with one disk at half speed within 5 % of its new bound. Where the data lie is decided
// before the save by the layout, so a slow disk sets the bound — unless each disk was given its part.
//
//   node scripts/native-bench.mjs large_node

#include <cstdio>
#include <numeric>

#include "pipeline/large_node_for_test.h"

namespace tensor_checkpoint {
namespace {

void Show(const char* name, const LargeNode& node) {
  const LargeNodeRun run = Simulate(node);
  std::printf("%-44s %8.2f %8.2f %8.1f %8.3f %8.0f\n", name, run.seconds, run.bound,
              static_cast<double>(node.bytes) / run.seconds / 1e9, run.seconds / run.bound,
              static_cast<double>(run.most_staging) / (1 << 20));
}

void Main() {
  std::printf("SIMULATED, virtual clock: 1 TB in 1,000,000 tensors\n%-44s %8s %8s %8s %8s %8s\n", "", "seconds", "bound",
              "GB/s", "to bound", "MiB used");
  LargeNode node;
  Show("8 equal disks", node);
  node.disk_rates[3] /= 2;
  Show("one at half speed, equal parts", node);
  const double sum = std::accumulate(node.disk_rates.begin(), node.disk_rates.end(), 0.0);
  for (const double rate : node.disk_rates) node.shares.push_back(rate / sum);
  Show("one at half speed, each its part", node);
  for (const uint32_t lanes : {2u, 4u, 8u, 32u}) {
    LargeNode other;
    other.lanes = lanes;
    char name[64];
    std::snprintf(name, sizeof(name), "8 equal disks, %u requests each", lanes);
    Show(name, other);
  }
}

}  // namespace
}  // namespace tensor_checkpoint

int main() { tensor_checkpoint::Main(); }
