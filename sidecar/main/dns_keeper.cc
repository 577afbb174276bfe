#include "sidecar/main/dns_keeper.h"

#include <algorithm>
#include <set>
#include <utility>

namespace pillion {

DnsKeeper::DnsKeeper(stream::Turn& turn, Random& random, telemetry::WorkerStats& stats, Ask ask,
                     std::function<void()> changed)
    : turn_(turn),
      random_(random),
      stats_(stats),
      ask_(std::move(ask)),
      changed_(std::move(changed)),
      timer_(this) {}

config::ResolvedEndpoints DnsKeeper::Update(
    const std::vector<std::shared_ptr<const config::Cluster>>& clusters) {
  ++updates_;
  config::ResolvedEndpoints resolved;
  std::map<std::string, Kept> kept;
  for (const auto& cluster : clusters) {
    Kept& one = kept.insert_or_assign(cluster->name, Keep(cluster)).first->second;
    if (one.endpoints != nullptr) resolved[cluster->name] = one.endpoints;
  }
  clusters_ = std::move(kept);
  std::erase_if(names_, [this](const auto& item) { return item.second->wanted != updates_; });
  if (!names_.empty()) turn_.Wake(*this);
  return resolved;
}

DnsKeeper::Kept DnsKeeper::Keep(const std::shared_ptr<const config::Cluster>& cluster) {
  Kept kept{.cluster = cluster, .names = {}, .revisions = {}, .endpoints = nullptr};
  const auto use = cluster->discovery == config::Cluster::Discovery::kLogicalDns ? ResolvedName::Use::kFirst
                                                                                 : ResolvedName::Use::kAll;
  const auto& names = cluster->load_assignment->names;
  kept.names.reserve(names.size());
  kept.revisions.reserve(names.size());
  bool known = true;
  for (const config::NamedEndpoint& named : names) {
    const Key key{named.host, cluster->dns, use};
    std::shared_ptr<Name>& name = names_[key];
    if (name == nullptr) name = std::make_shared<Name>(key);
    name->wanted = updates_;
    known = known && name->state.known();
    kept.names.push_back(name);
    kept.revisions.push_back(name->state.revision());
  }
  if (!known) return kept;
  const auto before = clusters_.find(cluster->name);
  if (before != clusters_.end() && before->second.endpoints != nullptr &&
      before->second.cluster->load_assignment == cluster->load_assignment &&
      before->second.names == kept.names && before->second.revisions == kept.revisions) {
    kept.endpoints = before->second.endpoints;
  } else {
    Make(kept);
  }
  return kept;
}

// Worker tables are keyed by address: of what two names share the first has it.
void DnsKeeper::Make(Kept& kept) {
  auto made = std::make_shared<config::Assignment>(*kept.cluster->load_assignment);
  std::set<net::Address> seen;
  for (const config::Endpoint& endpoint : made->endpoints) seen.insert(endpoint.address);
  for (size_t i = 0; i < kept.names.size(); ++i) {
    const config::NamedEndpoint& named = made->names[i];
    for (const net::Address& address : kept.names[i]->state.addresses()) {
      config::Endpoint endpoint = named.endpoint;
      endpoint.address = address.WithPort(named.port);
      if (seen.insert(endpoint.address).second) made->endpoints.push_back(std::move(endpoint));
    }
  }
  made->names.clear();
  kept.endpoints = std::move(made);
}

stream::Progress DnsKeeper::Run() {
  if (std::exchange(differs_, false)) changed_();
  const time::MonotonicTime now = turn_.now();
  auto next = time::MonotonicTime::max();
  for (const auto& [key, name] : names_) {
    if (name->asking == Name::Asking::kYes) continue;
    if (name->state.next() > now) {
      next = std::min(next, name->state.next());
      continue;
    }
    name->asking = Name::Asking::kYes;
    ask_({key.host, key.options.family, key.options.servers},
         [this, key = key](const net::DnsAnswer& answer) { Answered(key, answer); });
  }
  if (next == time::MonotonicTime::max()) {
    timer_.Cancel();
  } else {
    turn_.Arm(timer_, next);
  }
  return stream::Progress::kIdle;
}

void DnsKeeper::Answered(const Key& key, const net::DnsAnswer& answer) {
  const bool failed = answer.kind == net::DnsAnswer::Kind::kFailed;
  (failed ? stats_.dns_failures : stats_.dns_answers).Add();
  stats_.dns_addresses_left_out.Add(answer.left_out);
  const auto found = names_.find(key);
  if (found == names_.end()) return;
  found->second->asking = Name::Asking::kNo;
  if (found->second->state.Take(answer, turn_.now(), random_)) differs_ = true;
  turn_.Wake(*this);
}

std::vector<DnsKeeper::Entry> DnsKeeper::entries() const {
  std::vector<Entry> result;
  const time::MonotonicTime now = turn_.now();
  for (const auto& [cluster, kept] : clusters_) {
    const auto& named = kept.cluster->load_assignment->names;
    for (size_t i = 0; i < named.size(); ++i) {
      const Name& name = *kept.names[i];
      Entry& entry = result.emplace_back();
      entry.cluster = cluster;
      entry.host = named[i].host;
      entry.addresses = name.state.addresses();
      entry.known = name.state.known();
      entry.failure = name.state.failure();
      if (!entry.failure.empty()) entry.failure_age = now - name.state.failed_at();
      if (name.asking == Name::Asking::kNo && entry.known)
        entry.next_in = std::max(name.state.next() - now, time::Duration::zero());
    }
  }
  return result;
}

}  // namespace pillion
