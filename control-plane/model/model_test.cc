// References, conflicts and precedence. Objects are read from YAML by the file source: it is how they come.
#include "control-plane/model/model.h"

#include <gtest/gtest.h>

#include "control-plane/model/report.h"
#include "control-plane/source/file/decode.h"

namespace pillion::control {
namespace {

using Lines = std::vector<std::string>;

std::string ServiceYaml(const std::string& name, const std::string& more = "{port: 80}") {
  return "--- {apiVersion: v1, kind: Service, metadata: {name: " + name + "}, spec: {ports: [" + more +
         "]}}\n";
}
// `rules`: flow YAML of the list's inside.
std::string RouteYaml(const std::string& name, const std::string& parent, const std::string& rules,
                      const std::string& metadata = "") {
  return "--- {apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: " + name +
         metadata + "}, spec: {parentRefs: [{group: '', kind: Service, " + parent + "}], rules: [" + rules +
         "]}}\n";
}
std::string RetryYaml(const std::string& name, const std::string& target, int attempts,
                      const std::string& metadata = "") {
  return "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: RetryPolicy, metadata: {name: " + name +
         metadata + "}, spec: {targetRefs: [" + target +
         "], retryOn: [5xx], attempts: " + std::to_string(attempts) + "}}\n";
}

BuiltModel Build(const std::string& yaml) {
  const DecodedFile file = DecodeFile(yaml, "f");
  for (const Problem& problem : file.problems) ADD_FAILURE() << problem.ToString();
  return BuildModel(file.objects);
}
// Without the position, which decode_test looks at.
Lines Problems(const BuiltModel& built) {
  Lines lines;
  for (const Problem& problem : built.problems) {
    EXPECT_GT(problem.position.line, 0);
    lines.push_back(problem.path + ": " + problem.message);
  }
  return lines;
}
const MeshService& ServiceOf(const BuiltModel& built, const std::string& name) {
  return *built.model->FindService({"default", name});
}

uint32_t AttemptsOf(const std::optional<RetryRule>& retry) { return retry.has_value() ? retry->attempts : 0; }

TEST(ModelTest, EndpointsComeFromTheSlicesOfTheServiceByPortName) {
  const BuiltModel built = Build(
      ServiceYaml("a", "{name: x, port: 80}, {name: y, port: 81}") +
      "--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: a1, labels: "
      "{kubernetes.io/service-name: a}}, addressType: IPv4, endpoints: [{addresses: [10.0.0.1]}, {addresses: "
      "[10.0.0.2]}], ports: [{name: y, port: 8081}]}\n"
      "--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: a2, labels: "
      "{kubernetes.io/service-name: a, pillion/sidecar: 'true'}}, addressType: IPv4, endpoints: [{addresses: "
      "[10.0.0.2]}, {addresses: [10.0.0.3]}], ports: [{name: y, port: 8081}]}\n");
  EXPECT_EQ(Problems(built), Lines{});
  EXPECT_TRUE(ServiceOf(built, "a").ports[0].endpoints.empty());
  const std::vector<MeshEndpoint>& endpoints = ServiceOf(built, "a").ports[1].endpoints;
  ASSERT_EQ(endpoints.size(), 3u) << "10.0.0.2 is in both slices";
  EXPECT_FALSE(endpoints[0].peer);
  EXPECT_TRUE(endpoints[2].peer);
  EXPECT_EQ(endpoints[2].port, 8081);
}

std::string SliceYaml(const std::string& name, const std::string& family, const std::string& addresses) {
  return "--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: " + name +
         ", labels: {kubernetes.io/service-name: a}}, addressType: " + family + ", endpoints: [" + addresses +
         "], ports: [{port: 1}]}\n";
}
Lines Ips(const BuiltModel& built) {
  EXPECT_EQ(Problems(built), Lines{});
  Lines ips;
  for (const MeshEndpoint& endpoint : ServiceOf(built, "a").ports[0].endpoints) ips.push_back(endpoint.host);
  return ips;
}

TEST(ModelTest, ADualStackServiceHasEachPodOnceInItsFirstFamily) {
  const std::string slices = SliceYaml("a6", "IPv6", "{addresses: ['fd00::1']}") +
                             SliceYaml("a4", "IPv4", "{addresses: [10.0.0.1]}");
  const auto service = [](const std::string& families) {
    return "--- {apiVersion: v1, kind: Service, metadata: {name: a}, spec: {" + families +
           "ports: [{port: 80}]}}\n";
  };
  EXPECT_EQ(Ips(Build(service("") + slices)), Lines{"10.0.0.1"});
  EXPECT_EQ(Ips(Build(service("ipFamilies: [IPv4, IPv6], ") + slices)), Lines{"10.0.0.1"});
  EXPECT_EQ(Ips(Build(service("ipFamilies: [IPv6, IPv4], ") + slices)), Lines{"fd00::1"});
  EXPECT_EQ(Ips(Build(service("") + SliceYaml("a6", "IPv6", "{addresses: ['fd00::1']}") +
                      SliceYaml("a4", "IPv4", ""))),
            Lines{"fd00::1"})
      << "the other family is better than none";
}

TEST(ModelTest, NamesAreEndpointsWhateverTheFamilyOfTheOthers) {
  const BuiltModel built =
      Build(ServiceYaml("a") + SliceYaml("a4", "IPv4", "{addresses: [10.0.0.1]}") +
            SliceYaml("af", "FQDN", "{addresses: [B.test, c.test]}, {addresses: [d.test.]}"));
  EXPECT_EQ(Ips(built), (Lines{"10.0.0.1", "b.test", "d.test."}));
  EXPECT_EQ(ServiceOf(built, "a").ports[0].discovery, MeshPort::Discovery::kNames);
  const BuiltModel without = Build(ServiceYaml("a") + SliceYaml("a4", "IPv4", "{addresses: [10.0.0.1]}") +
                                   SliceYaml("af", "FQDN", ""));
  EXPECT_EQ(ServiceOf(without, "a").ports[0].discovery, MeshPort::Discovery::kEndpoints);
}

TEST(ModelTest, AnExternalNameIsTheEndpointOfEachPort) {
  const std::string service =
      "--- {apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: ExternalName, externalName: "
      "api.Example.com, ports: [{name: x, port: 80}, {name: y, port: 443}]}}\n";
  const BuiltModel built = Build(service);
  EXPECT_EQ(Ips(built), Lines{"api.example.com"});
  ASSERT_EQ(ServiceOf(built, "a").ports.size(), 2u);
  EXPECT_EQ(ServiceOf(built, "a").ports[1].endpoints[0].port, 443);
  EXPECT_EQ(ServiceOf(built, "a").ports[1].discovery, MeshPort::Discovery::kExternalName);
  const std::string slice =
      "--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: a1, labels: "
      "{kubernetes.io/service-name: a}}, addressType: IPv4, endpoints: [{addresses: [10.0.0.1]}], ports: "
      "[{name: x, port: 1}]}\n";
  EXPECT_EQ(
      Problems(Build(service + slice)),
      Lines{"metadata.labels[\"kubernetes.io/service-name\"]: expected a Service that is no ExternalName; "
            "default/a is one"});
}

TEST(ModelTest, OneAddressInTwoSpellingsIsOneEndpoint) {
  EXPECT_EQ(
      Ips(Build(ServiceYaml("a") +
                SliceYaml("a1", "IPv6", "{addresses: ['fd00::1']}, {addresses: ['fd00:0:0:0:0:0:0:1']}") +
                SliceYaml("a2", "IPv6", "{addresses: ['FD00::0001']}"))),
      Lines{"fd00::1"});
}

TEST(ModelTest, TheLabelOfASliceOverridesThatOfItsService) {
  const auto slice = [](const std::string& labels) {
    return "--- {apiVersion: v1, kind: Service, metadata: {name: a, labels: {pillion/sidecar: 'true'}}, "
           "spec: {ports: "
           "[{port: 80}]}}\n--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: a1, "
           "labels: "
           "{kubernetes.io/service-name: a" +
           labels + "}}, addressType: IPv4, endpoints: [{addresses: [10.0.0.1]}], ports: [{port: 1}]}\n";
  };
  EXPECT_TRUE(ServiceOf(Build(slice("")), "a").ports[0].endpoints[0].peer);
  EXPECT_FALSE(ServiceOf(Build(slice(", pillion/sidecar: 'false'")), "a").ports[0].endpoints[0].peer);
}

TEST(ModelTest, DanglingReferencesAreReportedAndTheRestIsKept) {
  const BuiltModel built = Build(
      ServiceYaml("a") +
      RouteYaml("r", "name: a",
                "{backendRefs: [{name: nowhere, port: 80}, {name: a, port: 81}, {name: a, port: 80}]}") +
      RouteYaml("s", "name: nowhere", "{backendRefs: [{name: a, port: 80}]}") +
      RouteYaml("t", "name: a, port: 81", "{backendRefs: [{name: a, namespace: other, port: 80}]}") +
      RetryYaml(
          "p", "{kind: Service, name: nowhere}, {group: gateway.networking.k8s.io, kind: HTTPRoute, name: n}",
          1));
  const std::string no_grant =
      "spec.rules[0].backendRefs[0]: expected a Service of this namespace, or a ReferenceGrant in namespace "
      "other for HTTPRoutes of default";
  EXPECT_EQ(
      Problems(built),
      (Lines{"spec.rules[0].backendRefs[0]: expected a Service, there is no default/nowhere",
             "spec.rules[0].backendRefs[1].port: expected an HTTP port of the Service, default/a has no 81",
             no_grant, "spec.targetRefs[0]: expected a Service, there is no default/nowhere",
             "spec.targetRefs[1]: expected an HTTPRoute, there is no default/n",
             "spec.parentRefs[0]: expected a Service, there is no default/nowhere",
             "spec.parentRefs[0].port: expected an HTTP port of the Service, default/a has no 81"}));
  ASSERT_EQ(ServiceOf(built, "a").routes.size(), 1u);
  const MeshRule& rule = ServiceOf(built, "a").routes[0].route->rules[0];
  EXPECT_FALSE(rule.backends[0].valid);
  EXPECT_FALSE(rule.backends[1].valid);
  EXPECT_TRUE(rule.backends[2].valid);
}

std::string GrpcYaml(const std::string& name, const std::string& parent, const std::string& rules,
                     const std::string& metadata = "") {
  return "--- {apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: " + name +
         metadata + "}, spec: {parentRefs: [{group: '', kind: Service, " + parent + "}], rules: [" + rules +
         "]}}\n";
}

TEST(ModelTest, AGrantLetsRoutesNameServicesOfItsNamespace) {
  const std::string services =
      ServiceYaml("a") +
      "--- {apiVersion: v1, kind: Service, metadata: {name: b, namespace: other}, spec: {ports: "
      "[{port: 80, appProtocol: grpc}]}}\n";
  const std::string backend = "{backendRefs: [{name: b, namespace: other, port: 80}]}";
  const std::string http = RouteYaml("r", "name: a", backend);
  const auto grant = [](const std::string& from, const std::string& to, const std::string& ns = "other",
                        const std::string& version = "v1beta1") {
    return "--- {apiVersion: gateway.networking.k8s.io/" + version +
           ", kind: ReferenceGrant, metadata: {name: g, namespace: " + ns + "}, spec: {from: [" + from +
           "], to: [" + to + "]}}\n";
  };
  const auto routes = [](const std::string& kind, const std::string& ns) {
    return "{group: gateway.networking.k8s.io, kind: " + kind + ", namespace: " + ns + "}";
  };
  const auto valid = [&](const std::string& yaml) {
    const BuiltModel built = Build(services + yaml);
    const bool is = ServiceOf(built, "a").routes[0].route->rules[0].backends[0].valid;
    EXPECT_EQ(Problems(built).empty(), is);
    return is;
  };
  const std::string ours = routes("HTTPRoute", "default");
  const std::string all = "{group: '', kind: Service}";
  EXPECT_FALSE(valid(http));
  EXPECT_TRUE(valid(http + grant(ours, all)));
  EXPECT_TRUE(valid(grant(ours, all, "other", "v1") + http)) << "wherever it stands";
  EXPECT_TRUE(valid(http + grant(routes("GRPCRoute", "x") + ", " + ours,
                                 "{group: '', kind: Secret}, {kind: Service, name: b}")));
  EXPECT_FALSE(valid(http + grant(ours, "{kind: Service, name: c}")));
  EXPECT_FALSE(valid(http + grant(ours, "{kind: Secret}, {group: example.com, kind: Service}")));
  EXPECT_FALSE(valid(http + grant(ours, all, "default"))) << "it is the other namespace's to give";
  EXPECT_FALSE(valid(http + grant(routes("HTTPRoute", "third"), all)));
  EXPECT_FALSE(valid(http + grant(routes("GRPCRoute", "default"), all)));
  EXPECT_FALSE(valid(http + grant("{group: example.com, kind: HTTPRoute, namespace: default}", all)));
  const std::string grpc = GrpcYaml("r", "name: a", backend);
  EXPECT_FALSE(valid(grpc + grant(ours, all)));
  EXPECT_TRUE(valid(grpc + grant(routes("GRPCRoute", "default"), all)));
  EXPECT_EQ(
      Problems(Build(services + grpc)),
      Lines{"spec.rules[0].backendRefs[0]: expected a Service of this namespace, or a ReferenceGrant in "
            "namespace other for GRPCRoutes of default"});
}

TEST(ModelTest, ACallIsForABackendThatSpeaksHttp2) {
  const BuiltModel built =
      Build(ServiceYaml("a", "{name: http, port: 80}, {name: grpc, port: 81, appProtocol: grpc}") +
            GrpcYaml("g", "name: a", "{backendRefs: [{name: a, port: 80}, {name: a, port: 81}]}"));
  EXPECT_EQ(Problems(built),
            Lines{"spec.rules[0].backendRefs[0].port: expected a port of appProtocol grpc, that "
                  "of default/a is of HTTP/1"});
  const MeshRule& rule = ServiceOf(built, "a").routes[0].route->rules[0];
  EXPECT_FALSE(rule.backends[0].valid);
  EXPECT_TRUE(rule.backends[1].valid);
}

TEST(ModelTest, HttpRoutesGiveWayToGrpcRoutesOfTheirNamespaceOnAPort) {
  const BuiltModel built =
      Build(ServiceYaml("a", "{name: x, port: 80}, {name: y, port: 81}") +
            RouteYaml("same", "name: a, port: 80", "{}") + RouteYaml("all", "name: a", "{}") +
            RouteYaml("else", "name: a, port: 81", "{}") +
            RouteYaml("other", "name: a, namespace: default", "{}", ", namespace: other") +
            GrpcYaml("same", "name: a, port: 80", "{}"));
  const std::string displaced =
      "spec.parentRefs[0]: expected no GRPCRoute at port 80 of the Service: there this route does not count";
  EXPECT_EQ(Problems(built), (Lines{displaced, displaced}));
  EXPECT_EQ(built.model->route_count, 5u) << "names of two kinds may be the same";
  const auto names = [&](uint16_t port, const std::string& ns) {
    Lines lines;
    for (const MeshRoute* route : ServiceOf(built, "a").RoutesFor(port, ns))
      lines.push_back((route->kind == RouteKind::kGrpc ? "grpc " : "http ") + route->name.ToString());
    return lines;
  };
  EXPECT_EQ(names(80, "default"), Lines{"grpc default/same"});
  EXPECT_EQ(names(81, "default"), (Lines{"http default/all", "http default/else"}));
  EXPECT_EQ(names(80, "other"), Lines{"http other/other"}) << "a consumer's own";
}

TEST(ModelTest, ARetryPolicyIsOfTheRouteOfItsKind) {
  const auto target = [](const char* kind) {
    return "{group: gateway.networking.k8s.io, kind: " + std::string(kind) + ", name: r}";
  };
  const std::string routes = ServiceYaml("a") + RouteYaml("r", "name: a, port: 80", "{}");
  EXPECT_EQ(Problems(Build(routes + RetryYaml("p", target("GRPCRoute"), 1))),
            Lines{"spec.targetRefs[0]: expected a GRPCRoute, there is no default/r"});
  const BuiltModel built =
      Build(ServiceYaml("a", "{name: x, port: 80}, {name: y, port: 81}") +
            RouteYaml("r", "name: a, port: 80", "{}") + GrpcYaml("r", "name: a, port: 81", "{}") +
            RetryYaml("p", target("GRPCRoute"), 2) + RetryYaml("q", target("HTTPRoute"), 3));
  EXPECT_EQ(Problems(built), Lines{});
  EXPECT_EQ(AttemptsOf(ServiceOf(built, "a").RoutesFor(81, "default")[0]->rules[0].retry), 2u);
  EXPECT_EQ(AttemptsOf(ServiceOf(built, "a").RoutesFor(80, "default")[0]->rules[0].retry), 3u);
}

TEST(ModelTest, ANameGivenTwiceIsReportedAndTheFirstStays) {
  const BuiltModel built = Build(ServiceYaml("a") + ServiceYaml("a", "{port: 81}"));
  EXPECT_EQ(Problems(built), Lines{"metadata.name: expected another name, Service default/a is also in f"});
  EXPECT_EQ(ServiceOf(built, "a").ports[0].port, 80);
}

TEST(ModelTest, AClusterIpIsThatOfTheOlderService) {
  const auto service = [](const std::string& name, const std::string& created) {
    return "--- {apiVersion: v1, kind: Service, metadata: {name: " + name + created +
           "}, spec: {clusterIPs: [10.96.0.1, 'fd00::" + name + "'], ports: [{port: 80}]}}\n";
  };
  const BuiltModel built =
      Build(service("a", "") + service("b", ", creationTimestamp: '2026-01-01T00:00:00Z'"));
  EXPECT_EQ(Problems(built),
            Lines{"spec.clusterIPs: expected addresses of no other Service, 10.96.0.1 is that of default/b"});
  EXPECT_EQ(ServiceOf(built, "a").cluster_ips, Lines{"fd00::a"});
  EXPECT_EQ(ServiceOf(built, "b").cluster_ips, (Lines{"10.96.0.1", "fd00::b"}));
}

TEST(ModelTest, TheNearerRetryPolicyWinsAndTheOlderOfTwo) {
  const std::string route_target = "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}";
  const BuiltModel built = Build(ServiceYaml("a") +
                                 RouteYaml("r", "name: a",
                                           "{backendRefs: [{name: a, port: 80}], retry: {attempts: 5}}, "
                                           "{backendRefs: [{name: a, port: 80}]}") +
                                 RetryYaml("young", "{kind: Service, name: a}, " + route_target, 1) +
                                 RetryYaml("old", "{kind: Service, name: a}, " + route_target, 3,
                                           ", creationTimestamp: '2026-01-01T00:00:00Z'"));
  const MeshService& service = ServiceOf(built, "a");
  EXPECT_EQ(AttemptsOf(service.retry), 3u);
  EXPECT_EQ(AttemptsOf(service.routes[0].route->rules[0].retry), 5u);
  EXPECT_EQ(AttemptsOf(service.routes[0].route->rules[1].retry), 3u);
  EXPECT_EQ(Problems(built).size(), 2u);
}

TEST(ModelTest, TheOlderOfTwoLoadBalancingPoliciesCounts) {
  const auto policy = [](const std::string& name, const std::string& balancer,
                         const std::string& metadata = "") {
    return "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: LoadBalancingPolicy, metadata: {name: " +
           name + metadata + "}, spec: {targetRefs: [{kind: Service, name: a}], balancer: " + balancer +
           "}}\n";
  };
  const BuiltModel built =
      Build(ServiceYaml("a") + policy("young", "Random") +
            policy("old", "LeastRequest", ", creationTimestamp: '2026-01-01T00:00:00Z'"));
  EXPECT_EQ(ServiceOf(built, "a").balancer.value_or(BalancerRule{}).kind, BalancerRule::Kind::kLeastRequest);
  EXPECT_EQ(Problems(built),
            Lines{"spec.targetRefs[0]: expected a target without a LoadBalancingPolicy, an older one is "
                  "attached to it"});
  EXPECT_EQ(Problems(Build(policy("p", "Random"))),
            Lines{"spec.targetRefs[0]: expected a Service, there is no default/a"});
  EXPECT_EQ(built.model->policy_count, 2u);
}

TEST(ModelTest, TheOlderOfTwoTrafficPoliciesCounts) {
  const auto policy = [](const std::string& kind, const std::string& name, const std::string& spec,
                         const std::string& metadata = "") {
    return "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: " + kind + ", metadata: {name: " + name +
           metadata + "}, spec: {targetRefs: [{kind: Service, name: a}], " + spec + "}}\n";
  };
  const std::string old = ", creationTimestamp: '2026-01-01T00:00:00Z'";
  const BuiltModel built = Build(ServiceYaml("a") + policy("FaultPolicy", "young", "abort: {status: 500}") +
                                 policy("FaultPolicy", "old", "abort: {status: 501}", old) +
                                 policy("RateLimitPolicy", "young", "requests: 5") +
                                 policy("RateLimitPolicy", "old", "requests: 7", old));
  const MeshService& service = ServiceOf(built, "a");
  ASSERT_TRUE(service.fault.has_value() && service.fault->abort.has_value());
  EXPECT_EQ(service.fault->abort->status, 501u);
  ASSERT_TRUE(service.rate_limit.has_value());
  EXPECT_EQ(service.rate_limit->all.requests, 7u);
  EXPECT_EQ(built.model->policy_count, 4u);
  EXPECT_EQ(
      Problems(built),
      (Lines{"spec.targetRefs[0]: expected a target without a FaultPolicy, an older one is attached to it",
             "spec.targetRefs[0]: expected a target without a RateLimitPolicy, an older one is attached "
             "to it"}));
  for (const char* kind : {"FaultPolicy", "RateLimitPolicy"}) {
    EXPECT_EQ(Problems(Build(policy(
                  kind, "p", std::string(kind) == "FaultPolicy" ? "abort: {status: 500}" : "requests: 1"))),
              Lines{"spec.targetRefs[0]: expected a Service, there is no default/a"});
  }
}

TEST(ModelTest, TracingIsOfTheServiceElseOfTheMesh) {
  const auto policy = [](const std::string& name, const std::string& spec) {
    return "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: TracingPolicy, metadata: {name: " + name +
           "}, spec: {collector: {name: otel, port: 4317}, " + spec + "}}\n";
  };
  const std::string services = ServiceYaml("a") + ServiceYaml("otel", "{port: 4317, appProtocol: grpc}");
  const BuiltModel built = Build(services + policy("m", "samplingPercent: 1") +
                                 policy("s", "samplingPercent: 50, targetRefs: [{kind: Service, name: a}]"));
  EXPECT_EQ(Problems(built), Lines{});
  EXPECT_EQ(built.model->TracingOf({"default", "a"})->sampling_percent, 50);
  EXPECT_EQ(built.model->TracingOf({"default", "other"})->sampling_percent, 1);
  EXPECT_EQ(Problems(Build(services + policy("m", "") + policy("n", ""))).size(), 1u);
}

TEST(ModelTest, ACollectorThatDoesNotSpeakGrpcIsRefused) {
  const BuiltModel built =
      Build(ServiceYaml("otel", "{port: 4317}") +
            "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: TracingPolicy, metadata: {name: "
            "m}, spec: {collector: {name: otel, port: 4317}}}\n");
  EXPECT_EQ(Problems(built).size(), 1u);
  EXPECT_EQ(built.model->TracingOf({"default", "a"}), nullptr);
}

// The names of the rules in the order in which they are tried.
Lines Order(const std::string& routes) {
  const BuiltModel built = Build(ServiceYaml("a") + routes);
  std::vector<const MeshRoute*> attached;
  for (const Attachment& attachment : ServiceOf(built, "a").routes)
    attached.push_back(attachment.route.get());
  Lines names;
  for (const RankedMatch& ranked : InPrecedence(attached)) names.push_back(ranked.rule->name.substr(8));
  return names;
}

TEST(PrecedenceTest, ExactThenLongestPrefixThenMethodThenHeaders) {
  EXPECT_EQ(Order(RouteYaml("r", "name: a",
                            "{name: root}, {name: one, matches: [{path: {value: /a}}]}, "
                            "{name: headers, matches: [{path: {value: /a}, headers: [{name: x, value: y}, "
                            "{name: z, value: z}]}]}, "
                            "{name: header, matches: [{path: {value: /a}, headers: [{name: x, value: y}]}]}, "
                            "{name: method, matches: [{path: {value: /a}, method: GET}]}, "
                            "{name: long, matches: [{path: {value: /a/b}}]}, "
                            "{name: exact, matches: [{path: {type: Exact, value: /a}}]}")),
            (Lines{"r/exact", "r/long", "r/method", "r/headers", "r/header", "r/one", "r/root"}));
}

TEST(PrecedenceTest, ExpressionsComeBetweenAndParametersLast) {
  EXPECT_EQ(
      Order(RouteYaml("r", "name: a",
                      "{name: param, matches: [{queryParams: [{name: q, value: v}]}]}, "
                      "{name: params, matches: [{queryParams: [{name: q, value: v}, {name: p, value: v}]}]}, "
                      "{name: header, matches: [{headers: [{name: x, value: y}]}]}, "
                      "{name: prefix, matches: [{path: {value: /a/long/prefix}}]}, "
                      "{name: short, matches: [{path: {type: RegularExpression, value: /.}}]}, "
                      "{name: long, matches: [{path: {type: RegularExpression, value: /..}}]}, "
                      "{name: exact, matches: [{path: {type: Exact, value: /}}]}")),
      (Lines{"r/exact", "r/long", "r/short", "r/prefix", "r/header", "r/params", "r/param"}));
}

TEST(PrecedenceTest, TiesGoToTheOldestThenTheNameThenTheFirstRule) {
  const std::string rules = "{name: x}, {name: y}";
  EXPECT_EQ(Order(RouteYaml("c", "name: a", rules) + RouteYaml("b", "name: a", rules) +
                  RouteYaml("z", "name: a", "{name: x}", ", creationTimestamp: '2026-01-01T00:00:00Z'")),
            (Lines{"z/x", "b/x", "b/y", "c/x", "c/y"}));
}

TEST(PrecedenceTest, OfCallsTheLongerServiceThenMethodThenExpressionsThenHeaders) {
  const auto match = [](const std::string& name, const std::string& match) {
    return "{name: " + name + ", matches: [{" + match + "}]}, ";
  };
  EXPECT_EQ(
      Order(GrpcYaml("r", "name: a",
                     match("all", "") + match("header", "headers: [{name: x, value: y}]") +
                         match("regexes", "method: {type: RegularExpression, service: 'a', method: '.*'}") +
                         match("regex", "method: {type: RegularExpression, service: 'a.*'}") +
                         match("method", "method: {method: M}") + match("longer", "method: {method: Mm}") +
                         match("service", "method: {service: a.B}") +
                         match("both", "method: {service: a.B, method: M}") +
                         match("headers", "method: {service: a.B}, headers: [{name: x, value: y}]") +
                         match("long", "method: {service: a.b.C}"))),
      (Lines{"r/long", "r/both", "r/headers", "r/service", "r/longer", "r/method", "r/regex", "r/regexes",
             "r/header", "r/all"}));
}

TEST(DurationTest, IsGep2257) {
  using std::chrono::milliseconds;
  EXPECT_EQ(ParseGatewayDuration("500ms"), milliseconds(500));
  EXPECT_EQ(ParseGatewayDuration("1m30s"), milliseconds(90'000));
  EXPECT_EQ(ParseGatewayDuration("1h1m1s1ms"), milliseconds(3'661'001));
  EXPECT_EQ(ParseGatewayDuration("0s"), milliseconds(0));
  for (const char* bad :
       {"", "1", "1.5s", "-1s", "1d", "ms", "100000s", "1s1s1s1s1s", "1 s", "99999999999999999999999s"}) {
    EXPECT_EQ(ParseGatewayDuration(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace pillion::control
