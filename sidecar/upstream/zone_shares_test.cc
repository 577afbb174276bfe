#include "sidecar/upstream/zone_shares.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "sidecar/base/random.h"

namespace pillion::upstream {
namespace {

// Endpoints and callers of each zone; the first is the own one. Endpoints have weight 1.
struct Case {
  const char* what;
  std::vector<std::pair<uint32_t, uint32_t>> zones;
  double percent;
  std::vector<uint32_t> parts;
};

std::vector<ZoneCounts> Zones(const std::vector<std::pair<uint32_t, uint32_t>>& counts) {
  std::vector<ZoneCounts> zones;
  zones.reserve(counts.size());
  for (const auto& [endpoints, callers] : counts)
    zones.push_back({.endpoints = endpoints, .weight = endpoints, .callers = callers});
  return zones;
}

TEST(ZoneShares, KeepWhatTheOwnZoneCanCarryAndSpillToThoseWithMoreEndpointsThanCallers) {
  const std::vector<Case> cases = {
      {"the same shares", {{2, 1}, {2, 1}, {2, 1}}, 100, {1000000, 0, 0}},
      {"more endpoints than callers", {{4, 1}, {2, 1}, {2, 1}}, 100, {1000000, 0, 0}},
      {"no callers at home", {{1, 0}, {5, 3}}, 100, {1000000, 0}},
      {"half of what its callers send", {{1, 2}, {3, 2}}, 100, {500000, 500000}},
      {"no endpoint at home for half", {{1, 4}, {1, 0}, {2, 0}}, 100, {250000, 250000, 500000}},
      {"one that has too few as well gets nothing", {{1, 2}, {1, 2}, {4, 2}}, 100, {500000, 0, 500000}},
      {"by how many more they have", {{2, 8}, {5, 1}, {3, 1}}, 100, {250000, 500000, 250000}},
      {"callers where there are no endpoints", {{2, 2}, {4, 0}, {0, 1}}, 100, {500000, 500000, 0}},
      {"thirds add up", {{3, 6}, {5, 1}, {5, 1}, {5, 1}}, 100, {250000, 250000, 250000, 250000}},
      {"rounded", {{1, 6}, {1, 0}, {1, 0}, {4, 1}}, 100, {166666, 166666, 166667, 500001}},
      {"zones do not count", {{2, 1}, {1, 1}, {1, 1}}, 0, {500000, 250000, 250000}},
      {"for half of the requests", {{2, 1}, {1, 1}, {1, 1}}, 50, {750000, 125000, 125000}},
      {"for half of those that spill", {{1, 2}, {3, 2}}, 50, {375000, 625000}},
  };
  for (const Case& one : cases)
    EXPECT_EQ(SplitByZone(Zones(one.zones), 0, one.percent), one.parts) << one.what;
}

TEST(ZoneShares, TheOthersAreSpreadByWeight) {
  const std::vector<ZoneCounts> zones = {{.endpoints = 1, .weight = 1, .callers = 1},
                                         {.endpoints = 1, .weight = 9, .callers = 1}};
  EXPECT_EQ(SplitByZone(zones, 0, 0), (std::vector<uint32_t>{100000, 900000}));
  EXPECT_EQ(SplitByZone(zones, 1, 100), (std::vector<uint32_t>{0, 1000000}));
}

// All of a mesh: whoever calls from wherever, no endpoint gets more than its share of all requests; what
// could stay at home does.
TEST(ZoneShares, NoEndpointOfAnyMeshGetsMoreThanWithoutZones) {
  Random random(7);
  for (int mesh = 0; mesh < 2000; ++mesh) {
    std::vector<std::pair<uint32_t, uint32_t>> counts;
    const size_t zones = 2 + Below(random.Next(), 6);
    for (size_t i = 0; i < zones; ++i) {
      const auto endpoints = static_cast<uint32_t>(Below(random.Next(), 50));
      counts.emplace_back(endpoints, endpoints == 0 ? 0 : Below(random.Next(), 50));
    }
    counts.front() = {counts.front().first + 1, counts.front().second + 1};
    const std::vector<ZoneCounts> all = Zones(counts);
    double endpoints = 0;
    double callers = 0;
    for (const ZoneCounts& zone : all) {
      endpoints += zone.endpoints;
      callers += zone.callers;
    }
    std::vector<double> load(zones);  // part of all requests
    for (size_t from = 0; from < zones; ++from) {
      if (all[from].callers == 0) continue;
      const std::vector<uint32_t> parts = SplitByZone(all, from, 100);
      ASSERT_EQ(parts.size(), zones);
      EXPECT_EQ(std::accumulate(parts.begin(), parts.end(), uint64_t{0}), kZoneParts);
      const double sends = all[from].callers / callers;
      for (size_t to = 0; to < zones; ++to) load[to] += sends * parts[to] / kZoneParts;
      const double could_stay = std::min(1.0, all[from].endpoints / endpoints / sends);
      EXPECT_NEAR(static_cast<double>(parts[from]) / kZoneParts, could_stay, 2e-6);
    }
    for (size_t to = 0; to < zones; ++to) EXPECT_LE(load[to], all[to].endpoints / endpoints + 1e-5) << mesh;
  }
}

}  // namespace
}  // namespace pillion::upstream
