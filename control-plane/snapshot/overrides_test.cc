// What users say in Envoy's words.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "control-plane/snapshot/build_test_mesh.h"

namespace pillion::control {
namespace {

TEST(OverridesTest, WhatOtherKindsCannotSayIsSaidInEnvoysWords) {
  const std::string of_service =
      TargetedYaml("XdsOverride",
                   "targetRefs: [{kind: Service, name: orders}], cluster: "
                   "{connect_timeout: 0.25s, common_lb_config: {healthy_panic_threshold: {value: 7}}, "
                   "lb_subset_config: {subset_selectors: [{keys: [version]}]}}, "
                   "route: {match: {headers: [{name: x, invert_match: true, "
                   "present_match: true}]}, route: {priority: HIGH, idle_timeout: "
                   "7s}}, virtualHost: {response_headers_to_remove: [x-gone]}");
  const auto set = Build(of_service);
  const Cluster cluster = Get<Cluster>(*set, kCluster, kOrdersCluster);
  EXPECT_EQ(cluster.common_lb_config().healthy_panic_threshold().value(), 7);
  EXPECT_GT(cluster.common_lb_config().override_host_status().statuses_size(), 0) << "the rest stays";
  EXPECT_EQ(cluster.connect_timeout().seconds(), 0) << "replaced, not added to 5s";
  EXPECT_EQ(cluster.connect_timeout().nanos(), 250'000'000);
  EXPECT_EQ(cluster.lb_subset_config().subset_selectors(0).keys(0), "version");
  const auto& host = Host(*set, kOrders80);
  EXPECT_EQ(host.response_headers_to_remove(0), "x-gone");
  ASSERT_EQ(host.routes_size(), 1);
  EXPECT_EQ(host.routes(0).match().prefix(), "/");
  EXPECT_TRUE(host.routes(0).match().headers(0).invert_match());
  EXPECT_EQ(host.routes(0).route().priority(), envoy::config::core::v3::HIGH);
  EXPECT_EQ(host.routes(0).route().cluster(), kOrdersCluster);
  EXPECT_EQ(CheckAsSidecar(*set), Lines{});
  // That on the route wins; of a redirect nothing is said.
  const std::string yaml =
      of_service +
      RouteYaml(
          "{backendRefs: [{name: v2, port: 8080}]}, {matches: [{path: {value: /r}}], filters: [{type: "
          "RequestRedirect, requestRedirect: {}}]}") +
      "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: XdsOverride, metadata: {name: q, namespace: "
      "shop}, spec: "
      "{targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}], route: {route: "
      "{idle_timeout: 9s}}}}\n";
  const auto both = Build(yaml);
  EXPECT_TRUE(ProblemsOfOverrides(*BuildModel(DecodeFile(kServices + yaml, "f").objects).model).empty());
  const auto& routes = Host(*both, kOrders80);
  ASSERT_EQ(routes.routes_size(), 2);
  EXPECT_TRUE(routes.routes(0).has_redirect());
  EXPECT_EQ(routes.routes(1).route().idle_timeout().seconds(), 9);
  EXPECT_EQ(routes.routes(1).route().priority(), envoy::config::core::v3::DEFAULT);
  EXPECT_EQ(CheckAsSidecar(*both), Lines{});
}

// Good by itself, and not with the rest: the mesh must not hang on it.
TEST(OverridesTest, AnOverrideThatDoesNotGoWithTheRestHasNoEffectAndIsTold) {
  const std::string yaml =
      PolicyYaml("CircuitBreakerPolicy", "maxRequests: 7") +
      "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: XdsOverride, metadata: "
      "{name: q, namespace: shop}, spec: "
      "{targetRefs: [{kind: Service, name: orders}], cluster: {connect_timeout: 0.25s, circuit_breakers: "
      "{thresholds: [{max_requests: 9}]}}}}\n";
  const auto set = Build(yaml);
  const Cluster cluster = Get<Cluster>(*set, kCluster, kOrdersCluster);
  ASSERT_EQ(cluster.circuit_breakers().thresholds_size(), 2);
  EXPECT_EQ(cluster.circuit_breakers().thresholds(0).max_requests().value(), 7u);
  EXPECT_EQ(CheckAsSidecar(*set), Lines{});
  const std::vector<Problem> problems =
      ProblemsOfOverrides(*BuildModel(DecodeFile(kServices + yaml, "f").objects).model);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].path, "spec.cluster");
  EXPECT_NE(problems[0].message.find("expected each priority once"), std::string::npos)
      << problems[0].message;
  EXPECT_TRUE(ProblemsOfOverrides(*BuildModel(DecodeFile(kServices, "f").objects).model).empty());
}

