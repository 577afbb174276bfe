// The Redis server that all pods of a Service keep records of tokens in, in xDS; used in this folder only.
#ifndef PILLION_CONTROL_PLANE_SNAPSHOT_TOKEN_STORE_H_
#define PILLION_CONTROL_PLANE_SNAPSHOT_TOKEN_STORE_H_

#include <string>
#include <vector>

#include "control-plane/model/model.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "pillion/sidecar/v1/idempotency.pb.h"

namespace pillion::control {

// "token-store|payments.shop.svc.cluster.local": only sidecars of the Service are told of it. `store`: of a
// policy that they enforce. One that is reached in another way than that of the Service's own policy has a
// name of its own behind it.
std::string StoreCluster(const MeshService& service, const TokenStoreRule& store);
// Of all stores of the Service, each once: all addresses, and TLS.
std::vector<envoy::config::cluster::v3::Cluster> MakeStoreClusters(const MeshService& service);
// With the cluster of the Service's own policy, which is part of what domains are told apart by. Without a
// key that the control plane makes.
sidecar::v1::TokenStore MakeTokenStore(const ObjectName& service, const TokenStoreRule& rule);
// Which server `rule` means: equal where its addresses are the same, whatever their order.
std::string StoreIdentity(const TokenStoreRule& rule);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_SNAPSHOT_TOKEN_STORE_H_
