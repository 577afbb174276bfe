// What the control plane accepts from users, every sidecar accepts from the control plane: otherwise one slip
// of one user would stop all pushes. Each value of good objects is replaced by each of a list of nasty ones.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "control-plane/model/model.h"
#include "control-plane/snapshot/build.h"
#include "control-plane/snapshot/check.h"
#include "control-plane/source/file/decode.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"

namespace pillion::control {
namespace {

// $ marks a value that may be replaced.
constexpr char kMesh[] = R"(
--- {apiVersion: v1, kind: Service, metadata: {name: $a}, spec: {clusterIPs: [$10.96.0.1, "$fd00::1"], ipFamilies: [$IPv6], ports: [{name: $x, port: $80, appProtocol: $http}, {name: $y, port: $81, protocol: $TCP}]}}
--- {apiVersion: v1, kind: Service, metadata: {name: otel, namespace: $default}, spec: {clusterIP: $10.96.0.2, ports: [{port: 4317, appProtocol: $grpc}]}}
--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: a4, labels: {kubernetes.io/service-name: $a}}, addressType: IPv4, endpoints: [{addresses: [$10.0.0.1]}, {addresses: [$10.0.0.2], zone: $z}], ports: [{name: $x, port: $8080}, {name: $y, port: $8081}]}
--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: a6, labels: {kubernetes.io/service-name: a}}, addressType: IPv6, endpoints: [{addresses: ["$::1"], zone: $q}, {addresses: ["$fd00::1"]}], ports: [{name: x, port: $8080}]}
--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: o4, labels: {kubernetes.io/service-name: otel}}, addressType: IPv4, endpoints: [{addresses: [10.0.1.1], zone: z}, {addresses: [10.0.1.2], zone: $q}, {addresses: [$10.0.1.3]}], ports: [{port: 4317}]}
--- {apiVersion: v1, kind: Service, metadata: {name: far}, spec: {type: ExternalName, externalName: $far.example.com, ports: [{port: 80}]}}
--- {apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r}, spec: {parentRefs: [{group: '', kind: Service, name: a, port: $80}], rules: [{name: $n, matches: [{path: {type: $Exact, value: "$/p"}, method: $GET, headers: [{name: $h, value: "$v", type: $Exact}], queryParams: [{name: $q, value: "$w", type: $Exact}]}, {path: {type: $RegularExpression, value: "$/p.*"}}], filters: [{type: CORS, cors: {allowOrigins: ["$https://a.b", "$https://*.c:1"], allowCredentials: $true, allowMethods: ["$GET"], allowHeaders: ["$x"], exposeHeaders: ["$y"], maxAge: $7}}], backendRefs: [{name: $a, port: $80, weight: $1}, {name: otel, port: 4317, weight: $2}], timeouts: {request: $10s, backendRequest: $1s}, retry: {codes: [$503], attempts: $2, backoff: $25ms}, sessionPersistence: {sessionName: $s, type: $Cookie, absoluteTimeout: $1h, cookieConfig: {lifetimeType: $Permanent}}}]}}
--- {apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: s}, spec: {parentRefs: [{group: '', kind: Service, name: a, port: $81}], rules: [{name: $n, matches: [{path: {type: $PathPrefix, value: "$/p"}}, {path: {type: $RegularExpression, value: "$/p/[a-z]"}}], backendRefs: [{name: a, port: 80}], sessionPersistence: {sessionName: $s, type: $Header}}]}}
--- {apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: g}, spec: {parentRefs: [{group: '', kind: Service, name: otel}], rules: [{name: $n, matches: [{method: {service: "$a.B", method: "$C"}, headers: [{name: $h, value: "$v"}]}, {method: {type: $RegularExpression, service: "$a.*", method: "$b"}}], backendRefs: [{name: $otel, port: $4317, weight: $1}, {name: $a, port: $80}]}]}}
--- {apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: g}, spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: $default}], to: [{kind: Service, name: $a}]}}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: RetryPolicy, metadata: {name: p}, spec: {targetRefs: [{kind: Service, name: $a}], retryOn: [$5xx], attempts: $3, perTryTimeout: $1s, backoff: {base: $10ms, max: $1s}}}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: LoadBalancingPolicy, metadata: {name: l}, spec: {targetRefs: [{kind: Service, name: $a}], balancer: LeastRequest, choices: $2, slowStart: $1s, panicPercent: $50, preconnectPercent: $150, zoneWeights: {z: $1, q: $2}}}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: LoadBalancingPolicy, metadata: {name: m}, spec: {targetRefs: [{kind: Service, name: $otel}], balancer: Maglev, hashOn: [{header: $x}, {cookie: {name: $c, ttl: $1s, path: "$/p"}}, {queryParameter: $q}], hashLoadPercent: $150, preferSameZone: $true}}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: CircuitBreakerPolicy, metadata: {name: c}, spec: {targetRefs: [{kind: Service, name: $a}], maxConnections: $1, maxConnectionsPerEndpoint: $2, maxPendingRequests: $3, maxRequests: $4, maxRetries: $5, connectTimeout: $1s}}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: HealthPolicy, metadata: {name: h}, spec: {targetRefs: [{kind: Service, name: $a}], outlierDetection: {consecutiveErrors: $5, consecutiveGatewayErrors: $5, interval: $1s, ejection: $1s, maxEjection: $10s, maxEjectionPercent: $50, successRate: {deviations: $2, minRequests: $3, minEndpoints: $4}, failurePercentage: {percent: $50, minRequests: $3, minEndpoints: $4}}, healthCheck: {http: {path: "$/h", host: $a.b, method: $HEAD, expectedStatuses: [$204]}, interval: $1s, timeout: $1s, unhealthyThreshold: $2, healthyThreshold: $3, port: $80}}}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: HealthPolicy, metadata: {name: i}, spec: {targetRefs: [{kind: Service, name: otel}], healthCheck: {grpc: {service: "$a.B"}}}}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: FaultPolicy, metadata: {name: f}, spec: {targetRefs: [{kind: Service, name: $a}], delay: {duration: $1s, percent: $50}, abort: {status: $503, percent: $50}, headers: [{name: $h, value: "$v"}], maxActive: $7}}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: RateLimitPolicy, metadata: {name: r}, spec: {targetRefs: [{kind: Service, name: $a}], requests: $100, per: $1s, burst: $200, clients: [{by: Header, header: $x, requests: $3, per: $1h}, {by: $Identity, requests: $5}]}}
--- {apiVersion: v1, kind: Service, metadata: {name: c}, spec: {clusterIP: 10.96.0.3, ports: [{port: 80, appProtocol: http}]}}
--- {apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: u}, spec: {parentRefs: [{group: '', kind: Service, name: c}], rules: [{name: $n, matches: [{path: {type: $PathPrefix, value: "$/p"}}], filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: $x, value: "$v"}], add: [{name: $y, value: "$w"}], remove: [$z]}}, {type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: $x, value: "$v"}], remove: [$z]}}, {type: URLRewrite, urlRewrite: {hostname: $h.i, path: {type: $ReplacePrefixMatch, replacePrefixMatch: "$/q"}}}, {type: RequestMirror, requestMirror: {backendRef: {name: $a, port: $80}, percent: $5}}], backendRefs: [{name: $c, port: $80, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: $x, value: "$v"}]}}]}]}, {matches: [{path: {type: $PathPrefix, value: "$/r"}}], filters: [{type: RequestRedirect, requestRedirect: {scheme: $https, hostname: $h.i, path: {type: $ReplacePrefixMatch, replacePrefixMatch: "$/q"}, port: $8443, statusCode: $301}}]}, {matches: [{path: {value: "$/d"}}], filters: [{type: ExtensionRef, extensionRef: {group: policy.pillion.dev, kind: DirectResponse, name: $d}}]}]}}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: XdsOverride, metadata: {name: x}, spec: {targetRefs: [{kind: Service, name: $a}], cluster: {connect_timeout: $1s, common_lb_config: {healthy_panic_threshold: {value: $5}, zone_aware_lb_config: {min_cluster_size: $3}}, outlier_detection: {interval: $1s}}, route: {match: {headers: [{name: $h, range_match: {start: $1, end: $3}}]}, route: {timeout: $1s, priority: $HIGH, prefix_rewrite: "$/z", host_rewrite_literal: $h}}, virtualHost: {response_headers_to_add: [{header: {key: $k, value: "$v"}}]}}}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: XdsOverride, metadata: {name: y}, spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: $u}], route: {route: {idle_timeout: $1s, retry_policy: {retry_on: $5xx, num_retries: $3}}}}}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: XdsOverride, metadata: {name: z}, spec: {targetRefs: [{kind: Service, name: $otel}, {kind: Service, name: far}], loadAssignment: {policy: {overprovisioning_factor: $150}}, endpoints: [{addresses: [$far.example.com], endpoint: {load_balancing_weight: $9, endpoint: {hostname: $g}}}, {zones: [$z], addresses: ["$10.0.0.0/8"], locality: {priority: $1, load_balancing_weight: $2, locality: {region: $r}}, endpoint: {load_balancing_weight: $3, health_status: $DEGRADED, metadata: {filter_metadata: {envoy.lb: {v: $x}}}, endpoint: {hostname: $h, health_check_config: {port_value: $80, hostname: $i}}}}]}}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: XdsOverride, metadata: {name: w}, spec: {routeConfiguration: {request_headers_to_add: [{header: {key: $k, value: "$v"}}], response_headers_to_remove: [$r]}}}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: DirectResponse, metadata: {name: d}, spec: {status: $200, body: "$b"}}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: RateLimitPolicy, metadata: {name: s}, spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: $u}], requests: $100, clients: [{by: $Address, requests: $3, burst: $4}]}}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: FaultPolicy, metadata: {name: g}, spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: $u}], abort: {grpcStatus: $7}}}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: HealthPolicy, metadata: {name: j}, spec: {targetRefs: [{kind: Service, name: $c}], healthCheck: {tcp: {}, interval: $1s}}}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: RetryPolicy, metadata: {name: q}, spec: {targetRefs: [{kind: Service, name: $otel}], retryOn: [$retriable-headers, retriable-status-codes, $cancelled], codes: [$503], headers: [{name: $x, value: "$v"}, {name: $y}], idempotent: $true, attempts: $3, perTryTimeout: $1s, perTryIdleTimeout: $2s, maxRetryAfter: $3s, budget: {percent: $50, perSecond: $3}, hedge: {percentile: $90, atLeast: $10ms, onPerTryTimeout: $true}}}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: IdempotencyPolicy, metadata: {name: i}, spec: {targetRefs: [{kind: Service, name: $a}], methods: [$POST], grpcMethods: ["$/a.B/C"], validity: $90s, maxExecution: $10s, onConcurrent: $Conflict, retain: $Tombstone, releaseOn: [$503], unknownStatus: $504, retries: $4, keySource: $App, require: $true, appValidity: $24h, onUnknown: $Reexecute, acceptAtLeastOnce: $true, fingerprint: $Head, limits: {requestBytes: $9, responseBytes: $8, waiters: $7, records: $6, bytes: $65536}}}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: IdempotencyPolicy, metadata: {name: k}, spec: {targetRefs: [{kind: Service, name: $c}], mode: $Shared, keySource: $AppOrMint, principal: {claim: $sub, issuer: "$https://i", audiences: [$b], jwksFile: "$/j"}, store: {addresses: ["$redis:6379", "$10.0.0.7:6379"], tls: {caFile: "$/ca", certificateFile: "$/c", privateKeyFile: "$/k", serverName: $redis}, user: $u, passwordFile: "$/p", keyFile: "$/key", lease: $10s, replicas: $0, replicaWait: $50ms, unconfirmedDoubt: $15s, onDown: $Bypass, trustUnseenSettings: $true}}}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: IdempotencyPolicy, metadata: {name: l}, spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: $HTTPRoute, name: $u}, {group: gateway.networking.k8s.io, kind: HTTPRoute, name: $r}, {group: gateway.networking.k8s.io, kind: GRPCRoute, name: g}], methods: [$PUT], grpcMethods: ["$/a.B/C"], validity: $80s, retries: $3, mode: $Shared, store: {addresses: ["$redis:6380"], keyFile: "$/key", user: $u, passwordFile: "$/p"}}}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: IdempotencyPolicy, metadata: {name: m}, spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: $s}], methods: [$PUT], retries: $3, keySource: $Passthrough}}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: TracingPolicy, metadata: {name: t}, spec: {collector: {name: otel, port: $4317}, samplingPercent: $50}}
)";