std::vector<Problem> OverrideProblems(const std::string& yaml) {
  return ProblemsOfOverrides(*BuildModel(DecodeFile(kServices + yaml, "f").objects).model);
}

constexpr char kGreeter[] = "outbound|50051||greeter.shop.svc.cluster.local";

std::string GreeterYaml(const std::string& spec) {
  return TargetedYaml("XdsOverride", "targetRefs: [{kind: Service, name: greeter}], " + spec);
}

TEST(OverridesTest, EndpointsHavePrioritiesWeightsAndMetadataInEnvoysWords) {
  const std::string yaml = GreeterYaml(
      "loadAssignment: {policy: {overprovisioning_factor: 200}}, endpoints: [{zones: [a], locality: "
      "{priority: "
      "1, load_balancing_weight: 5, locality: {region: r}}}, {addresses: [10.0.0.3], locality: {priority: "
      "2}, "
      "endpoint: {load_balancing_weight: 7, health_status: DEGRADED, metadata: {filter_metadata: {envoy.lb: "
      "{v: "
      "x}}}}}, {addresses: [10.0.0.2/31, nobody.example], endpoint: {health_status: DEGRADED, endpoint: "
      "{hostname: h}}}]");
  const auto set = Build(yaml);
  const auto made = Get<ClusterLoadAssignment>(*set, kEndpoints, kGreeter);
  EXPECT_EQ(made.policy().overprovisioning_factor().value(), 200u);
  ASSERT_EQ(made.endpoints_size(), 3);
  // 10.0.0.1
  EXPECT_EQ(made.endpoints(0).priority(), 1u);
  EXPECT_EQ(made.endpoints(0).load_balancing_weight().value(), 5u) << "replaced, not added to";
  EXPECT_EQ(made.endpoints(0).locality().zone(), "a");
  EXPECT_EQ(made.endpoints(0).locality().region(), "r");
  EXPECT_EQ(made.endpoints(0).lb_endpoints(0).load_balancing_weight().value(), 1u);
  EXPECT_EQ(made.endpoints(0).lb_endpoints(0).health_status(), envoy::config::core::v3::HEALTHY);
  // 10.0.0.2, which is not ready.
  EXPECT_EQ(made.endpoints(1).locality().zone(), "b");
  EXPECT_EQ(made.endpoints(1).priority(), 0u);
  EXPECT_EQ(made.endpoints(1).lb_endpoints(0).health_status(), envoy::config::core::v3::UNHEALTHY);
  EXPECT_EQ(made.endpoints(1).lb_endpoints(0).endpoint().hostname(), "h");
  EXPECT_TRUE(made.endpoints(1).lb_endpoints(0).endpoint().has_address());
  // 10.0.0.3: of one zone with the first, and another priority; the later entry counts.
  EXPECT_EQ(made.endpoints(2).priority(), 2u);
  EXPECT_EQ(made.endpoints(2).locality().zone(), "a");
  const auto& last = made.endpoints(2).lb_endpoints(0);
  EXPECT_EQ(last.load_balancing_weight().value(), 7u);
  EXPECT_EQ(last.health_status(), envoy::config::core::v3::DEGRADED);
  EXPECT_EQ(last.metadata().filter_metadata().at("envoy.lb").fields().at("v").string_value(), "x");
  EXPECT_TRUE(last.metadata().filter_metadata().at("pillion").fields().at("sidecar").bool_value());
  EXPECT_TRUE(OverrideProblems(yaml).empty());
  EXPECT_FALSE(Get<ClusterLoadAssignment>(*Build(""), kEndpoints, kGreeter).has_policy());
}

