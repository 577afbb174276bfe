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
  const bool first = std::ranges::all_of(credits, [](int64_t credit) { return credit == 0; });
  const size_t drawn = first ? DrawCluster(clusters, total_weight, random) : 0;
  // The largest credit is more than 0, and so never that of a weight of 0.
  const std::optional<size_t> turn = TakeSmoothTurn(
      clusters.size(), static_cast<int64_t>(total_weight), [&](size_t i) { return clusters[i].weight; },
      [&](size_t i) -> int64_t& { return credits[i]; }, [&](size_t i) { return !first || i == drawn; });
  return turn.value_or(drawn);
}

}  // namespace pillion::route
