// What policies make of clusters, routes and listeners.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "control-plane/snapshot/build_test_mesh.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb.h"
#include "envoy/extensions/filters/http/stateful_session/v3/stateful_session.pb.h"
#include "envoy/extensions/http/stateful_session/cookie/v3/cookie.pb.h"
#include "envoy/extensions/http/stateful_session/header/v3/header.pb.h"
#include "pillion/sidecar/v1/idempotency.pb.h"
#include "pillion/sidecar/v1/peak_ewma.pb.h"

namespace pillion::control {
namespace {

TEST(BuildPolicyTest, ClustersHaveNoLimitThatNobodyAskedFor) {
  for (const Cluster& cluster : {Get<Cluster>(*Build(), kCluster, kOrdersCluster)}) {
    ASSERT_EQ(cluster.circuit_breakers().thresholds_size(), 2);
    for (const auto& limits : cluster.circuit_breakers().thresholds()) {
      EXPECT_EQ(limits.max_connections().value(), UINT32_MAX);
      EXPECT_EQ(limits.max_pending_requests().value(), UINT32_MAX);
      EXPECT_EQ(limits.max_requests().value(), UINT32_MAX);
      EXPECT_FALSE(limits.has_max_retries()) << "the budget is what bounds them";
    }
    EXPECT_EQ(cluster.circuit_breakers().thresholds(1).priority(), envoy::config::core::v3::HIGH);
    EXPECT_TRUE(cluster.common_lb_config().has_healthy_panic_threshold());
    EXPECT_EQ(cluster.common_lb_config().healthy_panic_threshold().value(), 0);
  }
}

TEST(BuildPolicyTest, ALoadBalancingPolicyIsOfTheClustersOfItsService) {
  const auto cluster = [](const std::string& balancer) {
    const auto set = Build(
        "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: LoadBalancingPolicy, metadata: {name: p, "
        "namespace: shop}, "
        "spec: {targetRefs: [{kind: Service, name: orders}], balancer: " +
        balancer + "}}\n");
    EXPECT_EQ(Get<Cluster>(*set, kCluster, "outbound|8080||v2.shop.svc.cluster.local").lb_policy(),
              Cluster::ROUND_ROBIN);
    return Get<Cluster>(*set, kCluster, kOrdersCluster);
  };
  EXPECT_EQ(cluster("RoundRobin").lb_policy(), Cluster::ROUND_ROBIN);
  EXPECT_EQ(cluster("Random").lb_policy(), Cluster::RANDOM);
  const Cluster least = cluster("LeastRequest, choices: 3");
  EXPECT_EQ(least.lb_policy(), Cluster::LEAST_REQUEST);
  EXPECT_EQ(least.least_request_lb_config().choice_count().value(), 3u);
}

TEST(BuildPolicyTest, BalancersThatHashHaveTheirPoliciesOnTheRoutesToThem) {
  const std::string policy = PolicyYaml("LoadBalancingPolicy",
                                        "balancer: Maglev, hashOn: [{header: X-User}, {cookie: {name: c, "
                                        "ttl: 1h, path: /p}}, {sourceIp: true}, "
                                        "{queryParameter: q}]");
  const auto set = Build(policy);
  EXPECT_EQ(Get<Cluster>(*set, kCluster, kOrdersCluster).lb_policy(), Cluster::MAGLEV);
  const auto action = Host(*set, kOrders80).routes(0).route();
  ASSERT_EQ(action.hash_policy_size(), 4);
  EXPECT_EQ(action.hash_policy(0).header().header_name(), "x-user");
  EXPECT_EQ(action.hash_policy(1).cookie().name(), "c");
  EXPECT_EQ(action.hash_policy(1).cookie().ttl().seconds(), 3600);
  EXPECT_EQ(action.hash_policy(1).cookie().path(), "/p");
  EXPECT_TRUE(action.hash_policy(2).connection_properties().source_ip());
  EXPECT_EQ(action.hash_policy(3).query_parameter().name(), "q");
  const auto routed = Build(policy + RouteYaml("{name: r, backendRefs: [{name: orders, port: 80}]}"));
  EXPECT_EQ(Host(*routed, kOrders80).routes(0).route().hash_policy_size(), 4);
  EXPECT_EQ(Host(*Build(), kOrders80).routes(0).route().hash_policy_size(), 0);
}

TEST(BuildPolicyTest, OtherBalancersAndSlowStart) {
  const auto cluster = [](const std::string& spec) {
    return Get<Cluster>(*Build(PolicyYaml("LoadBalancingPolicy", spec)), kCluster, kOrdersCluster);
  };
  EXPECT_EQ(cluster("balancer: RingHash, hashOn: [{sourceIp: true}]").lb_policy(), Cluster::RING_HASH);
  const Cluster bounded = cluster("balancer: Maglev, hashOn: [{sourceIp: true}], hashLoadPercent: 150");
  EXPECT_EQ(bounded.common_lb_config().consistent_hashing_lb_config().hash_balance_factor().value(), 150u);
  const Cluster ewma = cluster("balancer: PeakEwma, panicPercent: 20");
  EXPECT_TRUE(ewma.load_balancing_policy()
                  .policies(0)
                  .typed_extension_config()
                  .typed_config()
                  .Is<sidecar::v1::PeakEwma>());
  EXPECT_EQ(ewma.common_lb_config().healthy_panic_threshold().value(), 20);
  EXPECT_EQ(cluster("balancer: RoundRobin, slowStart: 30s")
                .round_robin_lb_config()
                .slow_start_config()
                .slow_start_window()
                .seconds(),
            30);
  EXPECT_EQ(cluster("balancer: LeastRequest, slowStart: 20s")
                .least_request_lb_config()
                .slow_start_config()
                .slow_start_window()
                .seconds(),
            20);
}

TEST(BuildPolicyTest, ConnectionsAreMadeBeforeTheyAreNeededWhereThePolicySaysSo) {
  const auto cluster = [](const std::string& spec) {
    return Get<Cluster>(*Build(PolicyYaml("LoadBalancingPolicy", spec)), kCluster, kOrdersCluster);
  };
  EXPECT_EQ(cluster("balancer: Maglev, hashOn: [{sourceIp: true}], preconnectPercent: 150")
                .preconnect_policy()
                .per_upstream_preconnect_ratio()
                .value(),
            1.5);
  EXPECT_FALSE(cluster("balancer: Random, preconnectPercent: 100").has_preconnect_policy());
  EXPECT_FALSE(cluster("balancer: Random").has_preconnect_policy());
}

TEST(BuildPolicyTest, TheCallersZoneIsPreferredWhereThePolicySaysSo) {
  const std::string policy =
      "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: LoadBalancingPolicy, metadata: {name: "
      "p, namespace: shop}, spec: {targetRefs: [{kind: Service, name: greeter}], balancer: "
      "RoundRobin, preferSameZone: true}}\n";
  const auto priorities = [&](const std::string& policies, const std::string& zone) {
    auto node = MakeNode({});
    node.mutable_locality()->set_zone(zone);
    const auto set = Build(policies, node);
    std::map<std::string, uint32_t> by_zone;
    const auto endpoints =
        Get<ClusterLoadAssignment>(*set, kEndpoints, "outbound|50051||greeter.shop.svc.cluster.local");
    for (const auto& group : endpoints.endpoints()) by_zone[group.locality().zone()] = group.priority();
    return by_zone;
  };
  using Priorities = std::map<std::string, uint32_t>;
  EXPECT_EQ(priorities(policy, "a"), (Priorities{{"a", 0}, {"b", 1}}));
  EXPECT_EQ(priorities(policy, "b"), (Priorities{{"a", 1}, {"b", 0}}));
  EXPECT_EQ(priorities(policy, "c"), (Priorities{{"a", 0}, {"b", 0}})) << "none of its own";
  EXPECT_EQ(priorities(policy, ""), (Priorities{{"a", 0}, {"b", 0}}));
  EXPECT_EQ(priorities("", "a"), (Priorities{{"a", 0}, {"b", 0}}));
}

TEST(BuildPolicyTest, ZonesGetTheWeightsOfThePolicy) {
  constexpr char kGreeter[] = "outbound|50051||greeter.shop.svc.cluster.local";
  const auto set = Build(
      "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: LoadBalancingPolicy, metadata: {name: p, "
      "namespace: shop}, spec: {targetRefs: [{kind: Service, name: greeter}], balancer: RoundRobin, "
      "zoneWeights: {a: 70, gone: 5}}}\n");
  std::map<std::string, uint32_t> weights;
  const auto endpoints = Get<ClusterLoadAssignment>(*set, kEndpoints, kGreeter);
  for (const auto& group : endpoints.endpoints())
    weights[group.locality().zone()] = group.load_balancing_weight().value();
  EXPECT_EQ(weights, (std::map<std::string, uint32_t>{{"a", 70}, {"b", 1}}));
  const auto none = Build(
      "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: LoadBalancingPolicy, metadata: {name: p, "
      "namespace: shop}, spec: {targetRefs: [{kind: Service, name: greeter}], balancer: RoundRobin, "
      "zoneWeights: {a: 0, b: 2}}}\n");
  const auto without = Get<ClusterLoadAssignment>(*none, kEndpoints, kGreeter);
  EXPECT_FALSE(without.endpoints(0).has_load_balancing_weight()) << "0 is refused, without one it gets none";
  EXPECT_EQ(without.endpoints(1).load_balancing_weight().value(), 2u);
  const auto by_weight = [](const Cluster& cluster) {
    return cluster.common_lb_config().has_locality_weighted_lb_config();
  };
  EXPECT_TRUE(by_weight(Get<Cluster>(*set, kCluster, kGreeter)));
  EXPECT_FALSE(by_weight(Get<Cluster>(*set, kCluster, kOrdersCluster)));
}

TEST(BuildPolicyTest, ACircuitBreakerPolicyLimitsTheClustersOfItsService) {
  const auto limits =
      Get<Cluster>(*Build(PolicyYaml("CircuitBreakerPolicy",
                                     "maxConnections: 1, maxPendingRequests: 2, maxRequests: 3, "
                                     "maxRetries: 0")),
                   kCluster, kOrdersCluster)
          .circuit_breakers();
  ASSERT_EQ(limits.thresholds_size(), 2);
  for (const auto& one : limits.thresholds()) {
    EXPECT_EQ(one.max_connections().value(), 1u);
    EXPECT_EQ(one.max_pending_requests().value(), 2u);
    EXPECT_EQ(one.max_requests().value(), 3u);
    EXPECT_TRUE(one.has_max_retries());
    EXPECT_EQ(one.max_retries().value(), 0u);
  }
}

TEST(BuildPolicyTest, OrTheConnectionsToEachEndpoint) {
  EXPECT_EQ(Get<Cluster>(*Build(), kCluster, kOrdersCluster).circuit_breakers().per_host_thresholds_size(),
            0);
  const auto limits = Get<Cluster>(*Build(PolicyYaml("CircuitBreakerPolicy", "maxConnectionsPerEndpoint: 7")),
                                   kCluster, kOrdersCluster)
                          .circuit_breakers();
  ASSERT_EQ(limits.per_host_thresholds_size(), 2);
  EXPECT_EQ(limits.per_host_thresholds(0).priority(), envoy::config::core::v3::DEFAULT);
  EXPECT_EQ(limits.per_host_thresholds(1).priority(), envoy::config::core::v3::HIGH);
  for (const auto& one : limits.per_host_thresholds()) EXPECT_EQ(one.max_connections().value(), 7u);
}

TEST(BuildPolicyTest, OrSaysHowLongAConnectionMayTake) {
  EXPECT_EQ(Get<Cluster>(*Build(), kCluster, kOrdersCluster).connect_timeout().seconds(), 5);
  const auto cluster = Get<Cluster>(*Build(PolicyYaml("CircuitBreakerPolicy", "connectTimeout: 250ms")),
                                    kCluster, kOrdersCluster);
  EXPECT_EQ(cluster.connect_timeout().seconds(), 0);
  EXPECT_EQ(cluster.connect_timeout().nanos(), 250'000'000);
  EXPECT_EQ(cluster.circuit_breakers().thresholds(0).max_connections().value(), UINT32_MAX);
}

// Backends that hash on much, and partly on the same: a sidecar takes sixteen policies of a route.
TEST(BuildPolicyTest, WhatSeveralBackendsHashOnIsEachOnceAndNotTooMuch) {
  const auto policy = [](const std::string& service, int from) {
    std::string hashes;
    for (int i = 0; i < 8; ++i)
      hashes += std::string(i == 0 ? "" : ", ") + "{header: x-" + std::to_string(from + i) + "}";
    return "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: LoadBalancingPolicy, metadata: {name: " +
           service + ", namespace: shop}, spec: {targetRefs: [{kind: Service, name: " + service +
           "}], balancer: RingHash, hashOn: [" + hashes + "]}}\n";
  };
  const auto set = Build(
      RouteYaml(
          "{backendRefs: [{name: orders, port: 80}, {name: v2, port: 8080}, {name: greeter, port: 50051}]}") +
      policy("orders", 0) + policy("v2", 4) + policy("greeter", 12));
  const RouteAction action = Host(*set, kOrders80).routes(0).route();
  ASSERT_EQ(action.hash_policy_size(), 16);
  for (int i = 0; i < 16; ++i)
    EXPECT_EQ(action.hash_policy(i).header().header_name(), "x-" + std::to_string(i));
  EXPECT_EQ(CheckAsSidecar(*set), Lines{});
}

TEST(BuildPolicyTest, AHealthPolicyEjectsAndChecks) {
  const auto cluster = [](const std::string& spec) {
    return Get<Cluster>(*Build(PolicyYaml("HealthPolicy", spec)), kCluster, kOrdersCluster);
  };
  const Cluster usual = cluster("outlierDetection: {}");
  EXPECT_EQ(usual.outlier_detection().consecutive_5xx().value(), 5u);
  EXPECT_EQ(usual.outlier_detection().consecutive_gateway_failure().value(), 0u);
  EXPECT_EQ(usual.outlier_detection().max_ejection_percent().value(), 50u);
  EXPECT_TRUE(usual.outlier_detection().always_eject_one_host().value());
  EXPECT_EQ(usual.health_checks_size(), 0);
  const auto all =
      cluster(
          "outlierDetection: {consecutiveErrors: 1, consecutiveGatewayErrors: 2, interval: 3s, ejection: 4s, "
          "maxEjectionPercent: 0}")
          .outlier_detection();
  EXPECT_EQ(all.consecutive_5xx().value(), 1u);
  EXPECT_EQ(all.consecutive_gateway_failure().value(), 2u);
  EXPECT_EQ(all.enforcing_consecutive_gateway_failure().value(), 100u);
  EXPECT_EQ(all.interval().seconds(), 3);
  EXPECT_EQ(all.base_ejection_time().seconds(), 4);
  EXPECT_EQ(all.max_ejection_time().seconds(), 300);
  EXPECT_EQ(cluster("outlierDetection: {ejection: 400s}").outlier_detection().max_ejection_time().seconds(),
            400);
  EXPECT_EQ(cluster("outlierDetection: {maxEjection: 40s}").outlier_detection().max_ejection_time().seconds(),
            40);
  EXPECT_FALSE(all.always_eject_one_host().value());
  EXPECT_EQ(all.enforcing_success_rate().value(), 100u);
  EXPECT_EQ(all.success_rate_stdev_factor().value(), 1900u);
  EXPECT_FALSE(all.has_enforcing_failure_percentage());
  const auto rates =
      cluster(
          "outlierDetection: {successRate: {deviations: 0.5, minRequests: 6, minEndpoints: 7}, "
          "failurePercentage: {percent: 8, minRequests: 9, minEndpoints: 10}}")
          .outlier_detection();
  EXPECT_EQ(rates.success_rate_stdev_factor().value(), 500u);
  EXPECT_EQ(rates.success_rate_request_volume().value(), 6u);
  EXPECT_EQ(rates.success_rate_minimum_hosts().value(), 7u);
  EXPECT_EQ(rates.enforcing_failure_percentage().value(), 100u);
  EXPECT_EQ(rates.failure_percentage_threshold().value(), 8u);
  EXPECT_EQ(rates.failure_percentage_request_volume().value(), 9u);
  EXPECT_EQ(rates.failure_percentage_minimum_hosts().value(), 10u);
  EXPECT_EQ(cluster("outlierDetection: {successRate: {deviations: 0}}")
                .outlier_detection()
                .enforcing_success_rate()
                .value(),
            0u);
  const auto http = cluster("healthCheck: {http: {path: /h}}").health_checks(0);
  EXPECT_EQ(http.http_health_check().path(), "/h");
  EXPECT_EQ(http.http_health_check().host(), "orders.shop.svc.cluster.local");
  EXPECT_EQ(http.http_health_check().method(), envoy::config::core::v3::METHOD_UNSPECIFIED);
  EXPECT_EQ(http.http_health_check().expected_statuses_size(), 0);
  const auto own = cluster("healthCheck: {http: {path: /h, method: HEAD, expectedStatuses: [204, 503]}}")
                       .health_checks(0)
                       .http_health_check();
  EXPECT_EQ(own.method(), envoy::config::core::v3::HEAD);
  ASSERT_EQ(own.expected_statuses_size(), 2);
  EXPECT_EQ(own.expected_statuses(1).start(), 503);
  EXPECT_EQ(own.expected_statuses(1).end(), 504);
  EXPECT_EQ(http.interval().seconds(), 10);
  EXPECT_EQ(http.no_traffic_interval().seconds(), 10);
  EXPECT_EQ(http.unhealthy_threshold().value(), 3u);
  EXPECT_EQ(http.healthy_threshold().value(), 2u);
  const auto grpc = cluster(
                        "healthCheck: {grpc: {service: s}, interval: 5s, timeout: 2s, unhealthyThreshold: 4, "
                        "healthyThreshold: 5, port: 81}")
                        .health_checks(0);
  EXPECT_EQ(grpc.grpc_health_check().service_name(), "s");
  EXPECT_EQ(grpc.timeout().seconds(), 2);
  EXPECT_EQ(grpc.unhealthy_threshold().value(), 4u);
  EXPECT_EQ(grpc.alt_port().value(), 81u);
  EXPECT_TRUE(cluster("healthCheck: {tcp: {}}").health_checks(0).has_tcp_health_check());
}

TEST(BuildPolicyTest, AFaultPolicyIsForThoseWhoCall) {
  using envoy::extensions::filters::http::fault::v3::HTTPFault;
  const auto fault_of = [](const Route& route) {
    HTTPFault fault;
    const auto found = route.typed_per_filter_config().find("envoy.filters.http.fault");
    if (found != route.typed_per_filter_config().end()) {
      EXPECT_TRUE(found->second.UnpackTo(&fault));
    }
    return fault;
  };
  const std::string of_service =
      TargetedYaml("FaultPolicy",
                   "targetRefs: [{kind: Service, name: orders}], delay: {duration: 1500ms, percent: 0.5}, "
                   "abort: {status: "
                   "503}, headers: [{name: X-A}, {name: b, value: c}], maxActive: 9");
  const auto set = Build(of_service);
  const HTTPFault fault = fault_of(Host(*set, kOrders80).routes(0));
  EXPECT_EQ(fault.delay().fixed_delay().nanos(), 500'000'000);
  EXPECT_EQ(fault.delay().percentage().numerator(), 5000u);
  EXPECT_EQ(fault.delay().percentage().denominator(), envoy::type::v3::FractionalPercent::MILLION);
  EXPECT_EQ(fault.abort().http_status(), 503u);
  EXPECT_EQ(fault.abort().percentage().numerator(), 1'000'000u);
  EXPECT_TRUE(fault.headers(0).present_match());
  EXPECT_EQ(fault.headers(1).string_match().exact(), "c");
  EXPECT_EQ(fault.max_active_faults().value(), 9u);
  EXPECT_EQ(ManagerOf(*set, "outbound").http_filters(0).name(), "envoy.filters.http.fault");
  // Where nobody wants faults, no request passes the filter.
  EXPECT_EQ(ManagerOf(*Build(), "outbound").http_filters_size(), 2);
  // That on the route wins.
  const auto both =
      Build(of_service + RouteYaml("{backendRefs: [{name: v2, port: 8080}]}") +
            "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: FaultPolicy, metadata: {name: q, "
            "namespace: shop}, spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: "
            "HTTPRoute, name: r}], abort: {grpcStatus: 7}}}\n");
  EXPECT_EQ(fault_of(Host(*both, kOrders80).routes(0)).abort().grpc_status(), 7u);
  EXPECT_FALSE(fault_of(Host(*both, kOrders80).routes(0)).has_delay());
}

TEST(BuildPolicyTest, ARateLimitPolicyIsForThoseWhoAreCalled) {
  using envoy::extensions::filters::http::local_ratelimit::v3::LocalRateLimit;
  const std::map<std::string, std::string> metadata = {{"namespace", "shop"},
                                                       {"service", "greeter"},
                                                       {"inbound_listener", "10.0.0.1:15006"},
                                                       {"app", "127.0.0.1:50051"}};
  const auto set = Build(
      TargetedYaml(
          "RateLimitPolicy",
          "targetRefs: [{kind: Service, name: greeter}], requests: 100, per: 1m, burst: 150, clients: "
          "[{by: "
          "Address, requests: 5}, {by: Header, header: X-User, requests: 6}, {by: Identity, requests: 7}]"),
      MakeNode(metadata));
  LocalRateLimit limit;
  const Route route = Get<RouteConfiguration>(*set, kRoutes, "inbound").virtual_hosts(0).routes(0);
  ASSERT_TRUE(route.typed_per_filter_config().at("envoy.filters.http.local_ratelimit").UnpackTo(&limit));
  EXPECT_EQ(limit.token_bucket().max_tokens(), 150u);
  EXPECT_EQ(limit.token_bucket().tokens_per_fill().value(), 100u);
  EXPECT_EQ(limit.token_bucket().fill_interval().seconds(), 60);
  EXPECT_EQ(limit.filter_enabled().default_value().numerator(), 1'000'000u);
  EXPECT_EQ(limit.filter_enforced().default_value().numerator(), 1'000'000u);
  ASSERT_EQ(limit.descriptors_size(), 3);
  EXPECT_EQ(limit.descriptors(0).entries(0).key(), "remote_address");
  EXPECT_EQ(limit.descriptors(1).entries(0).key(), "x-user");
  EXPECT_EQ(limit.rate_limits(1).actions(0).request_headers().descriptor_key(), "x-user");
  EXPECT_EQ(limit.descriptors(1).token_bucket().max_tokens(), 6u);
  EXPECT_EQ(limit.descriptors(2).entries(0).key(), "peer_identity");
  EXPECT_TRUE(limit.rate_limits(2).actions(0).has_extension());
  EXPECT_EQ(limit.descriptors(2).token_bucket().max_tokens(), 7u);
  EXPECT_EQ(ManagerOf(*set, "inbound").http_filters(0).name(), "envoy.filters.http.local_ratelimit");
  EXPECT_EQ(ManagerOf(*Build("", MakeNode(metadata)), "inbound").http_filters_size(), 2);
  EXPECT_EQ(CheckAsSidecar(*set), Lines{});
}

sidecar::v1::TokenPolicy TokensOf(const Route& route) {
  sidecar::v1::TokenPolicy policy;
  const auto found = route.typed_per_filter_config().find("pillion.idempotency");
  if (found != route.typed_per_filter_config().end()) {
    EXPECT_TRUE(found->second.UnpackTo(&policy));
  }
  return policy;
}
std::string TokensYaml(const std::string& service, const std::string& more) {
  return "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: IdempotencyPolicy, metadata: {name: " +
         service + ", namespace: shop}, spec: {targetRefs: [{kind: Service, name: " + service + "}]" + more +
         "}}\n";
}

TEST(BuildPolicyTest, AnIdempotencyPolicyIsForBothSides) {
  const std::map<std::string, std::string> metadata = {{"namespace", "shop"},
                                                       {"service", "greeter"},
                                                       {"inbound_listener", "10.0.0.1:15006"},
                                                       {"app", "127.0.0.1:50051"}};
  const auto domain_of = [&](const std::string& yaml) {
    const auto set = Build(yaml, MakeNode(metadata));
    EXPECT_EQ(CheckAsSidecar(*set), Lines{});
    sidecar::v1::Idempotency tokens;
    const auto manager = ManagerOf(*set, "inbound");
    EXPECT_EQ(manager.http_filters(0).name(), "pillion.idempotency");
    EXPECT_TRUE(manager.http_filters(0).typed_config().UnpackTo(&tokens));
    return tokens.domains(0);
  };
  const std::string policy = TokensYaml(
      "greeter",
      ", methods: [PUT], grpcMethods: [/a.B/C], validity: 90s, maxExecution: 10s, onConcurrent: Conflict, "
      "retain: Tombstone, releaseOn: [503], unknownStatus: 504, retries: 4, limits: {requestBytes: 9, "
      "responseBytes: 8, waiters: 7, records: 6, bytes: 65536}");
  const auto domain = domain_of(policy);
  EXPECT_EQ(domain.validity().seconds(), 90);
  EXPECT_EQ(domain.max_execution().seconds(), 10);
  EXPECT_EQ(domain.on_concurrent(), sidecar::v1::TokenDomain::CONFLICT);
  EXPECT_EQ(domain.retain(), sidecar::v1::TokenDomain::TOMBSTONE);
  EXPECT_EQ(domain.release_on(0), 503u);
  EXPECT_EQ(domain.unknown_status().value(), 504u);
  EXPECT_EQ(domain.max_request_bytes().value(), 9u);
  EXPECT_EQ(domain.max_response_bytes().value(), 8u);
  EXPECT_EQ(domain.max_waiters().value(), 7u);
  EXPECT_EQ(domain.max_records().value(), 6u);
  EXPECT_EQ(domain.max_bytes().value(), 65536u);
  EXPECT_EQ(ManagerOf(*Build("", MakeNode(metadata)), "inbound").http_filters_size(), 2);
  // The same policy is the same domain, another one another.
  EXPECT_EQ(domain.id(), domain_of(policy).id());
  EXPECT_NE(domain.id(), domain_of(TokensYaml("greeter", "")).id());
}

TEST(BuildPolicyTest, WhoCallsAServiceThatHasTokensStampsItsRequests) {
  const auto set = Build(TokensYaml("orders",
                                    ", methods: [PUT], grpcMethods: [/a.B/C], retries: 4, limits: "
                                    "{requestBytes: 9}"));
  const auto policy = TokensOf(Host(*set, kOrders80).routes(0));
  EXPECT_NE(policy.domain(), 0u);
  EXPECT_EQ(policy.methods(0), "PUT");
  EXPECT_EQ(policy.grpc_methods(0), "/a.B/C");
  EXPECT_EQ(policy.max_retries().value(), 4u);
  EXPECT_EQ(policy.max_request_bytes().value(), 9u);
  EXPECT_EQ(ManagerOf(*set, "outbound").http_filters(0).name(), "pillion.idempotency");
  EXPECT_EQ(CheckAsSidecar(*set), Lines{});
  EXPECT_EQ(TokensOf(Host(*Build(), kOrders80).routes(0)).domain(), 0u);
  // It is the backend's policy that counts (of several: route_tokens_test.cc).
  const std::string of_v2 = TokensYaml("v2", "");
  const auto to_v2 = Build(of_v2 + RouteYaml("{backendRefs: [{name: v2, port: 8080}]}"));
  EXPECT_NE(TokensOf(Host(*to_v2, kOrders80).routes(0)).domain(), 0u);
}

TEST(BuildPolicyTest, ARateLimitPolicyOnARouteIsForThoseWhoCall) {
  using envoy::extensions::filters::http::local_ratelimit::v3::LocalRateLimit;
  const auto set = Build(
      RouteYaml(
          "{matches: [{path: {value: /login}}, {path: {value: /logon}}], backendRefs: [{name: v2, port: "
          "8080}]}, {backendRefs: [{name: v2, port: 8080}]}") +
      TargetedYaml(
          "RateLimitPolicy",
          "targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}], requests: 5"));
  const auto& host = Host(*set, kOrders80);
  ASSERT_EQ(host.routes_size(), 3);
  for (const Route& route : host.routes()) {
    LocalRateLimit limit;
    ASSERT_TRUE(route.typed_per_filter_config().at("envoy.filters.http.local_ratelimit").UnpackTo(&limit));
    EXPECT_EQ(limit.token_bucket().max_tokens(), 5u);
  }
  EXPECT_EQ(ManagerOf(*set, "outbound").http_filters(0).name(), "envoy.filters.http.local_ratelimit");
  EXPECT_EQ(CheckAsSidecar(*set), Lines{});
}

TEST(BuildPolicyTest, ADirectResponseIsGivenWithoutABackend) {
  const std::string route = RouteYaml(
      "{matches: [{path: {value: /a}}], filters: [{type: ExtensionRef, extensionRef: {group: "
      "policy.pillion.dev, kind: "
      "DirectResponse, name: p}}]}, {matches: [{path: {value: /b}}], filters: [{type: ExtensionRef, "
      "extensionRef: "
      "{group: policy.pillion.dev, kind: DirectResponse, name: absent}}]}");
  const auto set = Build(route + TargetedYaml("DirectResponse", "status: 503, body: closed"));
  const auto& host = Host(*set, kOrders80);
  ASSERT_EQ(host.routes_size(), 2);
  EXPECT_EQ(host.routes(0).direct_response().status(), 503u);
  EXPECT_EQ(host.routes(0).direct_response().body().inline_string(), "closed");
  EXPECT_EQ(host.routes(1).direct_response().status(), 500u) << "what is not there is no leave to pass";
  EXPECT_FALSE(host.routes(1).direct_response().has_body());
  EXPECT_EQ(CheckAsSidecar(*set), Lines{});
}

TEST(BuildPolicyTest, MirrorsAreOfTheRoute) {
  const auto set =
      Build(RouteYaml("{backendRefs: [{name: orders, port: 80}], filters: [{type: RequestMirror, "
                      "requestMirror: {backendRef: {name: "
                      "v2, port: 8080}, percent: 10}}, {type: RequestMirror, requestMirror: {backendRef: "
                      "{name: none, port: 1}}}]}"));
  const auto action = Host(*set, kOrders80).routes(0).route();
  ASSERT_EQ(action.request_mirror_policies_size(), 1) << "what is not there gets nothing";
  const auto& mirror = action.request_mirror_policies(0);
  EXPECT_EQ(mirror.cluster(), "outbound|8080||v2.shop.svc.cluster.local");
  EXPECT_EQ(mirror.runtime_fraction().default_value().numerator(), 100'000u);
  EXPECT_TRUE(mirror.disable_shadow_host_suffix_append());
  EXPECT_EQ(CheckAsSidecar(*set), Lines{});
}

constexpr char kSessions[] = "envoy.filters.http.stateful_session";
using envoy::extensions::filters::http::stateful_session::v3::StatefulSessionPerRoute;
using envoy::extensions::http::stateful_session::cookie::v3::CookieBasedSessionState;
using envoy::extensions::http::stateful_session::header::v3::HeaderBasedSessionState;

google::protobuf::Any StateOf(const Route& route) {
  const auto found = route.typed_per_filter_config().find(kSessions);
  StatefulSessionPerRoute session;
  if (found == route.typed_per_filter_config().end() || !found->second.UnpackTo(&session)) {
    ADD_FAILURE() << "no session";
    return {};
  }
  EXPECT_FALSE(session.stateful_session().strict()) << "who loses its endpoint gets another";
  return session.stateful_session().session_state().typed_config();
}
// Of a rule of orders with that persistence, for what it matches.
envoy::type::http::v3::Cookie CookieOf(const std::string& fields, const std::string& matches = "") {
  CookieBasedSessionState state;
  EXPECT_TRUE(StateOf(OnlyRoute("sessionPersistence: {" + fields + "}, " +
                                (matches.empty() ? "" : "matches: [" + matches + "], ") +
                                "backendRefs: [{name: orders, port: 80}]"))
                  .UnpackTo(&state));
  return state.cookie();
}

TEST(BuildSessionTest, ACookieIsWhatTheRuleSays) {
  const auto cookie =
      CookieOf("sessionName: mine, absoluteTimeout: 90m, cookieConfig: {lifetimeType: Permanent}");
  EXPECT_EQ(cookie.name(), "mine");
  EXPECT_EQ(cookie.ttl().seconds(), 5400);
  EXPECT_EQ(cookie.path(), "/");
  ASSERT_EQ(cookie.attributes_size(), 1);
  EXPECT_EQ(cookie.attributes(0).name() + "=" + cookie.attributes(0).value(), "SameSite=Lax");
  EXPECT_FALSE(CookieOf("sessionName: mine").has_ttl());
}

TEST(BuildSessionTest, AHeaderIsWhatTheRuleSays) {
  const auto name = [](const std::string& fields) {
    HeaderBasedSessionState state;
    EXPECT_TRUE(StateOf(OnlyRoute("sessionPersistence: {type: Header" + fields +
                                  "}, backendRefs: [{name: orders, port: 80}]"))
                    .UnpackTo(&state));
    return state.name();
  };
  EXPECT_EQ(name(", sessionName: X-Mine"), "x-mine");
  const std::string made = name("");
  EXPECT_TRUE(made.starts_with("x-pillion-session-")) << made;
}

TEST(BuildSessionTest, TheCookiesPathIsWhatOfTheMatchIsCertain) {
  const auto path = [](const std::string& type, const std::string& value) {
    return CookieOf("", "{path: {type: " + type + ", value: '" + value + "'}}").path();
  };
  EXPECT_EQ(path("PathPrefix", "/"), "/");
  EXPECT_EQ(path("PathPrefix", "/a/b/"), "/a/b");
  EXPECT_EQ(path("Exact", "/a/b"), "/a/b");
  EXPECT_EQ(path("Exact", "/a/b;c"), "/a");
  EXPECT_EQ(path("PathPrefix", "/a;b"), "/");
  EXPECT_EQ(path("RegularExpression", "/p1/p2/.*/p3"), "/p1/p2");
  EXPECT_EQ(path("RegularExpression", "/a/b"), "/a/b");
  EXPECT_EQ(path("RegularExpression", "/a/b(c|d)"), "/");
  EXPECT_EQ(path("RegularExpression", "/a/b|/c"), "/") << "the other alternative";
  EXPECT_EQ(path("RegularExpression", "/a/?b"), "/") << "/ab";
  EXPECT_EQ(path("RegularExpression", "/a/b*c"), "/a");
  EXPECT_EQ(path("RegularExpression", "/a/bc+"), "/a");
  EXPECT_EQ(path("RegularExpression", ".*"), "/");
  EXPECT_EQ(path("RegularExpression", "/a"), "/a");
  EXPECT_EQ(path("RegularExpression", "(?i)/a"), "/");
}

TEST(BuildSessionTest, RulesWithoutANameHaveOneEachThatStays) {
  const auto names = [](const std::string& rules) {
    const auto set = Build(RouteYaml(rules));
    Lines found;
    const VirtualHost host = Host(*set, kOrders80);
    for (const Route& route : host.routes()) {
      CookieBasedSessionState state;
      EXPECT_TRUE(StateOf(route).UnpackTo(&state));
      found.push_back(state.cookie().name() + state.cookie().path());
    }
    return found;
  };
  const std::string rest = "sessionPersistence: {}, backendRefs: [{name: orders, port: 80}]}";
  const Lines two = names("{matches: [{path: {value: /aa}}, {path: {value: /a}}], " + rest + ", {" + rest);
  ASSERT_EQ(two.size(), 3u);
  const std::string first = two[0].substr(0, two[0].find('/'));
  const std::string second = two[2].substr(0, two[2].find('/'));
  EXPECT_EQ(first, "pillion-session-ee6e673c736a9257") << "sidecars and restarts agree";
  EXPECT_EQ(two, (Lines{first + "/aa", first + "/a", second + "/"}));
  EXPECT_NE(first, second);
  EXPECT_NE(names("{name: x, " + rest)[0], names("{name: y, " + rest)[0]);
}

TEST(BuildSessionTest, TheListenerHasTheFilterWhereARouteWantsIt) {
  const auto has = [](const std::string& rule) {
    const auto set = Build(RouteYaml(rule));
    const HttpConnectionManager hcm = ManagerOf(*set, "outbound");
    return std::ranges::count_if(hcm.http_filters(), [](const auto& one) { return one.name() == kSessions; });
  };
  EXPECT_EQ(has("{backendRefs: [{name: orders, port: 80}]}"), 0);
  EXPECT_EQ(has("{sessionPersistence: {}, backendRefs: [{name: orders, port: 80}]}"), 1);
}

TEST(BuildSessionTest, ABackendOfNoWeightKeepsItsSessions) {
  const auto clusters = [](const std::string& persistence, const std::string& backends) {
    const Route route = OnlyRoute(persistence + "backendRefs: [" + backends + "]");
    Lines found;
    for (const auto& one : route.route().weighted_clusters().clusters())
      found.push_back(one.name() + " " + std::to_string(one.weight().value()));
    if (found.empty()) found.push_back(route.route().cluster());
    return found;
  };
  const std::string v2 = "outbound|8080||v2.shop.svc.cluster.local";
  const std::string none = "{name: orders, port: 80, weight: 0}";
  const std::string all = "{name: v2, port: 8080, weight: 5}";
  EXPECT_EQ(clusters("", none + ", " + all), Lines{v2});
  EXPECT_EQ(clusters("sessionPersistence: {}, ", none + ", " + all),
            (Lines{std::string(kOrdersCluster) + " 0", v2 + " 5"}));
  EXPECT_EQ(clusters("sessionPersistence: {}, ", none), Lines{"invalid-backend"});
}

TEST(BuildSessionTest, EndpointsThatDrainKeepTheirs) {
  const auto statuses =
      Get<Cluster>(*Build(), kCluster, kOrdersCluster).common_lb_config().override_host_status();
  EXPECT_EQ((std::vector<int>{statuses.statuses().begin(), statuses.statuses().end()}),
            (std::vector<int>{envoy::config::core::v3::UNKNOWN, envoy::config::core::v3::HEALTHY,
                              envoy::config::core::v3::DEGRADED, envoy::config::core::v3::DRAINING}));
}

TEST(BuildSessionTest, CallsHaveThemToo) {
  const auto set = Build(
      "--- {apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: r, namespace: shop}, "
      "spec: {parentRefs: [{group: '', kind: Service, name: greeter}], rules: [{matches: [{method: {service: "
      "a.B}}], sessionPersistence: {sessionName: c}, backendRefs: [{name: greeter, port: 50051}]}]}}\n");
  CookieBasedSessionState state;
  EXPECT_TRUE(StateOf(Host(*set, "greeter.shop.svc.cluster.local:50051").routes(0)).UnpackTo(&state));
  EXPECT_EQ(state.cookie().name(), "c");
  EXPECT_EQ(state.cookie().path(), "/a.B/");
}

}  // namespace
}  // namespace pillion::control
