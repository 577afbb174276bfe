// For tests of snapshots: a small mesh, and what a node of it gets, read back.
#ifndef PILLION_CONTROL_PLANE_SNAPSHOT_BUILD_TEST_MESH_H_
#define PILLION_CONTROL_PLANE_SNAPSHOT_BUILD_TEST_MESH_H_

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "control-plane/snapshot/build.h"
#include "control-plane/snapshot/check.h"
#include "control-plane/source/file/decode.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"

namespace pillion::control {

using envoy::config::cluster::v3::Cluster;
using envoy::config::core::v3::Node;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using envoy::config::listener::v3::Listener;
using envoy::config::route::v3::Route;
using envoy::config::route::v3::RouteAction;
using envoy::config::route::v3::RouteConfiguration;
using envoy::config::route::v3::VirtualHost;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using Lines = std::vector<std::string>;
using enum ResourceType;

inline constexpr char kServices[] = R"(
--- {apiVersion: v1, kind: Service, metadata: {name: orders, namespace: shop}, spec: {ports: [{name: admin, port: 9000}, {name: http, port: 80}]}}
--- {apiVersion: v1, kind: Service, metadata: {name: v2, namespace: shop}, spec: {ports: [{port: 8080}]}}
--- {apiVersion: v1, kind: Service, metadata: {name: greeter, namespace: shop}, spec: {ports: [{name: g, port: 50051, appProtocol: grpc}]}}
--- {apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop}, spec: {ports: [{port: 3306, appProtocol: mysql}]}}
--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: g1, namespace: shop, labels: {kubernetes.io/service-name: greeter, pillion/sidecar: "true"}}, addressType: IPv4, endpoints: [{addresses: [10.0.0.1], zone: a}, {addresses: [10.0.0.2], zone: b, conditions: {ready: false}}, {addresses: [10.0.0.3], zone: a}], ports: [{name: g, port: 15006}]}
)";

inline Node MakeNode(const std::map<std::string, std::string>& metadata) {
  Node node;
  node.set_id("n");
  for (const auto& [key, value] : metadata) {
    (*node.mutable_metadata()->mutable_fields())[key].set_string_value(value);
  }
  return node;
}

inline std::shared_ptr<const ResourceSet> Build(const std::string& yaml, const Node& node) {
  const DecodedFile file = DecodeFile(kServices + yaml, "f");
  for (const Problem& problem : file.problems) ADD_FAILURE() << problem.ToString();
  auto set = BuildSnapshot(*BuildModel(file.objects).model, ReadNode(node));
  EXPECT_EQ(CheckAsSidecar(*set), Lines{});
  EXPECT_EQ(set->DanglingReferences(), Lines{});
  return set;
}
inline std::shared_ptr<const ResourceSet> Build(const std::string& yaml = "") {
  return Build(yaml, MakeNode({{"namespace", "shop"}}));
}

inline Lines Names(const ResourceSet& set, ResourceType type) {
  Lines names;
  for (const auto& [name, resource] : set.of(type)) names.push_back(name);
  return names;
}
template <typename Message>
Message Get(const ResourceSet& set, ResourceType type, const std::string& name) {
  Message message;
  const auto it = set.of(type).find(name);
  if (it == set.of(type).end()) {
    ADD_FAILURE() << "no " << name;
  } else {
    EXPECT_TRUE(it->second->body.UnpackTo(&message));
  }
  return message;
}
inline HttpConnectionManager ManagerOf(const ResourceSet& set, const std::string& name) {
  const auto listener = Get<Listener>(set, kListener, name);
  HttpConnectionManager hcm;
  EXPECT_TRUE(listener.filter_chains(0).filters(0).typed_config().UnpackTo(&hcm));
  return hcm;
}
inline VirtualHost Host(const ResourceSet& set, const std::string& name) {
  const auto table = Get<RouteConfiguration>(set, kRoutes, "outbound");
  for (const VirtualHost& host : table.virtual_hosts()) {
    if (host.name() == name) return host;
  }
  ADD_FAILURE() << "no virtual host " << name;
  return {};
}
inline bool IsHttp2(const Cluster& cluster) {
  envoy::extensions::upstreams::http::v3::HttpProtocolOptions options;
  EXPECT_TRUE(cluster.typed_extension_protocol_options().begin()->second.UnpackTo(&options));
  return options.explicit_http_config().has_http2_protocol_options();
}
inline std::string RouteYaml(const std::string& spec, const std::string& ns = "shop") {
  return "--- {apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, namespace: " +
         ns + "}, spec: {parentRefs: [{group: '', kind: Service, name: orders, namespace: shop}], rules: [" +
         spec + "]}}\n";
}

// A policy on the Service orders.
inline std::string PolicyYaml(const std::string& kind, const std::string& spec) {
  return "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: " + kind +
         ", metadata: {name: p, namespace: shop}, spec: {targetRefs: [{kind: Service, name: orders}], " +
         spec + "}}\n";
}

// Another policy, of targets of its own.
inline std::string TargetedYaml(const std::string& kind, const std::string& spec) {
  return "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: " + kind +
         ", metadata: {name: p, namespace: shop}, spec: {" + spec + "}}\n";
}

inline constexpr char kOrders80[] = "orders.shop.svc.cluster.local:80";
inline constexpr char kOrdersCluster[] = "outbound|80||orders.shop.svc.cluster.local";

// "+name value", "=name value" and "-name", as they follow each other.
template <typename Added, typename Removed>
Lines Edits(const Added& added, const Removed& removed) {
  using Option = envoy::config::core::v3::HeaderValueOption;
  Lines lines;
  for (const std::string& name : removed) lines.push_back("-" + name);
  for (const Option& option : added) {
    const bool set = option.append_action() == Option::OVERWRITE_IF_EXISTS_OR_ADD;
    lines.push_back((set ? "=" : "+") + option.header().key() + " " + option.header().value());
  }
  return lines;
}

inline Route OnlyRoute(const std::string& rule) {
  return Host(*Build(RouteYaml("{" + rule + "}")), kOrders80).routes(0);
}

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_SNAPSHOT_BUILD_TEST_MESH_H_
