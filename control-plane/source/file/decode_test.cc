// Objects as Kubernetes prints them load; what is wrong is said with file, line, column and the path as
// written.
#include "control-plane/source/file/decode.h"

#include <gtest/gtest.h>

namespace pillion::control {
namespace {

std::vector<std::string> Problems(const std::string& text) {
  std::vector<std::string> lines;
  for (const Problem& problem : DecodeFile(text, "f.yaml").problems) lines.push_back(problem.ToString());
  return lines;
}
using Lines = std::vector<std::string>;

constexpr char kRealService[] = R"(apiVersion: v1
kind: Service
metadata:
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: |
      {"apiVersion":"v1","kind":"Service"}
  creationTimestamp: "2026-01-31T12:00:00Z"
  finalizers:
  - service.kubernetes.io/load-balancer-cleanup
  labels:
    app: orders
    pillion/sidecar: "true"
  managedFields:
  - apiVersion: v1
    fieldsType: FieldsV1
    fieldsV1:
      f:spec:
        f:ports:
          .: {}
          k:{"port":80,"protocol":"TCP"}: {}
    manager: kubectl
    operation: Update
    time: "2026-01-31T12:00:00Z"
  name: orders
  namespace: shop
  ownerReferences:
  - apiVersion: apps/v1
    blockOwnerDeletion: true
    kind: Deployment
    name: orders
    uid: 1f6f3a2e
  resourceVersion: "123"
  uid: 7f0c
spec:
  allocateLoadBalancerNodePorts: true
  clusterIP: 10.96.1.2
  clusterIPs:
  - 10.96.1.2
  externalTrafficPolicy: Cluster
  internalTrafficPolicy: Cluster
  ipFamilies:
  - IPv4
  ipFamilyPolicy: SingleStack
  ports:
  - appProtocol: kubernetes.io/h2c
    name: grpc
    nodePort: 30080
    port: 50051
    protocol: TCP
    targetPort: grpc
  - name: http
    port: 80
    targetPort: 8080
  - name: dns
    port: 53
    protocol: UDP
    targetPort: 53
  - appProtocol: mysql
    name: db
    port: 3306
    targetPort: 3306
  selector:
    app: orders
  sessionAffinity: ClientIP
  sessionAffinityConfig:
    clientIP:
      timeoutSeconds: 10800
  type: LoadBalancer
status:
  loadBalancer:
    ingress:
    - ip: 192.0.2.1
)";

TEST(DecodeTest, AServiceAsKubectlPrintsItLoads) {
  const DecodedFile file = DecodeFile(kRealService, "f.yaml");
  ASSERT_EQ(Problems(kRealService), Lines{});
  ASSERT_EQ(file.objects.size(), 1u);
  const auto& service = std::get<Service>(*file.objects[0]);
  EXPECT_EQ(service.metadata.name, (ObjectName{"shop", "orders"}));
  EXPECT_EQ(service.metadata.created, 1769860800);
  EXPECT_TRUE(service.peer);
  ASSERT_EQ(service.ports.size(), 3u) << "UDP is not ours";
  EXPECT_EQ(service.ports[0].protocol, AppProtocol::kHttp2);
  EXPECT_EQ(service.ports[1].protocol, AppProtocol::kHttp1);
  EXPECT_EQ(service.ports[2].protocol, AppProtocol::kNotHttp);
}

TEST(DecodeTest, AnEndpointSliceAsKubectlPrintsItLoads) {
  const std::string text = R"(addressType: IPv4
apiVersion: discovery.k8s.io/v1
endpoints:
- addresses:
  - 10.0.0.1
  conditions:
    ready: true
    serving: true
    terminating: false
  hints:
    forZones:
    - name: a
  nodeName: node-1
  targetRef:
    kind: Pod
    name: orders-1
    namespace: shop
    uid: 55
  zone: a
- addresses:
  - 10.0.0.2
  conditions:
    ready: false
    serving: true
    terminating: true
- addresses:
  - 10.0.0.3
  conditions:
    ready: false
kind: EndpointSlice
metadata:
  creationTimestamp: null
  generateName: orders-
  generation: 4
  labels:
    endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io
    kubernetes.io/service-name: orders
  name: orders-x7k
  namespace: shop
ports:
- name: http
  port: 8080
  protocol: TCP
)";
  ASSERT_EQ(Problems(text), Lines{});
  const DecodedFile file = DecodeFile(text, "f.yaml");
  const auto& slice = std::get<EndpointSlice>(*file.objects.at(0));
  EXPECT_EQ(slice.service, (ObjectName{"shop", "orders"}));
  EXPECT_FALSE(slice.peer.has_value());
  ASSERT_EQ(slice.endpoints.size(), 3u);
  EXPECT_EQ(slice.endpoints[0].health, Health::kReady);
  EXPECT_EQ(slice.endpoints[0].zone, "a");
  EXPECT_EQ(slice.endpoints[1].health, Health::kDraining);
  EXPECT_EQ(slice.endpoints[2].health, Health::kNotReady);
}

