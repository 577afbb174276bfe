#include "sidecar/route/weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>
#include <vector>

namespace pillion::route {
namespace {

using Clusters = std::vector<config::WeightedCluster>;

uint64_t Total(const Clusters& clusters) {
  return std::accumulate(clusters.begin(), clusters.end(), uint64_t{0},
                         [](uint64_t sum, const auto& one) { return sum + one.weight; });
}

TEST(DrawCluster, FollowsTheWeightsAndNeverPicksWeightZero) {
  const Clusters clusters = {{"a", 70}, {"b", 30}, {"never", 0}};
  std::mt19937_64 random(7);
  std::vector<int> seen(3);
  for (int i = 0; i < 100000; ++i) ++seen[DrawCluster(clusters, 100, random())];
  EXPECT_NEAR(seen[0], 70000, 700);
  EXPECT_EQ(seen[2], 0);
  EXPECT_EQ(DrawCluster(clusters, 100, 0), 0u);
  EXPECT_EQ(DrawCluster(clusters, 100, ~uint64_t{0}), 1u);
}

TEST(TakeTurn, SpreadsTurns) {
  const Clusters clusters = {{"a", 5}, {"b", 1}, {"c", 1}};
  std::vector<int64_t> credits(3);
  std::string order;
  for (int i = 0; i < 14; ++i) order += "abc"[TakeTurn(clusters, 7, credits, 0)];
  // Never more than two a's in a row but where two cycles meet: nginx' and our own order.
  EXPECT_EQ(order, "aabacaaaabacaa");
}

// In any `total` turns in a row each has its weight, give or take one; also from any draw, and also of
// weights that are 0.
TEST(TakeTurn, IsWithinOneOfExactInEveryWindowOfACycle) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 300; ++round) {
    Clusters clusters(2 + random() % (round % 10 == 0 ? 60 : 6));
    for (auto& one : clusters) one.weight = random() % 4 == 0 ? 0 : static_cast<uint32_t>(random() % 60);
    clusters[random() % clusters.size()].weight += 1;
    const uint64_t total = Total(clusters);
    std::vector<int64_t> credits(clusters.size());
    std::vector<size_t> turns(4 * total);
    for (size_t& turn : turns) turn = TakeTurn(clusters, total, credits, random());
    std::vector<int64_t> seen(clusters.size());
    for (size_t i = 0; i < turns.size(); ++i) {
      ASSERT_GT(clusters[turns[i]].weight, 0u);
      ++seen[turns[i]];
      if (i >= total) --seen[turns[i - total]];
      if (i + 1 < total) continue;
      for (size_t c = 0; c < clusters.size(); ++c)
        ASSERT_LE(std::abs(seen[c] - static_cast<int64_t>(clusters[c].weight)), 1) << "round " << round;
    }
  }
}

// Those that begin together: first turns are shared out by weight among them.
TEST(TakeTurn, TheFirstTurnIsDrawn) {
  const Clusters clusters = {{"a", 70}, {"b", 30}};
  std::mt19937_64 random(3);
  int a = 0;
  for (int i = 0; i < 100000; ++i) {
    std::vector<int64_t> credits(2);
    a += TakeTurn(clusters, 100, credits, random()) == 0 ? 1 : 0;
  }
  EXPECT_NEAR(a, 70000, 700);
}

TEST(TakeTurn, BearsTheLargestWeights) {
  const Clusters clusters = {{"a", 2'147'483'647}, {"b", 2'147'483'648}};
  std::vector<int64_t> credits(2);
  int a = 0;
  for (int i = 0; i < 1000; ++i) a += TakeTurn(clusters, UINT32_MAX, credits, 0) == 0 ? 1 : 0;
  EXPECT_EQ(a, 500);
}

// As if it had never been taken, at any point of a cycle.
TEST(GiveTurnBack, TheNextOneHasIt) {
  const Clusters clusters = {{"a", 5}, {"b", 1}, {"none", 0}, {"c", 3}};
  const uint64_t total = Total(clusters);
  std::vector<int64_t> credits(clusters.size());
  std::vector<int64_t> disturbed(clusters.size());
  for (uint64_t i = 0; i < 3 * total; ++i) {
    for (int k = 0; k < 2; ++k) {
      const auto before = disturbed;
      GiveTurnBack(clusters, total, disturbed, TakeTurn(clusters, total, disturbed, i));
      ASSERT_EQ(disturbed, before);
    }
    ASSERT_EQ(TakeTurn(clusters, total, disturbed, i), TakeTurn(clusters, total, credits, i));
  }
}

}  // namespace
}  // namespace pillion::route
