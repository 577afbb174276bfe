#include "sidecar/upstream/priority_load.h"

#include <algorithm>
#include <cstddef>

namespace pillion::upstream {
namespace {

uint32_t Availability(uint32_t usable, uint32_t all, uint32_t overprovisioning_percent) {
  if (all == 0) return 0;
  return static_cast<uint32_t>(std::min<uint64_t>(100, uint64_t{overprovisioning_percent} * usable / all));
}

// By the number of endpoints, where none is usable and all are to be tried.
void SplitByNumber(std::span<const PriorityCounts> counts, std::vector<PriorityLoad>& loads) {
  uint64_t all = 0;
  for (const PriorityCounts& one : counts) all += one.all;
  uint32_t left = 100;
  size_t last = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    loads[i].panic = true;
    loads[i].good = all == 0 ? 0 : static_cast<uint32_t>(uint64_t{100} * counts[i].all / all);
    left -= loads[i].good;
    if (counts[i].all > 0) last = i;
  }
  if (all > 0) loads[last].good += left;
}

}  // namespace

std::vector<PriorityLoad> SplitLoad(std::span<const PriorityCounts> counts, uint32_t overprovisioning_percent,
                                    double panic_percent) {
  std::vector<PriorityLoad> loads(counts.size());
  uint32_t total = 0;
  for (const PriorityCounts& one : counts) {
    total += Availability(one.good, one.all, overprovisioning_percent) +
             Availability(one.degraded, one.all, overprovisioning_percent);
  }
  total = std::min<uint32_t>(total, 100);
  if (total == 0) {
    if (panic_percent > 0) SplitByNumber(counts, loads);
    return loads;
  }
  uint32_t left = 100;
  uint32_t* first = nullptr;
  const auto take = [&](uint32_t& load, uint32_t usable, uint32_t all) {
    load = std::min(left, Availability(usable, all, overprovisioning_percent) * 100 / total);
    left -= load;
    if (first == nullptr && load > 0) first = &load;
  };
  for (size_t i = 0; i < counts.size(); ++i) take(loads[i].good, counts[i].good, counts[i].all);
  for (size_t i = 0; i < counts.size(); ++i) take(loads[i].degraded, counts[i].degraded, counts[i].all);
  if (first != nullptr) *first += left;  // lost by rounding
  if (total == 100) return loads;
  for (size_t i = 0; i < counts.size(); ++i) {
    const uint32_t usable = counts[i].good + counts[i].degraded;
    loads[i].panic = counts[i].all > 0 && 100.0 * usable < panic_percent * counts[i].all;
    if (!loads[i].panic) continue;
    loads[i].good += loads[i].degraded;
    loads[i].degraded = 0;
  }
  return loads;
}

}  // namespace pillion::upstream
