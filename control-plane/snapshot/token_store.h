// The Redis server that all pods of a Service keep records of tokens in, in xDS; used in this folder only.
#ifndef PILLION_CONTROL_PLANE_SNAPSHOT_TOKEN_STORE_H_
#define PILLION_CONTROL_PLANE_SNAPSHOT_TOKEN_STORE_H_

#include <string>

#include "control-plane/model/model.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "pillion/sidecar/v1/idempotency.pb.h"

namespace pillion::control {

// "token-store|payments.shop.svc.cluster.local": only sidecars of the Service are told of it.
std::string StoreCluster(const ObjectName& service);
// Of that name: all addresses, and TLS.
envoy::config::cluster::v3::Cluster MakeStoreCluster(const ObjectName& service, const TokenStoreRule& rule);
// Without a key that the control plane makes.
sidecar::v1::TokenStore MakeTokenStore(const ObjectName& service, const TokenStoreRule& rule);
// Which server `rule` means: equal where its addresses are the same, whatever their order.
std::string StoreIdentity(const TokenStoreRule& rule);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_SNAPSHOT_TOKEN_STORE_H_
