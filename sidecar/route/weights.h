// Which of weighted clusters serves. Pure.
#ifndef PILLION_SIDECAR_ROUTE_WEIGHTS_H_
#define PILLION_SIDECAR_ROUTE_WEIGHTS_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "sidecar/config/route_table.h"

namespace pillion::route {

// In all: one cluster or more, whose weights add up to `total_weight`, more than 0; `random` is uniform over
// all 64-bit values. The answer is a place among `clusters`, whose weight is not 0.

// Each by its share of the draws.
size_t DrawCluster(std::span<const config::WeightedCluster> clusters, uint64_t total_weight, uint64_t random);

// Smooth weighted round robin: of any `total_weight` turns in a row each cluster has as many as its weight,
// give or take one, spread over them. `credits`, one per cluster, begin as 0 and are kept between turns; the
// first turn is drawn, so that those who begin together do not go the same way together.
size_t TakeTurn(std::span<const config::WeightedCluster> clusters, uint64_t total_weight,
                std::span<int64_t> credits, uint64_t random);

// As if the turn that was `chosen` had not been taken.
void GiveTurnBack(std::span<const config::WeightedCluster> clusters, uint64_t total_weight,
                  std::span<int64_t> credits, size_t chosen);

}  // namespace pillion::route

#endif  // PILLION_SIDECAR_ROUTE_WEIGHTS_H_
