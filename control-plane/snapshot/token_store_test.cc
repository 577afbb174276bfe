// What becomes of the store of an IdempotencyPolicy of mode Shared.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "control-plane/snapshot/build_test_mesh.h"
#include "control-plane/snapshot/rollout.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "pillion/sidecar/v1/idempotency.pb.h"

namespace pillion::control {
namespace {

using envoy::extensions::transport_sockets::tls::v3::SubjectAltNameMatcher;
using envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext;

constexpr char kFilter[] = "pillion.idempotency";
constexpr char kStore[] = "token-store|orders.shop.svc.cluster.local";
// Two pods that are ready.
constexpr char kSlice[] = R"(
--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: o, namespace: shop, labels: {kubernetes.io/service-name: orders, pillion/sidecar: "true"}}, addressType: IPv4, endpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.2]}], ports: [{name: http, port: 15006}]}
)";

// `store`: what stands in it beside a key. `more`: what stands beside it.
std::string SharedYaml(const std::string& store, const std::string& more = "retries: 2") {
  return kSlice +
         PolicyYaml("IdempotencyPolicy", "mode: Shared, store: {keyFile: /key, " + store + "}, " + more);
}
std::string LocalYaml(const std::string& more) { return kSlice + PolicyYaml("IdempotencyPolicy", more); }

// `keys`: the control plane's.
std::shared_ptr<const Model> ModelOf(const std::string& yaml,
                                     const TokenKeys& keys = TokenKeys::Worthless()) {
  BuiltModel built = BuildModel(DecodeFile(kServices + yaml, "f").objects, &keys);
  for (const Problem& problem : built.problems) ADD_FAILURE() << problem.ToString();
  return built.model;
}
// A pod of that Service, whose sidecar others reach at 10.0.0.1.
NodeFacts PodOf(const std::string& service) {
  return ReadNode(MakeNode({{"namespace", "shop"},
                            {"service", service},
                            {"inbound_listener", "10.0.0.1:15006"},
                            {"app", "127.0.0.1:8080"}}));
}
std::shared_ptr<const ResourceSet> SetOf(const Model& model, const std::string& service = "orders") {
  auto set = BuildSnapshot(model, PodOf(service));
  EXPECT_EQ(CheckAsSidecar(*set), Lines{});
  EXPECT_EQ(set->DanglingReferences(), Lines{});
  return set;
}
sidecar::v1::TokenDomain DomainOf(const Model& model) {
  sidecar::v1::Idempotency tokens;
  const auto manager = ManagerOf(*SetOf(model), "inbound");
  EXPECT_EQ(manager.http_filters(0).name(), kFilter);
  EXPECT_TRUE(manager.http_filters(0).typed_config().UnpackTo(&tokens));
  return tokens.domains_size() == 0 ? sidecar::v1::TokenDomain() : tokens.domains(0);
}
sidecar::v1::TokenDomain DomainOf(const std::string& yaml) { return DomainOf(*ModelOf(yaml)); }
Cluster ClusterOf(const std::string& store) {
  return Get<Cluster>(*SetOf(*ModelOf(SharedYaml(store))), kCluster, kStore);
}
UpstreamTlsContext TlsOf(const std::string& store) {
  UpstreamTlsContext context;
  const Cluster cluster = ClusterOf(store);
  EXPECT_EQ(cluster.transport_socket().name(), "envoy.transport_sockets.tls");
  EXPECT_TRUE(cluster.transport_socket().typed_config().UnpackTo(&context));
  return context;
}
// That a server's certificate must have one of.
Lines NamesOf(const UpstreamTlsContext& context) {
  Lines names;
  for (const auto& one : context.common_tls_context().validation_context().match_typed_subject_alt_names())
    names.push_back(SubjectAltNameMatcher::SanType_Name(one.san_type()) + " " + one.matcher().exact());
  return names;
}
Lines HostsOf(const Cluster& cluster) {
  Lines hosts;
  for (const auto& one : cluster.load_assignment().endpoints(0).lb_endpoints()) {
    const auto& address = one.endpoint().address().socket_address();
    hosts.push_back(address.address() + " " + std::to_string(address.port_value()));
  }
  return hosts;
}

