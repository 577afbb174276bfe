#include "sidecar/config/parse_cluster.h"

#include <google/protobuf/unknown_field_set.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "sidecar/config/parse_endpoints.h"
#include "sidecar/config/parse_test_yaml.h"

namespace pillion::config {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ClusterProto = envoy::config::cluster::v3::Cluster;
using AssignmentProto = envoy::config::endpoint::v3::ClusterLoadAssignment;

constexpr char kOptions[] = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

Validated<Cluster> Parse(const std::string& yaml) { return ParseCluster(FromYaml<ClusterProto>(yaml), "7"); }
Lines Errors(const std::string& yaml) { return ToLines(Parse(yaml).errors); }

std::string Options(const std::string& fields) {
  return std::string("{name: a, load_assignment: {cluster_name: a}, typed_extension_protocol_options: {") +
         kOptions + ": {\"@type\": a/" + kOptions + ", " + fields + "}}}";
}

Validated<Assignment> ParseEndpoints(const std::string& yaml) {
  return ParseAssignment(FromYaml<AssignmentProto>(yaml), "8");
}

// One endpoint with further fields.
std::string Endpoint(const std::string& fields,
                     const std::string& address = "{address: 10.0.0.1, port_value: 80}") {
  return "{cluster_name: a, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: " + address +
         "}}" + fields + "}]}]}";
}

TEST(ParseClusterTest, UnsetFieldsHaveTheirDefaults) {
  const auto parsed = Parse("{name: a, load_assignment: {cluster_name: a}}");
  ASSERT_EQ(ToLines(parsed.errors), Lines{});
  EXPECT_TRUE(parsed.ok());
  const Cluster& cluster = *parsed.value;
  EXPECT_EQ(cluster.name, "a");
  EXPECT_EQ(cluster.version, "7");
  EXPECT_EQ(cluster.discovery, Cluster::Discovery::kStatic);
  EXPECT_EQ(cluster.connect_timeout, seconds(5));
  EXPECT_EQ(cluster.keep_alive, std::nullopt);
  EXPECT_EQ(cluster.idle_timeout, std::chrono::hours(1));
  EXPECT_EQ(cluster.protocol, UpstreamProtocol::kHttp1);
  ASSERT_NE(cluster.load_assignment, nullptr);
  EXPECT_TRUE(cluster.load_assignment->endpoints.empty());
}

TEST(ParseClusterTest, EdsAsksByServiceNameOrName) {
  const auto named = Parse(
      "{name: a, type: EDS, eds_cluster_config: {service_name: s, eds_config: {ads: {}, "
      "resource_api_version: V3, initial_fetch_timeout: 0s}}}");
  ASSERT_EQ(ToLines(named.errors), Lines{});
  EXPECT_EQ(named.value->discovery, Cluster::Discovery::kEds);
  EXPECT_EQ(named.value->eds_name, "s");
  EXPECT_EQ(named.value->eds_timeout, seconds(0));
  const auto unnamed = Parse("{name: a, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}}");
  ASSERT_EQ(ToLines(unnamed.errors), Lines{});
  EXPECT_EQ(unnamed.value->eds_name, "a");
  EXPECT_EQ(unnamed.value->eds_timeout, seconds(15));
}

TEST(ParseClusterTest, ProtocolOptionsAreRead) {
  const auto parsed =
      Parse(Options("explicit_http_config: {http2_protocol_options: {max_concurrent_streams: 10, "
                    "initial_stream_window_size: 65535, "
                    "connection_keepalive: {interval: 2s, timeout: 0.25s}}}, "
                    "common_http_protocol_options: {idle_timeout: 0.5s}"));
  ASSERT_EQ(ToLines(parsed.errors), Lines{});
  EXPECT_EQ(parsed.value->protocol, UpstreamProtocol::kHttp2);
  EXPECT_EQ(parsed.value->max_concurrent_streams, 10u);
  EXPECT_EQ(parsed.value->stream_window_bytes, 65535u);
  EXPECT_EQ(parsed.value->idle_timeout, milliseconds(500));
  EXPECT_EQ(parsed.value->keep_alive, (KeepAlive{seconds(2), milliseconds(250)}));
  const auto http1 = Parse(Options("explicit_http_config: {http_protocol_options: {accept_http_10: true}}"));
  ASSERT_EQ(ToLines(http1.errors), Lines{});
  EXPECT_EQ(http1.value->protocol, UpstreamProtocol::kHttp1);
}

TEST(ParseClusterTest, TheOldWayToSayHttp2IsAccepted) {
  const auto parsed = Parse("{name: a, load_assignment: {cluster_name: a}, http2_protocol_options: {}}");
  ASSERT_EQ(ToLines(parsed.errors), Lines{});
  EXPECT_EQ(parsed.value->protocol, UpstreamProtocol::kHttp2);
}

TEST(ParseClusterTest, EveryErrorIsListed) {
  auto unknown = FromYaml<ClusterProto>("{connect_timeout: 0s}");
  unknown.set_lb_policy(static_cast<ClusterProto::LbPolicy>(4));
  unknown.set_type(static_cast<ClusterProto::DiscoveryType>(5));
  EXPECT_EQ(
      ToLines(ParseCluster(unknown, "7").errors),
      (Lines{"name: expected at least 1 character", "connect_timeout: expected a duration of more than 0",
             "lb_policy: expected ROUND_ROBIN, LEAST_REQUEST, RING_HASH, RANDOM or MAGLEV, or a "
             "load_balancing_policy",
             "type: expected STATIC, STRICT_DNS, LOGICAL_DNS, EDS or ORIGINAL_DST; others are not "
             "implemented"}));
  EXPECT_EQ(Parse("{}").value, nullptr);
}

TEST(ParseClusterTest, StaticAndEdsExcludeEachOther) {
  EXPECT_EQ(Errors("{name: a, eds_cluster_config: {}}"),
            (Lines{"eds_cluster_config: expected only with type EDS",
                   "load_assignment: expected the endpoints of a cluster that is not EDS"}));
  EXPECT_EQ(Errors("{name: a, type: EDS, load_assignment: {}}"),
            (Lines{"eds_cluster_config.eds_config.ads: expected ads; others are not implemented",
                   "load_assignment: expected none with type EDS"}));
}

TEST(ParseClusterTest, WrongProtocolOptionsAreRefused) {
  const std::string path = std::string("typed_extension_protocol_options[\"") + kOptions + "\"]";
  EXPECT_EQ(Errors(Options("explicit_http_config: {}")),
            Lines{path + ".explicit_http_config: expected http_protocol_options or http2_protocol_options"});
  EXPECT_EQ(
      Errors(Options("explicit_http_config: {http2_protocol_options: {max_concurrent_streams: 0, "
                     "initial_stream_window_size: 2147483648}}, "
                     "common_http_protocol_options: {max_headers_count: 5}")),
      (Lines{path + ".common_http_protocol_options.max_headers_count: not implemented for clusters",
             path + ".explicit_http_config.http2_protocol_options.max_concurrent_streams: expected a number "
                    "from 1 to 2147483647",
             path + ".explicit_http_config.http2_protocol_options.initial_stream_window_size: expected a "
                    "number from 65535 to 2147483647"}));
  EXPECT_EQ(
      Errors("{name: a, load_assignment: {cluster_name: a}, typed_extension_protocol_options: {x: {}}}"),
      Lines{std::string("typed_extension_protocol_options[\"x\"]: expected no key but ") + kOptions +
            "; others are not implemented"});
  EXPECT_EQ(
      Errors(std::string("{name: a, load_assignment: {cluster_name: a}, http2_protocol_options: {}, "
                         "typed_extension_protocol_options: {") +
             kOptions + ": {\"@type\": a/google.protobuf.Empty}}}"),
      (Lines{path + ": expected a " + kOptions,
             "http2_protocol_options: expected only one of this and typed_extension_protocol_options"}));
}

TEST(ParseClusterTest, WarmConnectionsAreRead) {
  const auto with = [](const std::string& fields, const std::string& more = "") {
    return Parse("{name: a, load_assignment: {cluster_name: a}, preconnect_policy: {" + fields + "}" + more +
                 "}");
  };
  EXPECT_EQ(with("").value->preconnect_permille, 1000u);
  for (const auto& [ratio, permille] :
       {std::pair("1", 1000u), {"1.25", 1250u}, {"1.1", 1100u}, {"3", 3000u}}) {
    const auto parsed = with(std::string("per_upstream_preconnect_ratio: ") + ratio);
    ASSERT_EQ(ToLines(parsed.errors), Lines{});
    EXPECT_EQ(parsed.value->preconnect_permille, permille);
  }
  for (const char* wrong : {"0", "0.999", "3.001", "-1", ".nan"}) {
    EXPECT_EQ(ToLines(with(std::string("per_upstream_preconnect_ratio: ") + wrong).errors),
              Lines{"preconnect_policy.per_upstream_preconnect_ratio: expected 1 to 3"})
        << wrong;
  }
  const std::string proxied =
      ", transport_socket: {name: p, typed_config: {\"@type\": "
      "a/envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport, "
      "transport_socket: {name: r, typed_config: {\"@type\": "
      "a/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer}}}}";
  EXPECT_EQ(ToLines(with("per_upstream_preconnect_ratio: 1", proxied).errors), Lines{});
  EXPECT_EQ(ToLines(with("per_upstream_preconnect_ratio: 2", proxied).errors),
            Lines{"preconnect_policy.per_upstream_preconnect_ratio: expected 1 with PROXY protocol: each "
                  "connection is for one client"});
}

TEST(ParseClusterTest, BalancersAreRead) {
  using Kind = Balancer::Kind;
  const auto balancer = [](const std::string& fields) {
    const auto parsed = ParseCluster(
        FromYaml<ClusterProto>("{name: a, load_assignment: {cluster_name: a}, " + fields + "}"), "");
    EXPECT_EQ(ToLines(parsed.errors), Lines{});
    return parsed.value->balancer;
  };
  EXPECT_EQ(balancer("lb_policy: ROUND_ROBIN").kind, Kind::kRoundRobin);
  EXPECT_EQ(balancer("lb_policy: RANDOM").kind, Kind::kRandom);
  EXPECT_EQ(balancer("lb_policy: LEAST_REQUEST").kind, Kind::kLeastRequest);
  EXPECT_EQ(balancer("lb_policy: LEAST_REQUEST, least_request_lb_config: {}").choices, 2u);
  EXPECT_EQ(balancer("lb_policy: LEAST_REQUEST, least_request_lb_config: {choice_count: 5}").choices, 5u);
  EXPECT_EQ(
      Errors("{name: a, load_assignment: {cluster_name: a}, lb_policy: MAGLEV, least_request_lb_config: "
             "{choice_count: 1}}"),
      (Lines{"least_request_lb_config: expected only with LEAST_REQUEST",
             "least_request_lb_config.choice_count: expected 2 to 100"}));
}

TEST(ParseClusterTest, RetryBudgetsAreRead) {
  const auto budget = [](const std::string& circuits) {
    const auto parsed = ParseCluster(
        FromYaml<ClusterProto>("{name: a, load_assignment: {cluster_name: a}, circuit_breakers: {" +
                               circuits + "}}"),
        "");
    EXPECT_EQ(ToLines(parsed.errors), Lines{});
    return parsed.value->retry_budget;
  };
  EXPECT_EQ(budget("").share, 0.1);
  EXPECT_EQ(budget("thresholds: [{}]").per_second, 3);
  EXPECT_EQ(budget("thresholds: [{retry_budget: {}}]").share, 0.2);
  EXPECT_EQ(budget("thresholds: [{retry_budget: {}}]").per_second, 3);
  const RetryBudget all =
      budget("thresholds: [{retry_budget: {budget_percent: {value: 0.5}, min_retry_concurrency: 0}}]");
  EXPECT_EQ(all.share, 0.005);
  EXPECT_EQ(all.per_second, 0);
  EXPECT_EQ(
      Errors("{name: a, load_assignment: {cluster_name: a}, circuit_breakers: {thresholds: [{priority: HIGH, "
             "retry_budget: {budget_percent: {value: 100.1}}}, {retry_budget: {budget_percent: {value: "
             ".nan}}}]}}"),
      (Lines{
          "circuit_breakers.thresholds[0].retry_budget: expected only with priority DEFAULT; it counts for "
          "both",
          "circuit_breakers.thresholds[0].retry_budget.budget_percent: expected 0 to 100",
          "circuit_breakers.thresholds[1].retry_budget.budget_percent: expected 0 to 100"}));
}

TEST(ParseClusterTest, CircuitLimitsAreRead) {
  const auto parsed =
      ParseCluster(FromYaml<ClusterProto>(
                       "{name: a, load_assignment: {cluster_name: a}, circuit_breakers: {thresholds: ["
                       "{max_connections: 1, max_pending_requests: 2, max_requests: 3, max_retries: 4}, "
                       "{priority: HIGH, max_requests: 0}]}}"),
                   "");
  ASSERT_EQ(ToLines(parsed.errors), Lines{});
  const CircuitLimits& usual = parsed.value->circuits[0];
  EXPECT_EQ(usual.connections, 1u);
  EXPECT_EQ(usual.pending, 2u);
  EXPECT_EQ(usual.requests, 3u);
  EXPECT_EQ(usual.retries, 4u);
  const CircuitLimits& high = parsed.value->circuits[1];
  EXPECT_EQ(high.connections, 1024u);
  EXPECT_EQ(high.pending, 1024u);
  EXPECT_EQ(high.requests, 0u);
  EXPECT_EQ(high.retries, UINT32_MAX);
  EXPECT_EQ(Errors("{name: a, load_assignment: {cluster_name: a}, circuit_breakers: {thresholds: [{}, {}]}}"),
            Lines{"circuit_breakers.thresholds[1].priority: expected each priority once"});
  ClusterProto odd = FromYaml<ClusterProto>(
      "{name: a, load_assignment: {cluster_name: a}, circuit_breakers: {thresholds: [{}]}}");
  odd.mutable_circuit_breakers()->mutable_thresholds(0)->set_priority(
      static_cast<envoy::config::core::v3::RoutingPriority>(2));
  EXPECT_EQ(ToLines(ParseCluster(odd, "").errors),
            Lines{"circuit_breakers.thresholds[0].priority: expected DEFAULT or HIGH"});
}

TEST(ParseClusterTest, CircuitLimitsOfEndpointsAreRead) {
  const auto parsed = ParseCluster(
      FromYaml<ClusterProto>("{name: a, load_assignment: {cluster_name: a}, circuit_breakers: {"
                             "thresholds: [{max_connections: 7}], "
                             "per_host_thresholds: [{priority: HIGH, max_connections: 0}, {}]}}"),
      "");
  ASSERT_EQ(ToLines(parsed.errors), Lines{});
  EXPECT_TRUE(parsed.ok());
  EXPECT_EQ(parsed.value->circuits[0].connections, 7u);
  EXPECT_EQ(parsed.value->circuits[0].endpoint_connections, UINT32_MAX);
  EXPECT_EQ(parsed.value->circuits[1].connections, 1024u);
  EXPECT_EQ(parsed.value->circuits[1].endpoint_connections, 0u);
  const std::string expected = ": expected none: an endpoint's limit is max_connections";
  EXPECT_EQ(Errors("{name: a, load_assignment: {cluster_name: a}, circuit_breakers: {per_host_thresholds: ["
                   "{max_pending_requests: 1, max_requests: 1}, {max_retries: 1, retry_budget: {}}]}}"),
            (Lines{"circuit_breakers.per_host_thresholds[0].max_pending_requests" + expected,
                   "circuit_breakers.per_host_thresholds[0].max_requests" + expected,
                   "circuit_breakers.per_host_thresholds[1].priority: expected each priority once",
                   "circuit_breakers.per_host_thresholds[1].max_retries" + expected,
                   "circuit_breakers.per_host_thresholds[1].retry_budget" + expected}));
}

TEST(ParseClusterTest, UnknownFieldsAreListedApart) {
  ClusterProto proto = FromYaml<ClusterProto>("{name: a, load_assignment: {cluster_name: a}}");
  proto.GetReflection()->MutableUnknownFields(&proto)->AddVarint(13, 1);
  const auto parsed = ParseCluster(proto, "");
  EXPECT_NE(parsed.value, nullptr);
  EXPECT_FALSE(parsed.ok());
  EXPECT_EQ(ToLines(parsed.unsupported),
            Lines{"13: field http_protocol_options of envoy.config.cluster.v3.Cluster is not implemented"});
}

TEST(ParseEndpointsTest, EndpointsAreRead) {
  const auto parsed = ParseEndpoints(R"(
cluster_name: a
endpoints:
- locality: {zone: z}
  load_balancing_weight: 3
  lb_endpoints:
  - endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 80}}}
    health_status: HEALTHY
    load_balancing_weight: 5
    metadata: {filter_metadata: {pillion: {sidecar: true}, envoy.lb: {x: 1}}}
