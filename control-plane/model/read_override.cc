// XdsOverride: checked with the sidecar's own config/, merged into the least that a resource may be.
#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "control-plane/model/read.h"
#include "sidecar/base/text.h"
#include "sidecar/config/field_path.h"
#include "sidecar/config/parse_cluster.h"
#include "sidecar/config/parse_endpoints.h"
#include "sidecar/config/parse_route.h"

namespace pillion::control {
namespace {

using config::FieldPath;
using envoy::config::cluster::v3::Cluster;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using envoy::config::endpoint::v3::LbEndpoint;
using envoy::config::route::v3::Route;
using envoy::config::route::v3::RouteAction;
using envoy::config::route::v3::RouteConfiguration;
using envoy::config::route::v3::VirtualHost;

constexpr const char* kOurs = "expected none: the control plane says it";
constexpr int kMostFields = 16;  // of the mesh's tables
constexpr size_t kMostFieldBytes = 4096;
constexpr int kMost = 64;  // of endpoints' entries, and of zones and addresses in each

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

// As other weights in YAML; a ring of hashes has places for each.
void CheckWeight(bool there, uint32_t weight, const std::string& path, Report& report) {
  constexpr uint32_t kHeaviest = 1'000'000;
  if (there && weight > kHeaviest)
    report.Add(FieldPath(path, "load_balancing_weight"), "expected 1 to 1000000");
}

void CheckAssignment(const ClusterLoadAssignment& own, Report& report) {
  const std::string path = "spec.load_assignment";
  if (HasOurs({{!own.cluster_name().empty(), "cluster_name"}, {own.endpoints_size() > 0, "endpoints"}}, path,
              report))
    return;
  ClusterLoadAssignment whole = own;
  whole.set_cluster_name("a");
  ReportErrors(config::ParseAssignment(whole, ""), "", path, report);
}

// As part of the least assignment that has it.
void CheckEndpoint(const kube::policy::v1alpha1::EndpointOverride& own, const std::string& path,
                   Report& report) {
  const std::string of_locality = FieldPath(path, "locality");
  const std::string of_endpoint = FieldPath(path, "endpoint");
  const bool ours =
      HasOurs({{own.locality().lb_endpoints_size() > 0, "lb_endpoints"}}, of_locality, report) ||
      HasOurs({{own.endpoint().endpoint().has_address(), "endpoint.address"},
               {own.endpoint().metadata().filter_metadata().contains(config::kMetadataKey),
                "metadata.filter_metadata[\"pillion\"]"}},
              of_endpoint, report);
  if (ours) return;
  CheckWeight(own.locality().has_load_balancing_weight(), own.locality().load_balancing_weight().value(),
              of_locality, report);
  CheckWeight(own.endpoint().has_load_balancing_weight(), own.endpoint().load_balancing_weight().value(),
              of_endpoint, report);
  ClusterLoadAssignment of_place;
  of_place.set_cluster_name("a");
  *of_place.add_endpoints() = own.locality();
  ReportErrors(config::ParseAssignment(of_place, ""), "endpoints[0]", of_locality, report);
  ClusterLoadAssignment of_one;
  of_one.set_cluster_name("a");
  LbEndpoint& one = *of_one.add_endpoints()->add_lb_endpoints() = own.endpoint();
  auto& address = *one.mutable_endpoint()->mutable_address()->mutable_socket_address();
  address.set_address("10.0.0.1");
  address.set_port_value(1);
  ReportErrors(config::ParseAssignment(of_one, ""), "endpoints[0].lb_endpoints[0]", of_endpoint, report);
}

// Names are alike whatever their letters' case, and with or without the dot of the root.
std::string Plain(std::string name) {
  if (name.ends_with('.')) name.pop_back();
  std::ranges::transform(name, name.begin(), AsciiLower);
  return name;
}

// Such a name is a mistyped address (RFC 3696 section 2).
bool EndsInNumber(const std::string& name) {
  const std::string label = name.substr(name.rfind('.') + 1);
  return label.find_first_not_of("0123456789") == std::string::npos;
}

EndpointOverride ReadEndpoint(const kube::policy::v1alpha1::EndpointOverride& message,
                              const std::string& path, Report& report) {
  EndpointOverride result;
  result.any_zone = message.zones().empty();
  result.zones.assign(message.zones().begin(), message.zones().end());
  if (message.zones_size() > kMost) report.Add(FieldPath(path, "zones"), "expected at most 64");
  result.any_address = message.addresses().empty();
  if (message.addresses_size() > kMost) report.Add(FieldPath(path, "addresses"), "expected at most 64");
  for (int i = 0; i < message.addresses_size(); ++i) {
    const std::string& text = message.addresses(i);
    if (const auto range = net::CidrRange::Parse(text); range.has_value()) {
      result.ranges.push_back(*range);
    } else if (const std::string name = Plain(text); IsDnsSubdomain(name) && !EndsInNumber(name)) {
      result.names.push_back(name);
    } else {
      report.Add(config::ElementPath(FieldPath(path, "addresses"), static_cast<size_t>(i)),
                 "expected an IP address, a prefix of addresses like 10.1.0.0/16, or a DNS name");
    }
  }
  if (!message.has_locality() && !message.has_endpoint()) report.Add(path, "expected locality or endpoint");
  CheckEndpoint(message, path, report);
  result.locality = message.locality();
  result.endpoint = message.endpoint();
  return result;
}

std::shared_ptr<const AssignmentOverride> ReadAssignment(const kube::policy::v1alpha1::XdsOverrideSpec& spec,
                                                         Report& report) {
  if (!spec.has_load_assignment() && spec.endpoints().empty()) return nullptr;
  auto result = std::make_shared<AssignmentOverride>();
  CheckAssignment(spec.load_assignment(), report);
  result->assignment = spec.load_assignment();
  if (spec.endpoints_size() > kMost) report.Add("spec.endpoints", "expected at most 64");
  for (int i = 0; i < spec.endpoints_size(); ++i) {
    result->endpoints.push_back(ReadEndpoint(
        spec.endpoints(i), config::ElementPath("spec.endpoints", static_cast<size_t>(i)), report));
  }
  return result;
}

void CheckTable(const RouteConfiguration& own, Report& report) {
  const std::string path = "spec.route_configuration";
  if (HasOurs({{!own.name().empty(), "name"},
               {own.virtual_hosts_size() > 0, "virtual_hosts"},
               {own.most_specific_header_mutations_wins(), "most_specific_header_mutations_wins"},
               {own.has_validate_clusters(), "validate_clusters"},
               {own.typed_per_filter_config_size() > 0, "typed_per_filter_config"},
               {own.request_mirror_policies_size() > 0, "request_mirror_policies"}},
              path, report))
    return;
  // Or every request of the mesh might be too large for the next sidecar.
  const int fields = own.request_headers_to_add_size() + own.request_headers_to_remove_size() +
                     own.response_headers_to_add_size() + own.response_headers_to_remove_size();
  if (fields > kMostFields || own.ByteSizeLong() > kMostFieldBytes)
    report.Add(path, "expected at most 16 fields, of 4096 bytes together");
  RouteConfiguration table = own;
  table.set_name("a");
  ReportErrors(config::ParseRouteTable(table, "", config::Origin::kPushed), "", path, report);
}

// Which parts there may be for whom.
void CheckParts(const kube::policy::v1alpha1::XdsOverrideSpec& spec, const std::vector<Target>& targets,
                Report& report) {
  struct Part {
    bool there;
    const char* path;
  };
  const std::array<Part, 4> of_services = {{{spec.has_cluster(), "spec.cluster"},
                                            {spec.has_virtual_host(), "spec.virtual_host"},
                                            {spec.has_load_assignment(), "spec.load_assignment"},
                                            {spec.endpoints_size() > 0, "spec.endpoints"}}};
  const bool any_of_services = std::ranges::any_of(of_services, &Part::there);
  if (!any_of_services && !spec.has_route() && !spec.has_route_configuration()) {
    report.Add("spec",
               "expected cluster, route, virtualHost, loadAssignment, endpoints or routeConfiguration");
  } else if (targets.empty() && (any_of_services || spec.has_route())) {
    report.Add("spec", "expected targetRefs; without them routeConfiguration alone");
  } else if (!targets.empty() && spec.has_route_configuration()) {
    report.Add("spec.route_configuration", "expected only without targetRefs: it is of the whole mesh");
  }
  const bool services =
      std::ranges::all_of(targets, [](const Target& one) { return one.kind == TargetKind::kService; });
  if (services) return;
  for (const Part& part : of_services) {
    if (part.there) report.Add(part.path, "expected only with targets of kind Service");
  }
}

}  // namespace

bool EndpointOverride::IsOf(const std::string& host, const std::string& zone) const {
  if (!any_zone && std::ranges::find(zones, zone) == zones.end()) return false;
  if (any_address || std::ranges::find(names, Plain(host)) != names.end()) return true;
  const auto address = net::Address::Parse(host, 0);
  return address.has_value() &&
         std::ranges::any_of(ranges, [&](const net::CidrRange& range) { return range.Contains(*address); });
}

std::optional<XdsOverride> Read(const kube::policy::v1alpha1::XdsOverride& message, Report& report) {
  XdsOverride result;
  result.metadata = ReadMetadata(message.metadata(), report);
  result.rule.origin = result.metadata.origin;
  const auto& spec = message.spec();
  result.targets = ReadTargets(spec.target_refs(), result.metadata.name.ns, true, report);
  CheckParts(spec, result.targets, report);
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
  if (spec.has_route_configuration()) {
    CheckTable(spec.route_configuration(), report);
    result.rule.table = std::make_shared<const RouteConfiguration>(spec.route_configuration());
  }
  result.rule.assignment = ReadAssignment(spec, report);
  if (report.failed()) return std::nullopt;
  return result;
}

}  // namespace pillion::control
