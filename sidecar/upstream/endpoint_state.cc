#include "sidecar/upstream/endpoint_state.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "sidecar/base/smooth_turn.h"
#include "sidecar/upstream/draw.h"

namespace pillion::upstream {

void ClusterState::Update(config::ClusterEntry entry) {
  const bool same_options = entry_.cluster == entry.cluster;
  std::map<net::Address, LocalRef<EndpointState>> known;
  if (same_options) {
    for (const auto& endpoint : usable_) known.emplace(endpoint->address(), endpoint);
  }
  usable_.clear();
  weights_.clear();
  for (const config::Endpoint& endpoint : entry.endpoints->endpoints) {
    if (!endpoint.usable) continue;
    LocalRef<EndpointState>& state = known[endpoint.address];
    if (!state) state = LocalRef<EndpointState>(new EndpointState(endpoint.address, entry.cluster));
    state->pillion_sidecar_ = endpoint.pillion_sidecar;
    state->weight_ = endpoint.weight;
    usable_.push_back(state);
    weights_.push_back((weights_.empty() ? 0 : weights_.back()) + endpoint.weight);
  }
  entry_ = std::move(entry);
  retry_budget.set_terms(entry_.cluster->retry_budget);
}

void EndpointState::CouldNotConnect(time::MonotonicTime now) {
  if (failures_ != 0 && now < paused_until_ && !tried_) return;  // one of many that failed together
  tried_ = false;
  const uint32_t doublings = std::min<uint32_t>(failures_++, 16);
  paused_until_ =
      now + std::min<time::Duration>(kFirstEndpointPause * (1 << doublings), kLongestEndpointPause);
}

template <typename May>
std::optional<size_t> ClusterState::Choose(May may, Random& random) {
  using Kind = config::Balancer::Kind;
  const auto may_at = [&](size_t i) { return may(*usable_[i]); };
  switch (config().balancer.kind) {
    case Kind::kRoundRobin:
      break;
    case Kind::kRandom:
      return Draw(weights_, may_at, random);
    case Kind::kLeastRequest:
      return DrawLeast(
          weights_, config().balancer.choices, may_at, [&](size_t i) { return usable_[i]->active_attempts; },
          random);
  }
  return TakeSmoothTurn(
      usable_.size(), [&](size_t i) { return usable_[i]->weight_; },
      [&](size_t i) -> int64_t& { return usable_[i]->turn_; }, may_at);
}

EndpointState* ClusterState::Pick(Tried tried, time::MonotonicTime now, Random& random) {
  if (usable_.size() == 1) return usable_.front().get();
  const EndpointState* const last = tried.empty() ? nullptr : tried.back().get();
  const auto take = [&](auto may) {
    const auto found = std::ranges::find_if(usable_, [&](const auto& endpoint) { return may(*endpoint); });
    return found == usable_.end() ? std::nullopt : Choose(may, random);
  };
  const auto other = [&](const EndpointState& endpoint) { return &endpoint != last; };
  const auto reachable = [&](const EndpointState& endpoint) {
    return other(endpoint) && !endpoint.Paused(now);
  };
  const auto untried = [&](const EndpointState& endpoint) {
    return reachable(endpoint) &&
           std::ranges::none_of(tried, [&](const auto& one) { return one.get() == &endpoint; });
  };
  std::optional<size_t> turn = take(untried);
  if (!turn && tried.size() > 1) turn = take(reachable);
  if (!turn) turn = take(other);
  if (!turn) return nullptr;
  EndpointState* const chosen = usable_[*turn].get();
  if (chosen->failures_ != 0) chosen->BeginTrial(now);
  return chosen;
}

void ClusterTable::Apply(const config::Snapshot& snapshot) {
  std::erase_if(clusters_, [&](const auto& item) { return snapshot.clusters.count(item.first) == 0; });
  for (const auto& [name, entry] : snapshot.clusters) {
    LocalRef<ClusterState>& state = clusters_[name];
    config::ClusterEntry& applied = applied_[name];
    if (!state) {
      state = LocalRef<ClusterState>(new ClusterState(entry));
    } else if (applied.cluster != entry.cluster || applied.endpoints != entry.endpoints) {
      state->Update(entry);
    }
    applied = entry;
  }
  std::erase_if(applied_, [&](const auto& item) { return snapshot.clusters.count(item.first) == 0; });
}

ClusterState* ClusterTable::Find(std::string_view name) const {
  const auto found = clusters_.find(name);
  return found == clusters_.end() ? nullptr : found->second.get();
}

}  // namespace pillion::upstream