- lb_endpoints:
  - endpoint: {address: {socket_address: {address: "::1", port_value: 81}}}
    health_status: DRAINING
)");
  ASSERT_EQ(ToLines(parsed.errors), Lines{});
  EXPECT_EQ(parsed.value->name, "a");
  EXPECT_EQ(parsed.value->version, "8");
  ASSERT_EQ(parsed.value->endpoints.size(), 2u);
  const auto& first = parsed.value->endpoints[0];
  EXPECT_EQ(first.address.ToString(), "10.0.0.1:80");
  EXPECT_TRUE(first.pillion_sidecar);
  EXPECT_EQ(first.health, Health::kGood);
  EXPECT_EQ(first.weight, 5u);
  EXPECT_EQ(first.labels, (Labels{{"x", "1"}}));
  ASSERT_EQ(parsed.value->localities.size(), 2u);
  EXPECT_EQ(first.locality, 0u);
  EXPECT_EQ(parsed.value->localities[0].zone, "z");
  EXPECT_EQ(parsed.value->localities[0].weight, 3u);
  const auto& second = parsed.value->endpoints[1];
  EXPECT_EQ(second.address.ToString(), "[::1]:81");
  EXPECT_FALSE(second.pillion_sidecar);
  EXPECT_EQ(second.health, Health::kDraining);
  EXPECT_EQ(second.locality, 1u);
  EXPECT_EQ(parsed.value->localities[1].weight, 0u);
  EXPECT_EQ(parsed.value->overprovisioning_percent, 140u);
  EXPECT_EQ(second.weight, 1u);
}

