// Clusters and endpoints.
#include <algorithm>

#include "control-plane/snapshot/cluster_policy.h"
#include "control-plane/snapshot/overrides.h"
#include "control-plane/snapshot/parts.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"
#include "sidecar/base/serialize_in_order.h"

namespace pillion::control {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using envoy::config::endpoint::v3::LbEndpoint;
using envoy::config::endpoint::v3::LocalityLbEndpoints;
using envoy::extensions::upstreams::http::v3::HttpProtocolOptions;

constexpr char kProtocolOptions[] = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
constexpr std::chrono::seconds kConnectTimeout{5};
// Of names without a TTL; and when a server does not answer, so often that its return is noticed.
constexpr std::chrono::seconds kDnsRefresh{5};
constexpr std::chrono::seconds kDnsFailureBase{1};
constexpr std::chrono::seconds kDnsFailureMax{10};
// The sidecars of a mesh must not ask all at once.
constexpr std::chrono::milliseconds kDnsJitter{500};
// Less than the keep-alive time of common servers (nginx: 75 s), so that it is mostly us who close an idle
// connection and no request meets a closing one.
constexpr std::chrono::seconds kHttp1Idle{60};
constexpr std::chrono::hours kHttp2Idle{1};
constexpr uint32_t kMaxStreams = 1024;
constexpr uint32_t kMostPriority = 127;  // that a sidecar takes
constexpr uint32_t kStreamWindowBytes = 256 * 1024;

Cluster MakeCluster(const std::string& name, AppProtocol protocol) {
  Cluster cluster;
  cluster.set_name(name);
  SetDuration(cluster.mutable_connect_timeout(), kConnectTimeout);
  cluster.set_lb_policy(Cluster::ROUND_ROBIN);
  SetSafeLimits(cluster);
  HttpProtocolOptions options;
  auto* explicit_config = options.mutable_explicit_http_config();
  if (protocol == AppProtocol::kHttp2) {
    auto* http2 = explicit_config->mutable_http2_protocol_options();
    http2->mutable_max_concurrent_streams()->set_value(kMaxStreams);
    http2->mutable_initial_stream_window_size()->set_value(kStreamWindowBytes);
    SetDuration(options.mutable_common_http_protocol_options()->mutable_idle_timeout(), kHttp2Idle);
  } else {
    explicit_config->mutable_http_protocol_options()->set_enable_trailers(true);
    SetDuration(options.mutable_common_http_protocol_options()->mutable_idle_timeout(), kHttp1Idle);
  }
  (*cluster.mutable_typed_extension_protocol_options())[kProtocolOptions].PackFrom(options);
  return cluster;
}

void SetAddress(LbEndpoint& endpoint, const std::string& ip, uint16_t port) {
  auto* address = endpoint.mutable_endpoint()->mutable_address()->mutable_socket_address();
  address->set_address(ip);
  address->set_port_value(port);
}

envoy::config::core::v3::HealthStatus HealthStatusOf(Health health) {
  switch (health) {
    case Health::kReady:
      return envoy::config::core::v3::HEALTHY;
    case Health::kDraining:
      return envoy::config::core::v3::DRAINING;
    case Health::kNotReady:
      return envoy::config::core::v3::UNHEALTHY;
  }
  return envoy::config::core::v3::UNHEALTHY;
}

uint32_t WeightOf(const MeshService& service, const std::string& zone) {
  if (!service.balancer.has_value()) return 1;
  const auto weight = service.balancer->zone_weights.find(zone);
  return weight == service.balancer->zone_weights.end() ? 1 : weight->second;
}

LocalityLbEndpoints MakePlace(const MeshService& service, const MeshEndpoint& endpoint) {
  LocalityLbEndpoints place;
  if (!endpoint.zone.empty()) place.mutable_locality()->set_zone(endpoint.zone);
  // A locality without a weight gets no requests; 0 is not allowed.
  if (const uint32_t weight = WeightOf(service, endpoint.zone); weight > 0)
    place.mutable_load_balancing_weight()->set_value(weight);
  return place;
}

LbEndpoint MakeEndpoint(const MeshEndpoint& endpoint) {
  LbEndpoint made;
  SetAddress(made, endpoint.host, endpoint.port);
  made.set_health_status(HealthStatusOf(endpoint.health));
  made.mutable_load_balancing_weight()->set_value(1);
  if (!endpoint.peer) return made;
  auto& pillion = (*made.mutable_metadata()->mutable_filter_metadata())["pillion"];
  (*pillion.mutable_fields())["sidecar"].set_bool_value(true);
  return made;
}

// One group per place and priority: a locality may be named only once, and gRPC skips one without a weight.
// Its weight is the largest that its endpoints have. `rule` may be null.
ClusterLoadAssignment Assemble(const MeshService& service, const MeshPort& port, const std::string& zone,
                               const AssignmentOverride* rule) {
  ClusterLoadAssignment assignment;
  assignment.set_cluster_name(OutboundCluster(service.name, port.port));
  // What the caller's own zone cannot carry goes to the others; without a zone, or with none of its
  // endpoints, all are alike.
  const bool prefers =
      service.balancer.has_value() && service.balancer->prefer_same_zone && !zone.empty() &&
      std::ranges::any_of(port.endpoints, [&](const MeshEndpoint& one) { return one.zone == zone; });
  // First as the user has it, then by zone; numbered without gaps, which gRPC does not take.
  std::map<std::pair<uint32_t, bool>, uint32_t> priorities;
  struct Placed {
    LocalityLbEndpoints place;
    LbEndpoint made;
    std::pair<uint32_t, bool> rank;
  };
  std::vector<Placed> all;
  for (const MeshEndpoint& endpoint : port.endpoints) {
    Placed& one = all.emplace_back(Placed{MakePlace(service, endpoint), MakeEndpoint(endpoint), {}});
    if (rule != nullptr) Override(*rule, endpoint, one.place, one.made);
    one.rank = {one.place.priority(), prefers && endpoint.zone != zone};
    priorities[one.rank] = 0;
  }
  uint32_t next = 0;
  for (auto& [rank, priority] : priorities) priority = std::min(next++, kMostPriority);
  std::map<std::pair<uint32_t, std::string>, LocalityLbEndpoints*> groups;
  for (Placed& one : all) {
    one.place.set_priority(priorities[one.rank]);
    auto*& group = groups[{one.place.priority(), SerializeInOrder(one.place.locality())}];
    const uint32_t weight = one.place.load_balancing_weight().value();
    if (group == nullptr) {
      group = assignment.add_endpoints();
      *group = std::move(one.place);
    } else if (weight > group->load_balancing_weight().value()) {
      group->mutable_load_balancing_weight()->set_value(weight);
    }
    *group->add_lb_endpoints() = std::move(one.made);
  }
  return assignment;
}

void SetDns(Cluster& cluster, const MeshService& service, const MeshPort& port, const std::string& zone,
            std::vector<Problem>* problems) {
  const bool external = port.discovery == MeshPort::Discovery::kExternalName;
  cluster.set_type(external ? Cluster::LOGICAL_DNS : Cluster::STRICT_DNS);
  // As of Kubernetes' Services: IPv4 unless told otherwise. Many pods have no way to IPv6 addresses.
  cluster.set_dns_lookup_family(service.prefers_ipv6 ? Cluster::AUTO : Cluster::V4_PREFERRED);
  cluster.set_respect_dns_ttl(true);
  SetDuration(cluster.mutable_dns_refresh_rate(), kDnsRefresh);
  SetDuration(cluster.mutable_dns_failure_refresh_rate()->mutable_base_interval(), kDnsFailureBase);
  SetDuration(cluster.mutable_dns_failure_refresh_rate()->mutable_max_interval(), kDnsFailureMax);
  SetDuration(cluster.mutable_dns_jitter(), kDnsJitter);
  *cluster.mutable_load_assignment() = MakeEndpoints(service, port, zone, problems);
}

}  // namespace

