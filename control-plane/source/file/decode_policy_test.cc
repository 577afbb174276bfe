// Policies: what is wrong with them is said, all of it at once.
#include <gtest/gtest.h>

#include "control-plane/source/file/decode_test_problems.h"

namespace pillion::control {
namespace {

TEST(DecodePolicyTest, WhatABalancerHashesOnIsChecked) {
  const auto problems = [](const std::string& spec) { return PolicyProblems("LoadBalancingPolicy", spec); };
  EXPECT_EQ(
      problems("balancer: Maglev, hashOn: [{header: x}, {cookie: {name: c, ttl: 0s}}, {sourceIp: true}], "
               "panicPercent: 100, preferSameZone: true"),
      Lines{});
  EXPECT_EQ(problems("balancer: PeakEwma"), Lines{});
  EXPECT_EQ(problems("balancer: Random, zoneWeights: {a: 0, b: 1000000, '': 1}"), Lines{});
  EXPECT_EQ(problems("balancer: PeakEwma, zoneWeights: {a: 0, b: 1000001}, preferSameZone: true"),
            (Lines{"spec.zoneWeights[\"b\"]: expected 0 to 1000000",
                   "spec.zoneWeights: expected another balancer: PeakEwma knows no zones",
                   "spec.zoneWeights: expected only without preferSameZone"}));
  EXPECT_EQ(problems("balancer: Random, zoneWeights: {a: 0}"),
            Lines{"spec.zoneWeights: expected one that is more than 0"});
  EXPECT_EQ(problems("balancer: RoundRobin, slowStart: 30s"), Lines{});
  EXPECT_EQ(problems("balancer: RingHash, hashOn: [{header: x}], hashLoadPercent: 100"), Lines{});
  EXPECT_EQ(problems("balancer: Random, hashLoadPercent: 99"),
            (Lines{"spec.hashLoadPercent: expected 100 to 1000",
                   "spec.hashLoadPercent: expected only with balancer: RingHash or Maglev"}));
  for (const char* good : {"100", "300"})
    EXPECT_EQ(problems(std::string("balancer: Random, preconnectPercent: ") + good), Lines{});
  for (const char* wrong : {"99", "301", "-1"}) {
    EXPECT_EQ(problems(std::string("balancer: Random, preconnectPercent: ") + wrong),
              Lines{"spec.preconnectPercent: expected 100 to 300"});
  }
  EXPECT_EQ(problems("balancer: RingHash"),
            Lines{"spec: expected hashOn, with balancer: RingHash or Maglev"});
  EXPECT_EQ(problems("balancer: Random, hashOn: [{sourceIp: true}], slowStart: 1s, panicPercent: 101"),
            (Lines{"spec.hashOn: expected only with balancer: RingHash or Maglev",
                   "spec.slowStart: expected only with balancer: RoundRobin or LeastRequest",
                   "spec.panicPercent: expected 0 to 100"}));
  EXPECT_EQ(
      problems("balancer: Maglev, hashOn: [{}, {header: x, sourceIp: true}, {header: 'a b'}, {cookie: {name: "
               "'', ttl: x, path: 'a'}}]"),
      (Lines{"spec.hashOn[0]: expected one of header, cookie, sourceIp: true and queryParameter",
             "spec.hashOn[1]: expected one of header, cookie, sourceIp: true and queryParameter",
             "spec.hashOn[2].header: expected the name of a header",
             "spec.hashOn[3].cookie.name: expected a cookie's name",
             "spec.hashOn[3].cookie.ttl: expected a duration such as 500ms, 10s or 1m30s",
             "spec.hashOn[3].cookie.path: expected a path without ;"}));
}

TEST(DecodePolicyTest, ACircuitBreakerPolicyIsChecked) {
  const auto problems = [](const std::string& spec) { return PolicyProblems("CircuitBreakerPolicy", spec); };
  EXPECT_EQ(problems("maxConnections: 1, maxPendingRequests: 1, maxRequests: 4294967295, maxRetries: 0"),
            Lines{});
  EXPECT_EQ(
      problems("maxConnections: 0, maxRequests: 4294967296, maxRetries: -1"),
      (Lines{"spec.maxConnections: expected 1 to 4294967295", "spec.maxRequests: expected 1 to 4294967295",
             "spec.maxRetries: expected 0 to 4294967295"}));
  EXPECT_EQ(
      problems(""),
      Lines{"spec: expected maxConnections, maxConnectionsPerEndpoint, maxPendingRequests, maxRequests, "
            "maxRetries or connectTimeout"});
  EXPECT_EQ(problems("maxConnectionsPerEndpoint: 1"), Lines{});
  EXPECT_EQ(problems("maxConnectionsPerEndpoint: 0"),
            Lines{"spec.maxConnectionsPerEndpoint: expected 1 to 4294967295"});
  EXPECT_EQ(problems("connectTimeout: 250ms"), Lines{});
  EXPECT_EQ(problems("connectTimeout: 0s"), Lines{"spec.connectTimeout: expected more than 0"});
}

TEST(DecodePolicyTest, AHealthPolicyIsChecked) {
  const auto problems = [](const std::string& spec) { return PolicyProblems("HealthPolicy", spec); };
  EXPECT_EQ(problems("outlierDetection: {}, healthCheck: {http: {path: '/h?x=1', host: a.b}}"), Lines{});
  EXPECT_EQ(problems("healthCheck: {tcp: {}}"), Lines{});
  EXPECT_EQ(problems("healthCheck: {http: {path: /, method: OPTIONS, expectedStatuses: [100, 599]}}"),
            Lines{});
  EXPECT_EQ(problems("healthCheck: {http: {path: /, method: get, expectedStatuses: [200, 600]}}"),
            (Lines{"spec.healthCheck.http.method: expected GET, HEAD or OPTIONS",
                   "spec.healthCheck.http.expectedStatuses[1]: expected 100 to 599"}));
  EXPECT_EQ(problems("outlierDetection: {ejection: 10s, maxEjection: 9s}"),
            Lines{"spec.outlierDetection.maxEjection: expected at least as long as ejection"});
  EXPECT_EQ(problems(""), Lines{"spec: expected outlierDetection or healthCheck"});
  EXPECT_EQ(problems("outlierDetection: {consecutiveErrors: -1, interval: 0s, maxEjectionPercent: 101}"),
            (Lines{"spec.outlierDetection.consecutiveErrors: expected 0 to 2147483647",
                   "spec.outlierDetection.interval: expected more than 0",
                   "spec.outlierDetection.maxEjectionPercent: expected 0 to 100"}));
  EXPECT_EQ(problems("outlierDetection: {successRate: {deviations: 0, minRequests: 1, minEndpoints: 2}, "
                     "failurePercentage: {percent: 100}}"),
            Lines{});
  EXPECT_EQ(problems("outlierDetection: {successRate: {deviations: .nan, minRequests: 0, minEndpoints: 0}, "
                     "failurePercentage: {minRequests: -1}}"),
            (Lines{"spec.outlierDetection.successRate.deviations: expected 0 to 100",
                   "spec.outlierDetection.successRate.minRequests: expected 1 to 2147483647",
                   "spec.outlierDetection.successRate.minEndpoints: expected 1 to 2147483647",
                   "spec.outlierDetection.failurePercentage.percent: expected 1 to 100",
                   "spec.outlierDetection.failurePercentage.minRequests: expected 1 to 2147483647"}));
  EXPECT_EQ(problems("healthCheck: {}"), Lines{"spec.healthCheck: expected one of http, grpc and tcp"});
  EXPECT_EQ(
      problems("healthCheck: {http: {path: x, host: 'a b'}, tcp: {}, unhealthyThreshold: 0, port: 0}"),
      (Lines{"spec.healthCheck: expected one of http, grpc and tcp",
             "spec.healthCheck.http.path: expected a path", "spec.healthCheck.http.host: expected a DNS name",
             "spec.healthCheck.unhealthyThreshold: expected 1 to 1000",
             "spec.healthCheck.port: expected a port, 1 to 65535"}));
}

TEST(DecodePolicyTest, AFaultPolicyIsChecked) {
  const auto problems = [](const std::string& spec) { return PolicyProblems("FaultPolicy", spec); };
  EXPECT_EQ(problems("delay: {duration: 2s, percent: 0.5}, abort: {grpcStatus: 16}, headers: [{name: "
                     "X-A, value: b}], maxActive: 3"),
            Lines{});
  EXPECT_EQ(problems("maxActive: -1"),
            (Lines{"spec: expected delay or abort", "spec.maxActive: expected 0 or more"}));
  EXPECT_EQ(problems("delay: {duration: 0s, percent: 101}"),
            (Lines{"spec.delay.duration: expected more than 0", "spec.delay.percent: expected 0 to 100"}));
  EXPECT_EQ(problems("abort: {status: 199}"), Lines{"spec.abort.status: expected 200 to 599"});
  EXPECT_EQ(problems("abort: {grpcStatus: 17}"), Lines{"spec.abort.grpcStatus: expected 1 to 16"});
  EXPECT_EQ(problems("abort: {}"), Lines{"spec.abort: expected status or grpcStatus, one of them"});
  EXPECT_EQ(problems("abort: {status: 500}, headers: [{name: Host}]"),
            Lines{"spec.headers[0].name: expected the name of a header that does not frame the message"});
}

TEST(DecodePolicyTest, AnXdsOverrideIsCheckedAsASidecarChecksIt) {
  const auto problems = [](const std::string& spec) { return PolicyProblems("XdsOverride", spec); };
  EXPECT_EQ(
      problems("cluster: {lb_subset_config: {subset_selectors: [{keys: [v]}]}, respectDnsTtl: true, "
               "ring_hash_lb_config: {minimum_ring_size: 8}}, route: "
               "{match: {headers: [{name: x, range_match: {start: 1, end: 3}}]}, route: {priority: HIGH}}, "
               "virtualHost: {request_headers_to_add: [{header: {key: a, value: '%PROTOCOL%'}}]}"),
      Lines{});
  EXPECT_EQ(problems("cluster: {lb_policy: MAGLEV, maglev_lb_config: {table_size: 7}, connect_timeout: 2s}"),
            Lines{});
  EXPECT_EQ(problems("cluster: {least_request_lb_config: {choice_count: 3}}"), Lines{});
  EXPECT_EQ(
      problems(""),
      Lines{"spec: expected cluster, route, virtualHost, loadAssignment, endpoints or routeConfiguration"});
  EXPECT_EQ(
      problems(
          "cluster: {name: a, type: STATIC, eds_cluster_config: {}, load_assignment: {}}, route: {name: b}, "
          "virtualHost: {name: c, domains: [d], routes: [{}]}"),
      (Lines{"spec.cluster.name: expected none: the control plane says it",
             "spec.cluster.type: expected none: the control plane says it",
             "spec.cluster.edsClusterConfig: expected none: the control plane says it",
             "spec.cluster.loadAssignment: expected none: the control plane says it",
             "spec.route.name: expected none: the control plane says it",
             "spec.virtualHost.name: expected none: the control plane says it",
             "spec.virtualHost.domains: expected none: the control plane says it",
             "spec.virtualHost.routes: expected none: the control plane says it"}));
  EXPECT_EQ(problems("cluster: {connect_timeout: -1s}, route: {route: {timeout: -1s}}, virtualHost: "
                     "{request_headers_to_remove: ['a b']}")
                .size(),
            3u);
  EXPECT_EQ(problems("route: {route: {timeout: -1s}}"),
            Lines{"spec.route.route.timeout: expected a duration of 0 or more"});
  EXPECT_EQ(problems("route: {route: {timeouts: 1s}}").size(), 1u) << "a typing error";
  EXPECT_EQ(
      problems("cluster: {transport_socket: {name: t}}, route: {redirect: {}}, virtualHost: "
               "{typedPerFilterConfig: "
               "{envoy.filters.http.cors: {'@type': a/envoy.extensions.filters.http.cors.v3.CorsPolicy}}}"),
      (Lines{"spec.cluster.transportSocket: expected none: the control plane says it",
             "spec.route.redirect: expected none: the control plane says it",
             "spec.virtualHost.typedPerFilterConfig: expected none: the control plane says it"}));
  EXPECT_EQ(problems("route: {route: {cluster: c, request_mirror_policies: [{cluster: d}]}}"),
            (Lines{"spec.route.route.cluster: expected none: the control plane says it",
                   "spec.route.route.requestMirrorPolicies: expected none: the control plane says it"}));
  EXPECT_EQ(problems("route: {typed_per_filter_config: {x: {'@type': "
                     "a/envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder}}}"),
            Lines{"spec.route.typedPerFilterConfig[\"x\"]: expected envoy.filters.http.cors, .fault, "
                  ".local_ratelimit or "
                  ".stateful_session"});
  EXPECT_EQ(
      Problems(
          "{apiVersion: policy.pillion.dev/v1alpha1, kind: XdsOverride, metadata: {name: d}, spec: "
          "{targetRefs: "
          "[{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}], cluster: {}, virtualHost: {}}}\n")
          .size(),
      2u);
}

TEST(DecodePolicyTest, WhatAnXdsOverrideSaysOfEndpointsIsChecked) {
  const auto problems = [](const std::string& spec) { return PolicyProblems("XdsOverride", spec); };
  EXPECT_EQ(
      problems("loadAssignment: {policy: {overprovisioning_factor: 100}}, endpoints: [{zones: [a, ''], "
               "locality: {priority: 127, load_balancing_weight: 1, locality: {region: r}}}, {addresses: "
               "[10.0.0.0/8, 10.0.0.1, 'fd00::/8', A.example.com.], endpoint: {load_balancing_weight: 3, "
               "health_status: DEGRADED, metadata: {filter_metadata: {envoy.lb: {version: two}}}, "
               "endpoint: {hostname: h, health_check_config: {port_value: 9}}}}]"),
      Lines{});
  EXPECT_EQ(problems("loadAssignment: {cluster_name: a, endpoints: [{}]}"),
            (Lines{"spec.loadAssignment.clusterName: expected none: the control plane says it",
                   "spec.loadAssignment.endpoints: expected none: the control plane says it"}));
  EXPECT_EQ(
      problems("loadAssignment: {policy: {overprovisioning_factor: 99}}"),
      Lines{"spec.loadAssignment.policy.overprovisioningFactor: expected a number from 100 to 4294967295"});
  EXPECT_EQ(problems("endpoints: [{zones: [a]}]"), Lines{"spec.endpoints[0]: expected locality or endpoint"});
  const std::string expected =
      ": expected an IP address, a prefix of addresses like 10.1.0.0/16, or a DNS name";
  EXPECT_EQ(problems("endpoints: [{addresses: [10.0.0.0/33, 10.0.0.0/, a_b, '::/x', 10.0.0.256, 10.1.0, "
                     "10.1.0.0-10.1.0.9, '', .], endpoint: {}}]"),
            (Lines{"spec.endpoints[0].addresses[0]" + expected, "spec.endpoints[0].addresses[1]" + expected,
                   "spec.endpoints[0].addresses[2]" + expected, "spec.endpoints[0].addresses[3]" + expected,
                   "spec.endpoints[0].addresses[4]" + expected, "spec.endpoints[0].addresses[5]" + expected,
                   "spec.endpoints[0].addresses[6]" + expected, "spec.endpoints[0].addresses[7]" + expected,
                   "spec.endpoints[0].addresses[8]" + expected}));
  EXPECT_EQ(
      problems("endpoints: [{locality: {load_balancing_weight: 1000001}, endpoint: {load_balancing_weight: "
               "1000001}}]"),
      (Lines{"spec.endpoints[0].locality.loadBalancingWeight: expected 1 to 1000000",
             "spec.endpoints[0].endpoint.loadBalancingWeight: expected 1 to 1000000"}));
  EXPECT_EQ(
      problems("endpoints: [{locality: {priority: 128, load_balancing_weight: 0}}, {endpoint: "
               "{load_balancing_weight: 0, endpoint: {health_check_config: {port_value: 65536}}}}]"),
      (Lines{"spec.endpoints[0].locality.priority: expected at most 127",
             "spec.endpoints[0].locality.loadBalancingWeight: expected a number from 1 to 4294967295",
             "spec.endpoints[1].endpoint.endpoint.healthCheckConfig.portValue: expected at most 65535",
             "spec.endpoints[1].endpoint.loadBalancingWeight: expected a number from 1 to 4294967295"}));
  EXPECT_EQ(problems("endpoints: [{endpoint: {health_status: 9}}]"),
            Lines{"spec.endpoints[0].endpoint.healthStatus: expected one of UNKNOWN, HEALTHY, UNHEALTHY, "
                  "DRAINING, TIMEOUT, DEGRADED"});
  EXPECT_EQ(
      problems("endpoints: [{locality: {lb_endpoints: [{}]}}, {endpoint: {endpoint: {address: {}}}}, "
               "{endpoint: {metadata: {filter_metadata: {pillion: {sidecar: true}}}}}]"),
      (Lines{"spec.endpoints[0].locality.lbEndpoints: expected none: the control plane says it",
             "spec.endpoints[1].endpoint.endpoint.address: expected none: the control plane says it",
             "spec.endpoints[2].endpoint.metadata.filterMetadata[\"pillion\"]: expected none: the control "
             "plane says it"}));
  std::string many;
  for (int i = 0; i < 65; ++i) many += (i == 0 ? "" : ", ") + std::string("{endpoint: {}}");
  EXPECT_EQ(problems("endpoints: [" + many + "]"), Lines{"spec.endpoints: expected at most 64"});
}

TEST(DecodePolicyTest, AnXdsOverrideWithoutTargetsIsOfTheWholeMeshAndSaysHeadersAlone) {
  const auto problems = [](const std::string& spec) {
    std::string all;
    for (const std::string& line : Problems(
             "{apiVersion: policy.pillion.dev/v1alpha1, kind: XdsOverride, metadata: {name: d}, spec: {" +
             spec + "}}\n"))
      all += line.substr(line.find("spec")) + "\n";
    return all;
  };
  EXPECT_EQ(problems("routeConfiguration: {request_headers_to_add: [{header: {key: a, value: b}}], "
                     "request_headers_to_remove: [c], response_headers_to_remove: [d]}"),
            "");
  const std::string ours = ": expected none: the control plane says it\n";
  const std::string table = "routeConfiguration: ";
  EXPECT_EQ(problems(table + "{name: a}"), "spec.routeConfiguration.name" + ours);
  EXPECT_EQ(problems(table + "{virtual_hosts: [{}]}"), "spec.routeConfiguration.virtualHosts" + ours);
  EXPECT_EQ(problems(table + "{validate_clusters: true}"), "spec.routeConfiguration.validateClusters" + ours);
  EXPECT_EQ(problems(table + "{most_specific_header_mutations_wins: true}"),
            "spec.routeConfiguration.mostSpecificHeaderMutationsWins" + ours);
  EXPECT_EQ(problems(table + "{request_mirror_policies: [{cluster: a}]}"),
            "spec.routeConfiguration.requestMirrorPolicies" + ours);
  EXPECT_EQ(problems(table + "{typed_per_filter_config: {a: {'@type': "
                             "a/envoy.extensions.filters.http.cors.v3.CorsPolicy}}}"),
            "spec.routeConfiguration.typedPerFilterConfig" + ours);
  for (const char* const name : {"a b", ":path", "host", "pillion-token"}) {
    const std::string said = problems(table + "{request_headers_to_remove: ['" + name + "']}");
    EXPECT_TRUE(said.starts_with("spec.routeConfiguration.requestHeadersToRemove[0]: expected ")) << said;
  }
  const std::string together = "spec: expected targetRefs; without them routeConfiguration alone\n";
  for (const char* const more :
       {"route: {}", "cluster: {}", "virtualHost: {}", "loadAssignment: {}", "endpoints: [{endpoint: {}}]"}) {
    EXPECT_EQ(problems(more), together) << more;
    EXPECT_EQ(problems(std::string(more) + ", routeConfiguration: {}"), together) << more;
  }
  EXPECT_EQ(problems("targetRefs: [{kind: Service, name: s}], routeConfiguration: {}"),
            "spec.routeConfiguration: expected only without targetRefs: it is of the whole mesh\n");
  EXPECT_EQ(problems(""),
            "spec: expected cluster, route, virtualHost, loadAssignment, endpoints or routeConfiguration\n");
  const std::string limit = "spec.routeConfiguration: expected at most 16 fields, of 4096 bytes together\n";
  EXPECT_EQ(problems(table + "{request_headers_to_add: [{header: {key: a, value: " + std::string(4096, 'x') +
                     "}}]}"),
            limit);
  std::string many;
  for (int i = 0; i < 17; ++i) many += (i == 0 ? "a" : ", a") + std::to_string(i);
  EXPECT_EQ(problems(table + "{request_headers_to_remove: [" + many + "]}"), limit);
}

TEST(DecodePolicyTest, AGrpcRouteHasNoDirectResponse) {
  EXPECT_EQ(Problems("{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: r}, spec: "
                     "{parentRefs: "
                     "[{group: '', kind: Service, name: a}], rules: [{filters: [{type: ExtensionRef, "
                     "extensionRef: {group: "
                     "policy.pillion.dev, kind: DirectResponse, name: d}}]}]}}\n"),
            Lines{"f.yaml:1:149: spec.rules[0].filters: expected no ExtensionRef: a DirectResponse is HTTP"});
}

TEST(DecodePolicyTest, ADirectResponseIsChecked) {
  const auto problems = [](const std::string& spec) {
    return Problems(
        "{apiVersion: policy.pillion.dev/v1alpha1, kind: DirectResponse, metadata: {name: d}, spec: {" +
        spec + "}}\n");
  };
  EXPECT_EQ(problems("status: 200, body: hello"), Lines{});
  EXPECT_EQ(problems("status: 599"), Lines{});
  EXPECT_EQ(problems("body: " + std::string(4097, 'x')),
            (Lines{"f.yaml:1:86: spec.status: expected a status: 200 to 599",
                   "f.yaml:1:93: spec.body: expected at most 4096 bytes"}));
}

TEST(DecodePolicyTest, ARateLimitPolicyIsChecked) {
  const auto problems = [](const std::string& spec) { return PolicyProblems("RateLimitPolicy", spec); };
  EXPECT_EQ(
      problems("requests: 10, per: 1m, burst: 20, reportOnly: true, clients: [{by: Address, requests: 1}, "
               "{by: Header, header: X-User, requests: 2, per: 50ms}]"),
      Lines{});
  EXPECT_EQ(problems("requests: 1, clients: [{by: Identity, requests: 3}]"), Lines{});
  const std::string one = ": expected one limit of each kind, and of each header";
  EXPECT_EQ(
      problems(
          "requests: 1, clients: [{by: Identity, requests: 3}, {by: Identity, requests: 3}, {by: Header, "
          "header: peer_identity, requests: 2}, {by: Header, header: A, requests: 2}, {by: Header, header: "
          "a, requests: 2}, {by: Address, requests: 1}, {by: Header, header: remote_address, requests: 1}]"),
      (Lines{"spec.clients[1]" + one, "spec.clients[2]" + one, "spec.clients[4]" + one,
             "spec.clients[6]" + one}));
  EXPECT_EQ(
      Problems("{apiVersion: policy.pillion.dev/v1alpha1, kind: RateLimitPolicy, metadata: {name: d}, spec: "
               "{targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}], requests: 1, "
               "clients: [{by: Identity, requests: 3}]}}\n"),
      Lines{"f.yaml:1:193: spec.clients[0]: expected by: Identity only with targets of kind Service"});
  EXPECT_EQ(problems("requests: 1, clients: [{by: Identity, header: a, requests: 3}]"),
            Lines{"spec.clients[0]: expected a header with by: Header, and only there"});
  EXPECT_EQ(problems("per: 1s"), Lines{"spec: expected requests: 1 to 1000000"});
  EXPECT_EQ(problems("requests: -1, burst: 0"),
            (Lines{"spec.requests: expected requests: 1 to 1000000", "spec.burst: expected 1 to 1000000"}));
  EXPECT_EQ(problems("requests: 1, per: 25h"), Lines{"spec.per: expected 50ms to 24h"});
  EXPECT_EQ(problems("requests: 1, clients: [{requests: 1}]"),
            Lines{"spec.clients[0]: expected by: Address, Header or Identity"});
  EXPECT_EQ(problems("requests: 1, clients: [{by: Header, requests: 1}]"),
            Lines{"spec.clients[0]: expected a header with by: Header, and only there"});
  EXPECT_EQ(problems("requests: 1, clients: [{by: Address, header: a, requests: 1}]"),
            Lines{"spec.clients[0]: expected a header with by: Header, and only there"});
  EXPECT_EQ(problems("requests: 1, clients: [{by: Header, header: 'a b', requests: 1}]"),
            Lines{"spec.clients[0].header: expected the name of a header that does not frame the message"});
}

TEST(DecodePolicyTest, AnIdempotencyPolicyIsChecked) {
  const auto problems = [](const std::string& spec) { return PolicyProblems("IdempotencyPolicy", spec); };
  EXPECT_EQ(problems("methods: [POST, PUT], grpcMethods: [/a.B/C], validity: 90s, maxExecution: 10s, "
                     "onConcurrent: Conflict, retain: Tombstone, releaseOn: [503], unknownStatus: 504, "
                     "retries: 0, limits: {requestBytes: 1, responseBytes: 0, waiters: 0, records: 1, "
                     "bytes: 65536}"),
            Lines{});
  EXPECT_EQ(problems("onConcurrent: Wait, retain: Response"), Lines{});
  EXPECT_EQ(problems("methods: [POST, GET, 'A B', CONNECT]"),
            (Lines{"spec.methods[1]: expected a method that may change something",
                   "spec.methods[2]: expected a method that may change something",
                   "spec.methods[3]: expected a method that may change something"}));
  EXPECT_EQ(problems("grpcMethods: [a.B/C, //C, /a.B/, /a.B]"),
            (Lines{"spec.grpcMethods[0]: expected /package.Service/Method",
                   "spec.grpcMethods[1]: expected /package.Service/Method",
                   "spec.grpcMethods[2]: expected /package.Service/Method",
                   "spec.grpcMethods[3]: expected /package.Service/Method"}));
  EXPECT_EQ(problems("validity: 999ms"), Lines{"spec.validity: expected 1s to 3600s"});
  EXPECT_EQ(problems("maxExecution: 61s"), Lines{"spec.maxExecution: expected 1s to 60s"});
  EXPECT_EQ(problems("releaseOn: [503, 600]").size(), 1u);
  EXPECT_EQ(problems("unknownStatus: 200"), Lines{"spec.unknownStatus: expected 400 to 599"});
  EXPECT_EQ(problems("onUnknown: Fail"), Lines{});
  EXPECT_EQ(problems("onUnknown: Reexecute, acceptAtLeastOnce: true"), Lines{});
  EXPECT_EQ(problems("onUnknown: Reexecute"),
            Lines{"spec.acceptAtLeastOnce: expected true with onUnknown: Reexecute, which may run a request "
                  "twice"});
  EXPECT_EQ(problems("acceptAtLeastOnce: true"),
            Lines{"spec.acceptAtLeastOnce: expected only with onUnknown: Reexecute"});
  EXPECT_EQ(problems("fingerprint: Head"),
            Lines{"spec.fingerprint: expected keySource App or AppOrMint with Head"});
  EXPECT_EQ(problems("fingerprint: Head, keySource: App"), Lines{});
  EXPECT_EQ(problems("retries: 11"), Lines{"spec.retries: expected 0 to 10"});
  EXPECT_EQ(problems("limits: {requestBytes: 1048577, records: 0, bytes: 65535}"),
            (Lines{"spec.limits.requestBytes: expected 1 to 1048576",
                   "spec.limits.records: expected 1 to 100000000",
                   "spec.limits.bytes: expected 65536 to 1125899906842624"}));
}

TEST(DecodePolicyTest, AnIdempotencyPolicyOnRoutesCountsNoKeys) {
  const auto problems = [](const std::string& targets, const std::string& more) {
    Lines lines = Problems(
        "{apiVersion: policy.pillion.dev/v1alpha1, kind: IdempotencyPolicy, metadata: {name: p}, spec: "
        "{targetRefs: [" +
        targets + "], " + more + "}}");
    for (std::string& line : lines) line.erase(0, line.find(": ") + 2);
    return lines;
  };
  const std::string service = "{kind: Service, name: a}";
  for (const std::string kind : {"HTTPRoute", "GRPCRoute"}) {
    const std::string route = "{group: gateway.networking.k8s.io, kind: " + kind + ", name: r}";
    for (const std::string& before : {std::string(), service + ", "}) {
      const std::string targets = before + route;
      EXPECT_EQ(problems(targets, "retries: 1"), Lines{});
      EXPECT_EQ(problems(targets, "keySource: Passthrough"), Lines{});
      for (const char* const source : {"App", "AppOrMint"}) {
        EXPECT_EQ(problems(targets, std::string("keySource: ") + source),
                  Lines{"spec.keySource: expected Mint or Passthrough where a target is a route: sidecars of "
                        "a Service do not see which route a request took, so that keys count for all of a "
                        "Service's requests or for none"});
      }
    }
  }
  EXPECT_EQ(problems(service, "keySource: App"), Lines{});
  EXPECT_EQ(problems("{kind: HTTPRoute, name: r}", "retries: 1"),
            Lines{"spec.targetRefs[0]: expected kind: Service, or kind: HTTPRoute or GRPCRoute of group "
                  "gateway.networking.k8s.io"});
}

TEST(DecodePolicyTest, KeysOfAnIdempotencyPolicyAreChecked) {
  const auto problems = [](const std::string& spec) { return PolicyProblems("IdempotencyPolicy", spec); };
  EXPECT_EQ(problems("keySource: App, require: true, appValidity: 24h"), Lines{});
  EXPECT_EQ(problems("keySource: AppOrMint, require: true, appValidity: 1m"), Lines{});
  EXPECT_EQ(problems("keySource: Passthrough, methods: [PUT], retries: 1"), Lines{});
  EXPECT_EQ(problems("keySource: Mine").size(), 1u);
  const Lines needs_keys = {"spec.require: expected keySource App or AppOrMint with it",
                            "spec.appValidity: expected keySource App or AppOrMint with it"};
  EXPECT_EQ(problems("require: true, appValidity: 1h"), needs_keys);
  EXPECT_EQ(problems("keySource: Passthrough, require: true, appValidity: 1h"), needs_keys);
  EXPECT_EQ(problems("keySource: App, appValidity: 59s"), Lines{"spec.appValidity: expected 60s to 604800s"});
  for (const char* const more :
       {"validity: 2m", "maxExecution: 5s", "onConcurrent: Conflict", "retain: Tombstone", "releaseOn: [503]",
        "unknownStatus: 504", "limits: {records: 5}"}) {
    EXPECT_EQ(
        problems(std::string("keySource: Passthrough, ") + more),
        Lines{"spec.keySource: expected nothing but methods and retries with Passthrough: no records are "
              "kept"})
        << more;
  }
}

TEST(DecodePolicyTest, ThePrincipalOfAnIdempotencyPolicyIsChecked) {
  const auto of = [](const std::string& principal, const std::string& source = "keySource: App, ") {
    return PolicyProblems("IdempotencyPolicy", source + "principal: " + principal);
  };
  const std::string jwks =
      R"('{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}')";
  EXPECT_EQ(of("{claim: oid, issuer: 'https://a', audiences: [pay, ship], jwks: " + jwks + "}"), Lines{});
  EXPECT_EQ(of("{issuer: i, jwksFile: /j}", "keySource: AppOrMint, "), Lines{});
  const Lines needs_keys = {"spec.principal: expected keySource App or AppOrMint with it"};
  EXPECT_EQ(of("{issuer: i, jwksFile: /j}", ""), needs_keys);
  EXPECT_EQ(of("{issuer: i, jwksFile: /j}", "keySource: Passthrough, "), needs_keys);
  EXPECT_EQ(of("{jwksFile: /j}"),
            Lines{"spec.principal: expected issuer: the same claim of another issuer is another user"});
  const Lines one_of = {"spec.principal: expected jwks or jwksFile, one of them"};
  EXPECT_EQ(of("{issuer: i}"), one_of);
  EXPECT_EQ(of("{issuer: i, jwksFile: /j, jwks: " + jwks + "}"), one_of);
  EXPECT_EQ(of("{issuer: i, jwks: 'https://i/keys'}"),
            Lines{"spec.principal.jwks: expected a JWK set: a JSON object with no member twice in it"});
  EXPECT_EQ(of(R"({issuer: i, jwks: '{"keys":[{"kty":"oct","k":"AA"}]}'})"),
            Lines{"spec.principal.jwks: keys[0]: expected a public key: this is a secret, and signs"});
  EXPECT_EQ(of("{claim: " + std::string(257, 'c') + ", issuer: i, jwksFile: /j}"),
            Lines{"spec.principal.claim: expected at most 256 bytes"});
  EXPECT_EQ(of("{issuer: " + std::string(1025, 'i') + ", jwksFile: /j}"),
            Lines{"spec.principal.issuer: expected at most 1024 bytes"});
  EXPECT_EQ(of("{issuer: i, jwksFile: /j, audiences: [a, '']}"),
            Lines{"spec.principal.audiences[1]: expected a name"});
  EXPECT_EQ(of("{issuer: i, jwksFile: \"/\\0\"}"),
            Lines{"spec.principal.jwksFile: expected the path of a file at the sidecars"});
  EXPECT_EQ(of("'jwt_claim(sub)'").size(), 1u) << "how it was written when nobody could use it";
}

TEST(DecodePolicyTest, TheStoreOfAnIdempotencyPolicyIsChecked) {
  const auto problems = [](const std::string& spec) { return PolicyProblems("IdempotencyPolicy", spec); };
  const auto of_store = [&](const std::string& more) {
    return problems("mode: Shared, store: {addresses: ['redis:6379'], " + more + "}");
  };
  EXPECT_EQ(problems("mode: Shared, keySource: App, limits: {requestBytes: 1, responseBytes: 1, waiters: 1}, "
                     "store: {addresses: ['redis-0.redis:6379', '10.0.0.7:6379', '[fd00::7]:6379', "
                     "'Redis.example.com.:1'], tls: {caFile: /ca, certificateFile: /c, privateKeyFile: /k, "
                     "serverName: redis}, user: pillion, passwordFile: /p, keyFile: /k, lease: 1m, replicas: "
                     "8, replicaWait: 1s, onDown: Bypass, trustUnseenSettings: true}"),
            Lines{});
  EXPECT_EQ(of_store("lease: 1s, replicas: 0, replicaWait: 1ms, unconfirmedDoubt: 0s, onDown: Refuse"),
            Lines{});
  EXPECT_EQ(problems("mode: Local"), Lines{});
  EXPECT_EQ(problems("mode: Theirs").size(), 1u);
  EXPECT_EQ(problems("mode: Shared"), Lines{"spec: expected store with mode: Shared"});
  const Lines only_shared = {"spec.store: expected only with mode: Shared"};
  EXPECT_EQ(problems("store: {addresses: ['redis:6379']}"), only_shared);
  EXPECT_EQ(problems("mode: Local, store: {addresses: ['redis:6379']}"), only_shared);
  EXPECT_EQ(of_store("lease: 999ms"), Lines{"spec.store.lease: expected a duration from 1s to 60s"});
  EXPECT_EQ(of_store("lease: 61s"), Lines{"spec.store.lease: expected a duration from 1s to 60s"});
  EXPECT_EQ(of_store("lease: 10x"), Lines{"spec.store.lease: expected a duration from 1s to 60s"});
  EXPECT_EQ(of_store("replicas: 9"), Lines{"spec.store.replicas: expected 0 to 8"});
  EXPECT_EQ(of_store("replicas: -1"), Lines{"spec.store.replicas: expected 0 to 8"});
  const Lines wait = {"spec.store.replicaWait: expected a duration from 1ms to 1s"};
  EXPECT_EQ(of_store("replicaWait: 0ms"), wait);
  EXPECT_EQ(of_store("replicaWait: 1001ms"), wait);
  EXPECT_EQ(of_store("replicas: 0, unconfirmedDoubt: 61s"),
            Lines{"spec.store.unconfirmedDoubt: expected a duration from 0s to 60s"});
  for (const char* const more : {"", "replicas: 1, "}) {
    EXPECT_EQ(of_store(std::string(more) + "unconfirmedDoubt: 1s"),
              Lines{"spec.store.unconfirmedDoubt: expected only with replicas: 0, where records may be lost "
                    "that no replica has confirmed"})
        << more;
  }
  EXPECT_EQ(of_store("onDown: Wait").size(), 1u);
  EXPECT_EQ(of_store("user: pillion"),
            Lines{"spec.store.user: expected passwordFile with it: nobody logs in without"});
  EXPECT_EQ(of_store("user: 'a b', passwordFile: /p"),
            Lines{"spec.store.user: expected a name without spaces"});
  EXPECT_EQ(of_store("keyFile: \"a\\0b\""),
            Lines{"spec.store.keyFile: expected the path of a file at the sidecars"});
  EXPECT_EQ(problems("mode: Shared, store: {addresses: ['redis:6379']}, limits: {records: 5, bytes: 65536}"),
            (Lines{"spec.limits.records: expected none with mode: Shared: how much there is room for is the "
                   "Redis server's to say (maxmemory)",
                   "spec.limits.bytes: expected none with mode: Shared: how much there is room for is the "
                   "Redis server's to say (maxmemory)"}));
  EXPECT_EQ(problems("mode: Shared, store: {addresses: ['redis:6379']}, limits: {responseBytes: 3145728}"),
            Lines{});
  EXPECT_EQ(
      problems("mode: Shared, store: {addresses: ['redis:6379']}, limits: {responseBytes: 3145729}"),
      Lines{"spec.limits.responseBytes: expected at most 3145728 with mode: Shared: no larger answer is "
            "kept in the store"});
  const Lines passthrough = {
      "spec.keySource: expected nothing but methods and retries with Passthrough: no records are kept"};
  EXPECT_EQ(problems("keySource: Passthrough, mode: Shared, store: {}"), passthrough);
  EXPECT_EQ(problems("keySource: Passthrough, store: {}"), passthrough);
  EXPECT_EQ(problems("keySource: Passthrough, mode: Shared"), passthrough);
}

TEST(DecodePolicyTest, WhereAStoreIsIsChecked) {
  const auto problems = [](const std::string& store) {
    return PolicyProblems("IdempotencyPolicy", "mode: Shared, store: {" + store + "}");
  };
  EXPECT_EQ(problems(""), Lines{"spec.store.addresses: expected 1 to 8 of host:port"});
  const std::string eight = "'a:1', 'a:2', 'a:3', 'a:4', 'a:5', 'a:6', 'a:7', 'a:8'";
  EXPECT_EQ(problems("addresses: [" + eight + "]"), Lines{});
  EXPECT_EQ(problems("addresses: [" + eight + ", 'a:9']"),
            Lines{"spec.store.addresses: expected 1 to 8 of host:port"});
  for (const char* const wrong : {"", "redis", "redis:", "redis:0", "redis:65536", "redis:x", ":6379",
                                  "a_b:6379", "10.0.0.300:6379", "10.0.0.7", "0.0.0.0:6379", "[::]:6379",
                                  "fd00::7:6379", "[fd00::7]", "[redis]:6379", "redis:63 79"}) {
    EXPECT_EQ(
        problems(std::string("addresses: ['") + wrong + "']"),
        Lines{"spec.store.addresses[0]: expected host:port, the host an IP address (IPv6 in brackets) or a "
              "DNS name"})
        << wrong;
  }
  EXPECT_EQ(problems("addresses: ['redis:6379', 'REDIS:6379', '[fd00::7]:1', '[fd00:0::7]:1']"),
            (Lines{"spec.store.addresses[1]: expected each address once",
                   "spec.store.addresses[3]: expected each address once"}));
  const auto of_tls = [&](const std::string& tls) {
    return problems("addresses: ['redis:6379'], tls: {" + tls + "}");
  };
  EXPECT_EQ(of_tls("caFile: ca.pem"), Lines{});
  EXPECT_EQ(of_tls(""), Lines{"spec.store.tls: expected caFile: without it anybody could be the server"});
  for (const char* const half : {"certificateFile: /c", "privateKeyFile: /k"}) {
    EXPECT_EQ(of_tls(std::string("caFile: /ca, ") + half),
              Lines{"spec.store.tls: expected both certificateFile and privateKeyFile, or neither"});
  }
  for (const char* const wrong : {"10.0.0.7", "a b", "redis."}) {
    EXPECT_EQ(of_tls(std::string("caFile: /ca, serverName: ") + wrong),
              Lines{"spec.store.tls.serverName: expected a DNS name"});
  }
}

TEST(DecodePolicyTest, ATracingPolicyIsChecked) {
  const std::string head =
      "apiVersion: policy.pillion.dev/v1alpha1\nkind: TracingPolicy\nmetadata: {name: p}\nspec: ";
  EXPECT_EQ(Problems(head + "{collector: {name: otel, port: 4317}, samplingPercent: 0.5}"), Lines{});
  EXPECT_EQ(Problems(head + "{collector: {name: otel, port: 4317}, samplingPercent: 101}").size(), 1u);
  EXPECT_EQ(Problems(head + "{samplingPercent: 1}").size(), 1u);
}

}  // namespace
}  // namespace pillion::control
