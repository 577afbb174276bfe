// What users say in Envoy's words, merged into what is made of their other words. What a sidecar would reject
// is left as it was, so that an override can never keep other changes from the mesh; ProblemsOfOverrides says
// which.
#ifndef PILLION_CONTROL_PLANE_SNAPSHOT_OVERRIDES_H_
#define PILLION_CONTROL_PLANE_SNAPSHOT_OVERRIDES_H_

#include <string>

#include "control-plane/model/model.h"

namespace pillion::control {

// Each merges, and returns "", or leaves its resource alone and returns what a sidecar would not take.
std::string Override(const OverrideRule& rule, envoy::config::cluster::v3::Cluster& cluster);
std::string Override(const OverrideRule& rule, envoy::config::route::v3::Route& route);
// Its routes are there already.
std::string Override(const OverrideRule& rule, envoy::config::route::v3::VirtualHost& host);
// What each endpoint is asked for; unchecked.
void Override(const AssignmentOverride& rule, const MeshEndpoint& endpoint,
              envoy::config::endpoint::v3::LocalityLbEndpoints& place,
              envoy::config::endpoint::v3::LbEndpoint& made);
// With its endpoints, which were asked for.
std::string Override(const AssignmentOverride& rule,
                     envoy::config::endpoint::v3::ClusterLoadAssignment& assignment);
// Nothing of the rest speaks of what it may say: it cannot fail.
void Override(const OverrideRule& rule, envoy::config::route::v3::RouteConfiguration& table);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_SNAPSHOT_OVERRIDES_H_
