#include "sidecar/config/parse_cluster.h"

#include <cmath>
#include <set>

#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"
#include "sidecar/config/field_path.h"
#include "sidecar/config/fields.h"
#include "sidecar/config/parse_balancer.h"
#include "sidecar/config/parse_dns.h"
#include "sidecar/config/parse_endpoints.h"
#include "sidecar/config/parse_health.h"
#include "sidecar/config/parse_original_destination.h"
#include "sidecar/config/parse_transport_socket.h"

namespace pillion::config {
namespace {

namespace cluster = envoy::config::cluster::v3;
using envoy::extensions::upstreams::http::v3::HttpProtocolOptions;

void UseHttp2(const envoy::config::core::v3::Http2ProtocolOptions& options, const std::string& path,
              Cluster& result, ConfigErrors& errors) {
  const Http2Limits limits = ReadHttp2(options, path, errors);
  result.protocol = UpstreamProtocol::kHttp2;
  result.max_concurrent_streams = limits.max_concurrent_streams;
  result.stream_window_bytes = limits.stream_window_bytes;
  result.keep_alive = limits.keep_alive;
}

void ReadHttpOptions(const HttpProtocolOptions& options, const std::string& path, Cluster& result,
                     ConfigErrors& errors) {
  const std::string common_path = FieldPath(path, "common_http_protocol_options");
  const auto& common = options.common_http_protocol_options();
  if (common.has_idle_timeout()) {
    result.idle_timeout = ReadDuration(common.idle_timeout(), FieldPath(common_path, "idle_timeout"), errors);
  }
  if (common.has_max_headers_count()) {
    Add(errors, FieldPath(common_path, "max_headers_count"), "not implemented for clusters");
  }
  if (common.has_max_connection_duration()) {
    Add(errors, FieldPath(common_path, "max_connection_duration"), "not implemented for clusters");
  }
  if (common.has_max_stream_duration()) {
    Add(errors, FieldPath(common_path, "max_stream_duration"), "not implemented for clusters");
  }
  if (common.headers_with_underscores_action() != envoy::config::core::v3::HttpProtocolOptions::ALLOW) {
    Add(errors, FieldPath(common_path, "headers_with_underscores_action"),
        "expected ALLOW; others are not implemented for clusters");
  }
  result.max_requests_per_connection = common.max_requests_per_connection().value();
  const std::string explicit_path = FieldPath(path, "explicit_http_config");
  const auto& chosen = options.explicit_http_config();
  if (chosen.has_http2_protocol_options()) {
    UseHttp2(chosen.http2_protocol_options(), FieldPath(explicit_path, "http2_protocol_options"), result,
             errors);
  } else if (!chosen.has_http_protocol_options()) {
    Add(errors, explicit_path, "expected http_protocol_options or http2_protocol_options");
  }
}

void ReadSessionHealth(const cluster::Cluster::CommonLbConfig& proto, const std::string& path,
                       Cluster& result, ConfigErrors& errors) {
  if (!proto.has_override_host_status()) return;
  const std::string list = FieldPath(FieldPath(path, "override_host_status"), "statuses");
  result.session_health = 0;
  for (int i = 0; i < proto.override_host_status().statuses_size(); ++i) {
    result.session_health |= BitOf(ReadHealth(proto.override_host_status().statuses(i),
                                              ElementPath(list, static_cast<size_t>(i)), errors));
  }
}

void ReadProtocol(const cluster::Cluster& proto, const std::string& path, Cluster& result,
                  ConfigErrors& errors) {
  const std::string options_path = FieldPath(path, "typed_extension_protocol_options");
  for (const auto& [key, any] : proto.typed_extension_protocol_options()) {
    const std::string entry_path = EntryPath(options_path, key);
    if (key != HttpProtocolOptions::descriptor()->full_name()) {
      Add(errors, entry_path,
          "expected no key but " + HttpProtocolOptions::descriptor()->full_name() +
              "; others are not implemented");
    } else if (const auto options = Unpack<HttpProtocolOptions>(any, entry_path, errors)) {
      ReadHttpOptions(*options, entry_path, result, errors);
    }
  }
  if (!proto.has_http2_protocol_options()) return;
  const std::string old_path = FieldPath(path, "http2_protocol_options");
  if (!proto.typed_extension_protocol_options().empty()) {
    Add(errors, old_path, "expected only one of this and typed_extension_protocol_options");
  }
  UseHttp2(proto.http2_protocol_options(), old_path, result, errors);
}

void ReadEds(const cluster::Cluster& proto, const std::string& path, Cluster& result, ConfigErrors& errors) {
  const std::string eds_path = FieldPath(path, "eds_cluster_config");
  const auto& eds = proto.eds_cluster_config();
  result.discovery = Cluster::Discovery::kEds;
  result.eds_name = eds.service_name().empty() ? proto.name() : eds.service_name();
  result.eds_timeout = ReadAdsSource(eds.eds_config(), FieldPath(eds_path, "eds_config"), errors);
  if (proto.has_load_assignment()) {
    Add(errors, FieldPath(path, "load_assignment"), "expected none with type EDS");
  }
}

void ReadStatic(const cluster::Cluster& proto, const std::string& path, Cluster& result,
                ConfigErrors& errors) {
  const std::string assignment_path = FieldPath(path, "load_assignment");
  if (proto.has_eds_cluster_config()) {
    Add(errors, FieldPath(path, "eds_cluster_config"), "expected only with type EDS");
  }
  if (!proto.has_load_assignment()) {
    Add(errors, assignment_path, "expected the endpoints of a cluster that is not EDS");
    return;
  }
  const Hosts hosts = result.discovery == Cluster::Discovery::kStatic ? Hosts::kAddresses : Hosts::kAlsoNames;
  result.load_assignment = std::make_shared<const Assignment>(
      ReadAssignment(proto.load_assignment(), assignment_path, errors, hosts));
}

RetryBudget ReadRetryBudget(const cluster::CircuitBreakers::Thresholds::RetryBudget& proto,
                            const std::string& path, ConfigErrors& errors) {
  constexpr double kPercent = 20;
  constexpr uint32_t kPerSecond = 3;
  RetryBudget result;
  const double percent = proto.has_budget_percent() ? proto.budget_percent().value() : kPercent;
  if (!(percent >= 0 && percent <= 100)) Add(errors, FieldPath(path, "budget_percent"), "expected 0 to 100");
  result.share = percent / 100;
  result.per_second = proto.has_min_retry_concurrency() ? proto.min_retry_concurrency().value() : kPerSecond;
  return result;
}

// Of one entry of a list. Null, with an error: its priority is none, or was there before (it is in `seen`).
CircuitLimits* FindLimits(const cluster::CircuitBreakers::Thresholds& proto, const std::string& path,
                          std::set<int>& seen, Cluster& result, ConfigErrors& errors) {
  const int priority = proto.priority();
  if (priority != envoy::config::core::v3::DEFAULT && priority != envoy::config::core::v3::HIGH) {
    Add(errors, FieldPath(path, "priority"), "expected DEFAULT or HIGH");
    return nullptr;
  }
  if (!seen.insert(priority).second) Add(errors, FieldPath(path, "priority"), "expected each priority once");
  return &result.circuits.at(static_cast<size_t>(priority));
}

void ReadEndpointCircuits(const cluster::CircuitBreakers& proto, const std::string& path, Cluster& result,
                          ConfigErrors& errors) {
  std::set<int> seen;
  for (int i = 0; i < proto.per_host_thresholds_size(); ++i) {
    const auto& thresholds = proto.per_host_thresholds(i);
    const std::string one_path = ElementPath(path, static_cast<size_t>(i));
    CircuitLimits* const limits = FindLimits(thresholds, one_path, seen, result, errors);
    if (limits != nullptr && thresholds.has_max_connections())
      limits->endpoint_connections = thresholds.max_connections().value();
    const auto refuse = [&](bool is_there, const char* field) {
      if (is_there)
        Add(errors, FieldPath(one_path, field), "expected none: an endpoint's limit is max_connections");
    };
    refuse(thresholds.has_max_pending_requests(), "max_pending_requests");
    refuse(thresholds.has_max_requests(), "max_requests");
    refuse(thresholds.has_max_retries(), "max_retries");
    refuse(thresholds.has_retry_budget(), "retry_budget");
  }
}

void ReadCircuits(const cluster::CircuitBreakers& proto, const std::string& path, Cluster& result,
                  ConfigErrors& errors) {
  const std::string thresholds_path = FieldPath(path, "thresholds");
  std::set<int> seen;
  for (int i = 0; i < proto.thresholds_size(); ++i) {
    const auto& thresholds = proto.thresholds(i);
    const std::string one_path = ElementPath(thresholds_path, static_cast<size_t>(i));
    CircuitLimits* const found = FindLimits(thresholds, one_path, seen, result, errors);
    if (found == nullptr) continue;
    CircuitLimits& limits = *found;
    if (thresholds.has_max_connections()) limits.connections = thresholds.max_connections().value();
    if (thresholds.has_max_pending_requests()) limits.pending = thresholds.max_pending_requests().value();
    if (thresholds.has_max_requests()) limits.requests = thresholds.max_requests().value();
    if (thresholds.has_max_retries()) limits.retries = thresholds.max_retries().value();
    if (!thresholds.has_retry_budget()) continue;
    const std::string budget_path = FieldPath(one_path, "retry_budget");
    if (thresholds.priority() != envoy::config::core::v3::DEFAULT)
      Add(errors, budget_path, "expected only with priority DEFAULT; it counts for both");
    result.retry_budget = ReadRetryBudget(thresholds.retry_budget(), budget_path, errors);
  }
  ReadEndpointCircuits(proto, FieldPath(path, "per_host_thresholds"), result, errors);
}

void ReadPreconnect(const cluster::Cluster& proto, const std::string& path, Cluster& result,
                    ConfigErrors& errors) {
  if (!proto.preconnect_policy().has_per_upstream_preconnect_ratio()) return;
  const std::string ratio_path =
      FieldPath(FieldPath(path, "preconnect_policy"), "per_upstream_preconnect_ratio");
  const double ratio = proto.preconnect_policy().per_upstream_preconnect_ratio().value();
  if (!(ratio >= 1 && ratio <= 3)) {
    Add(errors, ratio_path, "expected 1 to 3");
    return;
  }
  result.preconnect_permille = static_cast<uint32_t>(std::lround(ratio * 1000));
  if (result.proxy_protocol && result.preconnect_permille > 1000)
    Add(errors, ratio_path, "expected 1 with PROXY protocol: each connection is for one client");
}

}  // namespace

Cluster ReadCluster(const cluster::Cluster& proto, const std::string& path, ConfigErrors& errors) {
  Cluster result;
  result.name = proto.name();
  RequireText(proto.name(), FieldPath(path, "name"), errors);
  if (proto.has_connect_timeout()) {
    result.connect_timeout =
        ReadDuration(proto.connect_timeout(), FieldPath(path, "connect_timeout"), errors, true);
  }
  result.balancer = ReadBalancer(proto, path, errors);
  result.subsets = ReadSubsets(proto, path, errors);
  ReadSessionHealth(proto.common_lb_config(), FieldPath(path, "common_lb_config"), result, errors);
  result.outlier = ReadOutlierDetection(proto, path, errors);
  result.health_checks = ReadHealthChecks(proto, path, errors);
  ReadProtocol(proto, path, result, errors);
  ReadCircuits(proto.circuit_breakers(), FieldPath(path, "circuit_breakers"), result, errors);
  if (proto.has_transport_socket()) {
    const std::string transport_path = FieldPath(path, "transport_socket");
    UpstreamTransport transport = ReadUpstreamTransport(proto.transport_socket(), transport_path, errors);
    result.tls = std::move(transport.tls);
    result.proxy_protocol = transport.proxy_protocol;
    if (result.proxy_protocol && result.protocol == UpstreamProtocol::kHttp2) {
      Add(errors, transport_path,
          "expected no PROXY protocol in a cluster that speaks HTTP/2: one connection carries the requests "
          "of "
          "many clients");
    }
  }
  ReadPreconnect(proto, path, result, errors);
  ReadDns(proto, path, result, errors);  // and the discovery, where it is by DNS
  ReadOriginalDestination(proto, path, result, errors);
  if (proto.type() == cluster::Cluster::EDS) {
    ReadEds(proto, path, result, errors);
  } else if (proto.type() == cluster::Cluster::STATIC || IsByDns(result)) {
    ReadStatic(proto, path, result, errors);
  } else if (!result.original_destination) {
    Add(errors, FieldPath(path, "type"),
        "expected STATIC, STRICT_DNS, LOGICAL_DNS, EDS or ORIGINAL_DST; others are not implemented");
  }
  return result;
}

Validated<Cluster> ParseCluster(const cluster::Cluster& proto, const std::string& version) {
  ConfigErrors errors;
  Cluster result = ReadCluster(proto, "", errors);
  result.version = version;
  return Finish(std::move(result), std::move(errors), proto);
}

}  // namespace pillion::config
