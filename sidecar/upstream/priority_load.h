// How much of a cluster's load each priority gets. Pure.
#ifndef PILLION_SIDECAR_UPSTREAM_PRIORITY_LOAD_H_
#define PILLION_SIDECAR_UPSTREAM_PRIORITY_LOAD_H_

#include <cstdint>
#include <span>
#include <vector>

namespace pillion::upstream {

// Of the endpoints of one priority.
struct PriorityCounts {
  uint32_t all = 0;
  uint32_t good = 0;
  uint32_t degraded = 0;  // second choice; not among the good ones
};

struct PriorityLoad {
  uint32_t good = 0;  // percent of the requests that go to the good ones; of all loads they add up to 100
  uint32_t degraded = 0;
  bool panic = false;  // too few are good: `good` goes to all of them
  friend bool operator==(const PriorityLoad&, const PriorityLoad&) = default;
};

// A priority takes as much as its share of good endpoints times `overprovisioning_percent` allows, the first
// ones first, then degraded ones in the same order; where all together are too few, each takes its part of
// what there is, and one with less than `panic_percent` of usable ones is in panic. All 0 where there is no
// endpoint that may be used.
std::vector<PriorityLoad> SplitLoad(std::span<const PriorityCounts> counts, uint32_t overprovisioning_percent,
                                    double panic_percent);

}  // namespace pillion::upstream

#endif  // PILLION_SIDECAR_UPSTREAM_PRIORITY_LOAD_H_
