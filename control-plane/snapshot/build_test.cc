// What a node gets, read back from the resources; each set also passes the sidecar's own checks.
#include "control-plane/snapshot/build_test_mesh.h"

#include <gtest/gtest.h>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/trace/v3/trace.pb.h"
#include "envoy/extensions/filters/http/cors/v3/cors.pb.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"
#include "pillion/sidecar/v1/hedge.pb.h"
#include "pillion/sidecar/v1/idempotent.pb.h"
#include "pillion/sidecar/v1/peak_ewma.pb.h"
#include "pillion/sidecar/v1/peering.pb.h"

namespace pillion::control {
namespace {

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

TEST(BuildTest, HedgesAndIdempotentMethodsArrive) {
  const auto set = Build(
      "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: RetryPolicy, metadata: {name: p, namespace: "
      "shop}, spec: {targetRefs: [{kind: Service, name: orders}], retryOn: [5xx], perTryTimeout: 1s, "
      "hedge: {percentile: 95, atLeast: 20ms, onPerTryTimeout: true}, grpcDescriptors: "
      "CjAKB2EucHJvdG8SAXAyIgoBUxIKCgNHZXQiA5ACARIKCgNTZXQiA5ACAhIFCgNQdXQ=}}\n");
  const auto action = Host(*set, kOrders80).routes(0).route();
  EXPECT_TRUE(action.hedge_policy().hedge_on_per_try_timeout());
  ASSERT_EQ(action.retry_policy().retry_options_predicates_size(), 2);
  sidecar::v1::IdempotentMethods methods;
  ASSERT_TRUE(action.retry_policy().retry_options_predicates(0).typed_config().UnpackTo(&methods));
  ASSERT_EQ(methods.paths_size(), 2);
  EXPECT_EQ(methods.paths(0), "/p.S/Get");
  EXPECT_EQ(methods.paths(1), "/p.S/Set");
  sidecar::v1::HedgeByLatency hedge;
  ASSERT_TRUE(action.retry_policy().retry_options_predicates(1).typed_config().UnpackTo(&hedge));
  EXPECT_EQ(hedge.percentile(), 95);
  EXPECT_EQ(hedge.at_least().nanos(), 20'000'000);
  EXPECT_FALSE(Host(*Build(), kOrders80).routes(0).route().has_hedge_policy());
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

constexpr char kCapturedServices[] = R"(
--- {apiVersion: v1, kind: Service, metadata: {name: two, namespace: shop}, spec: {clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1, "fd00:0::1"], ports: [{name: a, port: 80}, {name: b, port: 81, appProtocol: grpc}, {name: c, port: 82, appProtocol: mysql}]}}
--- {apiVersion: v1, kind: Service, metadata: {name: headless, namespace: shop}, spec: {clusterIP: None, ports: [{port: 80}]}}
--- {apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, namespace: shop}, spec: {parentRefs: [{group: '', kind: Service, name: two, port: 80}], rules: [{name: x, filters: [{type: CORS, cors: {allowOrigins: ["https://a.b"]}}], backendRefs: [{name: v2, port: 8080}]}]}}
)";

TEST(BuildTest, WhatWasDialledAtAServiceIsCapturedWhereTheSidecarCaptures) {
  const auto set =
      Build(kCapturedServices,
            MakeNode({{"namespace", "shop"}, {"interception", "redirect"}, {"access_log", "/dev/stdout"}}));
  const auto listener = Get<Listener>(*set, kListener, "outbound");
  ASSERT_EQ(listener.listener_filters_size(), 2);
  EXPECT_EQ(listener.listener_filters(0).name(), "envoy.filters.listener.original_dst");
  std::map<std::string, std::string> chains;  // what each is for, by name
  for (const auto& chain : listener.filter_chains()) {
    std::string match = ":" + std::to_string(chain.filter_chain_match().destination_port().value());
    for (const auto& range : chain.filter_chain_match().prefix_ranges())
      match += " " + range.address_prefix() + "/" + std::to_string(range.prefix_len().value());
    for (const std::string& protocol : chain.filter_chain_match().application_protocols())
      match += " " + protocol;
    chains[chain.name()] = match;
  }
  const std::string first = "outbound|80||two.shop.svc.cluster.local";
  const std::string second = "outbound|81||two.shop.svc.cluster.local";
  EXPECT_EQ(chains,
            (std::map<std::string, std::string>{{"outbound", ":15001 127.0.0.1/32"},
                                                {first, ":80 10.96.0.1/32 fd00::1/128 http/1.0 http/1.1"},
                                                {second, ":81 10.96.0.1/32 fd00::1/128"}}));
  envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy relay;
  ASSERT_TRUE(listener.default_filter_chain().filters(0).typed_config().UnpackTo(&relay));
  EXPECT_EQ(relay.cluster(), "passthrough");
  EXPECT_EQ(relay.access_log_size(), 1);
  EXPECT_EQ(Get<Cluster>(*set, kCluster, "passthrough").type(), Cluster::ORIGINAL_DST);
  const auto routes = Get<RouteConfiguration>(*set, kRoutes, first);
  ASSERT_EQ(routes.virtual_hosts_size(), 1);
  ASSERT_EQ(routes.virtual_hosts(0).domains_size(), 1);
  EXPECT_EQ(routes.virtual_hosts(0).domains(0), "*");
  EXPECT_EQ(routes.virtual_hosts(0).routes(0).name(), "shop/r/x");
  EXPECT_EQ(Get<RouteConfiguration>(*set, kRoutes, second).virtual_hosts(0).routes(0).route().cluster(),
            second);
  const auto manager = [&](int chain) {
    HttpConnectionManager hcm;
    EXPECT_TRUE(listener.filter_chains(chain).filters(0).typed_config().UnpackTo(&hcm));
    return hcm;
  };
  EXPECT_EQ(manager(1).rds().route_config_name(), first);
  EXPECT_EQ(manager(1).http_filters(0).name(), "envoy.filters.http.cors");
  EXPECT_NE(manager(2).http_filters(0).name(), "envoy.filters.http.cors") << "none of its routes wants it";
}