TEST(ParseClusterTest, WhereSessionsStayIsRead) {
  const auto health = [](const std::string& fields) {
    const auto parsed =
        Parse("{name: a, load_assignment: {cluster_name: a}, common_lb_config: {" + fields + "}}");
    EXPECT_EQ(ToLines(parsed.errors), Lines{});
    return parsed.value == nullptr ? HealthSet{0xff} : parsed.value->session_health;
  };
  const HealthSet good = BitOf(Health::kGood);
  const HealthSet degraded = BitOf(Health::kDegraded);
  EXPECT_EQ(health(""), good | degraded);
  EXPECT_EQ(health("override_host_status: {}"), 0) << "nowhere";
  EXPECT_EQ(health("override_host_status: {statuses: [HEALTHY]}"), good);
  EXPECT_EQ(health("override_host_status: {statuses: [UNKNOWN, DRAINING]}"), good | BitOf(Health::kDraining));
  EXPECT_EQ(health("override_host_status: {statuses: [DEGRADED, UNHEALTHY]}"),
            degraded | BitOf(Health::kBad));
  EXPECT_EQ(health("override_host_status: {statuses: [TIMEOUT]}"), BitOf(Health::kBad));
  auto proto = FromYaml<ClusterProto>(
      "{name: a, load_assignment: {cluster_name: a}, common_lb_config: {override_host_status: {statuses: "
      "[HEALTHY]}}}");
  proto.mutable_common_lb_config()->mutable_override_host_status()->mutable_statuses()->Add(9);
  EXPECT_EQ(ToLines(ParseCluster(proto, "7").errors),
            Lines{"common_lb_config.override_host_status.statuses[1]: expected UNKNOWN, HEALTHY, UNHEALTHY, "
                  "DRAINING, TIMEOUT or DEGRADED"});
}

