#include "sidecar/route/weights.h"

#include <algorithm>
#include <optional>

#include "sidecar/base/random.h"
#include "sidecar/base/smooth_turn.h"

namespace pillion::route {

size_t DrawCluster(std::span<const config::WeightedCluster> clusters, uint64_t total_weight,
                   uint64_t random) {
  uint64_t point = Below(random, total_weight);
  for (size_t i = 0; i < clusters.size(); ++i) {
    if (point < clusters[i].weight) return i;
    point -= clusters[i].weight;
  }
  return clusters.size() - 1;
}

size_t TakeTurn(std::span<const config::WeightedCluster> clusters, uint64_t total_weight,
                std::span<int64_t> credits, uint64_t random) {
  if (std::ranges::all_of(credits, [](int64_t credit) { return credit == 0; })) {
    for (size_t i = 0; i < clusters.size(); ++i) credits[i] += clusters[i].weight;
    const size_t drawn = DrawCluster(clusters, total_weight, random);
    credits[drawn] -= static_cast<int64_t>(total_weight);
    return drawn;
  }
  // The largest credit is more than 0, and so never that of a weight of 0.
  const std::optional<size_t> turn = TakeSmoothTurn(
      clusters.size(), [&](size_t i) { return clusters[i].weight; },
      [&](size_t i) -> int64_t& { return credits[i]; }, [](size_t) { return true; });
  return turn.value_or(0);
}

void GiveTurnBack(std::span<const config::WeightedCluster> clusters, uint64_t total_weight,
                  std::span<int64_t> credits, size_t chosen) {
  for (size_t i = 0; i < clusters.size(); ++i) credits[i] -= clusters[i].weight;
  credits[chosen] += static_cast<int64_t>(total_weight);
}

}  // namespace pillion::route
