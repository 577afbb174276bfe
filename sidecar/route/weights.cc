#include "sidecar/route/weights.h"

#include <algorithm>

namespace pillion::route {

size_t DrawCluster(std::span<const config::WeightedCluster> clusters, uint64_t total_weight,
                   uint64_t random) {
  // The high bits times the total: uniform without a division (Lemire, 2019).
  auto point = static_cast<uint64_t>((static_cast<unsigned __int128>(random) * total_weight) >> 64);
  for (size_t i = 0; i < clusters.size(); ++i) {
    if (point < clusters[i].weight) return i;
    point -= clusters[i].weight;
  }
  return clusters.size() - 1;
}

size_t TakeTurn(std::span<const config::WeightedCluster> clusters, uint64_t total_weight,
                std::span<int64_t> credits, uint64_t random) {
  const bool first = std::ranges::all_of(credits, [](int64_t credit) { return credit == 0; });
  for (size_t i = 0; i < clusters.size(); ++i) credits[i] += clusters[i].weight;
  // The largest credit is more than 0, and so never that of a weight of 0.
  const size_t chosen = first ? DrawCluster(clusters, total_weight, random)
                              : static_cast<size_t>(std::ranges::max_element(credits) - credits.begin());
  credits[chosen] -= static_cast<int64_t>(total_weight);
  return chosen;
}

}  // namespace pillion::route
