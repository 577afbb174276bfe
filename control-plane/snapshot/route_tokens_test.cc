// What becomes of an IdempotencyPolicy on a route, and of routes with several backends.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "control-plane/snapshot/build_test_mesh.h"
#include "control-plane/snapshot/rollout.h"
#include "pillion/sidecar/v1/idempotency.pb.h"

namespace pillion::control {
namespace {

using sidecar::v1::TokenPolicy;

constexpr char kFilter[] = "pillion.idempotency";
constexpr char kV2Cluster[] = "outbound|8080||v2.shop.svc.cluster.local";
// Of orders:80 and v2, one endpoint each.
constexpr char kSlices[] = R"(
--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: o, namespace: shop, labels: {kubernetes.io/service-name: orders, pillion/sidecar: "true"}}, addressType: IPv4, endpoints: [{addresses: [10.0.1.1]}], ports: [{name: http, port: 15006}]}
--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: v, namespace: shop, labels: {kubernetes.io/service-name: v2, pillion/sidecar: "true"}}, addressType: IPv4, endpoints: [{addresses: [10.0.1.2]}], ports: [{port: 15006}]}
)";

std::string OnService(const std::string& name, const std::string& more = "") {
  return "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: IdempotencyPolicy, metadata: {name: of-" +
         name + ", namespace: shop}, spec: {targetRefs: [{kind: Service, name: " + name + "}]" + more +
         "}}\n";
}
// On the route of RouteYaml.
std::string OnRoute(const std::string& more = "") {
  return TargetedYaml("IdempotencyPolicy",
                      "targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}]" + more);
}
std::string Split(const std::string& more = "") {
  return RouteYaml("{backendRefs: [{name: orders, port: 80, weight: 1}, {name: v2, port: 8080, weight: 2}]" +
                   more + "}");
}
template <typename Message>
std::optional<TokenPolicy> Said(const Message& by) {
  const auto found = by.typed_per_filter_config().find(kFilter);
  if (found == by.typed_per_filter_config().end()) return std::nullopt;
  TokenPolicy policy;
  EXPECT_TRUE(found->second.UnpackTo(&policy));
  return policy;
}
// By backend, in the route's order; 0: none.
std::vector<uint64_t> DomainsOfShares(const Route& route) {
  std::vector<uint64_t> domains;
  EXPECT_FALSE(Said(route).has_value());
  for (const auto& share : route.route().weighted_clusters().clusters())
    domains.push_back(Said(share).value_or(TokenPolicy()).domain());
  return domains;
}
Route FirstRoute(const ResourceSet& set) { return Host(set, kOrders80).routes(0); }
std::shared_ptr<const Model> ModelOf(const std::string& yaml) {
  const BuiltModel built = BuildModel(DecodeFile(kServices + yaml, "f").objects);
  for (const Problem& problem : built.problems) ADD_FAILURE() << problem.ToString();
  return built.model;
}
std::shared_ptr<const ResourceSet> PodOf(const std::string& yaml, const std::string& service = "orders") {
  return Build(yaml, MakeNode({{"namespace", "shop"},
                               {"service", service},
                               {"inbound_listener", "10.0.1.1:15006"},
                               {"app", "127.0.0.1:8080"}}));
}
sidecar::v1::Idempotency EnforcedBy(const std::string& yaml, const std::string& service = "orders") {
  sidecar::v1::Idempotency tokens;
  const auto manager = ManagerOf(*PodOf(yaml, service), "inbound");
  if (manager.http_filters(0).name() == kFilter)
    EXPECT_TRUE(manager.http_filters(0).typed_config().UnpackTo(&tokens));
  return tokens;
}
TokenDomains IdsOf(const sidecar::v1::Idempotency& tokens) {
  TokenDomains ids;
  for (const auto& domain : tokens.domains()) ids.insert(domain.id());
  return ids;
}

TEST(RouteTokens, EachBackendHasTheDomainOfItsService) {
  const std::string yaml = Split() + OnService("orders") + OnService("v2");
  const auto set = Build(yaml);
  const auto domains = DomainsOfShares(FirstRoute(*set));
  ASSERT_EQ(domains.size(), 2u);
  EXPECT_EQ(TokenDomains{domains[0]}, IdsOf(EnforcedBy(yaml)));
  EXPECT_EQ(TokenDomains{domains[1]}, IdsOf(EnforcedBy(yaml, "v2")));
  EXPECT_NE(domains[0], domains[1]);
  EXPECT_EQ(ManagerOf(*set, "outbound").http_filters(0).name(), kFilter);
}

