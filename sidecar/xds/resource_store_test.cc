#include "sidecar/xds/resource_store.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/http/rbac/v3/rbac.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "sidecar/net/address.h"

namespace pillion::xds {
namespace {

using envoy::service::discovery::v3::DiscoveryResponse;
using std::chrono::seconds;

time::MonotonicTime At(int s) { return time::MonotonicTime(seconds(s)); }

envoy::config::cluster::v3::Cluster EdsCluster(const std::string& name) {
  envoy::config::cluster::v3::Cluster cluster;
  cluster.set_name(name);
  cluster.set_type(envoy::config::cluster::v3::Cluster::EDS);
  auto* source = cluster.mutable_eds_cluster_config()->mutable_eds_config();
  source->mutable_ads();
  source->set_resource_api_version(envoy::config::core::v3::V3);
  return cluster;
}

envoy::config::endpoint::v3::ClusterLoadAssignment Endpoints(const std::string& name, uint32_t port) {
  envoy::config::endpoint::v3::ClusterLoadAssignment assignment;
  assignment.set_cluster_name(name);
  auto* address = assignment.add_endpoints()
                      ->add_lb_endpoints()
                      ->mutable_endpoint()
                      ->mutable_address()
                      ->mutable_socket_address();
  address->set_address("127.0.0.1");
  address->set_port_value(port);
  return assignment;
}

envoy::config::listener::v3::Listener RdsListener(const std::string& name, const std::string& routes,
                                                  uint32_t port) {
  envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager manager;
  manager.set_stat_prefix("s");
  manager.mutable_rds()->set_route_config_name(routes);
  manager.mutable_rds()->mutable_config_source()->mutable_ads();
  manager.mutable_rds()->mutable_config_source()->set_resource_api_version(envoy::config::core::v3::V3);
  auto* router = manager.add_http_filters();
  router->set_name("envoy.filters.http.router");
  router->mutable_typed_config()->PackFrom(envoy::extensions::filters::http::router::v3::Router());
  envoy::config::listener::v3::Listener listener;
  listener.set_name(name);
  auto* address = listener.mutable_address()->mutable_socket_address();
  address->set_address("127.0.0.1");
  address->set_port_value(port);
  auto* filter = listener.add_filter_chains()->add_filters();
  filter->set_name("envoy.filters.network.http_connection_manager");
  filter->mutable_typed_config()->PackFrom(manager);
  return listener;
}

envoy::config::route::v3::RouteConfiguration Routes(const std::string& name, const std::string& cluster) {
  envoy::config::route::v3::RouteConfiguration table;
  table.set_name(name);
  auto* host = table.add_virtual_hosts();
  host->set_name("v");
  host->add_domains("*");
  auto* route = host->add_routes();
  route->mutable_match()->set_prefix("/");
  route->mutable_route()->set_cluster(cluster);
  return table;
}

template <typename... Protos>
DiscoveryResponse Response(const std::string& version, const Protos&... protos) {
  DiscoveryResponse response;
  response.set_version_info(version);
  (response.add_resources()->PackFrom(protos), ...);
  return response;
}

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() : store_(std::make_shared<config::Bootstrap>(), {}) {}
  std::vector<Rejection> Apply(Type type, const DiscoveryResponse& response, int at = 0) {
    return store_.Apply(response, type, At(at), false);
  }
  ResourceStore store_;
};

TEST(Store, ASnapshotTellsWhereTheSidecarIs) {
  auto bootstrap = std::make_shared<config::Bootstrap>();
  bootstrap->own = {{"r", "z", "s"}, "callers"};
  ResourceStore store(bootstrap, {});
  const auto snapshot = store.Build(At(0));
  EXPECT_EQ(snapshot->own.place, (config::Place{"r", "z", "s"}));
  EXPECT_EQ(snapshot->own.cluster, "callers");
}

TEST_F(StoreTest, AClusterServesWhenItsEndpointsAreHereAndAListenerWhenItsRoutesAre) {
  EXPECT_TRUE(Apply(Type::kCluster, Response("1", EdsCluster("a"))).empty());
  EXPECT_TRUE(Apply(Type::kListener, Response("1", RdsListener("l", "r", 80))).empty());
  EXPECT_EQ(store_.Wanted(Type::kEndpoints), std::vector<std::string>{"a"});
  EXPECT_EQ(store_.Wanted(Type::kRoutes), std::vector<std::string>{"r"});
  EXPECT_TRUE(store_.Build(At(0))->clusters.empty());
  EXPECT_TRUE(store_.Build(At(0))->listeners.empty());
  EXPECT_EQ(store_.Waiting().size(), 2u);
  Apply(Type::kEndpoints, Response("1", Endpoints("a", 1)));
  Apply(Type::kRoutes, Response("1", Routes("r", "a")));
  const auto snapshot = store_.Build(At(1));
  EXPECT_EQ(snapshot->clusters.at("a").endpoints->endpoints.size(), 1u);
  EXPECT_EQ(snapshot->listeners.at("l").routes.at(0)->name, "r");
  EXPECT_TRUE(store_.Waiting().empty());
}

TEST_F(StoreTest, WaitingEndsAfterFifteenSecondsWithEmptyContent) {
  Apply(Type::kCluster, Response("1", EdsCluster("a")));
  Apply(Type::kListener, Response("1", RdsListener("l", "r", 80)));
  store_.Build(At(100));
  EXPECT_EQ(store_.NextTimeout(), At(115));
  EXPECT_TRUE(store_.Build(At(114))->listeners.empty());
  const auto snapshot = store_.Build(At(115));
  EXPECT_TRUE(snapshot->clusters.at("a").endpoints->endpoints.empty());
  EXPECT_TRUE(snapshot->listeners.at("l").routes.at(0)->virtual_hosts.empty());
  Apply(Type::kRoutes, Response("1", Routes("r", "a")));
  EXPECT_EQ(store_.Build(At(200))->listeners.at("l").routes.at(0)->name, "r")
      << "a late arrival must be accepted";
}

TEST_F(StoreTest, AClusterByDnsServesWhenItsNamesAreResolvedAndIsWaitedForUntilThen) {
  auto cluster = EdsCluster("a");
  cluster.clear_eds_cluster_config();
  cluster.set_type(envoy::config::cluster::v3::Cluster::STRICT_DNS);
  *cluster.mutable_load_assignment() = Endpoints("a", 80);
  cluster.mutable_load_assignment()
      ->mutable_endpoints(0)
      ->mutable_lb_endpoints(0)
      ->mutable_endpoint()
      ->mutable_address()
      ->mutable_socket_address()
      ->set_address("a.test");
  EXPECT_TRUE(Apply(Type::kCluster, Response("1", cluster, EdsCluster("b"))).empty());
  EXPECT_EQ(store_.Wanted(Type::kEndpoints), std::vector<std::string>{"b"});
  ASSERT_EQ(store_.ByDns().size(), 1u);
  EXPECT_EQ(store_.ByDns()[0]->load_assignment->names[0].host, "a.test");
  EXPECT_TRUE(store_.Build(At(0), false)->clusters.empty());
  EXPECT_EQ(store_.Waiting()[1], "names of cluster a");
  EXPECT_FALSE(store_.Build(At(1000))->clusters.contains("a"))
      << "the resolver ends that wait, not the store";
  config::ResolvedEndpoints resolved = {{"a", std::make_shared<config::Assignment>()}};
  const auto first = store_.Build(At(1000), true, resolved);
  EXPECT_EQ(first->clusters.at("a").endpoints, resolved["a"]);
  EXPECT_EQ(store_.Build(At(1001), true, resolved), first);
  resolved["a"] = std::make_shared<config::Assignment>();
  const auto second = store_.Build(At(1002), true, resolved);
  EXPECT_EQ(second->generation, first->generation + 1);
  EXPECT_EQ(second->clusters.at("a").endpoints, resolved["a"]);
  cluster.mutable_connect_timeout()->set_seconds(1);
  Apply(Type::kCluster, Response("2", cluster, EdsCluster("b")));
  EXPECT_EQ(store_.Build(At(1003), true)->clusters.at("a").endpoints, resolved["a"])
      << "until the new names are resolved the one before serves";
  Apply(Type::kCluster, Response("3", EdsCluster("b")));
  EXPECT_TRUE(store_.ByDns().empty());
  EXPECT_FALSE(store_.Build(At(1004), true, resolved)->clusters.contains("a"));
}

TEST(StaticStoreTest, AStaticClusterByDnsHoldsTheSettledStateBack) {
  auto bootstrap = std::make_shared<config::Bootstrap>();
  auto cluster = std::make_shared<config::Cluster>();
  cluster->name = "a";
  cluster->discovery = config::Cluster::Discovery::kLogicalDns;
  cluster->load_assignment = std::make_shared<config::Assignment>();
  bootstrap->clusters.push_back(cluster);
  auto listener = std::make_shared<config::Listener>();
  listener->name = "l";
  bootstrap->listeners.push_back(listener);
  ResourceStore store(bootstrap, {});
  EXPECT_EQ(store.ByDns(), bootstrap->clusters);
  store.Build(At(0));
  EXPECT_FALSE(store.settled());
  store.Build(At(0), true, {{"a", std::make_shared<config::Assignment>()}});
  EXPECT_TRUE(store.settled());
}

TEST_F(StoreTest, ABadResourceIsNamedTheOthersApplyAndTheLastGoodStays) {
  Apply(Type::kCluster, Response("1", EdsCluster("a"), EdsCluster("b")));
  Apply(Type::kEndpoints, Response("1", Endpoints("a", 1), Endpoints("b", 1)));
  auto bad = Endpoints("a", 70000);
  const auto rejected = Apply(Type::kEndpoints, Response("2", bad, Endpoints("b", 2)));
  ASSERT_EQ(rejected.size(), 1u);
  EXPECT_EQ(rejected[0].resource, "a");
  EXPECT_NE(rejected[0].reason.find("port_value"), std::string::npos) << rejected[0].reason;
  const auto snapshot = store_.Build(At(0));
  EXPECT_EQ(snapshot->clusters.at("a").endpoints->endpoints[0].address.port(), 1);
  EXPECT_EQ(snapshot->clusters.at("b").endpoints->endpoints[0].address.port(), 2);
  EXPECT_EQ(store_.held(Type::kEndpoints).at("a").version, "1");
  EXPECT_EQ(store_.held(Type::kEndpoints).at("a").rejected_version, "2");
}

TEST_F(StoreTest, AClusterMissingFromAResponseIsDeletedButARefusedOneIsNotMissing) {
  Apply(Type::kCluster, Response("1", EdsCluster("a"), EdsCluster("b"), EdsCluster("c")));
  auto refused = EdsCluster("b");
  refused.clear_eds_cluster_config();
  EXPECT_EQ(Apply(Type::kCluster, Response("2", EdsCluster("a"), refused)).size(), 1u);
  EXPECT_EQ(store_.Wanted(Type::kEndpoints), (std::vector<std::string>{"a", "b"}));
}

TEST_F(StoreTest, EndpointsMissingFromAResponseMeanNothing) {
  Apply(Type::kCluster, Response("1", EdsCluster("a"), EdsCluster("b")));
  Apply(Type::kEndpoints, Response("1", Endpoints("a", 1), Endpoints("b", 1)));
  Apply(Type::kEndpoints, Response("2", Endpoints("b", 2)));
  EXPECT_EQ(store_.Build(At(0))->clusters.count("a"), 1u);
}

TEST_F(StoreTest, UnchangedBytesKeepTheirObjectSoThatPoolsSurvive) {
  Apply(Type::kCluster, Response("1", EdsCluster("a")));
  Apply(Type::kEndpoints, Response("1", Endpoints("a", 1)));
  const auto before = store_.Build(At(0));
  Apply(Type::kCluster, Response("2", EdsCluster("a")));
  Apply(Type::kEndpoints, Response("2", Endpoints("a", 1)));
  EXPECT_EQ(store_.Build(At(0)), before);
}

TEST_F(StoreTest, AChangedListenerWhoseRoutesAreMissingLeavesTheOldOneServing) {
  Apply(Type::kListener, Response("1", RdsListener("l", "old", 80)));
  Apply(Type::kRoutes, Response("1", Routes("old", "a")));
  store_.Build(At(0));
  Apply(Type::kListener, Response("2", RdsListener("l", "new", 80)));
  EXPECT_EQ(store_.Build(At(1))->listeners.at("l").routes.at(0)->name, "old");
  Apply(Type::kRoutes, Response("2", Routes("new", "a")));
  EXPECT_EQ(store_.Build(At(2))->listeners.at("l").routes.at(0)->name, "new");
}

TEST_F(StoreTest, DuplicatesAndForeignTypesAreRefused) {
  EXPECT_EQ(Apply(Type::kCluster, Response("1", EdsCluster("a"), EdsCluster("a"))).size(), 1u);
  EXPECT_EQ(Apply(Type::kCluster, Response("1", Endpoints("a", 1))).size(), 1u);
}

TEST_F(StoreTest, AnUnknownFieldIsRefusedByNumberAndNameOrTakenWithAWarning) {
  auto cluster = EdsCluster("a");
  cluster.GetReflection()->MutableUnknownFields(&cluster)->AddVarint(24, 1);  // transport_socket's number
  const auto rejected = Apply(Type::kCluster, Response("1", cluster));
  ASSERT_EQ(rejected.size(), 1u);
  EXPECT_NE(rejected[0].reason.find("24"), std::string::npos) << rejected[0].reason;
  EXPECT_NE(rejected[0].reason.find("transport_socket"), std::string::npos) << rejected[0].reason;
  ResourceStore lenient(std::make_shared<config::Bootstrap>(), {.warn_unsupported = true});
  EXPECT_TRUE(lenient.Apply(Response("1", cluster), Type::kCluster, At(0), false).empty());
  EXPECT_EQ(lenient.warnings().size(), 1u);
}

TEST_F(StoreTest, WhatRulesOfAccessSayAndWeDoNotKnowIsRefusedInEitherCase) {
  envoy::extensions::filters::http::rbac::v3::RBACPerRoute rbac;
  auto& policy = (*rbac.mutable_rbac()->mutable_rules()->mutable_policies())["p"];
  policy.add_permissions()->set_any(true);
  policy.add_principals()->set_any(true);
  policy.GetReflection()->MutableUnknownFields(&policy)->AddLengthDelimited(3, "");  // condition
  auto table = Routes("r", "c");
  auto& route = *table.mutable_virtual_hosts(0)->mutable_routes(0);
  (*route.mutable_typed_per_filter_config())["rbac"].PackFrom(rbac);
  ResourceStore lenient(std::make_shared<config::Bootstrap>(), {.warn_unsupported = true});
  for (ResourceStore* store : {&store_, &lenient}) {
    store->Apply(Response("1", RdsListener("l", "r", 80)), Type::kListener, At(0), false);
    const auto rejected = store->Apply(Response("1", table), Type::kRoutes, At(0), false);
    ASSERT_EQ(rejected.size(), 1u);
    EXPECT_NE(rejected[0].reason.find("field condition of envoy.config.rbac.v3.Policy"), std::string::npos)
        << rejected[0].reason;
    EXPECT_EQ(rejected[0].reason.find("condition"), rejected[0].reason.rfind("condition")) << "said once";
  }
}

// Bytes that no message of this type has, under a name that nobody can know.
google::protobuf::Any Garbage(Type type) {
  google::protobuf::Any any;
  any.set_type_url(std::string(UrlOf(type)));
  any.set_value("\xff\xff\xff");
  return any;
}

TEST_F(StoreTest, AResourceThatCannotBeReadDeletesNothing) {
  Apply(Type::kCluster, Response("1", EdsCluster("a"), EdsCluster("b")));
  DiscoveryResponse broken = Response("2", EdsCluster("a"));
  *broken.add_resources() = Garbage(Type::kCluster);
  const auto rejected = Apply(Type::kCluster, broken);
  ASSERT_EQ(rejected.size(), 1u);
  EXPECT_EQ(rejected[0].resource, "");
  EXPECT_EQ(store_.Wanted(Type::kEndpoints), (std::vector<std::string>{"a", "b"})) << "it may have been b";
  Apply(Type::kCluster, Response("3", EdsCluster("a")));
  EXPECT_EQ(store_.Wanted(Type::kEndpoints), std::vector<std::string>{"a"});
}

TEST_F(StoreTest, AWrapperGivesNameAndVersionAndMayNotHoldAWrapper) {
  envoy::service::discovery::v3::Resource wrapper;
  wrapper.set_name("a");
  wrapper.set_version("w1");
  wrapper.mutable_resource()->PackFrom(EdsCluster("a"));
  EXPECT_TRUE(Apply(Type::kCluster, Response("1", wrapper)).empty());
  EXPECT_EQ(store_.held(Type::kCluster).at("a").version, "w1");

  auto unreadable = wrapper;
  *unreadable.mutable_resource() = Garbage(Type::kCluster);
  auto rejected = Apply(Type::kCluster, Response("2", unreadable));
  ASSERT_EQ(rejected.size(), 1u);
  EXPECT_EQ(rejected[0].resource, "a");
  EXPECT_EQ(store_.held(Type::kCluster).at("a").version, "w1") << "the last good stays";

  envoy::service::discovery::v3::Resource outer;  // attack: wrappers down to the end of the stack
  outer.mutable_resource()->PackFrom(wrapper);
  EXPECT_EQ(Apply(Type::kCluster, Response("3", outer)).size(), 1u);

  auto mortal = wrapper;
  mortal.GetReflection()->MutableUnknownFields(&mortal)->AddLengthDelimited(6, "");  // ttl's number
  rejected = Apply(Type::kCluster, Response("4", mortal));
  ASSERT_EQ(rejected.size(), 1u);
  EXPECT_NE(rejected[0].reason.find("ttl"), std::string::npos) << rejected[0].reason;
}

TEST_F(StoreTest, WhatNobodyAskedForIsIgnored) {
  Apply(Type::kCluster, Response("1", EdsCluster("a")));
  EXPECT_TRUE(Apply(Type::kEndpoints, Response("1", Endpoints("a", 1), Endpoints("other", 70000))).empty());
  EXPECT_EQ(store_.held(Type::kEndpoints).size(), 1u);
}

TEST_F(StoreTest, AWaitThatIsOverIsNoNewsEachTime) {
  Apply(Type::kCluster, Response("1", EdsCluster("a")));
  Apply(Type::kListener, Response("1", RdsListener("l", "r", 80)));
  store_.Build(At(100));
  EXPECT_FALSE(store_.settled());
  const auto over = store_.Build(At(115));
  EXPECT_TRUE(store_.settled());
  EXPECT_EQ(store_.NextTimeout(), time::MonotonicTime::max()) << "the main loop would spin";
  EXPECT_EQ(store_.Build(At(116)), over);
  EXPECT_EQ(store_.Waiting().size(), 2u);
}

TEST_F(StoreTest, WaitsRunOnlyWhileTheControlPlaneIsConnected) {
  Apply(Type::kListener, Response("1", RdsListener("l", "old", 80)));
  Apply(Type::kRoutes, Response("1", Routes("old", "a")));
  store_.Build(At(0));
  Apply(Type::kListener, Response("2", RdsListener("l", "new", 80)));
  store_.Build(At(1));
  // The control plane goes before it sends the routes.
  EXPECT_EQ(store_.Build(At(2), false)->listeners.at("l").routes.at(0)->name, "old");
  EXPECT_EQ(store_.NextTimeout(), time::MonotonicTime::max());
  EXPECT_EQ(store_.Build(At(1000), false)->listeners.at("l").routes.at(0)->name, "old");
  EXPECT_EQ(store_.Build(At(1001))->listeners.at("l").routes.at(0)->name, "old");
  EXPECT_EQ(store_.NextTimeout(), At(1016)) << "it was asked for anew";
  EXPECT_EQ(store_.Build(At(1016))->listeners.at("l").routes.at(0)->name, "");
  EXPECT_EQ(store_.Build(At(1017), false)->listeners.at("l").routes.at(0)->name, "");
}

TEST_F(StoreTest, ANewWaitLeavesASettledSidecarSettled) {
  Apply(Type::kListener, Response("1", RdsListener("l", "r", 80)));
  store_.Build(At(0));
  EXPECT_FALSE(store_.settled());
  Apply(Type::kRoutes, Response("1", Routes("r", "a")));
  store_.Build(At(0));
  EXPECT_TRUE(store_.settled());
  Apply(Type::kCluster, Response("1", EdsCluster("a")));
  store_.Build(At(1));
  EXPECT_EQ(store_.Waiting().size(), 1u);
  EXPECT_TRUE(store_.settled());
}

TEST_F(StoreTest, AClusterThatNamesOtherEndpointsServesTheOldOnesUntilTheyAreHere) {
  auto cluster = EdsCluster("a");
  cluster.mutable_eds_cluster_config()->set_service_name("one");
  Apply(Type::kCluster, Response("1", cluster));
  Apply(Type::kEndpoints, Response("1", Endpoints("one", 1)));
  store_.Build(At(0));
  cluster.mutable_eds_cluster_config()->set_service_name("two");
  Apply(Type::kCluster, Response("2", cluster));
  EXPECT_EQ(store_.Wanted(Type::kEndpoints), std::vector<std::string>{"two"});
  EXPECT_EQ(store_.Build(At(1))->clusters.at("a").endpoints->name, "one");
  Apply(Type::kEndpoints, Response("2", Endpoints("two", 1)));
  EXPECT_EQ(store_.Build(At(2))->clusters.at("a").endpoints->name, "two");
}

TEST_F(StoreTest, WhatIsRemovedAndAddedAgainIsWaitedForAnew) {
  Apply(Type::kCluster, Response("1", EdsCluster("a")));
  Apply(Type::kEndpoints, Response("1", Endpoints("a", 1)));
  store_.Build(At(0));
  Apply(Type::kCluster, Response("2"));
  EXPECT_TRUE(store_.Build(At(1))->clusters.empty());
  EXPECT_TRUE(store_.held(Type::kEndpoints).empty());
  Apply(Type::kCluster, Response("3", EdsCluster("a")));
  EXPECT_TRUE(store_.Build(At(2))->clusters.empty());
  Apply(Type::kEndpoints, Response("3", Endpoints("a", 2)));
  EXPECT_EQ(store_.Build(At(3))->clusters.at("a").endpoints->endpoints[0].address.port(), 2);
}

TEST_F(StoreTest, TwoListenersDoNotShareAnAddressButItMayMove) {
  EXPECT_TRUE(
      Apply(Type::kListener, Response("1", RdsListener("a", "r", 80), RdsListener("b", "r", 81))).empty());
  // `a` would take the address of `b`, which stays: refused, and so is who counted on the place of `a`.
  auto rejected = Apply(Type::kListener, Response("2", RdsListener("a", "r", 81), RdsListener("b", "r", 81),
                                                  RdsListener("c", "r", 80)));
  ASSERT_EQ(rejected.size(), 2u);
  EXPECT_EQ(rejected[0].resource, "a");
  EXPECT_EQ(rejected[1].resource, "c");
  EXPECT_NE(rejected[0].reason.find("is that of listener b"), std::string::npos) << rejected[0].reason;
  EXPECT_EQ(store_.held(Type::kListener).at("a").version, "1");
  EXPECT_EQ(store_.held(Type::kListener).at("a").rejected_version, "2");
  Apply(Type::kRoutes, Response("1", Routes("r", "x")));
  EXPECT_EQ(store_.Build(At(0))->listeners.size(), 2u);
  EXPECT_EQ(store_.Build(At(0))->listeners.at("a").listener->address.port(), 80);
  // They change places, and a new one takes a place that becomes free.
  EXPECT_TRUE(
      Apply(Type::kListener, Response("3", RdsListener("a", "r", 81), RdsListener("b", "r", 80))).empty());
  EXPECT_TRUE(
      Apply(Type::kListener, Response("4", RdsListener("0", "r", 80), RdsListener("b", "r", 82))).empty());
}

TEST(StaticListener, APushedOneDoesNotTakeItsAddressOrThatOfTheAdminPages) {
  auto bootstrap = std::make_shared<config::Bootstrap>();
  auto fixed = std::make_shared<config::Listener>();
  fixed->name = "fixed";
  fixed->address = *net::Address::Parse("127.0.0.1", 80);
  auto server = std::make_shared<config::HttpServer>();
  server->http.inline_routes = std::make_shared<config::RouteTable>();
  fixed->chains = {{.name = "", .match = {}, .http = server, .tcp = nullptr}};
  bootstrap->listeners.push_back(fixed);
  bootstrap->admin_address = net::Address::Parse("127.0.0.1", 9901);
  ResourceStore store(bootstrap, {});
  const auto rejected = store.Apply(Response("1", RdsListener("x", "r", 80), RdsListener("y", "r", 9901)),
                                    Type::kListener, At(0), false);
  EXPECT_EQ(rejected.size(), 2u);
}

TEST(Warnings, AreKeptUpToALimit) {
  ResourceStore store(std::make_shared<config::Bootstrap>(), {.warn_unsupported = true});
  DiscoveryResponse response;
  for (size_t i = 0; i < kMaxWarnings + 100; ++i) {
    auto cluster = EdsCluster("a" + std::to_string(i));
    cluster.GetReflection()->MutableUnknownFields(&cluster)->AddVarint(24, 1);
    response.add_resources()->PackFrom(cluster);
  }
  EXPECT_TRUE(store.Apply(response, Type::kCluster, At(0), false).empty());
  EXPECT_EQ(store.warnings().size(), kMaxWarnings);
}

TEST_F(StoreTest, WhatANewVersionNoLongerTakesFromDiskIsToldAndTheRestServes) {
  auto old = EdsCluster("b");
  old.clear_eds_cluster_config();  // as if it had been fine once
  const auto rejected = store_.Apply(Response("1", EdsCluster("a"), old), Type::kCluster, At(0), true);
  ASSERT_EQ(rejected.size(), 1u);
  EXPECT_EQ(rejected[0].resource, "b");
  store_.Apply(Response("1", Endpoints("a", 1)), Type::kEndpoints, At(0), true);
  EXPECT_EQ(store_.Build(At(0), false)->clusters.size(), 1u);
  EXPECT_TRUE(store_.stale());
  EXPECT_EQ(store_.Export()[0].resources_size(), 1);
}

TEST_F(StoreTest, WhatCameFromDiskIsStaleUntilItIsConfirmed) {
  store_.Apply(Response("1", EdsCluster("a")), Type::kCluster, At(0), true);
  EXPECT_TRUE(store_.stale());
  Apply(Type::kCluster, Response("1", EdsCluster("a")));
  EXPECT_FALSE(store_.stale());
}

envoy::config::cluster::v3::Cluster TlsCluster(const std::string& name, const std::string& secret) {
  envoy::config::cluster::v3::Cluster cluster = EdsCluster(name);
  envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext tls;
  auto* named = tls.mutable_common_tls_context()->add_tls_certificate_sds_secret_configs();
  named->set_name(secret);
  named->mutable_sds_config()->mutable_ads();
  cluster.mutable_transport_socket()->mutable_typed_config()->PackFrom(tls);
  return cluster;
}

envoy::extensions::transport_sockets::tls::v3::Secret ASecret(const std::string& name,
                                                              const std::string& key) {
  envoy::extensions::transport_sockets::tls::v3::Secret secret;
  secret.set_name(name);
  secret.mutable_tls_certificate()->mutable_certificate_chain()->set_inline_string("chain");
  secret.mutable_tls_certificate()->mutable_private_key()->set_inline_string(key);
  return secret;
}

TEST(ResourceStoreTest, AClusterWaitsForItsSecretAndSecretsAreDroppedWithTheLastWhoNamesThem) {
  const auto problem = [](const config::CommonTls& tls) -> std::string {
    return !tls.certificates.empty() && tls.certificates[0].key.text == "bad" ? "the key is bad" : "";
  };
  ResourceStore store(std::make_shared<const config::Bootstrap>(), {false, problem});
  store.Apply(Response("1", TlsCluster("c", "own")), Type::kCluster, At(0), false);
  store.Apply(Response("1", Endpoints("c", 80)), Type::kEndpoints, At(0), false);
  EXPECT_EQ(store.Wanted(Type::kSecrets), (std::vector<std::string>{"own"}));
  EXPECT_EQ(store.Build(At(0))->clusters.count("c"), 0u);
  EXPECT_EQ(store.Waiting(), (std::vector<std::string>{"secret own of cluster c"}));
  // A bad one, and one that nobody asked for.
  const auto rejected =
      store.Apply(Response("1", ASecret("own", "bad"), ASecret("other", "k")), Type::kSecrets, At(0), false);
  ASSERT_EQ(rejected.size(), 1u);
  EXPECT_EQ(rejected[0].reason, "the key is bad");
  EXPECT_EQ(store.Build(At(0))->clusters.count("c"), 0u);
  store.Apply(Response("2", ASecret("own", "k")), Type::kSecrets, At(1), false);
  const auto first = store.Build(At(1));
  EXPECT_EQ(first->clusters.count("c"), 1u);
  ASSERT_EQ(first->secrets.size(), 1u);
  store.Apply(Response("3", ASecret("own", "renewed")), Type::kSecrets, At(2), false);
  const auto second = store.Build(At(2));
  EXPECT_NE(second->generation, first->generation);
  EXPECT_EQ(second->clusters.at("c").cluster, first->clusters.at("c").cluster);  // pools and connections stay
  for (const auto& response : store.Export())
    EXPECT_EQ(response.type_url().find("Secret"), std::string::npos);
  store.Apply(Response("2"), Type::kCluster, At(3), false);
  EXPECT_TRUE(store.Build(At(3))->secrets.empty());
}

TEST(ResourceStoreTest, ASecretThatDoesNotComeIsWaitedForSoLong) {
  ResourceStore store(std::make_shared<const config::Bootstrap>(), {});
  store.Apply(Response("1", TlsCluster("c", "own")), Type::kCluster, At(0), false);
  store.Apply(Response("1", Endpoints("c", 80)), Type::kEndpoints, At(0), false);
  EXPECT_EQ(store.Build(At(0))->clusters.count("c"), 0u);
  EXPECT_EQ(store.NextTimeout(), At(15));
  EXPECT_EQ(store.Build(At(15))->clusters.count("c"), 1u);
}

}  // namespace
}  // namespace pillion::xds