TEST(DecodeTest, AnEmptySliceHasNullsWhereListsWere) {
  EXPECT_EQ(
      Problems("{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, endpoints: null, "
               "ports: null, metadata: {name: a, labels: {kubernetes.io/service-name: a}}}"),
      Lines{});
}

TEST(DecodeTest, NamesOfHostsAreDnsNames) {
  const auto slice = [](const std::string& type, const std::string& address) {
    return Problems("{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: " + type +
                    ", endpoints: [{addresses: ['" + address +
                    "']}], metadata: {name: a, labels: {kubernetes.io/service-name: a}}}");
  };
  EXPECT_EQ(slice("FQDN", "db.example.com"), Lines{});
  EXPECT_EQ(slice("FQDN", "Db.example.com."), Lines{});
  EXPECT_EQ(slice("FQDN", "db_example"),
            Lines{"f.yaml:1:100: endpoints[0].addresses[0]: expected a DNS name"});
  EXPECT_EQ(slice("IPv4", "db.example.com"),
            Lines{"f.yaml:1:100: endpoints[0].addresses[0]: expected an IPv4 address"});
  EXPECT_EQ(slice("Dns", "10.0.0.1").size(), 1u);
  const auto service = [](const std::string& spec) {
    return Problems("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: ExternalName" + spec +
                    "}}");
  };
  EXPECT_EQ(service(", externalName: api.example.com"), Lines{}) << "without ports: not in the mesh";
  EXPECT_EQ(service(", ports: [{port: 80}]"), Lines{"f.yaml:1:54: spec.externalName: expected a DNS name"});
  EXPECT_EQ(service(", externalName: 'a..b'"), Lines{"f.yaml:1:81: spec.externalName: expected a DNS name"});
}

TEST(DecodeTest, ClusterIpsAreAddressesOrNone) {
  const auto service = [](const std::string& spec) {
    return Problems("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {" + spec + "}}");
  };
  EXPECT_EQ(service("clusterIP: None, clusterIPs: [None]"), Lines{});
  EXPECT_EQ(service("clusterIP: '', clusterIPs: []"), Lines{});
  EXPECT_EQ(service("clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1, 'fd00::1']"), Lines{});
  EXPECT_EQ(service("clusterIP: all"), Lines{"f.yaml:1:61: spec.clusterIP: expected an IP address or None"});
  EXPECT_EQ(service("clusterIPs: [10.96.0.1, '::ffff:10.96.0.1']"),
            Lines{"f.yaml:1:85: spec.clusterIPs[1]: expected an IP address or None"});
}

TEST(DecodeTest, AListIsItsItems) {
  const std::string text = R"(apiVersion: v1
items:
- {apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80}]}}
- {apiVersion: v1, kind: Service, metadata: {name: b}, spec: {ports: [{port: 0}]}}
kind: List
metadata:
  resourceVersion: ""
)";
  EXPECT_EQ(DecodeFile(text, "f.yaml").objects.size(), 1u);
  EXPECT_EQ(Problems(text), Lines{"f.yaml:4:72: spec.ports[0].port: expected a port, 1 to 65535"});
}

