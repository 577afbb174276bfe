#include "control-plane/snapshot/rollout.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "control-plane/snapshot/build_test_mesh.h"
#include "pillion/sidecar/v1/idempotency.pb.h"

namespace pillion::control {
namespace {

// In the mesh of build_test_mesh.h the Service greeter has 10.0.0.1 and 10.0.0.3, and 10.0.0.2, which is not
// ready.
std::string Policy(const std::string& service) {
  return "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: IdempotencyPolicy, metadata: {name: of-" +
         service + ", namespace: shop}, spec: {targetRefs: [{kind: Service, name: " + service + "}]}}\n";
}

std::shared_ptr<const Model> ModelOf(const std::string& yaml) {
  return BuildModel(DecodeFile(kServices + yaml, "f").objects).model;
}

TEST(Rollout, StampingBeginsWhenAllThatAreReadyEnforce) {
  const auto model = ModelOf(Policy("greeter"));
  std::vector<Rollout> rollouts = RolloutsOf(*model, {});
  ASSERT_EQ(rollouts.size(), 1u);
  EXPECT_EQ(rollouts[0].service.ToString(), "shop/greeter");
  EXPECT_EQ(rollouts[0].endpoints, 2u);
  EXPECT_EQ(rollouts[0].missing, (Lines{"10.0.0.1:15006", "10.0.0.3:15006"}));
  EXPECT_FALSE(rollouts[0].stamps());
  EXPECT_TRUE(StampedOf(rollouts).empty());
  const uint64_t domain = rollouts[0].domain;
  const ObjectName greeter{"shop", "greeter"};
  const ObjectName orders{"shop", "orders"};
  Enforcers enforcers = {{{greeter, "10.0.0.1:15006"}, {domain}},
                         {{greeter, "10.0.0.3:15006"}, {domain + 1}},
                         {{orders, "10.0.0.3:15006"}, {domain}}};
  EXPECT_EQ(RolloutsOf(*model, enforcers)[0].missing, Lines{"10.0.0.3:15006"})
      << "another domain, another Service's pod";
  enforcers[{greeter, "10.0.0.3:15006"}] = {domain, domain + 1};
  rollouts = RolloutsOf(*model, enforcers);
  EXPECT_TRUE(rollouts[0].stamps());
  EXPECT_EQ(StampedOf(rollouts), (Stamped{{"outbound|50051||greeter.shop.svc.cluster.local", domain}}));
  // Nothing is known of one: those who stamp already go on for a while.
  enforcers.erase({greeter, "10.0.0.1:15006"});
  EXPECT_FALSE(RolloutsOf(*model, enforcers)[0].stamps());
  EXPECT_TRUE(RolloutsOf(*model, enforcers, DomainsOf(*model))[0].stamps());
  enforcers[{greeter, "10.0.0.1:15006"}] = {};
  EXPECT_FALSE(RolloutsOf(*model, enforcers, DomainsOf(*model))[0].stamps()) << "this one is known not to";
}

TEST(Rollout, EachPortIsOneByItself) {
  const std::string slice =
      "--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: o, namespace: shop, "
      "labels: "
      "{kubernetes.io/service-name: orders, pillion/sidecar: \"true\"}}, addressType: IPv4, endpoints: "
      "[{addresses: "
      "[10.0.0.1]}], ports: [{name: http, port: 15006}, {name: admin, port: 9000}]}\n";
  const auto model = ModelOf(slice + Policy("orders"));
  const Enforcers enforcers = {{{{"shop", "orders"}, "10.0.0.1:15006"}, DomainsOf(*model)}};
  const auto rollouts = RolloutsOf(*model, enforcers);
  EXPECT_EQ(StampedOf(rollouts), (Stamped{{kOrdersCluster, *DomainsOf(*model).begin()}}))
      << "there is no sidecar before the other";
}

TEST(Rollout, AServiceWithoutEndpointsIsNotStamped) {
  const auto rollouts = RolloutsOf(*ModelOf(Policy("orders")), {});
  ASSERT_EQ(rollouts.size(), 2u) << "ports";
  EXPECT_EQ(rollouts[0].endpoints, 0u);
  EXPECT_FALSE(rollouts[0].stamps());
  EXPECT_TRUE(RolloutsOf(*ModelOf(""), {}).empty());
}

TEST(Rollout, WhoIsNoEndpointAnyMoreIsForgotten) {
  const ObjectName greeter{"shop", "greeter"};
  Enforcers enforcers = {{{greeter, "10.0.0.1:15006"}, {1}},
                         {{greeter, "10.0.0.2:15006"}, {1}},
                         {{greeter, "10.0.0.9:15006"}, {1}},
                         {{{"shop", "orders"}, "10.0.0.1:15006"}, {1}}};
  Forget(*ModelOf(Policy("greeter")), enforcers);
  EXPECT_EQ(enforcers.size(), 2u) << "also one that is not ready is one";
  EXPECT_FALSE(enforcers.contains({greeter, "10.0.0.9:15006"}));
  Forget(*ModelOf(""), enforcers);
  EXPECT_TRUE(enforcers.empty());
}

TEST(Rollout, AddressesAreWrittenAsOthersWriteThem) {
  EXPECT_EQ(EnforcerAddress("10.0.0.1", 80), "10.0.0.1:80");
  EXPECT_EQ(EnforcerAddress("fd00::1", 80), "[fd00::1]:80");
}

TEST(Rollout, WhatAListenerEnforcesIsReadFromIt) {
  const auto listener = [](const std::string& yaml) {
    return Get<Listener>(*Build(yaml, MakeNode({{"namespace", "shop"},
                                                {"service", "greeter"},
                                                {"inbound_listener", "10.0.0.1:15006"},
                                                {"app", "127.0.0.1:50051"}})),
                         kListener, "inbound");
  };
  EXPECT_EQ(DomainsOf(listener(Policy("greeter"))),
            TokenDomains{RolloutsOf(*ModelOf(Policy("greeter")), {})[0].domain});
  EXPECT_TRUE(DomainsOf(listener("")).empty());
  EXPECT_TRUE(DomainsOf(Listener()).empty());
}

// The listener is the same: what is on its connections is not disturbed when stamping begins.
TEST(Rollout, UntilThenRoutesPauseAndListenersStayAsTheyWillBe) {
  const auto model = ModelOf(Policy("greeter") + Policy("v2"));
  const NodeFacts node = ReadNode(MakeNode({{"namespace", "shop"}}));
  const auto paused = [](const ResourceSet& set, const std::string& host) {
    sidecar::v1::TokenPolicy policy;
    EXPECT_TRUE(
        Host(set, host).routes(0).typed_per_filter_config().at("pillion.idempotency").UnpackTo(&policy));
    EXPECT_NE(policy.domain(), 0u);
    return policy.paused();
  };
  const auto whole = BuildSnapshot(*model, node);
  const Stamped none;
  const Stamped one = {{"outbound|50051||greeter.shop.svc.cluster.local", RolloutsOf(*model, {})[0].domain}};
  const auto before = BuildSnapshot(*model, node, &none);
  const auto between = BuildSnapshot(*model, node, &one);
  const std::string greeter_host = "greeter.shop.svc.cluster.local:50051";
  const std::string v2_host = "v2.shop.svc.cluster.local:8080";
  EXPECT_FALSE(paused(*whole, greeter_host));
  EXPECT_TRUE(paused(*before, greeter_host));
  EXPECT_TRUE(paused(*before, v2_host));
  EXPECT_FALSE(paused(*between, greeter_host));
  EXPECT_TRUE(paused(*between, v2_host));
  for (const auto& set : {before, between}) {
    EXPECT_EQ(set->version(kListener), whole->version(kListener));
    EXPECT_NE(set->version(kRoutes), whole->version(kRoutes));
    EXPECT_EQ(CheckAsSidecar(*set), Lines{});
  }
}

}  // namespace
}  // namespace pillion::control