TEST(OverridesTest, APodThatIsAboutToEndStaysSo) {
  const std::string yaml =
      "--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: g2, namespace: shop, "
      "labels: "
      "{kubernetes.io/service-name: greeter}}, addressType: IPv4, endpoints: [{addresses: [10.0.0.4], zone: "
      "c, "
      "conditions: {ready: false, serving: true, terminating: true}}], ports: [{name: g, port: 15006}]}\n" +
      GreeterYaml("endpoints: [{endpoint: {health_status: DEGRADED}}]");
  const auto made = Get<ClusterLoadAssignment>(*Build(yaml), kEndpoints, kGreeter);
  ASSERT_EQ(made.endpoints_size(), 3);
  EXPECT_EQ(made.endpoints(0).lb_endpoints(0).health_status(), envoy::config::core::v3::DEGRADED);
  EXPECT_EQ(made.endpoints(2).lb_endpoints(0).health_status(), envoy::config::core::v3::DRAINING);
}

TEST(OverridesTest, PlacesHaveTheLargestWeightOfTheirEndpoints) {
  for (const char* const address : {"10.0.0.1", "10.0.0.3"}) {
    const auto made =
        Get<ClusterLoadAssignment>(*Build(GreeterYaml("endpoints: [{addresses: [" + std::string(address) +
                                                      "], locality: {load_balancing_weight: 5}}]")),
                                   kEndpoints, kGreeter);
    ASSERT_EQ(made.endpoints_size(), 2);
    EXPECT_EQ(made.endpoints(0).lb_endpoints_size(), 2);
    EXPECT_EQ(made.endpoints(0).load_balancing_weight().value(), 5u);
    EXPECT_EQ(made.endpoints(1).load_balancing_weight().value(), 1u);
  }
}

TEST(OverridesTest, PrioritiesComeFirstAndThenTheCallersZone) {
  const std::string prefers = TargetedYaml(
      "LoadBalancingPolicy",
      "targetRefs: [{kind: Service, name: greeter}], balancer: RoundRobin, preferSameZone: true");
  const auto priorities = [&](const std::string& zone, const std::string& endpoints) {
    Node node = MakeNode({{"namespace", "shop"}});
    node.mutable_locality()->set_zone(zone);
    std::map<std::string, uint32_t> found;
    const auto made = Get<ClusterLoadAssignment>(
        *Build(prefers + GreeterYaml("endpoints: [" + endpoints + "]"), node), kEndpoints, kGreeter);
    for (const auto& place : made.endpoints()) {
      for (const auto& one : place.lb_endpoints())
        found[one.endpoint().address().socket_address().address()] = place.priority();
    }
    return found;
  };
  using Found = std::map<std::string, uint32_t>;
  const std::string other = "{zones: [b], locality: {priority: 1}}";
  EXPECT_EQ(priorities("a", other), (Found{{"10.0.0.1", 0}, {"10.0.0.3", 0}, {"10.0.0.2", 1}}));
  EXPECT_EQ(priorities("b", other), (Found{{"10.0.0.1", 0}, {"10.0.0.3", 0}, {"10.0.0.2", 1}}))
      << "what the user says goes before the zone";
  const std::string backup = "{addresses: [10.0.0.1], locality: {priority: 9, load_balancing_weight: 5}}";
  EXPECT_EQ(priorities("a", backup), (Found{{"10.0.0.3", 0}, {"10.0.0.2", 1}, {"10.0.0.1", 2}}));
  EXPECT_EQ(priorities("b", backup), (Found{{"10.0.0.2", 0}, {"10.0.0.3", 1}, {"10.0.0.1", 2}}));
  EXPECT_EQ(priorities("", backup), (Found{{"10.0.0.2", 0}, {"10.0.0.3", 0}, {"10.0.0.1", 1}}));
}

TEST(OverridesTest, LabelsOfSeveralEntriesAreOfOneEndpoint) {
  const auto label = [](const std::string& of, const std::string& labels) {
    return "{addresses: [" + of + "], endpoint: {metadata: {filter_metadata: {envoy.lb: {" + labels + "}}}}}";
  };
  const auto made = Get<ClusterLoadAssignment>(
      *Build(GreeterYaml("endpoints: [" + label("10.0.0.0/8", "zone: a, size: small") + ", " +
                         label("10.0.0.1", "size: large") + "]")),
      kEndpoints, kGreeter);
  const auto& labels = made.endpoints(0).lb_endpoints(0).metadata().filter_metadata().at("envoy.lb").fields();
  EXPECT_EQ(labels.at("zone").string_value(), "a");
  EXPECT_EQ(labels.at("size").string_value(), "large");
}

