// Objects as Kubernetes prints them load; what is wrong is said with file, line, column and the path as
// written.
#include "control-plane/source/file/decode.h"

#include <gtest/gtest.h>

#include "control-plane/source/file/decode_test_problems.h"

namespace pillion::control {
namespace {

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

}  // namespace
}  // namespace pillion::control
