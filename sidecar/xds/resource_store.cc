#include "sidecar/xds/resource_store.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "sidecar/config/parse_cluster.h"
#include "sidecar/config/parse_endpoints.h"
#include "sidecar/config/parse_listener.h"
#include "sidecar/config/parse_route.h"
#include "sidecar/config/parse_tls.h"
#include "sidecar/config/unknown_fields.h"

namespace pillion::xds {
namespace {

using envoy::service::discovery::v3::DiscoveryResponse;
using google::protobuf::Any;

constexpr std::string_view kPrefix = "type.googleapis.com/";
constexpr std::array<std::string_view, kTypes> kUrls = {
    "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
    "type.googleapis.com/envoy.config.listener.v3.Listener",
    "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
};
constexpr std::string_view kWrapper = "type.googleapis.com/envoy.service.discovery.v3.Resource";

std::string NameOf(const envoy::config::endpoint::v3::ClusterLoadAssignment& proto) {
  return proto.cluster_name();
}
template <typename Proto>
std::string NameOf(const Proto& proto) {
  return proto.name();
}

std::string Join(const config::ConfigErrors& errors) {
  std::string text;
  for (const config::ConfigError& error : errors) {
    if (!text.empty()) text += "; ";
    text += error.path.empty() ? error.message : error.path + ": " + error.message;
  }
  return text;
}

}  // namespace

std::string_view UrlOf(Type type) { return kUrls[static_cast<size_t>(type)]; }

bool TypeOfUrl(std::string_view url, Type& type) {
  for (size_t i = 0; i < kTypes; ++i) {
    if (url != kUrls[i]) continue;
    type = static_cast<Type>(i);
    return true;
  }
  return false;
}

ResourceStore::ResourceStore(std::shared_ptr<const config::Bootstrap> bootstrap, Options options)
    : bootstrap_(std::move(bootstrap)), options_(std::move(options)) {}

struct ResourceStore::Incoming {
  const Any* any;
  std::string version;
  Type type;
  bool stale;
  const std::set<std::string>& wanted;  // of endpoints and routes
  std::set<std::string>& seen;          // names of this response so far
  Rejection rejection;                  // `reason` is set when it was refused
};

bool ResourceStore::LetThrough(const std::string& name, const config::ConfigErrors& unsupported) {
  if (!options_.warn_unsupported) return unsupported.empty();
  for (const config::ConfigError& field : unsupported) {
    if (warnings_.size() < kMaxWarnings) warnings_.insert(name + ": " + field.path + ": " + field.message);
  }
  return true;
}

std::string ResourceStore::Problem(const config::Cluster& cluster) const {
  if (options_.tls_problem == nullptr || cluster.tls == nullptr) return {};
  const std::string problem = options_.tls_problem(cluster.tls->common);
  return problem.empty() ? problem : "transport_socket.typed_config.common_tls_context." + problem;
}

std::string ResourceStore::Problem(const config::Listener& listener) const {
  for (size_t i = 0; i < listener.chain_count() && options_.tls_problem != nullptr; ++i) {
    if (listener.chain(i).tls == nullptr) continue;
    const std::string problem = options_.tls_problem(listener.chain(i).tls->common);
    if (problem.empty()) continue;
    std::string path =
        i < listener.chains.size() ? "filter_chains[" + std::to_string(i) + "]" : "default_filter_chain";
    path += ".transport_socket.typed_config.common_tls_context.";
    return path.append(problem);
  }
  return {};
}

std::string ResourceStore::Problem(const config::Secret& secret) const {
  if (options_.tls_problem == nullptr) return {};
  config::CommonTls alone;
  if (secret.certificate) alone.certificates.push_back(*secret.certificate);
  // Names and lists may be for the CA of the context that the secret is added to.
  if (secret.validation) alone.validation.trusted_ca = secret.validation->trusted_ca;
  if (secret.validation && !secret.validation->trusted_ca.empty()) alone.validation = *secret.validation;
  return options_.tls_problem(alone);
}

template <typename Proto, typename Domain, typename Parse>
void ResourceStore::Take(Incoming& in, std::map<std::string, std::shared_ptr<const Domain>>& domain,
                         Parse parse) {
  const std::string type_name(UrlOf(in.type).substr(kPrefix.size()));
  std::string& reason = in.rejection.reason;
  if (in.any->type_url() != UrlOf(in.type)) {
    reason = "expected a resource of type " + type_name + ", got " + in.any->type_url();
    return;
  }
  Proto proto;
  if (!proto.ParseFromString(in.any->value())) {
    reason = "the bytes are not a " + type_name;
    return;
  }
  const std::string name = NameOf(proto);
  in.rejection.resource = name;
  const bool by_name = in.type != Type::kCluster && in.type != Type::kListener;
  if (by_name && !name.empty() && in.wanted.count(name) == 0) return;  // nobody asked
  if (!name.empty() && !in.seen.insert(name).second) {
    reason = "expected each name once in a response; the first was taken";
    return;
  }
  Held& held = held_[static_cast<size_t>(in.type)][name];
  // Unchanged bytes need no new object: snapshots share what stays, and pools survive.
  const auto known = domain.find(name);
  if (known != domain.end() && held.resource.value() == in.any->value()) {
    held.version = in.version;
    held.stale = in.stale;
    held.rejected_version.clear();
    held.rejected_reason.clear();
    return;
  }
  auto parsed = parse(proto, in.version);
  if (parsed.value != nullptr) {
    if (const std::string problem = Problem(*parsed.value); !problem.empty()) {
      parsed.value = nullptr;
      parsed.errors.push_back({"", problem});
    }
  }
  if (LetThrough(name, parsed.unsupported) && parsed.value != nullptr) {
    domain[name] = parsed.value;
    held = {*in.any, in.version, in.stale, "", ""};
    return;
  }
  config::ConfigErrors all = std::move(parsed.errors);
  if (!options_.warn_unsupported) all.insert(all.end(), parsed.unsupported.begin(), parsed.unsupported.end());
  reason = Join(all);
  held.rejected_version = in.version;
  held.rejected_reason = reason;
}

// A resource may come in a wrapper; a wrapper may not. False: refused.
bool ResourceStore::Unwrap(Incoming& in, Any& inner) {
  envoy::service::discovery::v3::Resource wrapper;
  if (!wrapper.ParseFromString(in.any->value())) {
    in.rejection.reason = "the bytes are not an envoy.service.discovery.v3.Resource";
    return false;
  }
  inner = wrapper.resource();
  in.any = &inner;
  in.rejection.resource = wrapper.name();
  if (!wrapper.version().empty()) in.version = wrapper.version();
  wrapper.clear_resource();  // looked through when it is parsed
  config::ConfigErrors unsupported;
  for (config::UnknownField& field : config::UnknownFields(wrapper)) {
    unsupported.push_back({std::move(field.path), std::move(field.message)});
  }
  if (LetThrough(wrapper.name(), unsupported)) return true;
  in.rejection.reason = Join(unsupported);
  return false;
}

void ResourceStore::TakeOne(Incoming& in) {
  switch (in.type) {
    case Type::kCluster:
      return Take<envoy::config::cluster::v3::Cluster>(in, clusters_, config::ParseCluster);
    case Type::kEndpoints:
      return Take<envoy::config::endpoint::v3::ClusterLoadAssignment>(in, endpoints_,
                                                                      config::ParseAssignment);
    case Type::kListener:
      return Take<envoy::config::listener::v3::Listener>(
          in, listeners_, [this](const auto& proto, const std::string& v) {
            const auto known = listeners_.find(proto.name());
            return config::ParseListener(proto, v, config::Origin::kPushed,
                                         known == listeners_.end() ? nullptr : known->second.get());
          });
    case Type::kRoutes:
      return Take<envoy::config::route::v3::RouteConfiguration>(
          in, routes_, [](const auto& proto, const std::string& v) {
            return config::ParseRouteTable(proto, v, config::Origin::kPushed);
          });
    case Type::kSecrets:
      return Take<envoy::extensions::transport_sockets::tls::v3::Secret>(in, secrets_, config::ParseSecret);
  }
}

std::vector<Rejection> ResourceStore::Apply(const DiscoveryResponse& response, Type type, time::MonotonicTime,
                                            bool stale) {
  const std::vector<std::string> names = Wanted(type);
  const std::set<std::string> wanted(names.begin(), names.end());
  decltype(listeners_) listeners_before;
  std::map<std::string, Held> held_before;
  if (type == Type::kListener) {
    listeners_before = listeners_;
    held_before = held_[static_cast<size_t>(type)];
  }
  std::vector<Rejection> rejected;
  std::set<std::string> seen;
  bool all_named = true;
  for (const Any& any : response.resources()) {
    Incoming in{&any, response.version_info(), type, stale, wanted, seen, {}};
    Any inner;
    if (any.type_url() != kWrapper || Unwrap(in, inner)) TakeOne(in);
    if (in.rejection.reason.empty()) continue;
    if (in.rejection.resource.empty()) {
      all_named = false;
    } else {
      seen.insert(in.rejection.resource);
    }
    rejected.push_back(std::move(in.rejection));
  }
  // Clusters and listeners are the full state: what is missing is deleted (xds.md 2.2). A refused one is not
  // missing, and one that could not be read may be any of them.
  if ((type == Type::kCluster || type == Type::kListener) && all_named) Remove(type, seen);
  if (type == Type::kListener) RefuseSharedAddresses(listeners_before, held_before, rejected);
  DropUnreferenced(Type::kEndpoints);
  DropUnreferenced(Type::kRoutes);
  DropUnreferenced(Type::kSecrets);
  return rejected;
}

void ResourceStore::Remove(Type type, const std::set<std::string>& keep) {
  auto& held = held_[static_cast<size_t>(type)];
  for (auto it = held.begin(); it != held.end();) {
    if (keep.count(it->first) != 0) {
      ++it;
      continue;
    }
    if (type == Type::kCluster) clusters_.erase(it->first);
    if (type == Type::kListener) listeners_.erase(it->first);
    it = held.erase(it);
  }
}

// Two listeners on one address would each get some of its connections, at random: those that this response
// changed give way, until no address is shared. An address may move from one listener to another.
void ResourceStore::RefuseSharedAddresses(
    const std::map<std::string, std::shared_ptr<const config::Listener>>& before,
    const std::map<std::string, Held>& held_before, std::vector<Rejection>& rejected) {
  auto& held = held_[static_cast<size_t>(Type::kListener)];
  const auto unchanged = [&](const auto& item) {
    const auto old = before.find(item.first);
    return old != before.end() && old->second == item.second;
  };
  const auto give_way = [&](const std::string& name, const std::string& reason) {
    const auto old = before.find(name);
    Held now = old != before.end() ? held_before.at(name) : Held();
    now.rejected_version = held[name].version;
    now.rejected_reason = reason;
    held[name] = std::move(now);
    if (old != before.end()) {
      listeners_[name] = old->second;
    } else {
      listeners_.erase(name);
    }
    rejected.push_back({name, reason});
  };
  for (bool again = true; again;) {
    again = false;
    std::map<net::Address, std::string> taken;
    std::set<std::string> fixed;
    if (const std::optional<net::Address>& admin = bootstrap_->admin_address) taken.emplace(*admin, "admin");
    for (const auto& listener : bootstrap_->listeners) {
      taken.emplace(listener->address, listener->name);
      fixed.insert(listener->name);
    }
    for (const auto& item : listeners_) {
      if (unchanged(item)) taken.emplace(item.second->address, item.first);
    }
    for (const auto& item : listeners_) {
      const net::Address& address = item.second->address;
      if (unchanged(item) || address.port() == 0 || fixed.count(item.first) != 0) continue;
      const auto [holder, free] = taken.emplace(address, item.first);
      if (free) continue;
      give_way(std::string(item.first), "address: expected each address once; " + address.ToString() +
                                            " is that of listener " + holder->second);
      again = true;
      break;
    }
  }
}

// A child goes when nothing names it any more, and not before: a response without it means nothing.
void ResourceStore::DropUnreferenced(Type type) {
  const std::vector<std::string> names = Wanted(type);
  const std::set<std::string> wanted(names.begin(), names.end());
  const auto unwanted = [&](const auto& item) { return wanted.count(item.first) == 0; };
  std::erase_if(held_[static_cast<size_t>(type)], unwanted);
  if (type == Type::kEndpoints) std::erase_if(endpoints_, unwanted);
  if (type == Type::kRoutes) std::erase_if(routes_, unwanted);
  if (type == Type::kSecrets) std::erase_if(secrets_, unwanted);
}

std::vector<std::string> ResourceStore::Wanted(Type type) const {
  std::set<std::string> names;
  if (type == Type::kEndpoints) {
    for (const auto& [name, cluster] : clusters_) {
      if (cluster->discovery == config::Cluster::Discovery::kEds) names.insert(cluster->eds_name);
    }
    for (const auto& cluster : bootstrap_->clusters) {
      if (cluster->discovery == config::Cluster::Discovery::kEds) names.insert(cluster->eds_name);
    }
  }
  if (type == Type::kRoutes) {
    const auto add = [&names](const config::Listener& listener) {
      for (size_t i = 0; i < listener.chain_count(); ++i) {
        const auto& http = listener.chain(i).http;
        if (http != nullptr && http->http.inline_routes == nullptr) names.insert(http->http.rds_name);
      }
    };
    for (const auto& [name, listener] : listeners_) add(*listener);
    for (const auto& listener : bootstrap_->listeners) add(*listener);
  }
  if (type == Type::kSecrets) {
    const auto add = [&names](const auto& tls) {
      if (tls == nullptr) return;
      config::ForEachSecret(*tls, [&names](const config::SecretName& secret) {
        if (secret.pushed) names.insert(secret.name);
      });
    };
    const auto add_listener = [&add](const config::Listener& listener) {
      for (size_t i = 0; i < listener.chain_count(); ++i) add(listener.chain(i).tls);
    };
    for (const auto& [name, cluster] : clusters_) add(cluster->tls);
    for (const auto& cluster : bootstrap_->clusters) add(cluster->tls);
    for (const auto& [name, listener] : listeners_) add_listener(*listener);
    for (const auto& listener : bootstrap_->listeners) add_listener(*listener);
  }
  return {names.begin(), names.end()};
}

bool ResourceStore::WaitedLongEnough(const std::string& what, time::Duration limit, time::MonotonicTime now) {
  waiting_now_.insert(what);
  if (!connected_) return false;
  Wait& wait = waits_.try_emplace(what, Wait{now, limit}).first->second;
  wait.limit = limit;
  wait.over = limit.count() > 0 && now >= wait.since + limit;
  return wait.over;
}

// Forgets the waits that have ended with what they were for.
void ResourceStore::EndWaits(const config::Snapshot& snapshot) {
  if (!connected_) waits_.clear();
  std::erase_if(waits_, [this](const auto& item) { return waiting_now_.count(item.first) == 0; });
  const bool all_over =
      std::all_of(waiting_now_.begin(), waiting_now_.end(), [this](const std::string& what) {
        const auto wait = waits_.find(what);
        return wait != waits_.end() && wait->second.over;
      });
  settled_ = settled_ || (all_over && !snapshot.listeners.empty());
}

// Or they were waited for long enough: then connections fail, as the configuration says they must not be
// plain.
template <typename Tls>
bool ResourceStore::SecretsAreHere(const Tls& tls, const std::string& whose, time::MonotonicTime now) {
  bool complete = true;
  if (tls == nullptr) return complete;
  config::ForEachSecret(*tls, [&](const config::SecretName& secret) {
    if (!secret.pushed || secrets_.count(secret.name) != 0) return;
    const bool over = WaitedLongEnough("secret " + secret.name + " of " + whose, secret.timeout, now);
    complete = complete && over;
  });
  return complete;
}

std::map<std::string, std::shared_ptr<const config::Cluster>> ResourceStore::AllClusters() const {
  std::map<std::string, std::shared_ptr<const config::Cluster>> all = clusters_;
  for (const auto& cluster : bootstrap_->clusters) all[cluster->name] = cluster;
  return all;
}

std::vector<std::shared_ptr<const config::Cluster>> ResourceStore::ByDns() const {
  std::vector<std::shared_ptr<const config::Cluster>> result;
  for (const auto& [name, cluster] : AllClusters()) {
    if (config::IsByDns(*cluster)) result.push_back(cluster);
  }
  return result;
}

// Null: they are waited for. A first resolution ends by itself: its limit is the resolver's.
std::shared_ptr<const config::Assignment> ResourceStore::FindEndpoints(
    const config::Cluster& cluster, const config::ResolvedEndpoints& resolved, time::MonotonicTime now) {
  if (cluster.discovery == config::Cluster::Discovery::kStatic || cluster.original_destination)
    return cluster.load_assignment;
  if (config::IsByDns(cluster)) {
    if (const auto found = resolved.find(cluster.name); found != resolved.end()) return found->second;
    waiting_now_.insert("names of cluster " + cluster.name);
    return nullptr;
  }
  if (const auto found = endpoints_.find(cluster.eds_name); found != endpoints_.end()) return found->second;
  const std::string what = "endpoints " + cluster.eds_name + " of cluster " + cluster.name;
  return WaitedLongEnough(what, cluster.eds_timeout, now) ? no_endpoints_ : nullptr;
}

void ResourceStore::BuildClusters(config::Snapshot& snapshot, const config::ResolvedEndpoints& resolved,
                                  time::MonotonicTime now) {
  for (const auto& [name, cluster] : AllClusters()) {
    const std::shared_ptr<const config::Assignment> endpoints = FindEndpoints(*cluster, resolved, now);
    if (SecretsAreHere(cluster->tls, "cluster " + name, now) && endpoints != nullptr) {
      snapshot.clusters[name] = {cluster, endpoints};
    } else if (last_ != nullptr) {
      if (const auto before = last_->clusters.find(name); before != last_->clusters.end())
        snapshot.clusters[name] = before->second;
    }
  }
}

void ResourceStore::BuildListeners(config::Snapshot& snapshot, time::MonotonicTime now) {
  std::map<std::string, std::shared_ptr<const config::Listener>> all = listeners_;
  for (const auto& listener : bootstrap_->listeners) all[listener->name] = listener;
  for (const auto& [name, listener] : all) {
    config::ListenerEntry entry{listener, {}};
    if (FindRoutes(entry, now)) {
      snapshot.listeners[name] = std::move(entry);
    } else if (last_ != nullptr) {
      if (const auto before = last_->listeners.find(name); before != last_->listeners.end())
        snapshot.listeners[name] = before->second;
    }
  }
}

// False: not all of them are here, nor was the wait long enough.
bool ResourceStore::FindRoutes(config::ListenerEntry& entry, time::MonotonicTime now) {
  bool complete = true;
  for (size_t i = 0; i < entry.listener->chain_count(); ++i) {
    if (!SecretsAreHere(entry.listener->chain(i).tls, "listener " + entry.listener->name, now))
      complete = false;
    auto& routes = entry.routes.emplace_back();
    if (entry.listener->chain(i).http == nullptr) continue;
    const config::HttpOptions& http = entry.listener->chain(i).http->http;
    if (http.inline_routes != nullptr) {
      routes = http.inline_routes;
    } else if (const auto found = routes_.find(http.rds_name); found != routes_.end()) {
      routes = found->second;
    } else if (WaitedLongEnough("routes " + http.rds_name + " of listener " + entry.listener->name,
                                http.rds_timeout, now)) {
      routes = no_routes_;
    } else {
      complete = false;  // the others are looked at all the same: each is a wait of its own
    }
  }
  return complete;
}

std::shared_ptr<const config::Snapshot> ResourceStore::Build(time::MonotonicTime now, bool connected,
                                                             const config::ResolvedEndpoints& resolved) {
  connected_ = connected;
  waiting_now_.clear();
  auto snapshot = std::make_shared<config::Snapshot>();
  snapshot->own = bootstrap_->own;
  BuildClusters(*snapshot, resolved, now);
  BuildListeners(*snapshot, now);
  for (const auto& secret : bootstrap_->secrets) snapshot->secrets[{false, secret->name}] = secret;
  for (const auto& [name, secret] : secrets_) snapshot->secrets[{true, name}] = secret;
  EndWaits(*snapshot);
  const auto same_cluster = [](const auto& a, const auto& b) {
    return a.first == b.first && a.second.cluster == b.second.cluster &&
           a.second.endpoints == b.second.endpoints;
  };
  const auto same_listener = [](const auto& a, const auto& b) {
    return a.first == b.first && a.second.listener == b.second.listener && a.second.routes == b.second.routes;
  };
  if (last_ != nullptr && last_->secrets == snapshot->secrets &&
      std::equal(last_->clusters.begin(), last_->clusters.end(), snapshot->clusters.begin(),
                 snapshot->clusters.end(), same_cluster) &&
      std::equal(last_->listeners.begin(), last_->listeners.end(), snapshot->listeners.begin(),
                 snapshot->listeners.end(), same_listener)) {
    return last_;
  }
  snapshot->generation = last_ == nullptr ? 1 : last_->generation + 1;
  last_ = snapshot;
  return last_;
}

time::MonotonicTime ResourceStore::NextTimeout() const {
  auto next = time::MonotonicTime::max();
  for (const auto& [what, wait] : waits_) {
    if (wait.limit.count() > 0 && !wait.over) next = std::min(next, wait.since + wait.limit);
  }
  return next;
}

std::vector<std::string> ResourceStore::Waiting() const { return {waiting_now_.begin(), waiting_now_.end()}; }

bool ResourceStore::stale() const {
  for (const auto& held : held_) {
    for (const auto& [name, resource] : held) {
      if (resource.stale) return true;
    }
  }
  return false;
}

std::vector<DiscoveryResponse> ResourceStore::Export() const {
  std::vector<DiscoveryResponse> responses;
  for (size_t type = 0; type < kTypes; ++type) {
    if (static_cast<Type>(type) == Type::kSecrets) continue;
    DiscoveryResponse& response = responses.emplace_back();
    response.set_type_url(std::string(kUrls[type]));
    for (const auto& [name, held] : held_[type]) {
      if (held.resource.value().empty()) continue;  // never was good
      response.set_version_info(held.version);
      *response.add_resources() = held.resource;
    }
  }
  return responses;
}

}  // namespace pillion::xds
