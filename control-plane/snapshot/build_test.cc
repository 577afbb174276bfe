// What a node gets, read back from the resources; each set also passes the sidecar's own checks.
#include "control-plane/snapshot/build.h"

#include <gtest/gtest.h>

#include "control-plane/snapshot/check.h"
#include "control-plane/source/file/decode.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/trace/v3/trace.pb.h"
#include "envoy/extensions/filters/http/cors/v3/cors.pb.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"
#include "pillion/sidecar/v1/idempotent.pb.h"
#include "pillion/sidecar/v1/peak_ewma.pb.h"
#include "pillion/sidecar/v1/peering.pb.h"

namespace pillion::control {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::config::core::v3::Node;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using envoy::config::listener::v3::Listener;
using envoy::config::route::v3::Route;
using envoy::config::route::v3::RouteAction;
using envoy::config::route::v3::RouteConfiguration;
using envoy::config::route::v3::VirtualHost;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using Lines = std::vector<std::string>;
using enum ResourceType;

constexpr char kServices[] = R"(
--- {apiVersion: v1, kind: Service, metadata: {name: orders, namespace: shop}, spec: {ports: [{name: admin, port: 9000}, {name: http, port: 80}]}}
--- {apiVersion: v1, kind: Service, metadata: {name: v2, namespace: shop}, spec: {ports: [{port: 8080}]}}
--- {apiVersion: v1, kind: Service, metadata: {name: greeter, namespace: shop}, spec: {ports: [{name: g, port: 50051, appProtocol: grpc}]}}
--- {apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop}, spec: {ports: [{port: 3306, appProtocol: mysql}]}}
--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: g1, namespace: shop, labels: {kubernetes.io/service-name: greeter, pillion/sidecar: "true"}}, addressType: IPv4, endpoints: [{addresses: [10.0.0.1], zone: a}, {addresses: [10.0.0.2], zone: b, conditions: {ready: false}}, {addresses: [10.0.0.3], zone: a}], ports: [{name: g, port: 15006}]}
)";

Node MakeNode(const std::map<std::string, std::string>& metadata) {
  Node node;
  node.set_id("n");
  for (const auto& [key, value] : metadata) {
    (*node.mutable_metadata()->mutable_fields())[key].set_string_value(value);
  }
  return node;
}

std::shared_ptr<const ResourceSet> Build(const std::string& yaml, const Node& node) {
  const DecodedFile file = DecodeFile(kServices + yaml, "f");
  for (const Problem& problem : file.problems) ADD_FAILURE() << problem.ToString();
  auto set = BuildSnapshot(*BuildModel(file.objects).model, ReadNode(node));
  EXPECT_EQ(CheckAsSidecar(*set), Lines{});
  EXPECT_EQ(set->DanglingReferences(), Lines{});
  return set;
}
std::shared_ptr<const ResourceSet> Build(const std::string& yaml = "") {
  return Build(yaml, MakeNode({{"namespace", "shop"}}));
}

Lines Names(const ResourceSet& set, ResourceType type) {
  Lines names;
  for (const auto& [name, resource] : set.of(type)) names.push_back(name);
  return names;
}
template <typename Message>
Message Get(const ResourceSet& set, ResourceType type, const std::string& name) {
  Message message;
  const auto it = set.of(type).find(name);
  if (it == set.of(type).end()) {
    ADD_FAILURE() << "no " << name;
  } else {
    EXPECT_TRUE(it->second->body.UnpackTo(&message));
  }
  return message;
}
HttpConnectionManager ManagerOf(const ResourceSet& set, const std::string& name) {
  const auto listener = Get<Listener>(set, kListener, name);
  HttpConnectionManager hcm;
  EXPECT_TRUE(listener.filter_chains(0).filters(0).typed_config().UnpackTo(&hcm));
  return hcm;
}
VirtualHost Host(const ResourceSet& set, const std::string& name) {
  const auto table = Get<RouteConfiguration>(set, kRoutes, "outbound");
  for (const VirtualHost& host : table.virtual_hosts()) {
    if (host.name() == name) return host;
  }
  ADD_FAILURE() << "no virtual host " << name;
  return {};
}
bool IsHttp2(const Cluster& cluster) {
  envoy::extensions::upstreams::http::v3::HttpProtocolOptions options;
  EXPECT_TRUE(cluster.typed_extension_protocol_options().begin()->second.UnpackTo(&options));
  return options.explicit_http_config().has_http2_protocol_options();
}
std::string RouteYaml(const std::string& spec, const std::string& ns = "shop") {
  return "--- {apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, namespace: " +
         ns + "}, spec: {parentRefs: [{group: '', kind: Service, name: orders, namespace: shop}], rules: [" +
         spec + "]}}\n";
}

constexpr char kOrders80[] = "orders.shop.svc.cluster.local:80";
constexpr char kOrdersCluster[] = "outbound|80||orders.shop.svc.cluster.local";

// "+name value", "=name value" and "-name", as they follow each other.
template <typename Added, typename Removed>
Lines Edits(const Added& added, const Removed& removed) {
  using Option = envoy::config::core::v3::HeaderValueOption;
  Lines lines;
  for (const std::string& name : removed) lines.push_back("-" + name);
  for (const Option& option : added) {
    const bool set = option.append_action() == Option::OVERWRITE_IF_EXISTS_OR_ADD;
    lines.push_back((set ? "=" : "+") + option.header().key() + " " + option.header().value());
  }
  return lines;
}

