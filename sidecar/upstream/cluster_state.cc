#include "sidecar/upstream/cluster_state.h"

#include <algorithm>
#include <utility>

namespace pillion::upstream {

ClusterState::ClusterState(config::ClusterEntry entry, LedgerSeat seat, LocalRef<Callers> callers)
    : worker_(seat.worker),
      workers_(seat.ledger.workers()),
      ledger_(seat.ledger.ClusterOf(entry.cluster->name)),
      circuits_(new Circuits(ledger_, workers_)),
      callers_(std::move(callers)) {
  Update(std::move(entry));
}

void ClusterState::Update(config::ClusterEntry entry) {
  const bool same_options = entry_.cluster == entry.cluster;
  if (entry.cluster->original_destination) {
    if (!same_options) DropEndpoints();
    TakeTerms(std::move(entry));
    return;
  }
  dialled_.clear();
  std::map<net::Address, LocalRef<EndpointState>> known;
  if (same_options) {
    for (const auto& endpoint : endpoints_) known.emplace(endpoint->address(), endpoint);
  }
  const bool judged = entry.cluster->outlier || !entry.cluster->health_checks.empty();
  by_address_.clear();
  endpoints_.clear();
  endpoints_.reserve(entry.endpoints->endpoints.size());
  for (const config::Endpoint& endpoint : entry.endpoints->endpoints) {
    LocalRef<EndpointState>& state = known[endpoint.address];
    if (!state) {
      state = Make(endpoint.address, entry.cluster);
      if (judged) state->health_ = ledger_->HealthOf(endpoint.address.ToString());
    }
    state->assignment_ = entry.endpoints;
    state->config_ = &endpoint;
    state->pillion_sidecar_ = endpoint.pillion_sidecar;
    endpoints_.push_back(state);
  }
  TakeTerms(std::move(entry));
}

void ClusterState::TakeTerms(config::ClusterEntry entry) {
  entry_ = std::move(entry);
  epoch_ = 0;
  retry_budget.set_terms(entry_.cluster->retry_budget);
  circuits_->set_limits(entry_.cluster->circuits);
}

void ClusterState::DropEndpoints() {
  by_address_.clear();
  endpoints_.clear();
  dialled_.clear();
  whole_ = EndpointSet();
  subsets_.clear();
}

LocalRef<EndpointState> ClusterState::Make(const net::Address& address,
                                           const std::shared_ptr<const config::Cluster>& cluster) const {
  LocalRef<EndpointState> made(new EndpointState(address, cluster));
  made->circuits_ = circuits_;
  const bool limited = std::ranges::any_of(cluster->circuits, [](const config::CircuitLimits& limits) {
    return limits.endpoint_connections != config::CircuitLimits::kUnlimited;
  });
  if (limited)
    made->connections_ = LocalRef<EndpointConnections>(
        new EndpointConnections(ledger_->ConnectionsOf(address.ToString()), cluster->circuits, workers_));
  return made;
}

LocalRef<EndpointState> ClusterState::MakeDialled(const net::Address& address) const {
  LocalRef<EndpointState> made = Make(address, entry_.cluster);
  auto alone = std::make_shared<config::Assignment>();
  alone->endpoints.emplace_back().address = address;
  made->config_ = &alone->endpoints.front();
  made->assignment_ = std::move(alone);
  return made;
}

EndpointState* ClusterState::AtDialled(const net::Address& address, time::MonotonicTime now) {
  if (const auto known = dialled_.find(address); known != dialled_.end()) {
    EndpointState* const endpoint = endpoints_[known->second].get();
    endpoint->dialled_at_ = now;
    return endpoint;
  }
  size_t place = endpoints_.size();
  if (place < kMaxDialledEndpoints) {
    endpoints_.push_back(MakeDialled(address));
  } else {
    place = FindIdle();
    if (place == endpoints_.size()) return nullptr;
    dialled_.erase(endpoints_[place]->address());
    endpoints_[place] = MakeDialled(address);
  }
  dialled_[address] = place;
  endpoints_[place]->dialled_at_ = now;
  return endpoints_[place].get();
}

// In turn, so that what has just been made is not what makes way.
size_t ClusterState::FindIdle() {
  for (size_t looked_at = 0; looked_at < endpoints_.size(); ++looked_at) {
    const size_t place = hand_++ % endpoints_.size();
    if (endpoints_[place]->active_attempts == 0) return place;
  }
  return endpoints_.size();
}

void ClusterState::ForgetIdle(time::MonotonicTime now) {
  const std::optional<config::OriginalDestination>& original = config().original_destination;
  if (!original) return;
  const time::MonotonicTime forgotten = now - original->forget_after;
  std::erase_if(endpoints_, [&](const LocalRef<EndpointState>& endpoint) {
    if (endpoint->active_attempts != 0) endpoint->dialled_at_ = now;
    if (endpoint->dialled_at_ > forgotten) return false;
    dialled_.erase(endpoint->address());
    return true;
  });
  for (size_t place = 0; place < endpoints_.size(); ++place) dialled_[endpoints_[place]->address()] = place;
}

config::Health EndpointState::HealthNow() const {
  using ledger::EndpointHealth;
  const uint32_t flags = health_ == nullptr ? 0 : health_->flags();
  if ((flags & EndpointHealth::kCheckFailed) != 0) return config::Health::kBad;
  if ((flags & EndpointHealth::kEjected) != 0 && !ejected_may_serve_) return config::Health::kBad;
  if ((flags & EndpointHealth::kUnchecked) != 0 && !unchecked_may_serve_) return config::Health::kBad;
  return config_->health;
}

Standing EndpointState::standing() const {
  switch (HealthNow()) {
    case config::Health::kGood:
      return Standing::kGood;
    case config::Health::kDegraded:
      return Standing::kSecondChoice;
    case config::Health::kDraining:
    case config::Health::kBad:
      return Standing::kOut;
  }
  return Standing::kOut;
}

const config::Locality* EndpointState::locality() const {
  const auto& localities = assignment_->localities;
  return config_->locality < localities.size() ? &localities[config_->locality] : nullptr;
}

std::string_view DescribeStanding(const EndpointState& endpoint) {
  using ledger::EndpointHealth;
  const uint32_t flags = endpoint.health() == nullptr ? 0 : endpoint.health()->flags();
  if ((flags & EndpointHealth::kEjected) != 0) return "ejected";
  if ((flags & EndpointHealth::kCheckFailed) != 0) return "failed_active_hc";
  if (endpoint.config().health == config::Health::kBad) return "unhealthy";
  if (endpoint.config().health == config::Health::kDraining) return "draining";
  if (flags != 0) return "unchecked";
  return endpoint.config().health == config::Health::kDegraded ? "degraded" : "healthy";
}

void EndpointState::CouldNotConnect(time::MonotonicTime now) {
  if (failures_ != 0 && now < paused_until_ && !tried_) return;  // one of many that failed together
  tried_ = false;
  const uint32_t doublings = std::min<uint32_t>(failures_++, 16);
  paused_until_ =
      now + std::min<time::Duration>(kFirstEndpointPause * (1 << doublings), kLongestEndpointPause);
}

bool HasLabels(const EndpointState& endpoint, const config::Labels& labels) {
  const config::Labels& own = endpoint.config().labels;
  return std::ranges::all_of(labels, [&](const auto& label) {
    const auto found = own.find(label.first);
    return found != own.end() && found->second == label.second;
  });
}

EndpointSet ClusterState::MakeSet(const config::Labels& labels, const EndpointSet* before,
                                  const PickQuery& query) const {
  std::vector<EndpointState*> members;
  members.reserve(endpoints_.size());
  for (const auto& endpoint : endpoints_) {
    if (HasLabels(*endpoint, labels)) members.push_back(endpoint.get());
  }
  return EndpointSet(members, config(), *entry_.endpoints, callers_.get(), before, query.now, query.random);
}

// A cluster that has just come serves before its first checks have ended; later a new endpoint waits for its
// own. Who was ejected when others served serves again when none of those is left: they may have drained,
// failed their checks, or gone.
void ClusterState::DecideWhoMayServe() {
  const auto let = [&](bool unchecked, bool ejected) {
    for (const auto& endpoint : endpoints_) {
      endpoint->unchecked_may_serve_ = unchecked;
      endpoint->ejected_may_serve_ = ejected;
    }
    return std::ranges::any_of(endpoints_,
                               [](const auto& endpoint) { return endpoint->standing() != Standing::kOut; });
  };
  if (let(false, false) || let(true, false)) return;
  let(true, true);
}

// The sets as the endpoints' standing has them now.
void ClusterState::Refresh(const PickQuery& query) {
  const uint64_t epoch = ledger_->epoch();
  const uint64_t callers = callers_ ? callers_->version() : 0;
  if (epoch == epoch_ && callers == callers_version_ && query.now < refresh_at_) return;
  epoch_ = epoch;
  callers_version_ = callers;
  ledger_->NoteTraffic();  // the first pick comes here too
  DecideWhoMayServe();
  for (const auto& endpoint : endpoints_) {
    const bool good = endpoint->standing() == Standing::kGood;
    if (good && !endpoint->was_good_) endpoint->good_since_ = query.now;
    endpoint->was_good_ = good;
  }
  whole_ = MakeSet({}, &whole_, query);
  refresh_at_ = whole_.refresh_at();
  subsets_.clear();
}

// Kept by what the route says, so that it costs one look.
EndpointSet& ClusterState::SetFor(const config::Subsets& subsets, const config::LabelMatch* labels,
                                  const PickQuery& query) {
  const std::string_view key = labels == nullptr ? std::string_view() : std::string_view(labels->key);
  if (const auto known = subsets_.find(key); known != subsets_.end()) return known->second;
  const auto selects = [&](const config::Subsets::Selector& selector) {
    return labels != nullptr &&
           std::ranges::equal(selector.keys, labels->labels, {}, {}, &config::Labels::value_type::first);
  };
  const auto selector = std::ranges::find_if(subsets.selectors, selects);
  EndpointSet& set = subsets_[std::string(key)];
  config::Subsets::Fallback fallback = subsets.fallback;
  if (selector != subsets.selectors.end()) {
    set = MakeSet(labels->labels, nullptr, query);
    fallback = selector->fallback.value_or(fallback);
  }
  if (set.eligible() == 0) {
    switch (fallback) {
      case config::Subsets::Fallback::kNone:
        break;
      case config::Subsets::Fallback::kAny:
        set = MakeSet({}, nullptr, query);
        break;
      case config::Subsets::Fallback::kDefault:
        set = MakeSet(subsets.default_labels, nullptr, query);
        break;
    }
  }
  refresh_at_ = std::min(refresh_at_, set.refresh_at());
  return set;
}

EndpointState* ClusterState::Pick(const PickQuery& query, const config::LabelMatch* labels) {
  Refresh(query);
  const std::optional<config::Subsets>& subsets = config().subsets;
  return subsets ? SetFor(*subsets, labels, query).Pick(query) : whole_.Pick(query);
}

EndpointState* ClusterState::Find(const net::Address& address) const {
  for (const auto& endpoint : endpoints_) {
    if (endpoint->address() == address && endpoint->standing() != Standing::kOut) return endpoint.get();
  }
  return nullptr;
}

bool ClusterState::Has(const EndpointState& endpoint) const {
  return std::ranges::any_of(endpoints_, [&](const auto& one) { return one.get() == &endpoint; });
}

EndpointState* ClusterState::FindSticky(const net::Address& address, const PickQuery& query,
                                        const config::LabelMatch* labels) {
  if (config().original_destination) return nullptr;  // each client dials its own
  Refresh(query);
  if (by_address_.empty()) {
    for (const auto& endpoint : endpoints_) by_address_.emplace(endpoint->address(), endpoint.get());
  }
  const auto found = by_address_.find(address);
  if (found == by_address_.end()) return nullptr;
  EndpointState& endpoint = *found->second;
  const config::Health health = endpoint.HealthNow();
  if ((config().session_health & config::BitOf(health)) == 0) return nullptr;
  if (const std::optional<config::Subsets>& subsets = config().subsets) {
    // Whom the balancer would not choose is in no set.
    const bool labelled = labels != nullptr && HasLabels(endpoint, labels->labels);
    const bool may =
        endpoint.standing() == Standing::kOut ? labelled : SetFor(*subsets, labels, query).Contains(endpoint);
    if (!may) return nullptr;
  }
  return &endpoint;
}

// Those whose sets depend on it make them anew when they are asked next.
void ClusterTable::TellCallers(const config::OwnPlace& own) {
  if (!callers_) return;
  const auto applied = applied_.find(own.cluster);
  const config::ClusterEntry entry = applied == applied_.end() ? config::ClusterEntry() : applied->second;
  if (entry.cluster == callers_entry_.cluster && entry.endpoints == callers_entry_.endpoints) return;
  callers_entry_ = entry;
  if (const ClusterState* const state = Find(own.cluster)) {
    callers_->Take(state->shared_ledger(), state->endpoints());
  } else {
    callers_->Take(nullptr, {});
  }
}

void ClusterTable::Apply(const config::Snapshot& snapshot) {
  if (!callers_ && !snapshot.own.cluster.empty())
    callers_ = LocalRef<Callers>(new Callers(snapshot.own.place));
  std::erase_if(clusters_, [&](const auto& item) { return snapshot.clusters.count(item.first) == 0; });
  for (const auto& [name, entry] : snapshot.clusters) {
    LocalRef<ClusterState>& state = clusters_[name];
    config::ClusterEntry& applied = applied_[name];
    if (!state) {
      state = LocalRef<ClusterState>(new ClusterState(entry, seat_, callers_));
    } else if (applied.cluster != entry.cluster || applied.endpoints != entry.endpoints) {
      state->Update(entry);
    }
    applied = entry;
  }
  std::erase_if(applied_, [&](const auto& item) { return snapshot.clusters.count(item.first) == 0; });
  TellCallers(snapshot.own);
}

ClusterState* ClusterTable::Find(std::string_view name) const {
  const auto found = clusters_.find(name);
  return found == clusters_.end() ? nullptr : found->second.get();
}

}  // namespace pillion::upstream
