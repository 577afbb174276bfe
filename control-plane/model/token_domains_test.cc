// Which policies on tokens count for what, and what sidecars of a Service enforce because of them.
#include "control-plane/model/token_domains.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "control-plane/model/model.h"
#include "control-plane/model/report.h"
#include "control-plane/model/token_keys.h"
#include "control-plane/source/file/decode.h"

namespace pillion::control {
namespace {

using Lines = std::vector<std::string>;

std::string ServiceYaml(const std::string& name, const std::string& more = "") {
  return "--- {apiVersion: v1, kind: Service, metadata: {name: " + name + "}, spec: {ports: [{port: 80}]" +
         more + "}}\n";
}
// On the Service a. `backends`: flow YAML of each rule's.
std::string RouteYaml(const std::string& name, const Lines& backends) {
  std::string rules;
  for (const std::string& one : backends) rules += "{backendRefs: [" + one + "]}, ";
  return "--- {apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: " + name +
         "}, spec: {parentRefs: [{group: '', kind: Service, name: a}], rules: [" + rules + "]}}\n";
}
std::string To(const std::string& service) { return "{name: " + service + ", port: 80}"; }
// `target`: flow YAML.
std::string PolicyYaml(const std::string& name, const std::string& target, const std::string& more = "",
                       const std::string& metadata = "") {
  return "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: IdempotencyPolicy, metadata: {name: " + name +
         metadata + "}, spec: {targetRefs: [" + target + "], " + more + "}}\n";
}
std::string OnService(const std::string& name) { return "{kind: Service, name: " + name + "}"; }
std::string OnRoute(const std::string& name, const std::string& kind = "HTTPRoute") {
  return "{group: gateway.networking.k8s.io, kind: " + kind + ", name: " + name + "}";
}
constexpr char kOld[] = ", creationTimestamp: '2026-01-01T00:00:00Z'";

BuiltModel Build(const std::string& yaml) {
  const DecodedFile file = DecodeFile(yaml, "f");
  for (const Problem& problem : file.problems) ADD_FAILURE() << problem.ToString();
  const TokenKeys keys = TokenKeys::Worthless();
  return BuildModel(file.objects, &keys);
}
Lines Problems(const BuiltModel& built) {
  Lines lines;
  for (const Problem& problem : built.problems) lines.push_back(problem.path + ": " + problem.message);
  return lines;
}
const MeshService& ServiceOf(const BuiltModel& built, const std::string& name) {
  return *built.model->FindService({"default", name});
}
uint32_t RetriesOf(const std::optional<TokenRule>& rule) { return rule.has_value() ? *rule->retries : 0; }
uint32_t RetriesOf(const BuiltModel& built, size_t route, size_t rule = 0) {
  return RetriesOf(ServiceOf(built, "a").routes.at(route).route->rules.at(rule).tokens);
}

TEST(TokenDomains, APolicyOnARouteIsForItsRulesAndThatOfAServiceStaysItsOwn) {
  const BuiltModel built = Build(
      ServiceYaml("a") + ServiceYaml("b") + RouteYaml("r", {To("a"), To("a") + ", " + To("b")}) +
      RouteYaml("s", {To("b")}) + PolicyYaml("of-service", OnService("a"), "retries: 1, validity: 10s") +
      PolicyYaml("of-route", OnRoute("r"), "retries: 2, validity: 20s"));
  EXPECT_EQ(Problems(built), Lines{});
  EXPECT_EQ(RetriesOf(ServiceOf(built, "a").tokens), 1u);
  EXPECT_EQ(RetriesOf(built, 0, 0), 2u);
  EXPECT_EQ(RetriesOf(built, 0, 1), 2u);
  EXPECT_EQ(RetriesOf(built, 1), 0u);
  const auto& of_a = ServiceOf(built, "a").enforced;
  ASSERT_EQ(of_a.size(), 2u) << "both, whoever sends";
  EXPECT_TRUE(of_a[0].of_service && of_a[0].routes.empty());
  EXPECT_FALSE(of_a[1].of_service);
  EXPECT_EQ(of_a[1].routes, std::set<std::string>{"HTTPRoute default/r"});
  EXPECT_EQ(of_a[1].ports, std::set<uint16_t>{80});
  const auto& of_b = ServiceOf(built, "b").enforced;
  ASSERT_EQ(of_b.size(), 1u);
  EXPECT_EQ(of_b[0].rule.validity, std::chrono::seconds(20));
}

TEST(TokenDomains, TheOlderOfTwoPoliciesOnARouteCounts) {
  const std::string mesh = ServiceYaml("a") + RouteYaml("r", {To("a")});
  const BuiltModel built = Build(mesh + PolicyYaml("young", OnRoute("r"), "retries: 1, validity: 10s") +
                                 PolicyYaml("old", OnRoute("r"), "retries: 2, validity: 20s", kOld));
  EXPECT_EQ(RetriesOf(built, 0), 2u);
  ASSERT_EQ(ServiceOf(built, "a").enforced.size(), 1u);
  EXPECT_EQ(ServiceOf(built, "a").enforced[0].rule.validity, std::chrono::seconds(20));
  EXPECT_EQ(Problems(built), Lines{"spec.targetRefs[0]: expected a target without a IdempotencyPolicy, an "
                                   "older one is attached to it"});
  EXPECT_EQ(Problems(Build(mesh + PolicyYaml("p", OnRoute("none")))),
            Lines{"spec.targetRefs[0]: expected an HTTPRoute, there is no default/none"});
  EXPECT_EQ(Problems(Build(mesh + PolicyYaml("p", OnRoute("r", "GRPCRoute")))),
            Lines{"spec.targetRefs[0]: expected a GRPCRoute, there is no default/r"});
}

TEST(TokenDomains, PoliciesThatSayTheSameOfRecordsShareThem) {
  const std::string mesh = ServiceYaml("a") + RouteYaml("r", {To("a")}) + RouteYaml("s", {To("a")});
  const auto enforced = [&](const std::string& of_service, const std::string& of_route) {
    const BuiltModel built = Build(mesh + PolicyYaml("one", OnService("a"), of_service) +
                                   PolicyYaml("two", OnRoute("r") + ", " + OnRoute("s"), of_route));
    EXPECT_EQ(Problems(built), Lines{});
    return ServiceOf(built, "a").enforced;
  };
  const auto alike = enforced("retries: 1, methods: [PUT]", "retries: 2, grpcMethods: [/a.B/C]");
  ASSERT_EQ(alike.size(), 1u) << "what callers alone are told";
  EXPECT_TRUE(alike[0].of_service);
  EXPECT_EQ(alike[0].routes, (std::set<std::string>{"HTTPRoute default/r", "HTTPRoute default/s"}));
  EXPECT_EQ(enforced("validity: 10s", "validity: 11s").size(), 2u);
  EXPECT_EQ(enforced("keySource: AppOrMint", "retries: 2").size(), 2u);
  EXPECT_EQ(enforced("limits: {requestBytes: 5}", "limits: {requestBytes: 6}").size(), 2u);
  EXPECT_EQ(enforced("retries: 1", "mode: Shared, store: {addresses: ['redis:1'], keyFile: /k}").size(), 2u);
  EXPECT_EQ(enforced("retries: 1", "keySource: Passthrough").size(), 1u) << "nobody has to keep records";
}

TEST(TokenDomains, WhatASidecarWouldNotTakeIsNotSent) {
  std::string yaml = ServiceYaml("a") + ServiceYaml("b") + PolicyYaml("of-service", OnService("a"));
  for (size_t i = 0; i < kMaxTokenDomains; ++i) {
    const std::string name = "r" + std::to_string(100 + i);
    yaml += RouteYaml(name, {To("a"), To("b")}) +
            PolicyYaml("p" + name, OnRoute(name), "retries: 2, validity: " + std::to_string(100 + i) + "s");
  }
  const BuiltModel built = Build(yaml);
  EXPECT_EQ(Problems(built),
            Lines{"spec.targetRefs[0]: expected at most 64 policies that differ for one Service, default/a "
                  "has them: this one has no effect on the route"});
  EXPECT_EQ(ServiceOf(built, "a").enforced.size(), kMaxTokenDomains);
  EXPECT_TRUE(ServiceOf(built, "a").enforced[0].of_service);
  EXPECT_EQ(ServiceOf(built, "b").enforced.size(), kMaxTokenDomains - 1) << "nor at its other backends";
  EXPECT_EQ(RetriesOf(built, kMaxTokenDomains - 2), 2u);
  EXPECT_EQ(RetriesOf(built, kMaxTokenDomains - 1), 0u);
}

TEST(TokenDomains, BackendsThatCannotEnforceAreNamed) {
  const std::string policy = PolicyYaml("p", OnRoute("r"));
  const auto problems = [&](const std::string& backend, const std::string& more = "") {
    return Problems(Build(ServiceYaml("a") + more + RouteYaml("r", {To("a") + ", " + backend}) + policy));
  };
  EXPECT_EQ(problems(To("far"), ServiceYaml("far", ", type: ExternalName, externalName: far.example.com")),
            Lines{"spec.targetRefs[0]: expected a route to Services whose endpoints are addresses: "
                  "default/far:80 is reached by a name, and its requests get no tokens"});
  // The route says this by itself.
  EXPECT_EQ(problems("{name: b, namespace: other, port: 80}"),
            Lines{"spec.rules[0].backendRefs[1]: expected a Service of this namespace, or a ReferenceGrant "
                  "in namespace other for HTTPRoutes of default"});
  EXPECT_EQ(problems(To("none")),
            Lines{"spec.rules[0].backendRefs[1]: expected a Service, there is no default/none"});
}

// Else whoever may send pods of another namespace requests could fill their memory, and have their files
// read.
TEST(TokenDomains, PodsOfAnotherNamespaceKeepNoRecordsForARoute) {
  const std::string other =
      "--- {apiVersion: v1, kind: Service, metadata: {name: b, namespace: other}, spec: {ports: [{port: "
      "80}]}}\n"
      "--- {apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: g, "
      "namespace: other}, spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: "
      "default}], to: [{kind: Service}]}}\n" +
      ServiceYaml("a") + RouteYaml("r", {To("a") + ", {name: b, namespace: other, port: 80}"});
  const BuiltModel built = Build(other + PolicyYaml("p", OnRoute("r")));
  EXPECT_EQ(Problems(built),
            Lines{"spec.targetRefs[0]: expected backends of namespace default: at other/b the "
                  "policy of that Service counts, if it has one"});
  EXPECT_EQ(ServiceOf(built, "a").enforced.size(), 1u);
  EXPECT_TRUE(built.model->FindService({"other", "b"})->enforced.empty());
  EXPECT_EQ(Problems(Build(other + PolicyYaml("p", OnRoute("r"), "keySource: Passthrough"))), Lines{})
      << "pods keep nothing for it";
}

TEST(TokenDomains, AServiceHasAKeyWhereAnyOfItsStoresNeedsOne) {
  const auto key = [](const std::string& more) {
    return ServiceOf(Build(ServiceYaml("a") + RouteYaml("r", {To("a")}) +
                           PolicyYaml("p", OnRoute("r"),
                                      "mode: Shared, store: {addresses: ['redis:1']" + more + "}")),
                     "a")
        .token_key;
  };
  EXPECT_EQ(key("").size(), TokenKeys::kBytes);
  EXPECT_EQ(key(", keyFile: /k"), "");
}

}  // namespace
}  // namespace pillion::control