TEST(TokenStore, IsWhereThePolicySaysAndAsItSays) {
  const auto store = DomainOf(SharedYaml("addresses: ['redis:6379'], user: pillion, passwordFile: /p, lease: "
                                         "20s, replicas: 2, replicaWait: 70ms, onDown: Bypass, "
                                         "trustUnseenSettings: true"))
                         .store();
  EXPECT_EQ(store.cluster(), kStore);
  EXPECT_EQ(store.service(), "shop/orders");
  EXPECT_EQ(store.user(), "pillion");
  EXPECT_EQ(store.password().filename(), "/p");
  EXPECT_EQ(store.key().filename(), "/key");
  EXPECT_EQ(store.lease().seconds(), 20);
  EXPECT_EQ(store.replicas().value(), 2u);
  EXPECT_EQ(store.replica_wait().nanos(), 70'000'000);
  EXPECT_FALSE(store.has_unconfirmed_doubt());
  EXPECT_EQ(store.on_down(), sidecar::v1::TokenStore::BYPASS);
  EXPECT_TRUE(store.trust_unseen_settings());
  const auto without =
      DomainOf(SharedYaml("addresses: ['redis:6379'], replicas: 0, unconfirmedDoubt: 3s")).store();
  EXPECT_EQ(without.replicas().value(), 0u);
  EXPECT_EQ(without.unconfirmed_doubt().seconds(), 3);
  EXPECT_FALSE(without.has_password());
  EXPECT_FALSE(without.has_lease());
  EXPECT_FALSE(without.has_replica_wait());
  EXPECT_EQ(without.on_down(), sidecar::v1::TokenStore::REFUSE);
  EXPECT_FALSE(without.trust_unseen_settings());
  EXPECT_FALSE(DomainOf(LocalYaml("retries: 2")).has_store());
}

TEST(TokenStore, IsAClusterOfAddressesOrOfNames) {
  const Cluster of_ips = ClusterOf("addresses: ['10.0.0.7:6379', '[FD00:0::7]:6380']");
  EXPECT_EQ(of_ips.type(), Cluster::STATIC);
  EXPECT_EQ(HostsOf(of_ips), (Lines{"10.0.0.7 6379", "fd00::7 6380"}));
  EXPECT_FALSE(of_ips.has_transport_socket());
  const Cluster mixed = ClusterOf("addresses: ['Redis-0.redis:6379', '10.0.0.7:6379']");
  EXPECT_EQ(mixed.type(), Cluster::STRICT_DNS);
  EXPECT_EQ(HostsOf(mixed), (Lines{"redis-0.redis 6379", "10.0.0.7 6379"}));
  EXPECT_FALSE(mixed.respect_dns_ttl()) << "a name that is another server now is seen in seconds";
  EXPECT_EQ(mixed.dns_refresh_rate().seconds(), 2);
}

TEST(TokenStore, IsNobodysButThoseWhoKeepTheRecords) {
  const auto model = ModelOf(SharedYaml("addresses: ['redis:6379']"));
  const auto set = SetOf(*model);
  EXPECT_TRUE(set->of(kCluster).contains(kStore));
  EXPECT_FALSE(SetOf(*model, "greeter")->of(kCluster).contains(kStore)) << "a caller's sidecar";
  EXPECT_FALSE(SetOf(*ModelOf(LocalYaml("retries: 2")))->of(kCluster).contains(kStore));
  // It is there before the listener that names it.
  const std::vector<Reference>& needs = set->of(kListener).at("inbound")->references;
  EXPECT_NE(std::ranges::find(needs, Reference{kCluster, kStore}), needs.end());
}