TEST(DecodeTest, AllProblemsAreListedWithTheNamesThatTheUserWrote) {
  const std::string text = R"(apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r}
spec:
  parentRefs: [{group: "", kind: Service, name: a}]
  rules:
  - matches:
    - path: {type: PathPrefix, value: a}
      queryParams: [{name: '', value: v}, {name: q, type: RegularExpression, value: '('}]
    filters: [{type: ExternalAuth}]
    backendRefs:
    - {name: a, port: 80, weight: -1}
    timeouts: {request: 1s, backendRequest: 1500ms}
    retry: {codes: [200], attempts: 0, backoff: soon}
)";
  const std::string bad_path =
      "f.yaml:8:32: spec.rules[0].matches[0].path.value: "
      "expected a path that starts with / and has no //, /./, /../, # or %2f";
  EXPECT_EQ(
      Problems(text),
      (Lines{bad_path,
             "f.yaml:9:22: spec.rules[0].matches[0].queryParams[0].name: expected the name of a parameter",
             "f.yaml:9:78: spec.rules[0].matches[0].queryParams[1].value: expected a regular expression "
             "(RE2): missing ): (",
             "f.yaml:10:16: spec.rules[0].filters[0].type: ExternalAuth is not implemented yet",
             "f.yaml:12:27: spec.rules[0].backendRefs[0].weight: expected 0 to 1000000",
             "f.yaml:13:29: spec.rules[0].timeouts.backendRequest: expected at most the request time-out",
             "f.yaml:14:21: spec.rules[0].retry.codes[0]: expected a status code, 400 to 599",
             "f.yaml:14:27: spec.rules[0].retry.attempts: expected 1 to 10",
             "f.yaml:14:40: spec.rules[0].retry.backoff: expected a duration such as 500ms, 10s or 1m30s"}));
}

TEST(DecodeTest, AGrpcRouteIsChecked) {
  const std::string head = R"(apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: r}
spec:
  parentRefs: [{group: "", kind: Service, name: a}]
)";
  const std::string text = head + R"(  hostnames: [a.b]
  rules:
  - matches:
    - method: {type: Exact}
    - method: {service: 'a b', method: a.b}
    - method: {service: '', method: ''}
    - method: {type: RegularExpression, service: '(', method: ''}
    - headers: [{name: ':path', value: a}]
    filters: [{type: RequestMirror}, {type: ResponseHeaderModifier}]
    backendRefs: [{name: a}, {name: a, port: 1, filters: [{}]}]
    sessionPersistence: {}
)";
  const std::string service = "expected the name of a service, such as shop.v1.Orders";
  const std::string method = "expected the name of a method, such as GetOrder";
  EXPECT_EQ(
      Problems(text),
      (Lines{"f.yaml:9:7: spec.rules[0].matches[0].method: expected a service or a method beside the type",
             "f.yaml:10:16: spec.rules[0].matches[1].method.service: " + service,
             "f.yaml:10:32: spec.rules[0].matches[1].method.method: " + method,
             "f.yaml:11:16: spec.rules[0].matches[2].method.service: " + service,
             "f.yaml:11:29: spec.rules[0].matches[2].method.method: " + method,
             "f.yaml:12:41: spec.rules[0].matches[3].method.service: expected a regular expression (RE2): "
             "missing "
             "): (",
             "f.yaml:12:55: spec.rules[0].matches[3].method.method: expected a regular expression",
             "f.yaml:13:18: spec.rules[0].matches[4].headers[0].name: expected the name of a header",
             "f.yaml:14:15: spec.rules[0].filters[0].requestMirror: expected a backendRef with a name",
             "f.yaml:14:15: spec.rules[0].filters[0]: expected the field of type RequestMirror and no other",
             "f.yaml:14:38: spec.rules[0].filters[1]: expected the field of type ResponseHeaderModifier and "
             "no other",
             "f.yaml:15:19: spec.rules[0].backendRefs[0]: expected a port",
             "f.yaml:15:59: spec.rules[0].backendRefs[1].filters[0].type: expected a type"}));
  EXPECT_EQ(Problems(head), Lines{"f.yaml:4:1: spec: expected rules"});
  const auto one = [&](const std::string& rule) { return Problems(head + "  rules: [" + rule + "]\n"); };
  EXPECT_EQ(one("{filters: [{type: URLRewrite}]}").size(), 1u) << "not of GRPCRoutes";
  EXPECT_EQ(one("{timeouts: {request: 1s}}").size(), 1u) << "likewise";
  const std::string method_path = "spec.rules[0].matches[0].method";
  EXPECT_TRUE(one("{matches: [{method: {type: RegularExpression, service: '\\Qa'}}]}")
                  .at(0)
                  .find(method_path + ": expected a regular expression (RE2): ") != std::string::npos);
  EXPECT_TRUE(one("{matches: [{method: {service: " + std::string(1025, 'a') + "}}]}")
                  .at(0)
                  .ends_with(method_path + ".service: expected at most 1024 bytes"));
  EXPECT_EQ(one("{matches: [{method: {service: .a.b_1, method: _M}}]}"), Lines{});
}

