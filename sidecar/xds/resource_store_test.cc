#include "sidecar/xds/resource_store.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"

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
  EXPECT_EQ(snapshot->listeners.at("l").routes->name, "r");
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
  EXPECT_TRUE(snapshot->listeners.at("l").routes->virtual_hosts.empty());
  Apply(Type::kRoutes, Response("1", Routes("r", "a")));
  EXPECT_EQ(store_.Build(At(200))->listeners.at("l").routes->name, "r") << "a late arrival must be accepted";
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
  EXPECT_EQ(store_.Build(At(1))->listeners.at("l").routes->name, "old");
  Apply(Type::kRoutes, Response("2", Routes("new", "a")));
  EXPECT_EQ(store_.Build(At(2))->listeners.at("l").routes->name, "new");
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

TEST_F(StoreTest, WhatCameFromDiskIsStaleUntilItIsConfirmed) {
  store_.Apply(Response("1", EdsCluster("a")), Type::kCluster, At(0), true);
  EXPECT_TRUE(store_.stale());
  Apply(Type::kCluster, Response("1", EdsCluster("a")));
  EXPECT_FALSE(store_.stale());
}

}  // namespace
}  // namespace pillion::xds