TEST(TokenStore, TheKeyIsTheServicesOwnWhereThePolicyNamesNone) {
  const std::string yaml =
      kSlice + PolicyYaml("IdempotencyPolicy", "mode: Shared, store: {addresses: ['redis:1']}");
  const TokenKeys keys = *TokenKeys::Parse("0123456789abcdef0123456789abcdef");
  const auto model = ModelOf(yaml, keys);
  const auto domain = DomainOf(*model);
  const std::string key = keys.Of({"shop", "orders"});
  EXPECT_EQ(domain.store().key().inline_bytes(), key);
  EXPECT_EQ(domain.id(), DomainOf(*ModelOf(yaml)).id()) << "another key is no other domain";
  EXPECT_EQ(domain.id(), RolloutsOf(*model, {})[0].domain);
  EXPECT_NE(domain.id(), DomainOf(SharedYaml("addresses: ['redis:1']")).id()) << "a file is";
  // It stands in one resource of those who need it, and nowhere else.
  const auto holds = [&](const ResourceSet& set) {
    Lines names;
    for (const ResourceType type : kResourceTypes) {
      for (const auto& [name, resource] : set.of(type)) {
        if (resource->body.value().find(key) != std::string::npos) names.push_back(name);
      }
    }
    return names;
  };
  EXPECT_EQ(holds(*SetOf(*model)), Lines{"inbound"});
  EXPECT_EQ(holds(*SetOf(*model, "greeter")), Lines{});
}

TEST(TokenStore, APolicyWithoutAKeyIsInForceNowhere) {
  const std::string yaml =
      kSlice + PolicyYaml("IdempotencyPolicy", "mode: Shared, store: {addresses: ['redis:1']}");
  const BuiltModel built = BuildModel(DecodeFile(kServices + yaml, "f").objects);
  EXPECT_EQ(built.problems.size(), 1u);
  const auto set = SetOf(*built.model);
  EXPECT_FALSE(set->of(kCluster).contains(kStore));
  EXPECT_NE(ManagerOf(*set, "inbound").http_filters(0).name(), kFilter);
  EXPECT_NE(ManagerOf(*set, "outbound").http_filters(0).name(), kFilter);
  EXPECT_TRUE(Host(*set, kOrders80).routes(0).typed_per_filter_config().empty());
  EXPECT_TRUE(RolloutsOf(*built.model, {}).empty());
}

TEST(TokenStore, TlsProvesWhoTheServerIs) {
  const auto own = TlsOf(
      "addresses: ['redis-0.redis.:6379', 'redis-1.redis:6379', 'redis-1.redis:6380', '10.0.0.7:6379'], tls: "
      "{caFile: /ca, certificateFile: /c, privateKeyFile: /k}");
  const auto& common = own.common_tls_context();
  EXPECT_EQ(common.validation_context().trusted_ca().filename(), "/ca");
  EXPECT_EQ(common.tls_certificates(0).certificate_chain().filename(), "/c");
  EXPECT_EQ(common.tls_certificates(0).private_key().filename(), "/k");
  EXPECT_EQ(NamesOf(own), (Lines{"DNS redis-0.redis", "DNS redis-1.redis", "IP_ADDRESS 10.0.0.7"}));
  EXPECT_EQ(own.sni(), "") << "which of them is not known";
  EXPECT_EQ(TlsOf("addresses: ['redis.:1', 'redis:2'], tls: {caFile: /ca}").sni(), "redis");
  EXPECT_EQ(TlsOf("addresses: ['10.0.0.7:1'], tls: {caFile: /ca}").sni(), "") << "addresses are no names";
  EXPECT_EQ(TlsOf("addresses: ['redis:1'], tls: {caFile: /ca}").common_tls_context().tls_certificates_size(),
            0);
  const auto named =
      TlsOf("addresses: ['10.0.0.7:1', 'redis:1'], tls: {caFile: /ca, serverName: Store.shop}");
  EXPECT_EQ(named.sni(), "store.shop");
  EXPECT_EQ(NamesOf(named), Lines{"DNS store.shop"});
}

TEST(TokenStore, AnotherStoreIsAnotherDomain) {
  const auto id = [](const std::string& store, const std::string& more = "retries: 2") {
    return DomainOf(SharedYaml(store, more)).id();
  };
  const uint64_t usual = id("addresses: ['redis:6379', '10.0.0.7:6379']");
  EXPECT_NE(usual, 0u);
  EXPECT_EQ(usual, id("addresses: ['10.0.0.7:6379', 'redis:6379']")) << "the same ones";
  EXPECT_NE(usual, DomainOf(LocalYaml("retries: 2")).id());
  EXPECT_NE(usual, id("addresses: ['redis:6380', '10.0.0.7:6379']"));
  EXPECT_NE(usual, id("addresses: ['redis:6379']"));
  EXPECT_NE(usual, id("addresses: ['redis:6379', '10.0.0.7:6379'], replicas: 2"));
  EXPECT_NE(usual, id("addresses: ['redis:6379', '10.0.0.7:6379']", "validity: 1m"));
  const auto as = [&](const std::string& user) {
    return id("addresses: ['redis:6379', '10.0.0.7:6379'], " + user);
  };
  EXPECT_EQ(usual, as("user: a, passwordFile: /a"));
  EXPECT_EQ(usual, as("passwordFile: /b")) << "who we are to it changes nothing of its records";
}

