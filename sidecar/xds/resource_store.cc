#include "sidecar/xds/resource_store.h"

#include <array>
#include <utility>

#include "sidecar/config/parse_cluster.h"
#include "sidecar/config/parse_endpoints.h"
#include "sidecar/config/parse_listener.h"
#include "sidecar/config/parse_route.h"

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
    : bootstrap_(std::move(bootstrap)), options_(options) {}

// Returns the resource's name; rejection.reason is set when it was refused.
template <typename Proto, typename Domain, typename Parse>
std::string ResourceStore::Take(const Any& any, const std::string& version, Type type,
                                std::map<std::string, std::shared_ptr<const Domain>>& domain, Parse parse,
                                Rejection& rejection) {
  Proto proto;
  if (any.type_url() != UrlOf(type)) {
    rejection.reason = "expected a resource of type " + std::string(UrlOf(type).substr(kPrefix.size())) +
                       ", got " + any.type_url();
    return "";
  }
  if (!proto.ParseFromString(any.value())) {
    rejection.reason = "the bytes are not a " + std::string(UrlOf(type).substr(kPrefix.size()));
    return "";
  }
  const std::string name = NameOf(proto);
  rejection.resource = name;
  Held& held = held_[static_cast<size_t>(type)][name];
  // Unchanged bytes need no new object: snapshots share what stays, and pools survive.
  const auto known = domain.find(name);
  if (known != domain.end() && held.resource.value() == any.value()) {
    held.version = version;
    held.stale = false;
    held.rejected_version.clear();
    held.rejected_reason.clear();
    return name;
  }
  auto parsed = parse(proto, version);
  const bool usable = parsed.value != nullptr && (parsed.unsupported.empty() || options_.warn_unsupported);
  for (const config::ConfigError& field : parsed.unsupported) {
    if (options_.warn_unsupported) warnings_.insert(name + ": " + field.path + ": " + field.message);
  }
  if (usable) {
    domain[name] = parsed.value;
    held = {any, version, false, "", ""};
    return name;
  }
  config::ConfigErrors all = std::move(parsed.errors);
  if (!options_.warn_unsupported) all.insert(all.end(), parsed.unsupported.begin(), parsed.unsupported.end());
  rejection.reason = Join(all);
  held.rejected_version = version;
  held.rejected_reason = rejection.reason;
  return name;
}

std::string ResourceStore::TakeOne(const Any& any, const std::string& version, Type type,
                                   Rejection& rejection) {
  if (any.type_url() == kWrapper) {
    envoy::service::discovery::v3::Resource wrapper;
    if (!wrapper.ParseFromString(any.value())) {
      rejection.reason = "the bytes are not a envoy.service.discovery.v3.Resource";
      return "";
    }
    return TakeOne(wrapper.resource(), wrapper.version().empty() ? version : wrapper.version(), type,
                   rejection);
  }
  switch (type) {
    case Type::kCluster:
      return Take<envoy::config::cluster::v3::Cluster>(any, version, type, clusters_, config::ParseCluster,
                                                       rejection);
    case Type::kEndpoints:
      return Take<envoy::config::endpoint::v3::ClusterLoadAssignment>(any, version, type, endpoints_,
                                                                      config::ParseAssignment, rejection);
    case Type::kListener:
      return Take<envoy::config::listener::v3::Listener>(
          any, version, type, listeners_,
          [](const auto& proto, const std::string& v) {
            return config::ParseListener(proto, v, config::Origin::kPushed);
          },
          rejection);
    case Type::kRoutes:
      return Take<envoy::config::route::v3::RouteConfiguration>(
          any, version, type, routes_,
          [](const auto& proto, const std::string& v) {
            return config::ParseRouteTable(proto, v, config::Origin::kPushed);
          },
          rejection);
  }
  return "";
}