const std::vector<std::string> kValues = {"0",
                                          "1",
                                          "-1",
                                          "65535",
                                          "65536",
                                          "4294967295",
                                          "1000000",
                                          "~",
                                          "''",
                                          "true",
                                          "1e3",
                                          ".nan",
                                          ".inf",
                                          "/",
                                          "/a/",
                                          "/a//b",
                                          "/%2e%2E/x",
                                          "/a?b",
                                          "/\\u00e9",
                                          "/a%",
                                          "*",
                                          "http://*",
                                          "http://*.x",
                                          "https://x:80",
                                          "PathPrefix",
                                          "RegularExpression",
                                          "a",
                                          "x",
                                          "y",
                                          "a.b",
                                          "A",
                                          ":path",
                                          "host",
                                          "Content-Length",
                                          "Transfer-Encoding",
                                          "x y",
                                          "\\x00",
                                          "\\r\\n",
                                          "\\t",
                                          "\\u20AC",
                                          "[",
                                          "(a*)*",
                                          "a{1000}",
                                          "\\\\Qa",
                                          "a)(b",
                                          "POST",
                                          "CONNECT",
                                          "get",
                                          "0s",
                                          "0ms",
                                          "1ms",
                                          "99999h99999h99999h99999h",
                                          "00001h",
                                          "1h1h",
                                          "::",
                                          "::ffff:10.0.0.1",
                                          "0:0:0:0:0:0:0:1",
                                          "FD00::1",
                                          "0.0.0.0",
                                          "255.255.255.255",
                                          "10.0.0.1",
                                          "400",
                                          "599",
                                          "100",
                                          "retriable-4xx",
                                          "reset",
                                          "retriable-status-codes",
                                          "unavailable",
                                          "IPv4",
                                          "IPv6",
                                          "UDP",
                                          "http2",
                                          "kubernetes.io/h2c",
                                          "mysql",
                                          "default",
                                          "other",
                                          "otel",
                                          "80",
                                          "4317",
                                          "8080"};

