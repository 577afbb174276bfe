// What an IdempotencyPolicy becomes in xDS.
#ifndef PILLION_CONTROL_PLANE_SNAPSHOT_TOKENS_H_
#define PILLION_CONTROL_PLANE_SNAPSHOT_TOKENS_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "control-plane/model/model.h"
#include "control-plane/snapshot/node_facts.h"
#include "control-plane/snapshot/rollout.h"
#include "envoy/config/route/v3/route.pb.h"
#include "pillion/sidecar/v1/idempotency.pb.h"

namespace pillion::control {

// The name that the filter has in listeners, and under which routes speak of it.
inline constexpr char kTokenFilter[] = "pillion.idempotency";

// `rule`: the Service's, or of a route that leads to it. Its number is made of all that it says, so that
// another version is another domain, and the same one again the same; of a principal not of the issuer's
// keys; of a store not of who one is to it, nor of the key that answers are sealed with, which is not in it
// where the control plane makes it (MeshService::token_key).
sidecar::v1::TokenDomain MakeTokenDomain(const ObjectName& service, const TokenRule& rule);
// Whether the process behind this address is the one that knows the Service's keys: the only endpoint that is
// ready. A pod that comes does not count while another is ready. One that goes takes itself for the one until
// it hears that it is not: what has a key may run there and at its successor, which knows none of its keys in
// any case.
bool KnowsKeys(const MeshService& service, const SocketAddress& address);
// One of a Service's.
struct ServiceDomain {
  sidecar::v1::TokenDomain domain;  // but for what a process is told of itself, and keys to stores
  const EnforcedTokens* of = nullptr;
  std::set<uint16_t> ports;
  std::set<std::string> routes;  // as in EnforcedTokens
  bool of_service = false;
};
// In the order of their numbers; each once.
std::vector<ServiceDomain> DomainsOf(const MeshService& service);

// For requests that all go to this Service, by no rule.
void SetTokens(envoy::config::route::v3::Route& to, const MeshService& service);
// `backends`: those of the rule that `to` leads to, in the order of its clusters. Each has a domain of its
// own, or none.
void SetTokens(envoy::config::route::v3::Route& to, const RankedMatch& ranked,
               const std::vector<const MeshBackend*>& backends, const Model& model);
// What is said of a cluster and a domain that are not in `stamped` is that there is no stamping: not nothing,
// so that the listener keeps its filter, and its connections.
void PauseTokens(envoy::config::route::v3::VirtualHost& host, const Stamped& stamped);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_SNAPSHOT_TOKENS_H_