TEST(RouteTokens, ABackendWithoutAPolicyIsNotStamped) {
  const auto set = Build(Split() + OnService("v2"));
  const auto domains = DomainsOfShares(FirstRoute(*set));
  EXPECT_EQ(domains[0], 0u);
  EXPECT_NE(domains[1], 0u);
  EXPECT_EQ(ManagerOf(*set, "outbound").http_filters(0).name(), kFilter);
  const auto by_shares_alone = Build(Split() + OnRoute());
  EXPECT_EQ(ManagerOf(*by_shares_alone, "outbound").http_filters(0).name(), kFilter);
  EXPECT_EQ(DomainsOfShares(FirstRoute(*Build(Split()))), (std::vector<uint64_t>{0, 0}));
}

TEST(RouteTokens, APolicyOnTheRouteComesBeforeThoseOfItsBackends) {
  const std::string on_route = OnRoute(", methods: [PUT], validity: 30s");
  const auto usual = DomainsOfShares(FirstRoute(*Build(Split() + OnService("orders"))));
  const std::string yaml = Split() + on_route + OnService("orders", ", validity: 40s");
  const auto set = Build(yaml);
  const auto domains = DomainsOfShares(FirstRoute(*set));
  EXPECT_NE(domains[0], domains[1]) << "of two Services";
  EXPECT_EQ(Said(FirstRoute(*set).route().weighted_clusters().clusters(1))->methods(0), "PUT");
  // Other requests to the Service are its own policy's, which no route's is mixed up with.
  const auto of_service = Said(Host(*Build(yaml), "orders.shop.svc.cluster.local:9000").routes(0));
  EXPECT_TRUE(!of_service.has_value() || of_service->domain() != domains[0]);
  EXPECT_NE(usual[0], domains[0]);
  const auto enforced = EnforcedBy(yaml);
  ASSERT_EQ(enforced.domains_size(), 2);
  EXPECT_TRUE(IdsOf(enforced).contains(domains[0]));
  EXPECT_LT(enforced.domains(0).id(), enforced.domains(1).id()) << "in one order";
  EXPECT_EQ(IdsOf(EnforcedBy(yaml, "v2")), TokenDomains{domains[1]});
  EXPECT_EQ(IdsOf(EnforcedBy(yaml, "greeter")), TokenDomains{});
}

TEST(RouteTokens, ARouteWithOneBackendSaysItItself) {
  const auto set = Build(RouteYaml("{backendRefs: [{name: v2, port: 8080}]}") + OnRoute());
  EXPECT_EQ(TokenDomains{Said(FirstRoute(*set))->domain()},
            IdsOf(EnforcedBy(RouteYaml("{backendRefs: [{name: v2, port: 8080}]}") + OnRoute(), "v2")));
  const auto none =
      Build(RouteYaml("{filters: [{type: RequestRedirect, requestRedirect: {port: 8443}}]}") + OnRoute());
  EXPECT_FALSE(Said(FirstRoute(*none)).has_value());
}

TEST(RouteTokens, TheDomainOfAServiceIsTheSameWhateverRoutesSay) {
  const std::string service = OnService("orders");
  const TokenDomains alone = IdsOf(EnforcedBy(service));
  ASSERT_EQ(alone.size(), 1u);
  const TokenDomains beside = IdsOf(EnforcedBy(service + Split() + OnRoute(", validity: 30s")));
  EXPECT_EQ(beside.size(), 2u);
  EXPECT_TRUE(beside.contains(*alone.begin()));
  EXPECT_EQ(IdsOf(EnforcedBy(service + Split() + OnRoute(", retries: 5"))), alone)
      << "a policy that says the same of records is the same domain";
}

TEST(RouteTokens, SharesThatCannotBeServedHaveNone) {
  const auto set = [] {
    const DecodedFile file = DecodeFile(
        kServices + RouteYaml("{backendRefs: [{name: orders, port: 80}, {name: none, port: 80}]}") +
            OnRoute(),
        "f");
    return BuildSnapshot(*BuildModel(file.objects).model, ReadNode(MakeNode({{"namespace", "shop"}})));
  }();
  EXPECT_EQ(CheckAsSidecar(*set), Lines{});
  const auto domains = DomainsOfShares(FirstRoute(*set));
  ASSERT_EQ(domains.size(), 2u);
  EXPECT_NE(domains[0], 0u);
  EXPECT_EQ(domains[1], 0u);
}

