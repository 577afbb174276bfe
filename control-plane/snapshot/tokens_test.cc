// What becomes of keys of apps (keySource of an IdempotencyPolicy).
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "control-plane/snapshot/build_test_mesh.h"
#include "control-plane/snapshot/rollout.h"
#include "pillion/sidecar/v1/idempotency.pb.h"

namespace pillion::control {
namespace {

constexpr char kFilter[] = "pillion.idempotency";

std::string KeysYaml(const std::string& more) { return PolicyYaml("IdempotencyPolicy", more); }
// Of the Service orders; those that are ready, "10.0.0.1", and one that is not.
std::string Slice(const std::vector<std::string>& ready) {
  std::string endpoints;
  for (const std::string& ip : ready) endpoints += "{addresses: [" + ip + "]}, ";
  return "--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: o, namespace: shop, "
         "labels: {kubernetes.io/service-name: orders, pillion/sidecar: \"true\"}}, addressType: IPv4, "
         "endpoints: [" +
         endpoints +
         "{addresses: [10.0.0.9], conditions: {ready: false}}], ports: [{name: http, port: 15006}]}\n";
}
// As the sidecar of the pod there is told.
sidecar::v1::TokenDomain DomainAt(const std::string& ip, const std::string& yaml) {
  const std::map<std::string, std::string> metadata = {{"namespace", "shop"},
                                                       {"service", "orders"},
                                                       {"inbound_listener", ip + ":15006"},
                                                       {"app", "127.0.0.1:8080"}};
  sidecar::v1::Idempotency tokens;
  const auto manager = ManagerOf(*Build(yaml, MakeNode(metadata)), "inbound");
  if (manager.http_filters(0).name() == kFilter)
    EXPECT_TRUE(manager.http_filters(0).typed_config().UnpackTo(&tokens));
  return tokens.domains_size() == 0 ? sidecar::v1::TokenDomain() : tokens.domains(0);
}
sidecar::v1::TokenPolicy PolicyOf(const std::string& yaml, const Stamped* stamped = nullptr) {
  const auto model = BuildModel(DecodeFile(kServices + yaml, "f").objects).model;
  const auto set = BuildSnapshot(*model, ReadNode(MakeNode({{"namespace", "shop"}})), stamped);
  EXPECT_EQ(CheckAsSidecar(*set), Lines{});
  sidecar::v1::TokenPolicy policy;
  const Route route = Host(*set, kOrders80).routes(0);
  const auto& fields = route.typed_per_filter_config();
  EXPECT_TRUE(fields.contains(kFilter) && fields.at(kFilter).UnpackTo(&policy));
  return policy;
}
Lines ProblemsOf(const std::string& yaml) {
  Lines lines;
  const BuiltModel built = BuildModel(DecodeFile(kServices + yaml, "f").objects);
  for (const Problem& problem : built.problems) lines.push_back(problem.ToString());
  return lines;
}

TEST(Tokens, KeysAreForBothSides) {
  const std::string yaml =
      KeysYaml("keySource: App, require: true, appValidity: 2h, methods: [PUT], grpcMethods: [/a.B/C]") +
      Slice({"10.0.0.1"});
  const auto domain = DomainAt("10.0.0.1", yaml);
  EXPECT_EQ(domain.key_source(), sidecar::v1::APP);
  EXPECT_TRUE(domain.require());
  EXPECT_EQ(domain.app_validity().seconds(), 7200);
  EXPECT_EQ(domain.methods(0), "PUT");
  EXPECT_EQ(domain.grpc_methods(0), "/a.B/C");
  EXPECT_FALSE(domain.keys_elsewhere());
  const auto policy = PolicyOf(yaml);
  EXPECT_EQ(policy.key_source(), sidecar::v1::APP);
  EXPECT_EQ(policy.domain(), domain.id());
  EXPECT_EQ(PolicyOf(KeysYaml("keySource: AppOrMint")).key_source(), sidecar::v1::APP_OR_MINT);
}

TEST(Tokens, AnotherVersionOfThePolicyGoesOnWithTheKeysOfTheOneBefore) {
  const std::string slice = Slice({"10.0.0.1"});
  const auto before = DomainAt("10.0.0.1", KeysYaml("keySource: App") + slice);
  const auto after = DomainAt("10.0.0.1", KeysYaml("keySource: AppOrMint, methods: [PUT]") + slice);
  EXPECT_NE(before.id(), after.id());
  EXPECT_NE(before.keys(), 0u);
  EXPECT_EQ(before.keys(), after.keys());
  EXPECT_EQ(DomainAt("10.0.0.1", KeysYaml("retries: 2") + slice).keys(), 0u)
      << "sidecars name requests alone";
}

TEST(Tokens, WhatIsUnknownRunsAgainByPolicyAlone) {
  const std::string slice = Slice({"10.0.0.1"});
  const std::string again = KeysYaml("onUnknown: Reexecute, acceptAtLeastOnce: true") + slice;
  const auto domain = DomainAt("10.0.0.1", again);
  EXPECT_EQ(domain.on_unknown(), sidecar::v1::TokenDomain::RUN_AGAIN);
  EXPECT_TRUE(PolicyOf(again).runs_unknown_again());
  const auto usual = DomainAt("10.0.0.1", KeysYaml("retries: 2") + slice);
  EXPECT_EQ(usual.on_unknown(), sidecar::v1::TokenDomain::TELL);
  EXPECT_FALSE(PolicyOf(KeysYaml("retries: 2")).runs_unknown_again());
  EXPECT_NE(usual.id(), domain.id()) << "another promise is another domain";
}

TEST(Tokens, HowRequestsOfAKeyAreComparedIsAnotherDomainWithTheSameKeys) {
  const std::string slice = Slice({"10.0.0.1"});
  const auto head = DomainAt("10.0.0.1", KeysYaml("keySource: App, fingerprint: Head") + slice);
  const auto whole = DomainAt("10.0.0.1", KeysYaml("keySource: App") + slice);
  EXPECT_EQ(head.fingerprint(), sidecar::v1::TokenDomain::HEAD);
  EXPECT_EQ(whole.fingerprint(), sidecar::v1::TokenDomain::REQUEST);
  EXPECT_NE(head.id(), whole.id());
  EXPECT_EQ(head.keys(), whole.keys());
}

constexpr char kUsers[] =
    R"(issuer: 'https://a', jwks: '{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}')";

TEST(Tokens, WhoseKeysAreOneIsForTheServicesSide) {
  const auto domain = DomainAt(
      "10.0.0.1", KeysYaml("keySource: App, principal: {audiences: [b, c], " + std::string(kUsers) + "}") +
                      Slice({"10.0.0.1"}));
  EXPECT_EQ(domain.principal().claim(), "sub");
  EXPECT_EQ(domain.principal().issuer(), "https://a");
  EXPECT_EQ(domain.principal().audiences(1), "c");
  EXPECT_TRUE(domain.principal().jwks().inline_string().starts_with("{\"keys\":["));
  const auto file = DomainAt(
      "10.0.0.1", KeysYaml("keySource: App, principal: {issuer: i, jwksFile: /j}") + Slice({"10.0.0.1"}));
  EXPECT_EQ(file.principal().jwks().filename(), "/j");
}

TEST(Tokens, AnotherUsersKeysAreOthersAndOtherKeysOfTheirIssuerAreNot) {
  const auto domain = [&](const std::string& more) {
    return DomainAt("10.0.0.1", KeysYaml("keySource: App" + more) + Slice({"10.0.0.1"}));
  };
  const auto none = domain("");
  const auto first = domain(", principal: {" + std::string(kUsers) + "}");
  EXPECT_NE(first.keys(), none.keys());
  EXPECT_NE(first.id(), none.id());
  const auto same = domain(", principal: {claim: sub, issuer: 'https://a', jwksFile: /j}");
  EXPECT_EQ(first.keys(), same.keys());
  EXPECT_EQ(first.id(), same.id());
  const auto other_audience = domain(", principal: {issuer: 'https://a', audiences: [b], jwksFile: /j}");
  EXPECT_EQ(first.keys(), other_audience.keys()) << "the users are the same";
  EXPECT_NE(first.id(), other_audience.id());
  for (const char* const other : {"{claim: oid, issuer: 'https://a', jwksFile: /j}",
                                  "{claim: sub, issuer: 'https://b', jwksFile: /j}"}) {
    EXPECT_NE(first.keys(), domain(std::string(", principal: ") + other).keys()) << other;
    EXPECT_NE(first.id(), domain(std::string(", principal: ") + other).id()) << other;
  }
}

TEST(Tokens, NumbersOfPoliciesWithoutAPrincipalAreWhatTheyWere) {
  const auto domain = DomainAt("10.0.0.1", KeysYaml("keySource: App") + Slice({"10.0.0.1"}));
  // Of the version before: a control plane that is replaced by this one makes nobody forget a key.
  EXPECT_EQ(domain.id(), 0xb24103b990ca85e1u);
  EXPECT_EQ(domain.keys(), 0x6bff79d78b30163cu);
}

TEST(Tokens, OnlyTheOneEndpointThatIsReadyKnowsKeys) {
  const auto refuses = [](const std::string& ip, const std::vector<std::string>& ready) {
    return DomainAt(ip, KeysYaml("keySource: App") + Slice(ready)).keys_elsewhere();
  };
  EXPECT_FALSE(refuses("10.0.0.1", {"10.0.0.1"}));
  EXPECT_TRUE(refuses("10.0.0.9", {"10.0.0.1"})) << "one that is not ready yet";
  EXPECT_TRUE(refuses("10.0.0.1", {"10.0.0.1", "10.0.0.2"}));
  EXPECT_TRUE(refuses("10.0.0.2", {"10.0.0.1", "10.0.0.2"}));
  EXPECT_FALSE(refuses("10.0.0.2", {"10.0.0.2"}));
  EXPECT_TRUE(refuses("10.0.0.1", {}));
  EXPECT_FALSE(
      DomainAt("10.0.0.1", KeysYaml("retries: 2") + Slice({"10.0.0.1", "10.0.0.2"})).keys_elsewhere())
      << "tokens of sidecars go to the process that they were made for";
  // The domain is the same one all the time: nobody has to accept it anew.
  const auto id_with = [](const std::vector<std::string>& ready) {
    return DomainAt("10.0.0.1", KeysYaml("keySource: App") + Slice(ready)).id();
  };
  EXPECT_EQ(id_with({"10.0.0.1"}), id_with({"10.0.0.1", "10.0.0.2"}));
}

TEST(Tokens, WhoHasSeveralEndpointsIsToldThatKeysAreRefused) {
  const std::string policy = KeysYaml("keySource: AppOrMint");
  EXPECT_EQ(ProblemsOf(policy + Slice({})), Lines{});
  EXPECT_EQ(ProblemsOf(policy + Slice({"10.0.0.1"})), Lines{});
  const Lines problems = ProblemsOf(policy + Slice({"10.0.0.1", "10.0.0.2"}));
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_NE(
      problems[0].find(
          "spec.keySource: expected Mint or Passthrough, mode: Shared, or a Service with one endpoint: keys "
          "are known to one process, and shop/orders:80 has 2 that are ready; until it has one its "
          "requests with keys are refused (503)"),
      std::string::npos)
      << problems[0];
  EXPECT_EQ(ProblemsOf(KeysYaml("retries: 1") + Slice({"10.0.0.1", "10.0.0.2"})), Lines{});
  EXPECT_EQ(ProblemsOf(KeysYaml("keySource: Passthrough") + Slice({"10.0.0.1", "10.0.0.2"})), Lines{});
  const auto refused = [&](const std::vector<std::string>& ready) {
    const auto model = BuildModel(DecodeFile(kServices + policy + Slice(ready), "f").objects).model;
    bool any = false;
    for (const Rollout& rollout : RolloutsOf(*model, {})) any = any || rollout.keys_refused;
    return any;
  };
  EXPECT_FALSE(refused({"10.0.0.1"}));
  EXPECT_TRUE(refused({"10.0.0.1", "10.0.0.2"}));
}

TEST(Tokens, WhatIsPassedThroughNeedsNobodyToEnforceIt) {
  const std::string yaml =
      KeysYaml("keySource: Passthrough, methods: [PUT], retries: 4") + Slice({"10.0.0.1", "10.0.0.2"});
  EXPECT_EQ(DomainAt("10.0.0.1", yaml).id(), 0u) << "no domain, and no filter";
  const Stamped none;
  const auto policy = PolicyOf(yaml, &none);
  EXPECT_EQ(policy.key_source(), sidecar::v1::PASSTHROUGH);
  EXPECT_EQ(policy.domain(), 0u);
  EXPECT_FALSE(policy.paused());
  EXPECT_EQ(policy.methods(0), "PUT");
  EXPECT_EQ(policy.max_retries().value(), 4u);
  const auto model = BuildModel(DecodeFile(kServices + yaml, "f").objects).model;
  EXPECT_TRUE(RolloutsOf(*model, {}).empty());
  EXPECT_TRUE(DomainsOf(*model).empty());
}

}  // namespace
}  // namespace pillion::control