std::string FullName(const ObjectName& service) {
  return service.name + "." + service.ns + ".svc.cluster.local";
}

std::string OutboundCluster(const ObjectName& service, uint16_t port) {
  return "outbound|" + std::to_string(port) + "||" + FullName(service);
}

std::string InboundCluster(const ObjectName& service, const LocalApp& local) {
  return "inbound|" + std::to_string(local.app.port) + "||" + (service.name.empty() ? "" : FullName(service));
}

Cluster MakeOutboundCluster(const MeshService& service, const MeshPort& port, const std::string& zone,
                            std::vector<Problem>* problems) {
  Cluster cluster = MakeCluster(OutboundCluster(service.name, port.port), port.protocol);
  if (port.discovery == MeshPort::Discovery::kEndpoints) {
    cluster.set_type(Cluster::EDS);
    auto* config = cluster.mutable_eds_cluster_config();
    config->mutable_eds_config()->mutable_ads();
    config->mutable_eds_config()->set_resource_api_version(envoy::config::core::v3::V3);
    config->set_service_name(cluster.name());
  } else {
    SetDns(cluster, service, port, zone, problems);
  }
  // A pod that is about to end serves the sessions that it has. Said everywhere: a cluster that changes makes
  // its connections anew, which no route with sessions is worth.
  for (const auto status : {envoy::config::core::v3::UNKNOWN, envoy::config::core::v3::HEALTHY,
                            envoy::config::core::v3::DEGRADED, envoy::config::core::v3::DRAINING}) {
    cluster.mutable_common_lb_config()->mutable_override_host_status()->add_statuses(status);
  }
  if (service.balancer.has_value()) SetBalancer(cluster, *service.balancer);
  if (service.circuits.has_value()) SetCircuits(cluster, *service.circuits);
  if (service.health.has_value()) SetHealth(cluster, *service.health, FullName(service.name));
  if (service.retry.has_value() && service.retry->budget.has_value()) {
    auto& budget = *cluster.mutable_circuit_breakers()->mutable_thresholds(0)->mutable_retry_budget();
    budget.mutable_budget_percent()->set_value(service.retry->budget->percent);
    budget.mutable_min_retry_concurrency()->set_value(service.retry->budget->per_second);
  }
  if (service.override_.has_value()) {
    const std::string error = Override(*service.override_, cluster);
    if (!error.empty() && problems != nullptr)
      problems->push_back(AsProblem(*service.override_, "spec.cluster", error));
  }
  return cluster;
}