TEST(ParseEndpointsTest, HealthDecidesWhoIsUsed) {
  for (const auto& [status, health] : {std::pair("UNKNOWN", Health::kGood),
                                       {"HEALTHY", Health::kGood},
                                       {"DEGRADED", Health::kDegraded},
                                       {"UNHEALTHY", Health::kBad},
                                       {"DRAINING", Health::kDraining},
                                       {"TIMEOUT", Health::kBad}}) {
    const auto parsed = ParseEndpoints(Endpoint(std::string(", health_status: ") + status));
    ASSERT_EQ(ToLines(parsed.errors), Lines{});
    EXPECT_EQ(parsed.value->endpoints[0].health, health) << status;
  }
}

TEST(ParseEndpointsTest, PrioritiesAndWhatChecksAreToldAreRead) {
  const auto parsed = ParseEndpoints(R"(
cluster_name: a
policy: {overprovisioning_factor: 200}
endpoints:
- locality: {region: r, zone: z, sub_zone: s}
  priority: 2
  lb_endpoints:
  - endpoint:
      address: {socket_address: {address: 10.0.0.1, port_value: 80}}
      hostname: one
      health_check_config: {port_value: 81, hostname: check.one, disable_active_health_check: true}
)");
  ASSERT_EQ(ToLines(parsed.errors), Lines{});
  EXPECT_EQ(parsed.value->overprovisioning_percent, 200u);
  EXPECT_EQ(parsed.value->localities[0].region, "r");
  EXPECT_EQ(parsed.value->localities[0].sub_zone, "s");
  EXPECT_EQ(parsed.value->localities[0].priority, 2u);
  const auto& endpoint = parsed.value->endpoints[0];
  EXPECT_EQ(endpoint.hostname, "one");
  EXPECT_EQ(endpoint.check_port, 81);
  EXPECT_EQ(endpoint.check_host, "check.one");
  EXPECT_FALSE(endpoint.checked);
}