std::vector<Rejection> ResourceStore::Apply(const DiscoveryResponse& response, Type type, time::MonotonicTime,
                                            bool stale) {
  std::vector<Rejection> rejected;
  std::set<std::string> seen;
  for (const Any& any : response.resources()) {
    Rejection rejection;
    const std::string name = TakeOne(any, response.version_info(), type, rejection);
    if (!rejection.reason.empty()) {
      rejected.push_back(std::move(rejection));
    } else if (stale) {
      held_[static_cast<size_t>(type)][name].stale = true;
    }
    if (!name.empty() && !seen.insert(name).second)
      rejected.push_back({name, "expected each name once in a response"});
  }
  // Clusters and listeners are the full state: what is missing is deleted (xds.md 2.2). A refused one is not
  // missing.
  if (type == Type::kCluster || type == Type::kListener) Remove(type, seen);
  DropUnreferenced(Type::kEndpoints);
  DropUnreferenced(Type::kRoutes);
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

// A child goes when nothing names it any more, and not before: a response without it means nothing.
void ResourceStore::DropUnreferenced(Type type) {
  const std::vector<std::string> names = Wanted(type);
  const std::set<std::string> wanted(names.begin(), names.end());
  const auto unwanted = [&](const auto& item) { return wanted.count(item.first) == 0; };
  std::erase_if(held_[static_cast<size_t>(type)], unwanted);
  if (type == Type::kEndpoints) std::erase_if(endpoints_, unwanted);
  if (type == Type::kRoutes) std::erase_if(routes_, unwanted);
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
    for (const auto& [name, listener] : listeners_) {
      if (listener->http.inline_routes == nullptr) names.insert(listener->http.rds_name);
    }
    for (const auto& listener : bootstrap_->listeners) {
      if (listener->http.inline_routes == nullptr) names.insert(listener->http.rds_name);
    }
  }
  return {names.begin(), names.end()};
}

bool ResourceStore::WaitedLongEnough(const std::string& what, time::Duration limit, time::MonotonicTime now) {
  waiting_now_.insert(what);
  wait_limits_[what] = limit;
  const time::MonotonicTime since = waiting_since_.emplace(what, now).first->second;
  return limit.count() > 0 && now >= since + limit;
}

void ResourceStore::BuildClusters(config::Snapshot& snapshot, time::MonotonicTime now) {
  std::map<std::string, std::shared_ptr<const config::Cluster>> all = clusters_;
  for (const auto& cluster : bootstrap_->clusters) all[cluster->name] = cluster;
  for (const auto& [name, cluster] : all) {
    if (cluster->discovery == config::Cluster::Discovery::kStatic) {
      snapshot.clusters[name] = {cluster, cluster->load_assignment};
      continue;
    }
    if (const auto found = endpoints_.find(cluster->eds_name); found != endpoints_.end()) {
      snapshot.clusters[name] = {cluster, found->second};
    } else if (WaitedLongEnough("endpoints " + cluster->eds_name + " of cluster " + name,
                                cluster->eds_timeout, now)) {
      snapshot.clusters[name] = {cluster, std::make_shared<config::Assignment>()};
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
    const config::HttpOptions& http = listener->http;
    if (http.inline_routes != nullptr) {
      snapshot.listeners[name] = {listener, http.inline_routes};
    } else if (const auto found = routes_.find(http.rds_name); found != routes_.end()) {
      snapshot.listeners[name] = {listener, found->second};
    } else if (WaitedLongEnough("routes " + http.rds_name + " of listener " + name, http.rds_timeout, now)) {
      snapshot.listeners[name] = {listener, std::make_shared<config::RouteTable>()};
    } else if (last_ != nullptr) {
      if (const auto before = last_->listeners.find(name); before != last_->listeners.end())
        snapshot.listeners[name] = before->second;
    }
  }
}

std::shared_ptr<const config::Snapshot> ResourceStore::Build(time::MonotonicTime now) {
  waiting_now_.clear();
  auto snapshot = std::make_shared<config::Snapshot>();
  BuildClusters(*snapshot, now);
  BuildListeners(*snapshot, now);
  std::erase_if(waiting_since_, [this](const auto& item) { return waiting_now_.count(item.first) == 0; });
  std::erase_if(wait_limits_, [this](const auto& item) { return waiting_now_.count(item.first) == 0; });
  const auto same_cluster = [](const auto& a, const auto& b) {
    return a.first == b.first && a.second.cluster == b.second.cluster &&
           a.second.endpoints == b.second.endpoints;
  };
  const auto same_listener = [](const auto& a, const auto& b) {
    return a.first == b.first && a.second.listener == b.second.listener && a.second.routes == b.second.routes;
  };
  if (last_ != nullptr &&
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
  for (const auto& [what, since] : waiting_since_) {
    const time::Duration limit = wait_limits_.at(what);
    if (limit.count() > 0) next = std::min(next, since + limit);
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
