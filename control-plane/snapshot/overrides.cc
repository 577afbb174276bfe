#include "control-plane/snapshot/overrides.h"

#include "sidecar/config/parse_cluster.h"
#include "sidecar/config/parse_route.h"

namespace pillion::control {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::config::route::v3::Route;
using envoy::config::route::v3::RouteConfiguration;
using envoy::config::route::v3::VirtualHost;

template <typename Validated>
std::string FirstError(const Validated& validated) {
  for (const auto& errors : {validated.errors, validated.unsupported}) {
    if (!errors.empty()) return errors.front().path + ": " + errors.front().message;
  }
  return "";
}

std::string CheckHost(const VirtualHost& host) {
  RouteConfiguration table;
  table.set_name("a");
  table.mutable_validate_clusters()->set_value(false);
  VirtualHost& only = *table.add_virtual_hosts() = host;
  if (only.domains().empty()) only.add_domains("*");
  std::string error = FirstError(config::ParseRouteTable(table, "", config::Origin::kPushed));
  constexpr std::string_view kHost = "virtual_hosts[0].";
  if (error.starts_with(kHost)) error.erase(0, kHost.size());
  return error;
}

}  // namespace

std::string Override(const OverrideRule& rule, Cluster& cluster) {
  if (rule.cluster == nullptr) return "";
  Cluster merged = cluster;
  merged.MergeFrom(*rule.cluster);
  std::string error = FirstError(config::ParseCluster(merged, ""));
  if (error.empty()) cluster = std::move(merged);
  return error;
}

std::string Override(const OverrideRule& rule, Route& route) {
  if (rule.route == nullptr) return "";
  // What is said of requests for a cluster is not for redirects, and the other way round.
  const auto action = rule.route->action_case();
  if (action != Route::ACTION_NOT_SET && action != route.action_case()) return "";
  VirtualHost host;
  host.set_name("a");
  Route& merged = *host.add_routes() = route;
  merged.MergeFrom(*rule.route);
  std::string error = CheckHost(host);
  if (error.empty()) route = std::move(merged);
  return error;
}

std::string Override(const OverrideRule& rule, VirtualHost& host) {
  if (rule.host == nullptr) return "";
  VirtualHost merged = host;
  merged.MergeFrom(*rule.host);
  std::string error = CheckHost(merged);
  if (error.empty()) host = std::move(merged);
  return error;
}

}  // namespace pillion::control