TEST(TokenStore, LocalDomainsAreWhatTheyWereBeforeThereWereStores) {
  // Numbers of the version before: a control plane that is replaced by this one pauses nobody.
  EXPECT_EQ(DomainOf(LocalYaml("retries: 2")).id(), 0xac6c17343b38f41cu);
  EXPECT_EQ(DomainOf(LocalYaml("retries: 2, mode: Local")).id(), 0xac6c17343b38f41cu);
}

TEST(TokenStore, KeysAreThoseOfTheServiceWhateverThePolicyAndNotThoseOfOneProcess) {
  const std::string store = "addresses: ['redis:6379']";
  const auto keys = [&](const std::string& more) { return DomainOf(SharedYaml(store, more)).keys(); };
  EXPECT_NE(keys("keySource: App"), 0u);
  EXPECT_EQ(keys("keySource: App"), keys("keySource: AppOrMint, validity: 1m, appValidity: 48h"));
  EXPECT_EQ(keys("keySource: Mint"), 0u);
  const std::string one_pod =
      "--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: o, namespace: shop, "
      "labels: "
      "{kubernetes.io/service-name: orders, pillion/sidecar: \"true\"}}, addressType: IPv4, endpoints: "
      "[{addresses: [10.0.0.1]}], ports: [{name: http, port: 15006}]}\n";
  EXPECT_NE(keys("keySource: App"),
            DomainOf(one_pod + PolicyYaml("IdempotencyPolicy", "keySource: App")).keys());
}

TEST(TokenStore, KeysAreKnownToAllPods) {
  for (const char* const source : {"keySource: App", "keySource: AppOrMint"}) {
    const std::string yaml = SharedYaml("addresses: ['redis:6379']", source);
    EXPECT_FALSE(DomainOf(yaml).keys_elsewhere()) << "two pods are ready";
    for (const Rollout& rollout : RolloutsOf(*ModelOf(yaml), {})) EXPECT_FALSE(rollout.keys_refused);
  }
}

TEST(TokenStore, CallersAreToldThatAnyPodWillDo) {
  const auto policy_of = [](const std::string& yaml, const Stamped* stamped) {
    sidecar::v1::TokenPolicy policy;
    const auto set = BuildSnapshot(*ModelOf(yaml), ReadNode(MakeNode({{"namespace", "shop"}})), stamped);
    EXPECT_EQ(CheckAsSidecar(*set), Lines{});
    EXPECT_TRUE(Host(*set, kOrders80).routes(0).typed_per_filter_config().at(kFilter).UnpackTo(&policy));
    return policy;
  };
  const std::string yaml = SharedYaml("addresses: ['redis:6379']");
  const auto policy = policy_of(yaml, nullptr);
  EXPECT_TRUE(policy.shared());
  EXPECT_FALSE(policy.paused());
  EXPECT_EQ(policy.domain(), DomainOf(yaml).id());
  EXPECT_FALSE(policy_of(LocalYaml("retries: 2"), nullptr).shared());
  // Not before each pod enforces it.
  const auto model = ModelOf(yaml);
  Enforcers enforcers = {{{{"shop", "orders"}, "10.0.0.1:15006"}, DomainsOf(*model)}};
  Stamped stamped = StampedOf(RolloutsOf(*model, enforcers));
  EXPECT_TRUE(policy_of(yaml, &stamped).paused());
  enforcers[{{"shop", "orders"}, "10.0.0.2:15006"}] = DomainsOf(*model);
  stamped = StampedOf(RolloutsOf(*model, enforcers));
  EXPECT_EQ(stamped, (Stamped{{kOrdersCluster, *DomainsOf(*model).begin()}}));
  EXPECT_FALSE(policy_of(yaml, &stamped).paused());
}

}  // namespace
}  // namespace pillion::control