TEST(DecodeTest, AReferenceGrantIsChecked) {
  const std::string head =
      "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {name: g}\n";
  EXPECT_EQ(Problems(head + "spec: {}\n"),
            (Lines{"f.yaml:4:1: spec: expected from", "f.yaml:4:1: spec: expected to"}));
  const std::string group = "group: gateway.networking.k8s.io";
  EXPECT_EQ(
      Problems(
          head + "spec:\n  from:\n  - {" + group + ", kind: HTTProute, namespace: a}\n  - {" + group +
          ", kind: HTTPRoute}\n  - {kind: HTTPRoute, namespace: A}\n  - {group: example.com, namespace: a}\n"
          "  to:\n  - {}\n  - {kind: Sevice}\n"),
      (Lines{
          "f.yaml:6:40: spec.from[0].kind: expected kind: one of HTTPRoute, GRPCRoute, TCPRoute, TLSRoute, "
          "UDPRoute, Gateway",
          "f.yaml:7:5: spec.from[1]: expected a namespace, a DNS label",
          "f.yaml:8:23: spec.from[2].namespace: expected a namespace, a DNS label",
          "f.yaml:8:5: spec.from[2]: expected a group, that of routes is gateway.networking.k8s.io",
          "f.yaml:9:5: spec.from[3]: expected a kind", "f.yaml:11:5: spec.to[0]: expected a kind",
          "f.yaml:12:6: spec.to[1].kind: expected kind: one of Service, Secret, ConfigMap"}));
  std::string many;
  for (int i = 0; i < 17; ++i) many += "{kind: Service}, ";
  EXPECT_EQ(
      Problems(head + "spec: {from: [{" + group + ", kind: Gateway, namespace: a}], to: [" + many + "]}\n"),
      Lines{"f.yaml:4:81: spec.to: expected at most 16"});
}

TEST(DecodeTest, UnknownFieldsAreShownByTheirPathInTheObject) {
  const Lines problems = Problems(
      "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  clusterIPs: [1.2.3.4]\n  ports:\n  - "
      "port: 80\n"
      "    appProtocl: grpc\n");
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].find("f.yaml:8:5: spec.ports[0].appProtocl: "), 0u) << problems[0];
}

TEST(DecodeTest, UnknownKindsAndVersionsAreErrors) {
  EXPECT_EQ(Problems("apiVersion: v1\nkind: Pod\n").size(), 1u);
  EXPECT_EQ(Problems("apiVersion: gateway.networking.k8s.io/v1beta1\nkind: HTTPRoute\n"),
            Lines{"f.yaml:1:1: apiVersion: expected gateway.networking.k8s.io/v1 for HTTPRoute"});
  EXPECT_EQ(Problems("kind: Service\n"), Lines{"f.yaml:1:1: apiVersion: expected"});
  EXPECT_EQ(Problems("- a\n").size(), 1u);
  EXPECT_EQ(Problems(""), Lines{});
}

