#include "control-plane/xds/push_order.h"

#include <set>
#include <utility>

namespace pillion::control {
namespace {

void CollectClusters(const Resources& resources, std::set<std::string>& clusters) {
  for (const auto& [name, resource] : resources) {
    for (const Reference& reference : resource->references) {
      if (reference.type == ResourceType::kCluster) clusters.insert(reference.name);
    }
  }
}

// The clusters that the client may be sending requests to.
std::set<std::string> ClustersInUse(const TypeStates& states) {
  std::set<std::string> clusters;
  for (const ResourceType type : {ResourceType::kListener, ResourceType::kRoutes}) {
    CollectClusters(StateOf(states, type).held(), clusters);
    CollectClusters(StateOf(states, type).sent(), clusters);
  }
  return clusters;
}

// Clusters that the client has and whose endpoints it asked for, or is about to, and did not answer yet. A
// client that opened no endpoint subscription at all is not waited for. Rejected clusters count too: one bad
// cluster rejects a whole response, and clients take its good ones all the same.
bool WaitsForEndpoints(const TypeStates& states, const Resources& routes) {
  const TypeState& endpoints = StateOf(states, ResourceType::kEndpoints);
  const Resources& clusters = StateOf(states, ResourceType::kCluster).sent();
  std::set<std::string> named;
  CollectClusters(routes, named);
  for (const std::string& name : named) {
    const auto cluster = clusters.find(name);
    if (cluster == clusters.end()) continue;  // not wanted: no endpoints will be asked for
    for (const Reference& reference : cluster->second->references) {
      const bool answered = endpoints.held().contains(reference.name) || endpoints.doubtful(reference.name);
      if (reference.type == ResourceType::kEndpoints && !answered) return true;
    }
  }
  return false;
}

}  // namespace

Resources Desired(const TypeStates& states, const ResourceSet& target, ResourceType type) {
  const TypeState& state = StateOf(states, type);
  Resources desired;
  for (const auto& entry : target.of(type)) {
    if (state.subscription().Wants(entry.first)) desired.insert(entry);
  }
  if (type != ResourceType::kCluster) return desired;
  const std::set<std::string> in_use = ClustersInUse(states);
  for (const auto& entry : state.sent()) {
    if (in_use.contains(entry.first)) desired.insert(entry);  // no effect when the target has it
  }
  return desired;
}

std::optional<ResourceType> NextType(const TypeStates& states, const ResourceSet& target, bool patience_over,
                                     Resources& plan, bool& blocked_by_endpoints) {
  blocked_by_endpoints = false;
  for (const ResourceType type : kResourceTypes) {
    const TypeState& state = StateOf(states, type);
    if (state.in_flight()) return std::nullopt;
    std::optional<Resources> next = state.Plan(Desired(states, target, type));
    if (!next.has_value()) continue;
    if (type == ResourceType::kRoutes && !patience_over && WaitsForEndpoints(states, *next)) {
      blocked_by_endpoints = true;
      return std::nullopt;
    }
    plan = *std::move(next);
    return type;
  }
  return std::nullopt;
}

}  // namespace pillion::control