// `text` with its values as they are, but the one at `index` replaced; nullopt: it has fewer.
std::optional<std::string> Changed(const std::string& text, size_t index, const std::string& value) {
  std::string changed;
  bool found = false;
  for (size_t i = 0, at = 0; i < text.size(); ++i) {
    if (text[i] != '$') {
      changed += text[i];
      continue;
    }
    if (at++ != index) continue;
    found = true;
    const bool quoted = text[i - 1] == '"';
    const bool bare = quoted || value.find_first_of("\\[( :") == std::string::npos;
    changed += bare ? value : "\"" + value + "\"";
    i = text.find_first_of(quoted ? "\"" : ",]}", i) - 1;
  }
  if (!found) return std::nullopt;
  return changed;
}

std::vector<std::string> Documents() {
  std::vector<std::string> documents;
  std::istringstream lines(kMesh);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty()) documents.push_back(line);
  }
  return documents;
}

NodeFacts FactsOf(const std::string& service) {
  envoy::config::core::v3::Node node;
  node.set_id("n");
  node.set_cluster(service);
  auto& metadata = *node.mutable_metadata()->mutable_fields();
  metadata["inbound_listener"].set_string_value("127.0.0.1:15006");
  metadata["app"].set_string_value("127.0.0.1:8080");
  metadata["outbound_listener"].set_string_value("10.0.0.1:80");  // what a cluster IP may be as well
  metadata["interception"].set_string_value("redirect");
  node.mutable_locality()->set_zone("z");
  return ReadNode(node);
}