TEST(ParseEndpointsTest, WhatIsNotObeyedIsRefused) {
  const std::string path = "endpoints[0].lb_endpoints[0]";
  const auto errors = [](const std::string& yaml) { return ToLines(ParseEndpoints(yaml).errors); };
  EXPECT_EQ(
      errors("{endpoints: [{priority: 128, load_balancing_weight: 0}], policy: "
             "{overprovisioning_factor: 99}}"),
      (Lines{"cluster_name: expected at least 1 character", "endpoints[0].priority: expected at most 127",
             "endpoints[0].load_balancing_weight: expected a number from 1 to 4294967295",
             "policy.overprovisioning_factor: expected a number from 100 to 4294967295"}));
  EXPECT_EQ(errors(Endpoint(", load_balancing_weight: 0")),
            Lines{path + ".load_balancing_weight: expected a number from 1 to 4294967295"});
  EXPECT_EQ(errors(Endpoint(", metadata: {filter_metadata: {envoy.lb: {x: [1], y: {}, z: null}}}")).size(),
            3u);
  EXPECT_EQ(errors(R"(
cluster_name: a
endpoints:
- lb_endpoints:
  - endpoint:
      address: {socket_address: {address: 10.0.0.1, port_value: 80}}
      health_check_config: {port_value: 65536, hostname: "a b"}
)"),
            (Lines{path + ".endpoint.health_check_config.hostname: expected a host, maybe with a port",
                   path + ".endpoint.health_check_config.port_value: expected at most 65535"}));
  EXPECT_EQ(errors(Endpoint(", metadata: {filter_metadata: {pillion: {sidecar: \"true\"}}}")),
            Lines{path + ".metadata.filter_metadata[\"pillion\"][\"sidecar\"]: expected true or false"});
  EXPECT_EQ(
      errors(Endpoint(", metadata: {filter_metadata: {pillion: {sidcar: true}}}")),
      Lines{path + ".metadata.filter_metadata[\"pillion\"][\"sidcar\"]: expected no field but sidecar"});
}