TEST(BuildTest, ASidecarThatDoesNotCaptureHasOneChain) {
  const auto set = Build(kCapturedServices);
  const auto listener = Get<Listener>(*set, kListener, "outbound");
  EXPECT_EQ(listener.filter_chains_size(), 1);
  EXPECT_FALSE(listener.has_default_filter_chain());
  EXPECT_EQ(listener.listener_filters_size(), 0);
  EXPECT_EQ(Names(*set, kRoutes), Lines{"outbound"});
  EXPECT_FALSE(set->of(kCluster).contains("passthrough"));
}

TEST(BuildTest, AServiceOfTheListenersOwnAddressIsNotCaptured) {
  const auto set = Build(kCapturedServices, MakeNode({{"namespace", "shop"},
                                                      {"interception", "redirect"},
                                                      {"outbound_listener", "[fd00:0:0::1]:80"}}));
  const auto at_one = Get<Listener>(*set, kListener, "outbound");
  ASSERT_EQ(at_one.filter_chains_size(), 3);
  const auto& left = at_one.filter_chains(1).filter_chain_match();
  EXPECT_EQ(left.destination_port().value(), 80u);
  ASSERT_EQ(left.prefix_ranges_size(), 1) << "the other family is another address";
  EXPECT_EQ(left.prefix_ranges(0).address_prefix(), "10.96.0.1");
  const auto listener =
      Get<Listener>(*Build(kCapturedServices,
                           MakeNode({{"interception", "redirect"}, {"outbound_listener", "0.0.0.0:80"}})),
                    kListener, "outbound");
  EXPECT_EQ(listener.filter_chains(0).filter_chain_match().prefix_ranges_size(), 0);
  EXPECT_EQ(listener.filter_chains_size(), 3);
}

TEST(NodeFactsTest, BadMetadataIsReportedAndThatPartLeftOut) {
  Node node = MakeNode({{"outbound_listener", "localhost:1"},
                        {"inbound_listener", "127.0.0.1:15006"},
                        {"namespace", "UPPER"},
                        {"interception", "tproxy"},
                        {"explain", "maybe"}});
  (*node.mutable_metadata()->mutable_fields())["access_log"].set_number_value(1);
  const NodeFacts facts = ReadNode(node);
  EXPECT_FALSE(facts.outbound.has_value());
  EXPECT_FALSE(facts.local.has_value());
  EXPECT_EQ(facts.service.ns, "default");
  EXPECT_EQ(facts.interception, Interception::kNone);
  EXPECT_EQ(facts.problems.size(), 6u);
}

TEST(NodeFactsTest, TheServiceIsTheClusterUnlessSaidOtherwise) {
  Node node = MakeNode({});
  node.set_cluster("web");
  EXPECT_EQ(ReadNode(node).service.name, "web");
  node.set_cluster("Not a Label");
  EXPECT_EQ(ReadNode(node).service.name, "");
  EXPECT_TRUE(ReadNode(node).problems.empty());
  EXPECT_FALSE(ReadNode(MakeNode({{"outbound_listener", "none"}})).outbound.has_value());
  EXPECT_EQ(ReadNode(MakeNode({{"outbound_listener", "[::ffff:10.0.0.1]:1"}})).problems.size(), 1u);
  EXPECT_EQ(ReadNode(MakeNode({{"outbound_listener", "[::1]:15001"}})).outbound.value_or(SocketAddress{}).ip,
            "::1");
}

}  // namespace
}  // namespace pillion::control