TEST(DecodeTest, AWeightOfZeroIsNotAnAbsentOne) {
  const DecodedFile file = DecodeFile(
      "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r}, spec: {parentRefs: "
      "[{group: "
      "'', kind: Service, name: a}], rules: [{backendRefs: [{name: a, port: 80, weight: 0}, {name: b, port: "
      "80}]}]}}",
      "f.yaml");
  ASSERT_EQ(file.objects.size(), 1u);
  const auto& rule = std::get<HttpRoute>(*file.objects[0]).rules[0];
  EXPECT_EQ(rule.backends[0].weight, 0u);
  EXPECT_EQ(rule.backends[1].weight, 1u);
}

TEST(DecodeTest, HedgesAndDescriptorsOfARetryPolicyAreChecked) {
  const std::string head =
      "apiVersion: policy.pillion.dev/v1alpha1\nkind: RetryPolicy\nmetadata: {name: p}\nspec: "
      "{targetRefs: [{kind: Service, name: a}], retryOn: [5xx], ";
  // Service p.S with Get (no side effects), Set (idempotent) and Put.
  EXPECT_EQ(Problems(head + "hedge: {percentile: 95, atLeast: 20ms}, grpcDescriptors: "
                            "CjAKB2EucHJvdG8SAXAyIgoBUxIKCgNHZXQiA5ACARIKCgNTZXQiA5ACAhIFCgNQdXQ=}"),
            Lines{});
  EXPECT_EQ(Problems(head + "hedge: {onPerTryTimeout: true}, perTryTimeout: 1s}"), Lines{});
  EXPECT_EQ(
      Problems(head + "hedge: {}, grpcDescriptors: CgA=}"),
      (Lines{"f.yaml:4:75: spec.grpcDescriptors: expected a method with an idempotency_level of IDEMPOTENT "
             "or NO_SIDE_EFFECTS",
             "f.yaml:4:64: spec.hedge: expected percentile, onPerTryTimeout or both"}));
  EXPECT_EQ(Problems(head + "grpcDescriptors: /////w==}"),
            Lines{"f.yaml:4:64: spec.grpcDescriptors: expected a serialized FileDescriptorSet"});
  EXPECT_EQ(Problems(head + "hedge: {percentile: 100}}"),
            Lines{"f.yaml:4:72: spec.hedge.percentile: expected 50 to 99.9"});
  EXPECT_EQ(Problems(head + "hedge: {atLeast: 0s, onPerTryTimeout: true}}"),
            (Lines{"f.yaml:4:72: spec.hedge.atLeast: expected a percentile beside it",
                   "f.yaml:4:85: spec.hedge.onPerTryTimeout: expected a perTryTimeout of the policy"}));
}