TEST(ParseEndpointsTest, AddressesMustBeWhole) {
  const std::string path = "endpoints[0].lb_endpoints[0].endpoint.address.socket_address";
  const auto errors = [](const std::string& address) {
    return ToLines(ParseEndpoints(Endpoint("", address)).errors);
  };
  EXPECT_EQ(errors("{address: localhost, port_value: 80}"),
            Lines{path + ".address: expected an IPv4 or IPv6 address"});
  EXPECT_EQ(errors("{address: 10.0.0.1, port_value: 65536}"),
            Lines{path + ".port_value: expected a port from 1 to 65535"});
  EXPECT_EQ(errors("{address: 10.0.0.1, port_value: 0}"),
            Lines{path + ".port_value: expected a port from 1 to 65535"});
  EXPECT_EQ(errors("{address: 10.0.0.1}"), Lines{path + ".port_value: expected a port"});
  EXPECT_EQ(errors("{protocol: UDP, address: 10.0.0.1, port_value: 1}"),
            Lines{path + ".protocol: expected TCP; others are not implemented"});
  EXPECT_EQ(ToLines(ParseEndpoints("{cluster_name: a, endpoints: [{lb_endpoints: [{}]}]}").errors),
            Lines{path + ": expected an address"});
}

TEST(ParseEndpointsTest, AnAddressIsThereOnce) {
  EXPECT_EQ(ToLines(ParseEndpoints(R"(
cluster_name: a
endpoints:
- lb_endpoints:
  - endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 80}}}
- lb_endpoints:
  - endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 80}}}
)")
                        .errors),
            Lines{"endpoints[1].lb_endpoints[0]: expected each address once; 10.0.0.1:80 is there before"});
}

