// Small resource sets for tests: clusters with endpoints, one listener per route table.
#ifndef PILLION_CONTROL_PLANE_XDS_TEST_RESOURCES_H_
#define PILLION_CONTROL_PLANE_XDS_TEST_RESOURCES_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "control-plane/snapshot/resource_set.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"

namespace pillion::control::testing {

class TestSet {
 public:
  // Different `revision`, different version.
  TestSet& Cluster(const std::string& name, int revision = 1) {
    envoy::config::cluster::v3::Cluster cluster;
    cluster.set_name(name);
    cluster.mutable_connect_timeout()->set_seconds(revision);
    set_->Add(ResourceType::kCluster, name, cluster, {{ResourceType::kEndpoints, name}});
    return *this;
  }
  TestSet& Endpoints(const std::string& name, int revision = 1) {
    envoy::config::endpoint::v3::ClusterLoadAssignment endpoints;
    endpoints.set_cluster_name(name);
    endpoints.add_endpoints()->set_priority(static_cast<uint32_t>(revision));
    set_->Add(ResourceType::kEndpoints, name, endpoints);
    return *this;
  }
  TestSet& Both(const std::string& name) { return Cluster(name).Endpoints(name); }
  TestSet& Listener(const std::string& name, const std::string& routes, int revision = 1) {
    envoy::config::listener::v3::Listener listener;
    listener.set_name(name);
    listener.mutable_per_connection_buffer_limit_bytes()->set_value(static_cast<uint32_t>(revision));
    set_->Add(ResourceType::kListener, name, listener, {{ResourceType::kRoutes, routes}});
    return *this;
  }
  TestSet& Routes(const std::string& name, const std::vector<std::string>& clusters, int revision = 1) {
    envoy::config::route::v3::RouteConfiguration routes;
    routes.set_name(name);
    std::vector<Reference> references;
    for (const std::string& cluster : clusters) {
      envoy::config::route::v3::VirtualHost& host = *routes.add_virtual_hosts();
      host.set_name(cluster + std::to_string(revision));
      references.push_back({ResourceType::kCluster, cluster});
    }
    set_->Add(ResourceType::kRoutes, name, routes, std::move(references));
    return *this;
  }
  std::shared_ptr<const ResourceSet> Seal() {
    set_->Seal();
    return std::move(set_);
  }

 private:
  std::shared_ptr<ResourceSet> set_ = std::make_shared<ResourceSet>();
};

}  // namespace pillion::control::testing

#endif  // PILLION_CONTROL_PLANE_XDS_TEST_RESOURCES_H_