Route OnlyRoute(const std::string& rule) {
  return Host(*Build(RouteYaml("{" + rule + "}")), kOrders80).routes(0);
}

TEST(BuildTest, ANodeWithoutMetadataGetsTheOutboundListenerOnly) {
  const auto set = Build("", MakeNode({}));
  EXPECT_EQ(Names(*set, kListener), Lines{"outbound"});
  const auto listener = Get<Listener>(*set, kListener, "outbound");
  EXPECT_EQ(listener.address().socket_address().address(), "127.0.0.1");
  EXPECT_EQ(listener.address().socket_address().port_value(), 15001u);
  EXPECT_EQ(listener.traffic_direction(), envoy::config::core::v3::OUTBOUND);
}

TEST(BuildTest, EachHttpPortIsAClusterWithEndpoints) {
  const auto set = Build();
  const Lines expected = {"outbound|50051||greeter.shop.svc.cluster.local",
                          "outbound|8080||v2.shop.svc.cluster.local", kOrdersCluster,
                          "outbound|9000||orders.shop.svc.cluster.local"};
  EXPECT_EQ(Names(*set, kCluster), expected) << "mysql is not HTTP";
  EXPECT_EQ(Names(*set, kEndpoints), expected);
  EXPECT_TRUE(IsHttp2(Get<Cluster>(*set, kCluster, expected[0])));
  EXPECT_FALSE(IsHttp2(Get<Cluster>(*set, kCluster, kOrdersCluster)));
}

TEST(BuildTest, EndpointsSayWhoIsAPeerAndWhoIsUsable) {
  const auto endpoints =
      Get<ClusterLoadAssignment>(*Build(), kEndpoints, "outbound|50051||greeter.shop.svc.cluster.local");
  ASSERT_EQ(endpoints.endpoints_size(), 2) << "one group per zone";
  EXPECT_EQ(endpoints.endpoints(0).lb_endpoints_size(), 2);
  const auto& first = endpoints.endpoints(0).lb_endpoints(0);
  EXPECT_EQ(first.endpoint().address().socket_address().port_value(), 15006u);
  EXPECT_TRUE(first.metadata().filter_metadata().at("pillion").fields().at("sidecar").bool_value());
  EXPECT_EQ(first.health_status(), envoy::config::core::v3::HEALTHY);
  EXPECT_EQ(endpoints.endpoints(1).lb_endpoints(0).health_status(), envoy::config::core::v3::UNHEALTHY);
}

TEST(BuildTest, NamesAreResolvedBySidecars) {
  const auto set = Build(R"(
--- {apiVersion: v1, kind: Service, metadata: {name: ext, namespace: shop}, spec: {type: ExternalName, externalName: api.example.com, ports: [{port: 80}]}}
--- {apiVersion: v1, kind: Service, metadata: {name: six, namespace: shop}, spec: {type: ExternalName, externalName: six.example.com, ipFamilies: [IPv6], ports: [{port: 80, appProtocol: grpc}]}}
--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: v2, namespace: shop, labels: {kubernetes.io/service-name: v2, pillion/sidecar: "true"}}, addressType: FQDN, endpoints: [{addresses: [a.example.com]}, {addresses: [b.example.com], conditions: {ready: false}}], ports: [{port: 8081}]}
)");
  const Cluster ext = Get<Cluster>(*set, kCluster, "outbound|80||ext.shop.svc.cluster.local");
  EXPECT_EQ(ext.type(), Cluster::LOGICAL_DNS);
  EXPECT_TRUE(ext.respect_dns_ttl());
  EXPECT_EQ(ext.dns_lookup_family(), Cluster::V4_PREFERRED);
  EXPECT_EQ(ext.dns_refresh_rate().seconds(), 5);
  EXPECT_EQ(ext.dns_failure_refresh_rate().base_interval().seconds(), 1);
  EXPECT_EQ(ext.dns_failure_refresh_rate().max_interval().seconds(), 10);
  EXPECT_EQ(ext.dns_jitter().nanos(), 500'000'000);
  EXPECT_FALSE(ext.has_eds_cluster_config());
  ASSERT_EQ(ext.load_assignment().endpoints_size(), 1);
  const auto& endpoint = ext.load_assignment().endpoints(0).lb_endpoints(0);
  EXPECT_EQ(endpoint.endpoint().address().socket_address().address(), "api.example.com");
  EXPECT_EQ(endpoint.endpoint().address().socket_address().port_value(), 80u);
  EXPECT_FALSE(set->of(kEndpoints).contains(ext.name()));
  EXPECT_EQ(Get<Cluster>(*set, kCluster, "outbound|80||six.shop.svc.cluster.local").dns_lookup_family(),
            Cluster::AUTO);
  const Cluster v2 = Get<Cluster>(*set, kCluster, "outbound|8080||v2.shop.svc.cluster.local");
  EXPECT_EQ(v2.type(), Cluster::STRICT_DNS);
  ASSERT_EQ(v2.load_assignment().endpoints(0).lb_endpoints_size(), 2);
  const auto& second = v2.load_assignment().endpoints(0).lb_endpoints(1);
  EXPECT_EQ(second.endpoint().address().socket_address().address(), "b.example.com");
  EXPECT_EQ(second.endpoint().address().socket_address().port_value(), 8081u);
  EXPECT_EQ(second.health_status(), envoy::config::core::v3::UNHEALTHY);
  EXPECT_TRUE(second.metadata().filter_metadata().at("pillion").fields().at("sidecar").bool_value());
}