TEST(ParseEndpointsTest, WeightsMayNotOverflow) {
  EXPECT_EQ(ToLines(ParseEndpoints(R"(
cluster_name: a
endpoints:
- lb_endpoints:
  - endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 80}}}
    load_balancing_weight: 4294967295
  - endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 81}}}
)")
                        .errors),
            Lines{"endpoints: expected weights that sum up to at most 4294967295"});
}

TEST(ParseClusterTest, AHeaderMayPrecedeEachConnection) {
  const auto transport = [](const std::string& config, const std::string& more = "") {
    return ParseCluster(FromYaml<ClusterProto>("{name: a, load_assignment: {cluster_name: a}, " + more +
                                               "transport_socket: {name: x, typed_config: {\"@type\": "
                                               "a/envoy.extensions.transport_sockets." +
                                               config + "}}}"),
                        "");
  };
  const std::string raw =
      "transport_socket: {name: y, typed_config: {\"@type\": "
      "a/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer}}";
  const std::string tls =
      "transport_socket: {name: y, typed_config: {\"@type\": "
      "a/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, sni: b}}";
  const std::string proxy = "proxy_protocol.v3.ProxyProtocolUpstreamTransport, ";
  EXPECT_FALSE(transport("raw_buffer.v3.RawBuffer").value->proxy_protocol.has_value());
  EXPECT_EQ(transport(proxy + raw).value->proxy_protocol, 1);
  const auto both = transport(proxy + "config: {version: V2}, " + tls);
  ASSERT_TRUE(both.ok());
  EXPECT_EQ(both.value->proxy_protocol, 2);
  EXPECT_EQ(both.value->tls->settings.sni, "b");
  EXPECT_EQ(
      ToLines(transport(proxy + "config: {}").errors),
      (Lines{"transport_socket.typed_config.transport_socket: expected what follows the header: TLS, or a "
             "raw buffer"}));
  EXPECT_EQ(ToLines(transport(proxy + raw, "http2_protocol_options: {}, ").errors),
            (Lines{"transport_socket: expected no PROXY protocol in a cluster that speaks HTTP/2: one "
                   "connection carries the requests of many clients"}));
}

}  // namespace
}  // namespace pillion::config