TEST(RouteTokens, AtABackendOfAnotherNamespaceItsServicesPolicyCounts) {
  const std::string mesh =
      "--- {apiVersion: v1, kind: Service, metadata: {name: b, namespace: other}, spec: {ports: [{port: "
      "80}]}}\n"
      "--- {apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: g, "
      "namespace: other}, spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: "
      "shop}], to: [{kind: Service}]}}\n" +
      RouteYaml("{backendRefs: [{name: orders, port: 80}, {name: b, namespace: other, port: 80}]}");
  const std::string of_b =
      "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: IdempotencyPolicy, metadata: {name: b, namespace: "
      "other}, spec: {targetRefs: [{kind: Service, name: b}], retries: 7}}\n";
  EXPECT_EQ(DomainsOfShares(FirstRoute(*Build(mesh + OnRoute())))[1], 0u);
  const Route route = FirstRoute(*Build(mesh + OnRoute(", retries: 1") + of_b));
  EXPECT_EQ(Said(route.route().weighted_clusters().clusters(0))->max_retries().value(), 1u);
  EXPECT_EQ(Said(route.route().weighted_clusters().clusters(1))->max_retries().value(), 7u);
  const Route through = FirstRoute(*Build(mesh + OnRoute(", keySource: Passthrough") + of_b));
  EXPECT_EQ(Said(through.route().weighted_clusters().clusters(1))->key_source(), sidecar::v1::PASSTHROUGH);
}

TEST(RouteTokens, CallsOfAGrpcRouteAreStamped) {
  const std::string yaml =
      "--- {apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: g, namespace: shop}, "
      "spec: {parentRefs: [{group: '', kind: Service, name: greeter}], rules: [{backendRefs: [{name: "
      "greeter, port: 50051}]}]}}\n" +
      TargetedYaml("IdempotencyPolicy",
                   "targetRefs: [{group: gateway.networking.k8s.io, kind: GRPCRoute, name: g}], grpcMethods: "
                   "[/a.B/C]");
  const auto policy = Said(Host(*Build(yaml), "greeter.shop.svc.cluster.local:50051").routes(0));
  ASSERT_TRUE(policy.has_value());
  EXPECT_EQ(policy->grpc_methods(0), "/a.B/C");
  const auto rollouts = RolloutsOf(*ModelOf(yaml), {});
  ASSERT_EQ(rollouts.size(), 1u);
  EXPECT_EQ(rollouts[0].domain, policy->domain());
  EXPECT_EQ(rollouts[0].routes, std::set<std::string>{"GRPCRoute shop/g"});
  EXPECT_FALSE(rollouts[0].of_service);
}

TEST(RouteTokens, WhatARoutePassesThroughIsEnforcedByNobody) {
  const std::string yaml =
      Split() + OnRoute(", keySource: Passthrough, retries: 4") + OnService("orders") + kSlices;
  const Stamped none;
  const auto set = BuildSnapshot(*ModelOf(yaml), ReadNode(MakeNode({{"namespace", "shop"}})), &none);
  const Route route = FirstRoute(*set);
  for (const auto& share : route.route().weighted_clusters().clusters()) {
    const auto policy = Said(share);
    ASSERT_TRUE(policy.has_value());
    EXPECT_EQ(policy->key_source(), sidecar::v1::PASSTHROUGH) << "though its Service's says otherwise";
    EXPECT_EQ(policy->max_retries().value(), 4u);
    EXPECT_FALSE(policy->paused());
  }
  EXPECT_EQ(EnforcedBy(yaml).domains_size(), 1);
  EXPECT_EQ(EnforcedBy(yaml, "v2").domains_size(), 0);
}