ClusterLoadAssignment MakeEndpoints(const MeshService& service, const MeshPort& port, const std::string& zone,
                                    std::vector<Problem>* problems) {
  if (service.override_.has_value() && service.override_->assignment != nullptr) {
    const AssignmentOverride& rule = *service.override_->assignment;
    ClusterLoadAssignment assignment = Assemble(service, port, zone, &rule);
    const std::string error = Override(rule, assignment);
    if (error.empty()) return assignment;
    if (problems != nullptr) problems->push_back(AsProblem(*service.override_, "spec.endpoints", error));
  }
  return Assemble(service, port, zone, nullptr);
}

Cluster MakePassthroughCluster() {
  Cluster cluster;
  cluster.set_name(kPassthrough);
  cluster.set_type(Cluster::ORIGINAL_DST);
  cluster.set_lb_policy(Cluster::CLUSTER_PROVIDED);
  SetDuration(cluster.mutable_connect_timeout(), kConnectTimeout);
  SetSafeLimits(cluster);
  cluster.clear_common_lb_config();  // there is nothing to choose from, nor to panic about
  return cluster;
}

Cluster MakeInboundCluster(const std::string& name, const SocketAddress& app, AppProtocol protocol) {
  Cluster cluster = MakeCluster(name, protocol);
  cluster.set_type(Cluster::STATIC);
  cluster.mutable_load_assignment()->set_cluster_name(name);
  SetAddress(*cluster.mutable_load_assignment()->add_endpoints()->add_lb_endpoints(), app.ip, app.port);
  return cluster;
}

}  // namespace pillion::control