TEST(BuildTest, AHostIsKnownByAllItsNamesAndTheBareOnesMeanPort80) {
  const auto set = Build();
  const VirtualHost host = Host(*set, kOrders80);
  EXPECT_EQ(
      Lines(host.domains().begin(), host.domains().end()),
      (Lines{"orders", "orders:80", "orders.shop", "orders.shop:80", "orders.shop.svc", "orders.shop.svc:80",
             "orders.shop.svc.cluster.local", "orders.shop.svc.cluster.local:80"}));
  EXPECT_EQ(Host(*set, "orders.shop.svc.cluster.local:9000").domains(0), "orders:9000");
  EXPECT_EQ(Host(*set, "v2.shop.svc.cluster.local:8080").domains(0), "v2") << "no port 80: the first";
  EXPECT_EQ(Host(*Build("", MakeNode({})), kOrders80).domains(0), "orders.shop") << "a client elsewhere";
}

TEST(BuildTest, WithoutARouteEverythingGoesToTheServiceAndNothingTimesOut) {
  const VirtualHost host = Host(*Build(), kOrders80);
  ASSERT_EQ(host.routes_size(), 1);
  EXPECT_EQ(host.routes(0).match().prefix(), "/");
  EXPECT_EQ(host.routes(0).route().cluster(), kOrdersCluster);
  ASSERT_TRUE(host.routes(0).route().has_timeout()) << "absent would be 15 s";
  EXPECT_EQ(host.routes(0).route().timeout().seconds(), 0);
  EXPECT_FALSE(host.routes(0).route().has_retry_policy());
}

TEST(BuildTest, MatchesAndWeightsOfARouteArrive) {
  const auto set =
      Build(RouteYaml("{name: x, matches: [{path: {value: /a/}, method: GET, headers: [{name: Version, "
                      "value: two}, {name: n, type: "
                      "RegularExpression, value: 'a+'}]}, {path: {type: Exact, value: /b}}], backendRefs: "
                      "[{name: orders, port: 80, "
                      "weight: 3}, {name: v2, port: 8080, weight: 1}, {name: v2, port: 8080, weight: 0}]}"));
  const VirtualHost host = Host(*set, kOrders80);
  ASSERT_EQ(host.routes_size(), 2) << "what matches no rule gets 404";
  EXPECT_EQ(host.routes(0).match().path(), "/b");
  const Route& route = host.routes(1);
  EXPECT_EQ(route.name(), "shop/r/x");
  EXPECT_EQ(route.match().path_separated_prefix(), "/a");
  EXPECT_EQ(route.match().headers(0).name(), ":method");
  EXPECT_EQ(route.match().headers(1).name(), "version");
  EXPECT_EQ(route.match().headers(2).string_match().safe_regex().regex(), "a+");
  ASSERT_EQ(route.route().weighted_clusters().clusters_size(), 2);
  EXPECT_EQ(route.route().weighted_clusters().clusters(0).weight().value(), 3u);
  EXPECT_EQ(Host(*set, "orders.shop.svc.cluster.local:9000").routes_size(), 2) << "no port: all ports";
}

TEST(BuildTest, ExpressionsAndQueryParametersArrive) {
  const auto set = Build(RouteYaml(
      "{name: x, matches: [{path: {type: RegularExpression, value: '/a+'}, queryParams: [{name: animal, "
      "value: whale}, {name: n, type: RegularExpression, value: 'b+'}, {name: animal, value: dog}]}], "
      "backendRefs: [{name: orders, port: 80}]}"));
  const auto match = Host(*set, kOrders80).routes(0).match();
  EXPECT_EQ(match.safe_regex().regex(), "/a+");
  ASSERT_EQ(match.query_parameters_size(), 2) << "of one name the first counts";
  EXPECT_EQ(match.query_parameters(0).name(), "animal");
  EXPECT_EQ(match.query_parameters(0).string_match().exact(), "whale");
  EXPECT_EQ(match.query_parameters(1).string_match().safe_regex().regex(), "b+");
}

// Of calls that is UNAVAILABLE.
void ExpectNoBackend(const Route& route, const std::string& why) {
  EXPECT_EQ(route.route().cluster(), "invalid-backend") << why;
  EXPECT_EQ(route.route().cluster_not_found_response_code(), RouteAction::INTERNAL_SERVER_ERROR) << why;
}

TEST(BuildTest, WithoutAValidBackendARuleAnswers500) {
  for (const char* backends :
       {"", "backendRefs: [{name: nowhere, port: 80}]", "backendRefs: [{name: v2, port: 8080, weight: 0}]"}) {
    const auto set = Build(RouteYaml("{" + std::string(backends) + "}"));
    EXPECT_FALSE(set->of(kCluster).contains("invalid-backend"));
    ExpectNoBackend(Host(*set, kOrders80).routes(0), backends);
  }
}

