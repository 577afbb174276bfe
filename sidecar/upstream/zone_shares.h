// What part of one zone's requests goes to the endpoints of which zone. Pure.
#ifndef PILLION_SIDECAR_UPSTREAM_ZONE_SHARES_H_
#define PILLION_SIDECAR_UPSTREAM_ZONE_SHARES_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace pillion::upstream {

// Of one zone.
struct ZoneCounts {
  uint32_t endpoints = 0;  // good ones of the cluster that is called
  uint64_t weight = 0;     // of these together
  uint32_t callers = 0;
};

// All of the requests.
inline constexpr uint32_t kZoneParts = 1'000'000;

// Of the requests of a caller in zone `own` the parts that go to each zone; they add up to kZoneParts. While
// the own zone's share of the endpoints is at least its share of the callers, all stay. Else as many stay as
// are its endpoints' share of all requests; the others go where there are more endpoints than callers, by how
// many more. So when all callers have as much to send, each endpoint gets its share. This is done with
// `percent` of the requests; the others go to all zones by their weights. `zones`: all in which there are
// endpoints or callers; `own` has both, or no callers.
std::vector<uint32_t> SplitByZone(std::span<const ZoneCounts> zones, size_t own, double percent);

}  // namespace pillion::upstream

#endif  // PILLION_SIDECAR_UPSTREAM_ZONE_SHARES_H_
