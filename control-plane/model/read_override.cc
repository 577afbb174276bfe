// XdsOverride: checked with the sidecar's own config/, merged into the least that a resource may be.
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "control-plane/model/read.h"
#include "sidecar/config/field_path.h"
#include "sidecar/config/parse_cluster.h"
#include "sidecar/config/parse_route.h"

namespace pillion::control {
namespace {

using config::FieldPath;
using envoy::config::cluster::v3::Cluster;
using envoy::config::route::v3::Route;
using envoy::config::route::v3::RouteAction;
using envoy::config::route::v3::RouteConfiguration;
using envoy::config::route::v3::VirtualHost;

constexpr const char* kOurs = "expected none: the control plane says it";

// `within`: where the resource's paths begin that are shown, "" for all of it.
template <typename Validated>
void ReportErrors(const Validated& validated, const std::string& within, const std::string& path,
                  Report& report) {
  for (const auto& errors : {validated.errors, validated.unsupported}) {
    for (const config::ConfigError& error : errors) {
      const bool inside = error.path.starts_with(within) && error.path.size() > within.size();
      std::string rest = inside ? error.path.substr(within.size()) : "";
      if (rest.starts_with('.')) rest.erase(0, 1);
      report.Add(rest.empty() ? path : FieldPath(path, rest), error.message);
    }
  }
}

// Names what stands there and must not.
bool HasOurs(const std::vector<std::pair<bool, const char*>>& fields, const std::string& path,
             Report& report) {
  bool any = false;
  for (const auto& [there, name] : fields) {
    if (there) report.Add(FieldPath(path, name), kOurs);
    any = any || there;
  }
  return any;
}

// The least cluster that it may be meant for: some fields go with one kind of cluster only.
Cluster BaseOf(const Cluster& own, Cluster::DiscoveryType type) {
  Cluster cluster;
  cluster.set_name("a");
  cluster.set_type(type);
  cluster.mutable_load_assignment()->set_cluster_name("a");
  switch (own.lb_config_case()) {
    case Cluster::kRingHashLbConfig:
      cluster.set_lb_policy(Cluster::RING_HASH);
      break;
    case Cluster::kMaglevLbConfig:
      cluster.set_lb_policy(Cluster::MAGLEV);
      break;
    case Cluster::kLeastRequestLbConfig:
      cluster.set_lb_policy(Cluster::LEAST_REQUEST);
      break;
    default:
      break;
  }
  cluster.MergeFrom(own);
  return cluster;
}

void CheckCluster(const Cluster& own, Report& report) {
  const std::string path = "spec.cluster";
  const bool has_type = own.cluster_discovery_type_case() != Cluster::CLUSTER_DISCOVERY_TYPE_NOT_SET;
  if (HasOurs({{!own.name().empty(), "name"},
               {has_type, "type"},
               {own.has_eds_cluster_config(), "eds_cluster_config"},
               {own.has_load_assignment(), "load_assignment"},
               {own.has_transport_socket(), "transport_socket"}},
              path, report))
    return;
  const auto of_dns = config::ParseCluster(BaseOf(own, Cluster::STRICT_DNS), "");
  if (of_dns.errors.empty() && of_dns.unsupported.empty()) return;
  ReportErrors(config::ParseCluster(BaseOf(own, Cluster::STATIC), ""), "", path, report);
}

void CheckRoute(const Route& own, Report& report) {
  const std::string path = "spec.route";
  const auto& action = own.route();
  const bool leads = action.cluster_specifier_case() != RouteAction::CLUSTER_SPECIFIER_NOT_SET;
  if (HasOurs({{!own.name().empty(), "name"},
               {own.has_redirect(), "redirect"},
               {own.has_direct_response(), "direct_response"},
               {leads && action.has_weighted_clusters(), "route.weighted_clusters"},
               {leads && !action.has_weighted_clusters(), "route.cluster"},
               {action.request_mirror_policies_size() > 0, "route.request_mirror_policies"}},
              path, report))
    return;
  // Others would need more of the listener, or files that only we have.
  const std::set<std::string> filters = {"envoy.filters.http.cors", "envoy.filters.http.fault",
                                         "envoy.filters.http.local_ratelimit",
                                         "envoy.filters.http.stateful_session"};
  for (const auto& [name, config] : own.typed_per_filter_config()) {
    if (filters.contains(name)) continue;
    report.Add(config::EntryPath(FieldPath(path, "typed_per_filter_config"), name),
               "expected envoy.filters.http.cors, .fault, .local_ratelimit or .stateful_session");
    return;
  }
  RouteConfiguration table;
  table.set_name("a");
  table.mutable_validate_clusters()->set_value(false);
  VirtualHost& host = *table.add_virtual_hosts();
  host.set_name("a");
  host.add_domains("*");
  Route& route = *host.add_routes();
  route.mutable_match()->set_prefix("/");
  route.mutable_route()->set_cluster("a");
  route.MergeFrom(own);
  ReportErrors(config::ParseRouteTable(table, "", config::Origin::kPushed), "virtual_hosts[0].routes[0]",
               path, report);
}

void CheckHost(const VirtualHost& own, Report& report) {
  const std::string path = "spec.virtual_host";
  if (HasOurs({{!own.name().empty(), "name"},
               {own.domains_size() > 0, "domains"},
               {own.routes_size() > 0, "routes"},
               {own.typed_per_filter_config_size() > 0, "typed_per_filter_config"}},
              path, report))
    return;
  RouteConfiguration table;
  table.set_name("a");
  VirtualHost& host = *table.add_virtual_hosts();
  host.set_name("a");
  host.add_domains("*");
  host.MergeFrom(own);
  ReportErrors(config::ParseRouteTable(table, "", config::Origin::kPushed), "virtual_hosts[0]", path, report);
}

}  // namespace

std::optional<XdsOverride> Read(const kube::policy::v1alpha1::XdsOverride& message, Report& report) {
  XdsOverride result;
  result.metadata = ReadMetadata(message.metadata(), report);
  result.rule.origin = result.metadata.origin;
  const auto& spec = message.spec();
  result.targets = ReadTargets(spec.target_refs(), result.metadata.name.ns, true, report);
  if (result.targets.empty()) report.Add("spec", "expected targetRefs");
  if (!spec.has_cluster() && !spec.has_route() && !spec.has_virtual_host())
    report.Add("spec", "expected cluster, route or virtualHost");
  for (const Target& target : result.targets) {
    if (target.kind == TargetKind::kService) continue;
    if (spec.has_cluster()) report.Add("spec.cluster", "expected only with targets of kind Service");
    if (spec.has_virtual_host())
      report.Add("spec.virtual_host", "expected only with targets of kind Service");
    break;
  }
  if (report.failed()) return std::nullopt;
  if (spec.has_cluster()) {
    CheckCluster(spec.cluster(), report);
    result.rule.cluster = std::make_shared<const Cluster>(spec.cluster());
  }
  if (spec.has_route()) {
    CheckRoute(spec.route(), report);
    result.rule.route = std::make_shared<const Route>(spec.route());
  }
  if (spec.has_virtual_host()) {
    CheckHost(spec.virtual_host(), report);
    result.rule.host = std::make_shared<const VirtualHost>(spec.virtual_host());
  }
  if (report.failed()) return std::nullopt;
  return result;
}

}  // namespace pillion::control
