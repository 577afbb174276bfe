#include "control-plane/snapshot/check.h"

#include "sidecar/config/parse_cluster.h"
#include "sidecar/config/parse_endpoints.h"
#include "sidecar/config/parse_listener.h"
#include "sidecar/config/parse_route.h"

namespace pillion::control {
namespace {

// `parse`: (message, version) -> config::Validated<...>.
template <typename Message, typename Parse>
void CheckAll(const ResourceSet& set, const ResourceSet* accepted, ResourceType type, Parse parse,
              std::vector<std::string>& problems) {
  for (const auto& [name, resource] : set.of(type)) {
    if (accepted != nullptr) {
      const auto known = accepted->of(type).find(name);
      if (known != accepted->of(type).end() && known->second->version == resource->version) continue;
    }
    const std::string who = Message::descriptor()->name() + " " + name + ": ";
    Message message;
    if (!resource->body.UnpackTo(&message)) {
      problems.push_back(who + "not such a message");
      continue;
    }
    const auto validated = parse(message, resource->version);
    for (const auto& errors : {validated.errors, validated.unsupported}) {
      for (const config::ConfigError& error : errors)
        problems.push_back(who + error.path + ": " + error.message);
    }
  }
}

}  // namespace

std::vector<std::string> CheckAsSidecar(const ResourceSet& set, const ResourceSet* accepted) {
  std::vector<std::string> problems;
  const auto pushed = config::Origin::kPushed;
  CheckAll<envoy::config::cluster::v3::Cluster>(set, accepted, ResourceType::kCluster, config::ParseCluster,
                                                problems);
  CheckAll<envoy::config::endpoint::v3::ClusterLoadAssignment>(set, accepted, ResourceType::kEndpoints,
                                                               config::ParseAssignment, problems);
  CheckAll<envoy::config::listener::v3::Listener>(
      set, accepted, ResourceType::kListener,
      [&](const auto& message, const auto& version) {
        return config::ParseListener(message, version, pushed);
      },
      problems);
  CheckAll<envoy::config::route::v3::RouteConfiguration>(
      set, accepted, ResourceType::kRoutes,
      [&](const auto& message, const auto& version) {
        return config::ParseRouteTable(message, version, pushed);
      },
      problems);
  return problems;
}

}  // namespace pillion::control