TEST(BuildTest, AnInvalidShareGoesToAClusterThatIsNotThere) {
  const std::string valid = "{name: v2, port: 8080, weight: 9}";
  const auto set = Build(RouteYaml("{backendRefs: [{name: nowhere, port: 80, weight: 1}, " + valid + "]}"));
  const Route route = Host(*set, kOrders80).routes(0);
  EXPECT_EQ(route.route().weighted_clusters().clusters(0).name(), "invalid-backend");
  EXPECT_FALSE(set->of(kCluster).contains("invalid-backend"));
  EXPECT_EQ(route.route().cluster_not_found_response_code(), RouteAction::INTERNAL_SERVER_ERROR);
  EXPECT_EQ(OnlyRoute("backendRefs: [" + valid + "]").route().cluster_not_found_response_code(),
            RouteAction::SERVICE_UNAVAILABLE)
      << "what is valid and not there yet is no slip of the user's";
}

TEST(BuildTest, TimeoutsAndRetriesOfARule) {
  const std::string backends = "backendRefs: [{name: v2, port: 8080}]";
  const auto action = [&](const std::string& rule, const std::string& more = "") {
    return Host(*Build(RouteYaml("{" + backends + rule + "}") + more), kOrders80).routes(0).route();
  };
  EXPECT_EQ(action(", timeouts: {request: 1500ms}").timeout().nanos(), 500'000'000);
  EXPECT_EQ(action(", timeouts: {request: 3s, backendRequest: 2s}").timeout().seconds(), 2) << "one attempt";
  const auto retried = action(
      ", timeouts: {request: 3s, backendRequest: 2s}, retry: {codes: [503], attempts: 4, backoff: 100ms}");
  EXPECT_EQ(retried.timeout().seconds(), 3);
  EXPECT_EQ(retried.retry_policy().per_try_timeout().seconds(), 2);
  EXPECT_EQ(retried.retry_policy().num_retries().value(), 4u);
  EXPECT_EQ(retried.retry_policy().retry_on(), "connect-failure,refused-stream,reset,retriable-status-codes");
  EXPECT_EQ(retried.retry_policy().retriable_status_codes(0), 503u);
  EXPECT_EQ(retried.retry_policy().retry_back_off().base_interval().nanos(), 100'000'000);
  const std::string policy =
      "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: RetryPolicy, metadata: {name: p, namespace: "
      "shop}, spec: "
      "{targetRefs: [{kind: Service, name: orders}], retryOn: [gateway-error, unavailable], perTryTimeout: "
      "7s}}\n";
  EXPECT_EQ(action("", policy).retry_policy().retry_on(), "gateway-error,unavailable");
  EXPECT_EQ(action("", policy).retry_policy().per_try_timeout().seconds(), 7);
  EXPECT_EQ(action(", retry: {attempts: 2}", policy).retry_policy().retry_on(),
            "connect-failure,refused-stream,reset");
  EXPECT_TRUE(Host(*Build(policy), kOrders80).routes(0).route().has_retry_policy()) << "also without a route";
}

TEST(BuildTest, AllThatARetryPolicySaysArrives) {
  const auto set = Build(
      "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: RetryPolicy, metadata: {name: p, namespace: "
      "shop}, spec: "
      "{targetRefs: [{kind: Service, name: orders}], retryOn: [retriable-headers], headers: [{name: X-A}, "
      "{name: b, "
      "value: c}], idempotent: true, perTryIdleTimeout: 1s, maxRetryAfter: 5s, budget: {percent: 25, "
      "perSecond: "
      "7}}}\n");
  const auto retry = Host(*set, kOrders80).routes(0).route().retry_policy();
  EXPECT_TRUE(retry.retriable_headers(0).present_match());
  EXPECT_EQ(retry.retriable_headers(0).name(), "x-a");
  EXPECT_EQ(retry.retriable_headers(1).string_match().exact(), "c");
  EXPECT_EQ(retry.per_try_idle_timeout().seconds(), 1);
  EXPECT_EQ(retry.rate_limited_retry_back_off().reset_headers(0).name(), "retry-after");
  EXPECT_EQ(retry.rate_limited_retry_back_off().max_interval().seconds(), 5);
  EXPECT_TRUE(retry.retry_options_predicates(0).typed_config().Is<sidecar::v1::Idempotent>());
  const auto budget =
      Get<Cluster>(*set, kCluster, kOrdersCluster).circuit_breakers().thresholds(0).retry_budget();
  EXPECT_EQ(budget.budget_percent().value(), 25);
  EXPECT_EQ(budget.min_retry_concurrency().value(), 7u);
  const auto usual = Get<Cluster>(*Build(), kCluster, kOrdersCluster).circuit_breakers();
  EXPECT_FALSE(usual.thresholds(0).has_retry_budget()) << "its own default";
}