TEST(DecodeTest, ARetryPolicyIsChecked) {
  const std::string head =
      "apiVersion: policy.pillion.dev/v1alpha1\nkind: RetryPolicy\nmetadata: {name: p}\nspec: ";
  EXPECT_EQ(
      Problems(head +
               "{targetRefs: [{kind: Service, name: a}], retryOn: [5xx, retriable-status-codes], codes: "
               "[429], perTryTimeout: 1s, backoff: {base: 10ms}}"),
      Lines{});
  EXPECT_EQ(
      Problems(head + "{targetRefs: [{kind: Gateway, name: a}], retryOn: [retriable-status-codes], backoff: "
                      "{base: 1s, max: 1ms}}"),
      (Lines{
          "f.yaml:4:21: spec.targetRefs[0]: expected kind: Service, or kind: HTTPRoute or GRPCRoute of group "
          "gateway.networking.k8s.io",
          "f.yaml:4:48: spec.retryOn: expected both codes and the condition retriable-status-codes, or "
          "neither",
          "f.yaml:4:103: spec.backoff.max: expected at least the base"}));
  EXPECT_EQ(
      Problems(head +
               "{targetRefs: [{kind: Service, name: a}], retryOn: [retriable-headers], headers: [{name: "
               "X-A}, {name: b, value: c}], idempotent: true, perTryIdleTimeout: 1s, maxRetryAfter: 5s, "
               "budget: {percent: 0, perSecond: 0}}"),
      Lines{});
  EXPECT_EQ(
      Problems(head + "{targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: a}], retryOn: "
                      "[5xx], headers: "
                      "[{name: Host}], maxRetryAfter: 0s, budget: {percent: 101, perSecond: 1001}}"),
      (Lines{
          "f.yaml:4:125: spec.maxRetryAfter: expected more than 0",
          "f.yaml:4:111: spec.headers[0].name: expected the name of a header that does not frame the message",
          "f.yaml:4:100: spec.headers: expected both headers and the condition retriable-headers, or neither",
          "f.yaml:4:153: spec.budget.percent: expected 0 to 100",
          "f.yaml:4:167: spec.budget.perSecond: expected 0 to 1000",
          "f.yaml:4:144: spec.budget: expected only with targets of kind Service"}));
  EXPECT_EQ(Problems(head + "{}").size(), 2u);
}

TEST(DecodeTest, ALoadBalancingPolicyIsChecked) {
  const std::string head =
      "apiVersion: policy.pillion.dev/v1alpha1\nkind: LoadBalancingPolicy\nmetadata: {name: p}\nspec: ";
  EXPECT_EQ(Problems(head + "{targetRefs: [{kind: Service, name: a}], balancer: LeastRequest, choices: 100}"),
            Lines{});
  EXPECT_EQ(Problems(head + "{targetRefs: [{kind: Service, name: a}], balancer: Random, choices: 1}"),
            (Lines{"f.yaml:4:66: spec.choices: expected 2 to 100",
                   "f.yaml:4:66: spec.choices: expected only with balancer: LeastRequest"}));
  EXPECT_EQ(Problems(head + "{}").size(), 2u);
}

// What is wrong with a policy of that kind, without the places.
Lines PolicyProblems(const std::string& kind, const std::string& spec) {
  Lines lines =
      Problems("apiVersion: policy.pillion.dev/v1alpha1\nkind: " + kind +
               "\nmetadata: {name: p}\nspec: {targetRefs: [{kind: Service, name: a}], " + spec + "}");
  for (std::string& line : lines) line.erase(0, line.find(": ") + 2);
  return lines;
}

