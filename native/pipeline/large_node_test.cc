#include "pipeline/large_node_for_test.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace tensor_checkpoint {
namespace {

TEST(LargeNode, SavesWithinThreePercentOfItsDisks) {
  const LargeNode node;
  const LargeNodeRun run = Simulate(node);
  EXPECT_NEAR(run.bound, 20.0, 0.01);
  EXPECT_GE(run.seconds, run.bound);
  EXPECT_LE(run.seconds, run.bound * 1.03);
  EXPECT_LE(run.most_staging, node.staging);
}

TEST(LargeNode, KeepsAllOtherDisksAtFullSpeedWhenOneIsAtHalf) {
  LargeNode node;
  node.disk_rates[3] /= 2;
  const LargeNodeRun run = Simulate(node);
  // What lies on the slow disk takes it twice as long, and no other one waits for it.
  EXPECT_NEAR(run.bound, 40.0, 0.01);
  EXPECT_LE(run.seconds, run.bound * 1.05);
  for (size_t disk = 0; disk < node.disk_rates.size(); ++disk) {
    EXPECT_LE(run.ended[disk], (disk == 3 ? 40.0 : 20.0) * 1.05) << disk;
  }
}

TEST(LargeNode, ReachesTheSumOfUnequalDisksWhereEachGetsItsPart) {
  LargeNode node;
  node.disk_rates[3] /= 2;
  const double sum = std::accumulate(node.disk_rates.begin(), node.disk_rates.end(), 0.0);
  for (const double rate : node.disk_rates) node.shares.push_back(rate / sum);
  const LargeNodeRun run = Simulate(node);
  EXPECT_NEAR(run.bound, 1e12 / sum, 0.01);
  EXPECT_LE(run.seconds, run.bound * 1.05);
}

TEST(LargeNode, IsTheSameForTheSameSeed) {
  LargeNode node;
  node.tensors = 10000;
  EXPECT_EQ(Simulate(node).seconds, Simulate(node).seconds);
  LargeNode other = node;
  other.seed = 2;
  EXPECT_NE(Simulate(node).seconds, Simulate(other).seconds);
}

}  // namespace
}  // namespace tensor_checkpoint
