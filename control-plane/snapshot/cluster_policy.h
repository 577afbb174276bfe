// What policies say of a Service's endpoints, in clusters and in routes to them; used by clusters.cc and
// routes.cc.
#ifndef PILLION_CONTROL_PLANE_SNAPSHOT_CLUSTER_POLICY_H_
#define PILLION_CONTROL_PLANE_SNAPSHOT_CLUSTER_POLICY_H_

#include <string>

#include "control-plane/model/model.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/route/v3/route.pb.h"

namespace pillion::control {

// What is left unset is Envoy's default: 1024 of each, whatever a mesh is used for, and requests to endpoints
// that are not ready once half of them are.
void SetSafeLimits(envoy::config::cluster::v3::Cluster& cluster);
// After SetSafeLimits.
void SetCircuits(envoy::config::cluster::v3::Cluster& cluster, const CircuitRule& rule);
void SetBalancer(envoy::config::cluster::v3::Cluster& cluster, const BalancerRule& rule);
void SetHealth(envoy::config::cluster::v3::Cluster& cluster, const HealthRule& rule, const std::string& host);
// Of a cluster that hashes; of several in one route all count.
void AddHashPolicies(envoy::config::route::v3::RouteAction& action, const BalancerRule& rule);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_SNAPSHOT_CLUSTER_POLICY_H_