TEST(RouteTokens, EachBackendIsStampedOnceItsPodsEnforceItsDomain) {
  const std::string yaml = Split() + OnRoute(", validity: 30s") + OnService("orders") + kSlices;
  const auto model = ModelOf(yaml);
  std::map<std::string, uint64_t> of_route;  // by Service
  uint64_t of_service = 0;
  for (const Rollout& one : RolloutsOf(*model, {})) {
    EXPECT_FALSE(one.stamps());
    if (one.of_service) {
      of_service = one.domain;
      EXPECT_TRUE(one.routes.empty());
      continue;
    }
    EXPECT_TRUE(of_route.emplace(one.service.name, one.domain).second) << "the ports that it leads to alone";
    EXPECT_EQ(one.routes, std::set<std::string>{"HTTPRoute shop/r"});
  }
  ASSERT_EQ(of_route.size(), 2u);
  EXPECT_EQ(DomainsOf(*model), (TokenDomains{of_service, of_route["orders"], of_route["v2"]}));
  const EnforcerKey orders{{"shop", "orders"}, "10.0.1.1:15006"};
  const EnforcerKey v2{{"shop", "v2"}, "10.0.1.2:15006"};
  const auto paused = [&](const Enforcers& enforcers) {
    const Stamped stamped = StampedOf(RolloutsOf(*model, enforcers));
    const auto set = BuildSnapshot(*model, ReadNode(MakeNode({{"namespace", "shop"}})), &stamped);
    EXPECT_EQ(CheckAsSidecar(*set), Lines{});
    std::vector<bool> each;
    const Route route = FirstRoute(*set);
    for (const auto& share : route.route().weighted_clusters().clusters())
      each.push_back(Said(share)->paused());
    return each;
  };
  EXPECT_EQ(paused({}), (std::vector<bool>{true, true}));
  EXPECT_EQ(paused({{v2, {of_route["v2"]}}}), (std::vector<bool>{true, false}));
  EXPECT_EQ(paused({{orders, {of_service}}, {v2, {of_route["v2"]}}}), (std::vector<bool>{true, false}))
      << "another domain of the Service's says nothing of this one";
  EXPECT_EQ(paused({{orders, {of_service, of_route["orders"]}}, {v2, {of_route["orders"]}}}),
            (std::vector<bool>{false, true}));
  EXPECT_EQ(StampedOf(RolloutsOf(*model, {{v2, {of_route["v2"]}}})), (Stamped{{kV2Cluster, of_route["v2"]}}));
  Enforcers known = {{orders, {1}}, {v2, {1}}};
  Forget(*model, known);
  EXPECT_EQ(known.size(), 2u) << "a Service that only routes have a policy for is one with policies";
}

TEST(RouteTokens, WhileAllArePausedListenersAreAsTheyWillBe) {
  const auto model = ModelOf(Split() + OnService("v2") + kSlices);
  const NodeFacts node = ReadNode(MakeNode({{"namespace", "shop"}}));
  const Stamped none;
  const auto before = BuildSnapshot(*model, node, &none);
  const auto whole = BuildSnapshot(*model, node);
  EXPECT_EQ(before->version(kListener), whole->version(kListener));
  EXPECT_NE(before->version(kRoutes), whole->version(kRoutes));
}

TEST(RouteTokens, AStoreOfTheRoutesHasAClusterOfItsOwn) {
  const auto shared = [](const std::string& store) {
    return ", mode: Shared, store: {keyFile: /k, addresses: ['" + store + ":6379']}";
  };
  const auto stores = [](const std::string& yaml) {
    std::map<std::string, std::string> hosts;  // by cluster
    const auto set = PodOf(yaml);
    const auto enforced = EnforcedBy(yaml);
    for (const auto& domain : enforced.domains()) {
      if (!domain.has_store()) continue;
      const auto cluster = Get<Cluster>(*set, kCluster, domain.store().cluster());
      hosts[cluster.name()] = cluster.load_assignment()
                                  .endpoints(0)
                                  .lb_endpoints(0)
                                  .endpoint()
                                  .address()
                                  .socket_address()
                                  .address();
    }
    return hosts;
  };
  const std::string own = "token-store|orders.shop.svc.cluster.local";
  const auto two = stores(Split() + OnService("orders", shared("one")) + OnRoute(shared("two")));
  ASSERT_EQ(two.size(), 2u);
  EXPECT_EQ(two.at(own), "one");
  EXPECT_EQ(two.rbegin()->second, "two");
  EXPECT_TRUE(two.rbegin()->first.starts_with(own + "|")) << two.rbegin()->first;
  EXPECT_EQ(stores(Split() + OnService("orders", shared("one")) + OnRoute(shared("one") + ", validity: 30s"))
                .size(),
            1u)
      << "one server, two domains";
  // The number of a route's domain does not hang on what the Service's own policy is.
  const auto id = [&](const std::string& more) {
    return DomainsOfShares(FirstRoute(*Build(Split() + OnRoute(shared("one")) + more)))[0];
  };
  EXPECT_EQ(id(""), id(OnService("orders", shared("one") + ", validity: 30s")));
  EXPECT_EQ(id(""), id(OnService("orders", shared("two"))));
  EXPECT_EQ(IdsOf(EnforcedBy(Split() + OnRoute(shared("one")))), TokenDomains{id("")});
}

// To be another user of it is not to have other records.
TEST(RouteTokens, WhoOneIsToAStoreMakesNoSecondDomain) {
  const auto as = [](const std::string& user) {
    return ", mode: Shared, store: {keyFile: /k, user: " + user +
           ", passwordFile: /p, addresses: ['one:6379']}";
  };
  const auto enforced = EnforcedBy(Split() + OnService("orders", as("a")) + OnRoute(as("b")));
  ASSERT_EQ(enforced.domains_size(), 1);
  EXPECT_EQ(enforced.domains(0).store().user(), "a") << "the Service's own";
}

}  // namespace
}  // namespace pillion::control