TEST(DecodeTest, WhatABalancerHashesOnIsChecked) {
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

TEST(DecodeTest, ACircuitBreakerPolicyIsChecked) {
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

TEST(DecodeTest, AHealthPolicyIsChecked) {
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

TEST(DecodeTest, AFaultPolicyIsChecked) {
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

TEST(DecodeTest, AnXdsOverrideIsCheckedAsASidecarChecksIt) {
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

TEST(DecodeTest, WhatAnXdsOverrideSaysOfEndpointsIsChecked) {
  const auto problems = [](const std::string& spec) { return PolicyProblems("XdsOverride", spec); };
  EXPECT_EQ(
      problems("loadAssignment: {policy: {overprovisioning_factor: 100}}, endpoints: [{zones: [a, ''], "
               "locality: {priority: 127, load_balancing_weight: 1, locality: {region: r}}}, {addresses: "
               "[10.0.0.0/8, 10.0.0.1, 'fd00::/8', a.example.com], endpoint: {load_balancing_weight: 3, "
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
  EXPECT_EQ(problems("endpoints: [{addresses: [10.0.0.0/33, 10.0.0.0/, a_b, '::/x'], endpoint: {}}]"),
            (Lines{"spec.endpoints[0].addresses[0]: expected an IP address, a prefix of addresses like "
                   "10.1.0.0/16, or a DNS name",
                   "spec.endpoints[0].addresses[1]: expected an IP address, a prefix of addresses like "
                   "10.1.0.0/16, or a DNS name",
                   "spec.endpoints[0].addresses[2]: expected an IP address, a prefix of addresses like "
                   "10.1.0.0/16, or a DNS name",
                   "spec.endpoints[0].addresses[3]: expected an IP address, a prefix of addresses like "
                   "10.1.0.0/16, or a DNS name"}));
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

TEST(DecodeTest, AnXdsOverrideWithoutTargetsIsOfTheWholeMeshAndSaysHeadersAlone) {
  const auto problems = [](const std::string& spec) {
    return Problems(
               "{apiVersion: policy.pillion.dev/v1alpha1, kind: XdsOverride, metadata: {name: d}, spec: {" +
               spec + "}}\n")
        .size();
  };
  EXPECT_EQ(problems("routeConfiguration: {request_headers_to_add: [{header: {key: a, value: b}}], "
                     "request_headers_to_remove: [c], response_headers_to_remove: [d]}"),
            0u);
  for (const char* const bad :
       {"routeConfiguration: {request_headers_to_remove: ['a b']}", "routeConfiguration: {name: a}",
        "routeConfiguration: {virtual_hosts: [{}]}", "routeConfiguration: {validate_clusters: true}",
        "routeConfiguration: {most_specific_header_mutations_wins: true}",
        "routeConfiguration: {request_mirror_policies: [{cluster: a}]}", "routeConfiguration: {}, route: {}",
        "routeConfiguration: {}, cluster: {}", "routeConfiguration: {}, endpoints: [{endpoint: {}}]",
        "cluster: {}", "route: {}", "targetRefs: [{kind: Service, name: s}], routeConfiguration: {}", ""}) {
    EXPECT_EQ(problems(bad), 1u) << bad;
  }
}

TEST(DecodeTest, AGrpcRouteHasNoDirectResponse) {
  EXPECT_EQ(Problems("{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: r}, spec: "
                     "{parentRefs: "
                     "[{group: '', kind: Service, name: a}], rules: [{filters: [{type: ExtensionRef, "
                     "extensionRef: {group: "
                     "policy.pillion.dev, kind: DirectResponse, name: d}}]}]}}\n"),
            Lines{"f.yaml:1:149: spec.rules[0].filters: expected no ExtensionRef: a DirectResponse is HTTP"});
}

TEST(DecodeTest, ADirectResponseIsChecked) {
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

TEST(DecodeTest, ARateLimitPolicyIsChecked) {
  const auto problems = [](const std::string& spec) { return PolicyProblems("RateLimitPolicy", spec); };
  EXPECT_EQ(
      problems("requests: 10, per: 1m, burst: 20, reportOnly: true, clients: [{by: Address, requests: 1}, "
               "{by: Header, header: X-User, requests: 2, per: 50ms}]"),
      Lines{});
  EXPECT_EQ(problems("requests: 1, clients: [{by: Identity, requests: 3}]"), Lines{});
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

TEST(DecodeTest, AnIdempotencyPolicyIsChecked) {
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
  EXPECT_EQ(problems("retries: 11"), Lines{"spec.retries: expected 0 to 10"});
  EXPECT_EQ(problems("limits: {requestBytes: 1048577, records: 0, bytes: 65535}"),
            (Lines{"spec.limits.requestBytes: expected 1 to 1048576",
                   "spec.limits.records: expected 1 to 100000000",
                   "spec.limits.bytes: expected 65536 to 1125899906842624"}));
}

TEST(DecodeTest, ATracingPolicyIsChecked) {
  const std::string head =
      "apiVersion: policy.pillion.dev/v1alpha1\nkind: TracingPolicy\nmetadata: {name: p}\nspec: ";
  EXPECT_EQ(Problems(head + "{collector: {name: otel, port: 4317}, samplingPercent: 0.5}"), Lines{});
  EXPECT_EQ(Problems(head + "{collector: {name: otel, port: 4317}, samplingPercent: 101}").size(), 1u);
  EXPECT_EQ(Problems(head + "{samplingPercent: 1}").size(), 1u);
}

}  // namespace
}  // namespace pillion::control