TEST(OverridesTest, WhatDoesNotGoWithTheOtherEndpointsHasNoEffectAndIsTold) {
  std::string slices;
  for (int i = 0; i < 20; ++i) {
    const std::string name = "n" + std::to_string(i);
    slices += "--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: ";
    slices += name;
    slices +=
        ", namespace: shop, labels: {kubernetes.io/service-name: greeter}}, addressType: FQDN, endpoints: ";
    slices += "[{addresses: [";
    slices += name;
    slices += ".example.com]}], ports: [{name: g, port: 15006}]}\n";
  }
  const std::string yaml = slices + GreeterYaml("endpoints: [{endpoint: {load_balancing_weight: 1000000}}]");
  const auto assignment = [](const std::string& text) {
    return Get<Cluster>(*Build(text), kCluster, kGreeter).load_assignment().SerializeAsString();
  };
  EXPECT_EQ(assignment(yaml), assignment(slices)) << "each name may be 256 addresses";
  const std::vector<Problem> problems = OverrideProblems(yaml);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].path, "spec.endpoints");
  EXPECT_NE(problems[0].message.find("expected weights that sum up to at most 4294967295"), std::string::npos)
      << problems[0].message;
}

TEST(OverridesTest, EndpointsThatAreNamesAreOverriddenInTheirCluster) {
  const std::string yaml =
      "--- {apiVersion: v1, kind: Service, metadata: {name: far, namespace: shop}, spec: {type: "
      "ExternalName, "
      "externalName: Far.example.com., ports: [{port: 80}]}}\n" +
      TargetedYaml("XdsOverride",
                   "targetRefs: [{kind: Service, name: far}], endpoints: [{addresses: [far.EXAMPLE.com], "
                   "endpoint: {endpoint: {hostname: known}}}, {addresses: [0.0.0.0/0], endpoint: {endpoint: "
                   "{hostname: other}}}]");
  const Cluster cluster = Get<Cluster>(*Build(yaml), kCluster, "outbound|80||far.shop.svc.cluster.local");
  EXPECT_EQ(cluster.load_assignment().endpoints(0).lb_endpoints(0).endpoint().hostname(), "known");
  EXPECT_TRUE(OverrideProblems(yaml).empty());
}

TEST(OverridesTest, WhatIsSaidOfTheWholeMeshIsInAllTablesOfCallers) {
  const auto of_mesh = [](const std::string& name, const std::string& key) {
    return "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: XdsOverride, metadata: {name: " + name +
           "}, spec: {routeConfiguration: {request_headers_to_add: [{header: {key: " + key +
           ", value: v}}]}}}\n";
  };
  const std::string yaml = of_mesh("a", "x-first") + of_mesh("b", "x-second");
  const auto table = Get<RouteConfiguration>(*Build(yaml), kRoutes, "outbound");
  ASSERT_EQ(table.request_headers_to_add_size(), 1);
  EXPECT_EQ(table.request_headers_to_add(0).header().key(), "x-first");
  EXPECT_GT(table.virtual_hosts_size(), 0);
  const auto problems = BuildModel(DecodeFile(kServices + yaml, "f").objects).problems;
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].message, "expected targetRefs, an older XdsOverride is for the whole mesh");
  // Also in that of a Service's own address.
  const std::string with_ip =
      "--- {apiVersion: v1, kind: Service, metadata: {name: dialled, namespace: shop}, spec: {clusterIP: "
      "10.9.9.9, "
      "ports: [{port: 80}]}}\n";
  const Node captures = MakeNode({{"namespace", "shop"}, {"interception", "redirect"}});
  EXPECT_EQ(Get<RouteConfiguration>(*Build(with_ip + yaml, captures), kRoutes,
                                    "outbound|80||dialled.shop.svc.cluster.local")
                .request_headers_to_add_size(),
            1);
  const Node with_app =
      MakeNode({{"inbound_listener", "10.0.0.1:15006"}, {"app", "127.0.0.1:8080"}, {"service", "orders"}});
  EXPECT_EQ(Get<RouteConfiguration>(*Build(yaml, with_app), kRoutes, "inbound").request_headers_to_add_size(),
            0);
}

}  // namespace
}  // namespace pillion::control
