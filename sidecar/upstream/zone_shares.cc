#include "sidecar/upstream/zone_shares.h"

#include <cmath>

namespace pillion::upstream {
namespace {

using Wide = unsigned __int128;

// `whole` by weights, without a rest.
class Division {
 public:
  Division(uint32_t whole, Wide all) : whole_(whole), all_(all) {}
  uint32_t Next(Wide weight) {
    if (all_ == 0) return 0;
    sum_ += weight;
    const auto end = static_cast<uint32_t>(whole_ * sum_ / all_);
    const uint32_t part = end - end_;
    end_ = end;
    return part;
  }

 private:
  const uint32_t whole_;
  const Wide all_;
  Wide sum_ = 0;
  uint32_t end_ = 0;
};

}  // namespace

std::vector<uint32_t> SplitByZone(std::span<const ZoneCounts> zones, size_t own, double percent) {
  uint64_t endpoints = 0;
  uint64_t callers = 0;
  uint64_t weight = 0;
  for (const ZoneCounts& zone : zones) {
    endpoints += zone.endpoints;
    callers += zone.callers;
    weight += zone.weight;
  }
  // Shares of endpoints and of callers, both times all endpoints and all callers.
  const auto has = [&](const ZoneCounts& zone) { return Wide{zone.endpoints} * callers; };
  const auto sends = [&](const ZoneCounts& zone) { return Wide{zone.callers} * endpoints; };
  const auto spare = [&](const ZoneCounts& zone) {
    return has(zone) > sends(zone) ? has(zone) - sends(zone) : 0;
  };
  Wide all_spare = 0;
  for (const ZoneCounts& zone : zones) all_spare += spare(zone);

  const auto routed = static_cast<uint32_t>(std::lround(kZoneParts * percent / 100));
  const ZoneCounts& home = zones[own];
  const uint32_t stay =
      has(home) >= sends(home) ? routed : static_cast<uint32_t>(routed * has(home) / sends(home));
  Division leave(routed - stay, all_spare);
  Division anywhere(kZoneParts - routed, weight);
  std::vector<uint32_t> parts;
  parts.reserve(zones.size());
  for (size_t i = 0; i < zones.size(); ++i) {
    const uint32_t spilled = leave.Next(i == own ? 0 : spare(zones[i]));
    parts.push_back((i == own ? stay : spilled) + anywhere.Next(zones[i].weight));
  }
  return parts;
}

}  // namespace pillion::upstream
