#include "sidecar/upstream/endpoint_set.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "sidecar/base/smooth_turn.h"
#include "sidecar/upstream/draw.h"
#include "sidecar/upstream/priority_load.h"
#include "sidecar/upstream/zone_shares.h"

namespace pillion::upstream {
namespace {

// While an endpoint starts slowly all weights are so many times what they are, so that a part of 1 is a whole
// number.
constexpr uint64_t kSlowStartScale = 1024;
// In so many steps it gets to its whole weight.
constexpr int kSlowStartSteps = 64;

}  // namespace

// Of a slow start, now.
uint64_t EndpointSet::WeightNow(const EndpointState& endpoint, time::MonotonicTime now) {
  const auto& slow = cluster_->balancer.slow_start;
  const uint64_t weight = endpoint.config().weight;
  if (!slow || slow->window.count() <= 0) return weight;
  const time::Duration since = now - endpoint.good_since();
  if (since >= slow->window) return weight * kSlowStartScale;
  refresh_at_ = std::min(refresh_at_, now + slow->window / kSlowStartSteps);
  const double grown =
      std::pow(std::max(static_cast<double>(since.count()), 1.0) / static_cast<double>(slow->window.count()),
               1 / slow->aggression);
  const double part = std::max(slow->least, grown) * static_cast<double>(weight * kSlowStartScale);
  return std::max<uint64_t>(1, static_cast<uint64_t>(part));
}

EndpointSet::Group EndpointSet::MakeGroup(std::vector<EndpointState*> members, time::MonotonicTime now) {
  Group group;
  group.members = std::move(members);
  group.sums.reserve(group.members.size());
  bool same = true;
  uint64_t first = 0;
  uint64_t sum = 0;
  for (const EndpointState* const member : group.members) {
    const uint64_t weight = WeightNow(*member, now);
    if (sum == 0) first = weight;
    same = same && weight == first;
    sum += weight;
    group.sums.push_back(sum);
  }
  if (!same && cluster_->balancer.kind == config::Balancer::Kind::kRoundRobin)
    group.credits.resize(group.members.size());
  return group;
}

void EndpointSet::AddLevel(std::span<EndpointState* const> members, uint32_t load,
                           const config::Assignment& assignment, std::span<const uint32_t> all_by_locality,
                           time::MonotonicTime now) {
  if (members.empty()) return;
  Level& level = levels_.emplace_back();
  level.load = load;
  if (!cluster_->balancer.localities_by_weight) {
    level.groups.push_back(MakeGroup({members.begin(), members.end()}, now));
    level.sums.push_back(1);
    return;
  }
  // A locality without a weight gets no requests, and one of which a part is good its part (xds.md 1.5).
  std::map<uint32_t, std::vector<EndpointState*>> by_locality;
  for (EndpointState* const member : members) by_locality[member->config().locality].push_back(member);
  for (auto& [number, those] : by_locality) {
    const config::Locality* const locality = those.front()->locality();
    const uint64_t weight = locality == nullptr ? 0 : locality->weight;
    const uint64_t all = number < all_by_locality.size() ? all_by_locality[number] : those.size();
    const uint64_t percent = std::min<uint64_t>(
        100, uint64_t{assignment.overprovisioning_percent} * those.size() / std::max<uint64_t>(all, 1));
    level.sums.push_back((level.sums.empty() ? 0 : level.sums.back()) + weight * percent);
    level.groups.push_back(MakeGroup(std::move(those), now));
  }
  level.credits.resize(level.groups.size());
}

// The good ones of the first priority by zones. False, and nothing is added: zones do not count now.
bool EndpointSet::AddZones(std::span<EndpointState* const> good, uint32_t load, Callers* callers,
                           time::MonotonicTime now) {
  const std::optional<config::ZoneAware>& terms = cluster_->balancer.zone_aware;
  if (callers == nullptr || !terms || good.size() < terms->least_endpoints || callers->own().empty())
    return false;
  const Callers::Counts& counts = callers->counts();
  const bool panic = 100.0 * counts.usable < cluster_->balancer.panic_percent * counts.all;
  if (counts.good == 0 || panic) return false;
  std::map<config::Place, std::vector<EndpointState*>> by_place;
  for (EndpointState* const one : good) by_place[one->place()].push_back(one);
  const auto own = by_place.find(callers->own());
  if (own == by_place.end() || by_place.size() < 2) return false;
  Level level;
  level.load = load;
  level.groups.reserve(by_place.size());
  std::vector<ZoneCounts> zones;
  zones.reserve(by_place.size() + 1);
  uint32_t elsewhere = counts.good;  // where there are no endpoints
  for (auto& [place, those] : by_place) {
    const auto here = counts.good_by_place.find(place);
    const uint32_t callers_here = here == counts.good_by_place.end() ? 0 : here->second;
    elsewhere -= callers_here;
    const auto endpoints = static_cast<uint32_t>(those.size());
    level.groups.push_back(MakeGroup(std::move(those), now));
    zones.push_back(
        {.endpoints = endpoints, .weight = level.groups.back().sums.back(), .callers = callers_here});
  }
  zones.push_back({.callers = elsewhere});
  const auto own_number = static_cast<size_t>(std::distance(by_place.begin(), own));
  const std::vector<uint32_t> parts = SplitByZone(zones, own_number, terms->percent);
  level.sums.reserve(level.groups.size());
  for (size_t i = 0; i < level.groups.size(); ++i)
    level.sums.push_back((i == 0 ? 0 : level.sums.back()) + parts[i]);
  level.credits.resize(level.groups.size());
  levels_.push_back(std::move(level));
  return true;
}

EndpointSet::EndpointSet(std::span<EndpointState* const> members, const config::Cluster& cluster,
                         const config::Assignment& assignment, Callers* callers, const EndpointSet* before,
                         time::MonotonicTime now, Random& random)
    : cluster_(&cluster) {
  struct Priority {
    std::vector<EndpointState*> good;
    std::vector<EndpointState*> degraded;
    std::vector<EndpointState*> all;
  };
  std::map<uint32_t, Priority> priorities;
  std::vector<uint32_t> all_by_locality(assignment.localities.size());
  for (EndpointState* const member : members) {
    const config::Locality* const locality = member->locality();
    Priority& priority = priorities[locality == nullptr ? 0 : locality->priority];
    priority.all.push_back(member);
    if (member->config().locality < all_by_locality.size()) ++all_by_locality[member->config().locality];
    const Standing standing = member->standing();
    if (standing == Standing::kGood) priority.good.push_back(member);
    if (standing == Standing::kSecondChoice) priority.degraded.push_back(member);
  }
  std::vector<PriorityCounts> counts;
  counts.reserve(priorities.size());
  for (const auto& [number, one] : priorities) {
    counts.push_back({static_cast<uint32_t>(one.all.size()), static_cast<uint32_t>(one.good.size()),
                      static_cast<uint32_t>(one.degraded.size())});
  }
  const std::vector<PriorityLoad> loads =
      SplitLoad(counts, assignment.overprovisioning_percent, cluster.balancer.panic_percent);
  size_t i = 0;
  const auto& zone_aware = cluster.balancer.zone_aware;
  for (const auto& [number, one] : priorities) {
    const PriorityLoad& load = loads[i++];
    if (load.panic && zone_aware && zone_aware->fails_in_panic) {
      levels_.emplace_back().load = load.good;
    } else if (load.panic || number != 0 || !AddZones(one.good, load.good, callers, now)) {
      AddLevel(load.panic ? one.all : one.good, load.good, assignment, all_by_locality, now);
    }
  }
  i = 0;
  for (const auto& [number, one] : priorities) {
    if (!loads[i].panic) AddLevel(one.degraded, loads[i].degraded, assignment, all_by_locality, now);
    ++i;
  }
  for (const Level& level : levels_) {
    for (const Group& group : level.groups) eligible_ += group.members.size();
  }
  const bool fails = std::ranges::any_of(levels_, [](const Level& level) { return level.groups.empty(); });
  if (eligible_ == 1 && !fails) sole_ = levels_.front().groups.front().members.front();
  TakeTurnsOver(before, random);
}

// So that a change, of which there may be many, does not send the next requests to the first endpoints again,
// nor those of many sidecars that begin together.
void EndpointSet::TakeTurnsOver(const EndpointSet* before, Random& random) {
  // The turns of groups begin anywhere: where sets are made anew at each request or two, a turn that always
  // begins alike would be the share of the largest.
  constexpr uint64_t kPhases = 64;
  for (Level& level : levels_) {
    if (level.groups.size() < 2) continue;
    for (uint64_t turns = Below(random.Next(), kPhases); turns > 0; --turns)
      TakeGroupTurn(level, [&](size_t i) { return WeightAt(level.sums, i) > 0; });
  }
  if (cluster_->balancer.kind != config::Balancer::Kind::kRoundRobin) return;
  std::map<const EndpointState*, int64_t> credits;
  if (before != nullptr) {
    for (const Level& level : before->levels_) {
      for (const Group& group : level.groups) {
        for (size_t i = 0; i < group.credits.size(); ++i) credits[group.members[i]] = group.credits[i];
      }
    }
  }
  for (Level& level : levels_) {
    for (Group& group : level.groups) {
      group.cursor = Below(random.Next(), group.members.size());
      for (size_t i = 0; i < group.credits.size(); ++i) {
        const auto known = credits.find(group.members[i]);
        if (known != credits.end()) group.credits[i] = known->second;
      }
    }
  }
}

template <typename May>
std::optional<size_t> EndpointSet::TakeTurn(Group& group, May may) {
  const size_t count = group.members.size();
  if (!group.credits.empty()) {
    return TakeSmoothTurn(
        count, [&](size_t i) { return static_cast<int64_t>(WeightAt(group.sums, i)); },
        [&](size_t i) -> int64_t& { return group.credits[i]; }, may);
  }
  for (size_t i = 0; i < count; ++i) {
    const size_t one = group.cursor;
    group.cursor = one + 1 == count ? 0 : one + 1;
    if (may(one)) return one;
  }
  return std::nullopt;
}

template <typename May>
std::optional<size_t> EndpointSet::FindByHash(Group& group, May may, const PickQuery& query) {
  if (!query.hash) return Draw(group.sums, may, query.random);
  const config::Balancer& balancer = cluster_->balancer;
  if (group.table.empty()) {
    std::vector<HashTable::Member> members;
    members.reserve(group.members.size());
    for (size_t i = 0; i < group.members.size(); ++i) {
      const EndpointState& one = *group.members[i];
      const bool by_name = balancer.hash_hostnames && !one.config().hostname.empty();
      members.push_back(
          {by_name ? one.config().hostname : one.address().ToString(), WeightAt(group.sums, i)});
    }
    group.table = balancer.kind == config::Balancer::Kind::kMaglev
                      ? HashTable::Maglev(members, balancer.table_size)
                      : HashTable::Ring(members, balancer.least_ring, balancer.most_ring);
  }
  if (balancer.hash_balance_percent == 0) return group.table.Find(*query.hash, may);
  // Consistent hashing with bounded loads (Mirrokni et al., SODA 2018): who has its share and more is passed
  // over.
  uint64_t under_way = 1;  // with this one
  for (const auto& member : group.members) under_way += member->active_attempts;
  const auto has_room = [&](size_t i) {
    const double share =
        static_cast<double>(WeightAt(group.sums, i)) / static_cast<double>(group.sums.back());
    const double most =
        std::ceil(share * static_cast<double>(under_way) * balancer.hash_balance_percent / 100);
    return group.members[i]->active_attempts < most && may(i);
  };
  // A table may be large: it is not searched for what is not there.
  size_t i = 0;
  while (i < group.members.size() && !has_room(i)) ++i;
  return i < group.members.size() ? group.table.Find(*query.hash, has_room)
                                  : group.table.Find(*query.hash, may);
}

template <typename May>
EndpointState* EndpointSet::PickInGroup(Group& group, May may, const PickQuery& query) {
  using Kind = config::Balancer::Kind;
  const auto may_at = [&](size_t i) { return may(*group.members[i]); };
  const config::Balancer& balancer = cluster_->balancer;
  std::optional<size_t> found;
  switch (balancer.kind) {
    case Kind::kRoundRobin:
      found = TakeTurn(group, may_at);
      break;
    case Kind::kRandom:
      found = Draw(group.sums, may_at, query.random);
      break;
    case Kind::kLeastRequest:
      found = DrawLeast(
          group.sums, balancer.choices, may_at, [&](size_t i) { return group.members[i]->active_attempts; },
          query.random);
      break;
    case Kind::kPeakEwma:
      found = DrawLeast(
          group.sums, 2, may_at,
          [&](size_t i) {
            const EndpointState& one = *group.members[i];
            return one.latency.Cost(one.active_attempts, query.now, balancer.decay);
          },
          query.random);
      break;
    case Kind::kRingHash:
    case Kind::kMaglev:
      found = FindByHash(group, may_at, query);
      break;
  }
  return found ? group.members[*found] : nullptr;
}

template <typename May>
std::optional<size_t> EndpointSet::TakeGroupTurn(Level& level, May may) {
  return TakeSmoothTurn(
      level.groups.size(), [&](size_t i) { return static_cast<int64_t>(WeightAt(level.sums, i)); },
      [&](size_t i) -> int64_t& { return level.credits[i]; }, may);
}

template <typename May>
EndpointState* EndpointSet::PickInLevel(Level& level, May may, const PickQuery& query) {
  if (level.groups.size() == 1) return PickInGroup(level.groups.front(), may, query);
  // By weight; those of no weight are asked only when the others have none.
  std::optional<size_t> turn;
  const auto may_group = [&](size_t i) {
    return std::ranges::any_of(level.groups[i].members, [&](const EndpointState* one) { return may(*one); });
  };
  if (query.hash) {
    Random by_hash(~*query.hash);  // not the draw that has chosen the level
    turn = Draw(level.sums, may_group, by_hash);
  } else {
    turn = TakeGroupTurn(level, [&](size_t i) { return WeightAt(level.sums, i) > 0 && may_group(i); });
  }
  return turn ? PickInGroup(level.groups[*turn], may, query) : PickOther(level, may, query);
}

// In any group, by the numbers of their endpoints.
template <typename May>
EndpointState* EndpointSet::PickOther(Level& level, May may, const PickQuery& query) {
  Random by_hash(~query.hash.value_or(0));
  Random& random = query.hash ? by_hash : query.random;
  Group* chosen = nullptr;
  uint64_t members = 0;
  for (Group& group : level.groups) {
    if (std::ranges::none_of(group.members, [&](const EndpointState* one) { return may(*one); })) continue;
    members += group.members.size();
    if (Below(random.Next(), members) < group.members.size()) chosen = &group;
  }
  return chosen == nullptr ? nullptr : PickInGroup(*chosen, may, query);
}

size_t EndpointSet::ChooseLevel(const PickQuery& query) const {
  if (levels_.size() == 1 || levels_.front().load == 100) return 0;
  uint64_t point = Below(query.hash ? Random(*query.hash).Next() : query.random.Next(), 100);
  for (size_t i = 0; i < levels_.size(); ++i) {
    if (point < levels_[i].load) return i;
    point -= levels_[i].load;
  }
  return 0;
}

template <typename May>
EndpointState* EndpointSet::PickWhere(May may, size_t first, const PickQuery& query) {
  if (EndpointState* const found = PickInLevel(levels_[first], may, query)) return found;
  for (size_t i = 0; i < levels_.size(); ++i) {
    if (i == first) continue;
    if (EndpointState* const found = PickInLevel(levels_[i], may, query)) return found;
  }
  return nullptr;
}

bool EndpointSet::Contains(const EndpointState& endpoint) const {
  return std::ranges::any_of(levels_, [&](const Level& level) {
    return std::ranges::any_of(level.groups, [&](const Group& group) {
      return std::ranges::find(group.members, &endpoint) != group.members.end();
    });
  });
}

EndpointState* EndpointSet::Pick(const PickQuery& query) {
  if (sole_ != nullptr) return sole_;
  if (levels_.empty()) return nullptr;
  const EndpointState* const last = query.tried.empty() ? nullptr : query.tried.back().get();
  const auto other = [&](const EndpointState& endpoint) { return &endpoint != last; };
  const auto reachable = [&](const EndpointState& endpoint) {
    // What belongs to one endpoint does not move because that one is slow to connect to.
    return other(endpoint) && !(query.hash ? endpoint.Unreachable(query.now) : endpoint.Paused(query.now));
  };
  const auto untried = [&](const EndpointState& endpoint) {
    return reachable(endpoint) && !Has(query.tried, endpoint);
  };
  const size_t level = ChooseLevel(query);
  if (levels_[level].groups.empty()) return nullptr;
  EndpointState* found = nullptr;
  if (!query.avoided.empty()) {
    const auto wanted = [&](const EndpointState& endpoint) {
      return untried(endpoint) && std::ranges::none_of(query.avoided, [&](const config::Labels& labels) {
               return HasLabels(endpoint, labels);
             });
    };
    found = PickWhere(wanted, level, query);
  }
  if (found == nullptr) found = PickWhere(untried, level, query);
  if (found == nullptr && query.tried.size() > 1) found = PickWhere(reachable, level, query);
  if (found == nullptr) found = PickWhere(other, level, query);
  if (found != nullptr) found->Chosen(query.now);
  return found;
}

}  // namespace pillion::upstream