// In parts that run beside each other: each of every fourth document.
constexpr size_t kParts = 4;
class AcceptedTest : public ::testing::TestWithParam<size_t> {};
INSTANTIATE_TEST_SUITE_P(Parts, AcceptedTest, ::testing::Range(size_t{0}, kParts));

TEST_P(AcceptedTest, WhatTheModelTakesEverySidecarTakes) {
  const NodeFacts facts = FactsOf("a");
  const NodeFacts shared_facts = FactsOf("c");
  std::vector<std::vector<std::shared_ptr<const Object>>> good;
  for (const std::string& document : Documents()) {
    std::string text = document;
    std::erase(text, '$');
    const DecodedFile file = DecodeFile(text, "f");
    ASSERT_TRUE(file.problems.empty()) << file.problems[0].ToString();
    good.push_back(file.objects);
  }
  std::vector<std::shared_ptr<const Object>> all;
  for (const auto& objects : good) all.insert(all.end(), objects.begin(), objects.end());
  const auto usual = BuildSnapshot(*BuildModel(all).model, facts);
  const auto shared_usual = BuildSnapshot(*BuildModel(all).model, shared_facts);
  ASSERT_TRUE(CheckAsSidecar(*usual).empty());
  ASSERT_TRUE(CheckAsSidecar(*shared_usual).empty());
  ASSERT_TRUE(shared_usual->of(ResourceType::kCluster).contains("token-store|c.default.svc.cluster.local"))
      << "or what is said of stores was not tested";
  for (const Problem& problem : ProblemsOfOverrides(*BuildModel(all).model))
    ADD_FAILURE() << problem.ToString();
  envoy::config::endpoint::v3::ClusterLoadAssignment assignment;
  ASSERT_TRUE(usual->of(ResourceType::kEndpoints)
                  .at("outbound|4317||otel.default.svc.cluster.local")
                  ->body.UnpackTo(&assignment));
  ASSERT_TRUE(assignment.has_policy()) << "or what is said of endpoints was not tested";
  ASSERT_EQ(assignment.endpoints_size(), 3);
  size_t accepted = 0;
  for (size_t d = GetParam(); d < good.size(); d += kParts) {
    const std::string document = Documents()[d];
    for (size_t index = 0; Changed(document, index, "").has_value(); ++index) {
      for (const std::string& value : kValues) {
        const std::string text = *Changed(document, index, value);
        const DecodedFile file = DecodeFile(text, "f");
        if (!file.problems.empty()) continue;
        ++accepted;
        std::vector<std::shared_ptr<const Object>> objects = file.objects;
        for (size_t other = 0; other < good.size(); ++other) {
          if (other != d) objects.insert(objects.end(), good[other].begin(), good[other].end());
        }
        const auto model = BuildModel(objects).model;
        auto refused = CheckAsSidecar(*BuildSnapshot(*model, facts), usual.get());
        const auto at_shared = CheckAsSidecar(*BuildSnapshot(*model, shared_facts), shared_usual.get());
        refused.insert(refused.end(), at_shared.begin(), at_shared.end());
        ASSERT_TRUE(refused.empty()) << refused[0] << "\n" << text;
      }
    }
  }
  EXPECT_GT(accepted, 200u) << "or nothing was tested";
}

}  // namespace
}  // namespace pillion::control