TEST(BuildTest, ClustersHaveNoLimitThatNobodyAskedFor) {
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

TEST(BuildTest, ALoadBalancingPolicyIsOfTheClustersOfItsService) {
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

// A policy on the Service orders.
std::string PolicyYaml(const std::string& kind, const std::string& spec) {
  return "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: " + kind +
         ", metadata: {name: p, namespace: shop}, spec: {targetRefs: [{kind: Service, name: orders}], " +
         spec + "}}\n";
}

TEST(BuildTest, BalancersThatHashHaveTheirPoliciesOnTheRoutesToThem) {
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

TEST(BuildTest, OtherBalancersAndSlowStart) {
  const auto cluster = [](const std::string& spec) {
    return Get<Cluster>(*Build(PolicyYaml("LoadBalancingPolicy", spec)), kCluster, kOrdersCluster);
  };
  EXPECT_EQ(cluster("balancer: RingHash, hashOn: [{sourceIp: true}]").lb_policy(), Cluster::RING_HASH);
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

TEST(BuildTest, TheCallersZoneIsPreferredWhereThePolicySaysSo) {
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

TEST(BuildTest, ACircuitBreakerPolicyLimitsTheClustersOfItsService) {
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

TEST(BuildTest, AHealthPolicyEjectsAndChecks) {
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
  EXPECT_FALSE(all.always_eject_one_host().value());
  const auto http = cluster("healthCheck: {http: {path: /h}}").health_checks(0);
  EXPECT_EQ(http.http_health_check().path(), "/h");
  EXPECT_EQ(http.http_health_check().host(), "orders.shop.svc.cluster.local");
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

// Another policy, of targets of its own.
std::string TargetedYaml(const std::string& kind, const std::string& spec) {
  return "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: " + kind +
         ", metadata: {name: p, namespace: shop}, spec: {" + spec + "}}\n";
}

TEST(BuildTest, AFaultPolicyIsForThoseWhoCall) {
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

TEST(BuildTest, ARateLimitPolicyIsForThoseWhoAreCalled) {
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
  EXPECT_EQ(limit.descriptors(2).entries(0).key(), "peer_identity");
  EXPECT_EQ(limit.descriptors(2).token_bucket().max_tokens(), 7u);
  EXPECT_EQ(ManagerOf(*set, "inbound").http_filters(0).name(), "envoy.filters.http.local_ratelimit");
  EXPECT_EQ(ManagerOf(*Build("", MakeNode(metadata)), "inbound").http_filters_size(), 2);
  EXPECT_EQ(CheckAsSidecar(*set), Lines{});
}

TEST(BuildTest, MirrorsAreOfTheRoute) {
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

TEST(BuildTest, ARouteOfAnotherNamespaceSpeaksForItsOwnClientsAndReplacesTheProducers) {
  const std::string routes =
      RouteYaml("{name: producer, backendRefs: [{name: v2, port: 8080}]}") +
      RouteYaml("{name: consumer, backendRefs: [{name: orders, namespace: shop, port: 80}]}", "other");
  const auto names = [&](const std::string& ns) {
    Lines names;
    const VirtualHost host = Host(*Build(routes, MakeNode({{"namespace", ns}})), kOrders80);
    for (const Route& route : host.routes()) {
      names.push_back(route.name());
    }
    return names;
  };
  EXPECT_EQ(names("shop"), Lines{"shop/r/producer"});
  EXPECT_EQ(names("third"), Lines{"shop/r/producer"});
  EXPECT_EQ(names("other"), Lines{"other/r/consumer"});
}

std::string GrpcYaml(const std::string& rules, const std::string& port = "") {
  return "--- {apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: g, namespace: "
         "shop}, spec: {parentRefs: [{group: '', kind: Service, name: orders" +
         port + "}], rules: [" + rules + "]}}\n";
}

TEST(BuildTest, CallsAreRequestsWhosePathsNameMethods) {
  const auto match = [](const std::string& method) {
    const auto set =
        Build(GrpcYaml("{matches: [{" + method + "}], backendRefs: [{name: greeter, port: 50051}]}"));
    const VirtualHost host = Host(*set, kOrders80);
    EXPECT_EQ(host.routes_size(), 1) << "what matches no rule is UNIMPLEMENTED";
    EXPECT_EQ(host.routes(0).route().cluster(), "outbound|50051||greeter.shop.svc.cluster.local");
    return host.routes(0).match();
  };
  EXPECT_EQ(match("method: {service: a.B, method: C}").path(), "/a.B/C");
  EXPECT_EQ(match("method: {type: Exact, service: a.B}").prefix(), "/a.B/");
  EXPECT_EQ(match("method: {method: C_1}").safe_regex().regex(), "/[^/]+/C_1");
  EXPECT_EQ(match("method: {type: RegularExpression, service: 'a|b', method: '[C]'}").safe_regex().regex(),
            "/(?:a|b)/(?:[C])");
  EXPECT_EQ(match("method: {type: RegularExpression, method: 'C|D'}").safe_regex().regex(), "/[^/]+/(?:C|D)");
  EXPECT_EQ(match("method: {}").prefix(), "/");
  const auto headers = match("headers: [{name: X-A, value: b}]").headers();
  EXPECT_EQ(headers[0].name(), "x-a");
  EXPECT_EQ(headers[0].string_match().exact(), "b");
}

TEST(BuildTest, FiltersAndWeightsOfAGrpcRouteArrive) {
  const auto set = Build(
      GrpcYaml(
          "{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}]}}], "
          "backendRefs: [{name: greeter, port: 50051, weight: 3, filters: [{type: ResponseHeaderModifier, "
          "responseHeaderModifier: {remove: [c]}}]}, {name: greeter, port: 50051, weight: 0}]}") +
      "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: RetryPolicy, metadata: {name: p, namespace: "
      "shop}, "
      "spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: GRPCRoute, name: g}], retryOn: "
      "[unavailable]}}\n");
  const Route route = Host(*set, kOrders80).routes(0);
  EXPECT_EQ(route.name(), "shop/g/0");
  EXPECT_EQ(Edits(route.request_headers_to_add(), route.request_headers_to_remove()), Lines{"=a b"});
  ASSERT_EQ(route.route().weighted_clusters().clusters_size(), 1);
  const auto& share = route.route().weighted_clusters().clusters(0);
  EXPECT_EQ(Edits(share.response_headers_to_add(), share.response_headers_to_remove()), Lines{"-c"});
  EXPECT_EQ(route.route().retry_policy().retry_on(), "unavailable");
}

TEST(BuildTest, WithoutAValidBackendACallIsUnavailable) {
  for (const char* backends : {"", "backendRefs: [{name: nowhere, port: 80}]",
                               "backendRefs: [{name: v2, port: 8080}]"}) {  // of HTTP/1
    ExpectNoBackend(Host(*Build(GrpcYaml("{" + std::string(backends) + "}")), kOrders80).routes(0), backends);
  }
}

TEST(BuildTest, WhereThereIsAGrpcRouteHttpRoutesDoNotCount) {
  const auto set = Build(RouteYaml("{name: http, backendRefs: [{name: v2, port: 8080}]}") +
                         GrpcYaml("{name: grpc}", ", port: 80"));
  ASSERT_EQ(Host(*set, kOrders80).routes_size(), 1);
  EXPECT_EQ(Host(*set, kOrders80).routes(0).name(), "shop/g/grpc");
  EXPECT_EQ(Host(*set, "orders.shop.svc.cluster.local:9000").routes(0).name(), "shop/r/http");
}

TEST(BuildTest, ASidecarBesideAnAppGetsAnInboundListenerForPeers) {
  const std::map<std::string, std::string> metadata = {{"namespace", "shop"},
                                                       {"service", "greeter"},
                                                       {"inbound_listener", "10.0.0.1:15006"},
                                                       {"app", "127.0.0.1:50051"}};
  const auto set = Build("", MakeNode(metadata));
  EXPECT_EQ(Names(*set, kListener), (Lines{"inbound", "outbound"}));
  EXPECT_EQ(Get<Listener>(*set, kListener, "inbound").traffic_direction(), envoy::config::core::v3::INBOUND);
  const HttpConnectionManager hcm = ManagerOf(*set, "inbound");
  EXPECT_EQ(hcm.rds().route_config_name(), "inbound");
  sidecar::v1::Peering peering;
  ASSERT_TRUE(hcm.http_filters(0).typed_config().UnpackTo(&peering));
  EXPECT_TRUE(peering.accept_peer_headers());
  const std::string app = "inbound|50051||greeter.shop.svc.cluster.local";
  EXPECT_EQ(Get<RouteConfiguration>(*set, kRoutes, "inbound").virtual_hosts(0).routes(0).route().cluster(),
            app);
  const auto cluster = Get<Cluster>(*set, kCluster, app);
  EXPECT_TRUE(IsHttp2(cluster)) << "appProtocol grpc";
  const auto& address =
      cluster.load_assignment().endpoints(0).lb_endpoints(0).endpoint().address().socket_address();
  EXPECT_EQ(address.address() + ":" + std::to_string(address.port_value()), "127.0.0.1:50051");
}

TEST(BuildTest, FiltersOfARuleEditFields) {
  const Route route = OnlyRoute(
      "filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: A, value: '5%'}], add: "
      "[{name: b, "
      "value: b}], remove: [c]}}, {type: ResponseHeaderModifier, responseHeaderModifier: {remove: [d]}}], "
      "backendRefs: [{name: v2, port: 8080}]");
  EXPECT_EQ(Edits(route.request_headers_to_add(), route.request_headers_to_remove()),
            (Lines{"-c", "=a 5%%", "+b b"}));
  EXPECT_EQ(Edits(route.response_headers_to_add(), route.response_headers_to_remove()), Lines{"-d"});
  EXPECT_EQ(route.route().cluster(), "outbound|8080||v2.shop.svc.cluster.local");
}

TEST(BuildTest, FiltersOfABackendAreForItsShare) {
  const auto set =
      Build(RouteYaml("{backendRefs: [{name: v2, port: 8080, filters: [{type: ResponseHeaderModifier, "
                      "responseHeaderModifier: {add: [{name: a, value: b}]}}]}]}"));
  const Route route = Host(*set, kOrders80).routes(0);
  ASSERT_EQ(route.route().weighted_clusters().clusters_size(), 1);
  const auto& share = route.route().weighted_clusters().clusters(0);
  EXPECT_EQ(Edits(share.response_headers_to_add(), share.response_headers_to_remove()), Lines{"+a b"});
  EXPECT_TRUE(Get<RouteConfiguration>(*set, kRoutes, "outbound").most_specific_header_mutations_wins());
}

TEST(BuildTest, CorsIsSaidAtTheRouteAndTheFilterIsAtTheListenerOfWhoHasThatRoute) {
  using envoy::extensions::filters::http::cors::v3::CorsPolicy;
  const std::string yaml = RouteYaml(
      "{filters: [{type: CORS, cors: {allowOrigins: ['https://a.b', 'https://*.a.b:8443', 'http://*'], "
      "allowMethods: [GET, PUT], allowHeaders: [X-A, b], exposeHeaders: [c, d], allowCredentials: true, "
      "maxAge: "
      "7}}], backendRefs: [{name: orders, namespace: shop, port: 80}]}",
      "other");
  const auto set = Build(yaml, MakeNode({{"namespace", "other"}}));
  const auto config = Host(*set, kOrders80).routes(0).typed_per_filter_config();
  CorsPolicy policy;
  ASSERT_TRUE(config.at("envoy.filters.http.cors").UnpackTo(&policy));
  EXPECT_EQ(policy.allow_origin_string_match(0).exact(), "https://a.b");
  EXPECT_EQ(policy.allow_origin_string_match(1).safe_regex().regex(), "https\\:\\/\\/[^/:]+\\.a\\.b\\:8443");
  EXPECT_EQ(policy.allow_origin_string_match(2).safe_regex().regex(), "http\\:\\/\\/[^/:]+");
  EXPECT_EQ(policy.allow_methods(), "GET, PUT");
  EXPECT_EQ(policy.allow_headers(), "x-a, b");
  EXPECT_EQ(policy.expose_headers(), "c, d");
  EXPECT_EQ(policy.max_age(), "7");
  EXPECT_TRUE(policy.allow_credentials().value());
  EXPECT_FALSE(policy.forward_not_matching_preflights().value());
  const auto first_filter = [](const ResourceSet& of) {
    return ManagerOf(of, "outbound").http_filters(0).name();
  };
  EXPECT_EQ(first_filter(*set), "envoy.filters.http.cors");
  EXPECT_EQ(first_filter(*Build(yaml)), "pillion.peering") << "it would cost the others something";
}

TEST(BuildTest, ARedirectTellsThePortThatWasAskedUnlessItKnowsBetter) {
  const auto redirect = [](const std::string& fields, const std::string& matches = "", uint32_t port = 80) {
    const auto set = Build(
        RouteYaml("{" + matches + "filters: [{type: RequestRedirect, requestRedirect: {" + fields + "}}]}"));
    return Host(*set, "orders.shop.svc.cluster.local:" + std::to_string(port)).routes(0).redirect();
  };
  using envoy::config::route::v3::RedirectAction;
  const RedirectAction host = redirect("hostname: a.b", "", 9000);
  EXPECT_EQ(host.host_redirect(), "a.b");
  EXPECT_EQ(host.port_redirect(), 9000u);
  EXPECT_EQ(host.scheme_redirect(), "");
  EXPECT_EQ(host.response_code(), RedirectAction::FOUND);
  EXPECT_EQ(redirect("scheme: https").port_redirect(), 443u);
  EXPECT_EQ(redirect("scheme: https").scheme_redirect(), "https");
  EXPECT_EQ(redirect("scheme: http", "", 9000).port_redirect(), 80u);
  EXPECT_EQ(redirect("scheme: https, port: 8443, statusCode: 301").port_redirect(), 8443u);
  EXPECT_EQ(redirect("statusCode: 301").response_code(), RedirectAction::MOVED_PERMANENTLY);
  EXPECT_EQ(redirect("statusCode: 303").response_code(), RedirectAction::SEE_OTHER);
  EXPECT_EQ(redirect("statusCode: 307").response_code(), RedirectAction::TEMPORARY_REDIRECT);
  EXPECT_EQ(redirect("statusCode: 308").response_code(), RedirectAction::PERMANENT_REDIRECT);
  EXPECT_EQ(redirect("path: {type: ReplaceFullPath, replaceFullPath: /f}").path_redirect(), "/f");
  EXPECT_EQ(
      redirect("path: {type: ReplacePrefixMatch, replacePrefixMatch: /f}", "matches: [{path: {value: /e}}], ")
          .prefix_rewrite(),
      "/f");
}

TEST(BuildTest, PathsAreRewrittenByWhatTheMatchNames) {
  const auto rewrite = [](const std::string& match, const std::string& path) {
    const Route route =
        OnlyRoute("matches: [{path: {value: " + match + "}}], filters: [{type: URLRewrite, urlRewrite: {" +
                  path + "}}], backendRefs: [{name: v2, port: 8080}]");
    return route.route();
  };
  const auto prefix = [&](const std::string& match, const std::string& by) {
    return rewrite(match, "path: {type: ReplacePrefixMatch, replacePrefixMatch: " + by + "}");
  };
  EXPECT_EQ(rewrite("/", "hostname: a.b").host_rewrite_literal(), "a.b");
  EXPECT_EQ(prefix("/a", "/b").prefix_rewrite(), "/b");
  EXPECT_EQ(prefix("/", "/b").prefix_rewrite(), "/b/");
  EXPECT_EQ(prefix("/", "/").prefix_rewrite(), "/");
  EXPECT_EQ(prefix("/a.b", "/").regex_rewrite().pattern().regex(), "^\\/a\\.b/*");
  EXPECT_EQ(prefix("/a.b", "/").regex_rewrite().substitution(), "/");
  const std::string longest =
      "/" + std::string(1023, '-');  // each is escaped; Build asks the sidecar's own checks
  EXPECT_EQ(prefix(longest, "/").regex_rewrite().substitution(), "/");
  const RouteAction full = rewrite("/a", "path: {type: ReplaceFullPath, replaceFullPath: /f}");
  EXPECT_EQ(full.regex_rewrite().pattern().regex(), "^.*$");
  EXPECT_EQ(full.regex_rewrite().substitution(), "/f");
}

TEST(BuildTest, OnlyAnInboundListenerAcceptsPeerHeaders) {
  const auto set = Build();
  const HttpConnectionManager hcm = ManagerOf(*set, "outbound");
  sidecar::v1::Peering peering;
  ASSERT_TRUE(hcm.http_filters(0).typed_config().UnpackTo(&peering));
  EXPECT_FALSE(peering.accept_peer_headers());
  EXPECT_TRUE(peering.pass_upgrades());
}

// What is not said is what Envoy has: here all is said that decides whose path an app acts on and what it
// sees.
TEST(BuildTest, WhatDecidesOnPathsAndFieldsIsAlwaysSaid) {
  const auto set = Build("", MakeNode({{"namespace", "shop"},
                                       {"service", "greeter"},
                                       {"inbound_listener", "10.0.0.1:15006"},
                                       {"app", "127.0.0.1:50051"}}));
  for (const char* const name : {"outbound", "inbound"}) {
    const HttpConnectionManager hcm = ManagerOf(*set, name);
    EXPECT_TRUE(hcm.normalize_path().value()) << name;
    EXPECT_FALSE(hcm.merge_slashes());
    EXPECT_EQ(hcm.path_with_escaped_slashes_action(), HttpConnectionManager::KEEP_UNCHANGED);
    EXPECT_EQ(hcm.server_header_transformation(), HttpConnectionManager::PASS_THROUGH);
    EXPECT_TRUE(hcm.proxy_100_continue());
    EXPECT_TRUE(hcm.has_use_remote_address() && !hcm.use_remote_address().value());
    EXPECT_TRUE(hcm.has_generate_request_id() && !hcm.generate_request_id().value());
    EXPECT_GT(hcm.request_headers_timeout().seconds(), 0) << "slow heads";
    EXPECT_GT(hcm.stream_idle_timeout().seconds(), 0) << "slow readers";
    EXPECT_GT(hcm.common_http_protocol_options().idle_timeout().seconds(), 0);
    EXPECT_EQ(hcm.common_http_protocol_options().max_headers_count().value(), 100u);
    EXPECT_EQ(hcm.max_request_headers_kb().value(), 60u);
    EXPECT_GT(hcm.http2_protocol_options().max_concurrent_streams().value(), 0u);
  }
}

TEST(BuildTest, TracingGoesToTheCollectorOfThePolicy) {
  const std::string yaml =
      "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: TracingPolicy, metadata: {name: t, namespace: "
      "shop}, spec: "
      "{targetRefs: [{kind: Service, name: orders}], collector: {name: greeter, port: 50051}, "
      "samplingPercent: 12.5}}\n";
  const auto set = Build(yaml, MakeNode({{"namespace", "shop"}, {"service", "orders"}}));
  const HttpConnectionManager hcm = ManagerOf(*set, "outbound");
  EXPECT_EQ(hcm.tracing().random_sampling().value(), 12.5);
  envoy::config::trace::v3::OpenTelemetryConfig config;
  ASSERT_TRUE(hcm.tracing().provider().typed_config().UnpackTo(&config));
  EXPECT_EQ(config.grpc_service().envoy_grpc().cluster_name(),
            "outbound|50051||greeter.shop.svc.cluster.local");
  EXPECT_EQ(config.service_name(), "orders");
  EXPECT_FALSE(ManagerOf(*Build(yaml), "outbound").has_tracing()) << "another service's sidecar";
}

TEST(NodeFactsTest, BadMetadataIsReportedAndThatPartLeftOut) {
  Node node = MakeNode({{"outbound_listener", "localhost:1"},
                        {"inbound_listener", "127.0.0.1:15006"},
                        {"namespace", "UPPER"},
                        {"explain", "maybe"}});
  (*node.mutable_metadata()->mutable_fields())["access_log"].set_number_value(1);
  const NodeFacts facts = ReadNode(node);
  EXPECT_FALSE(facts.outbound.has_value());
  EXPECT_FALSE(facts.local.has_value());
  EXPECT_EQ(facts.service.ns, "default");
  EXPECT_EQ(facts.problems.size(), 5u);
}

TEST(NodeFactsTest, TheServiceIsTheClusterUnlessSaidOtherwise) {
  Node node = MakeNode({});
  node.set_cluster("web");
  EXPECT_EQ(ReadNode(node).service.name, "web");
  node.set_cluster("Not a Label");
  EXPECT_EQ(ReadNode(node).service.name, "");
  EXPECT_TRUE(ReadNode(node).problems.empty());
  EXPECT_FALSE(ReadNode(MakeNode({{"outbound_listener", "none"}})).outbound.has_value());
  EXPECT_EQ(ReadNode(MakeNode({{"outbound_listener", "[::1]:15001"}})).outbound.value_or(SocketAddress{}).ip,
            "::1");
}

}  // namespace
}  // namespace pillion::control
