// (model, node) -> resources. Pure: equal arguments give equal resources with equal versions.
//
//   resource           name
//   Cluster            outbound|<port>||<service>.<namespace>.svc.cluster.local   one per HTTP port (EDS)
//                      inbound|<app port>||<...>                                  the local app (static)
//                      invalid-backend                                            no endpoints: answers 503
//                      token-store|<service>.<namespace>.svc.cluster.local        its records of tokens
//   ClusterLoadAssignment   as its cluster
//   Listener           outbound, inbound
//   RouteConfiguration outbound, inbound
//
// What Envoy would default is written out, with the value that changes least for the app: no route time-out,
// long idle time-outs, HTTP/1.0 and trailers let through.
#ifndef PILLION_CONTROL_PLANE_SNAPSHOT_BUILD_H_
#define PILLION_CONTROL_PLANE_SNAPSHOT_BUILD_H_

#include <memory>
#include <vector>

#include "control-plane/model/model.h"
#include "control-plane/snapshot/node_facts.h"
#include "control-plane/snapshot/resource_set.h"
#include "control-plane/snapshot/rollout.h"

namespace pillion::control {

// `stamped`: the clusters to which requests may be stamped with tokens, and of which domains (rollout.h);
// null: all.
std::shared_ptr<const ResourceSet> BuildSnapshot(const Model& model, const NodeFacts& node,
                                                 const Stamped* stamped = nullptr);

// XdsOverrides that have no effect on something of theirs, because no sidecar would take what came of it.
std::vector<Problem> ProblemsOfOverrides(const Model& model);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_SNAPSHOT_BUILD_H_
