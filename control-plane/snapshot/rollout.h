// When sidecars begin to stamp requests to a Service whose requests run at most once: once each of its pods
// enforces the policy (specs/idempotency.md 2.17). What a pod's sidecar enforces is what it has accepted, not
// what it was sent. Values.
#ifndef PILLION_CONTROL_PLANE_SNAPSHOT_ROLLOUT_H_
#define PILLION_CONTROL_PLANE_SNAPSHOT_ROLLOUT_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "control-plane/model/model.h"
#include "envoy/config/listener/v3/listener.pb.h"

namespace pillion::control {

using TokenDomains = std::set<uint64_t>;

// By "ip:port" where other sidecars come in; none is empty.
using Enforcers = std::map<std::string, TokenDomains>;

// As a key of Enforcers. `ip` as EndpointSlices have it.
std::string EnforcerKey(const std::string& ip, uint16_t port);
// That it enforces.
TokenDomains DomainsOf(const envoy::config::listener::v3::Listener& listener);

struct Rollout {
  ObjectName service;
  uint64_t domain = 0;
  size_t endpoints = 0;              // that are ready
  std::vector<std::string> missing;  // of those, "ip:port": they do not enforce it, as far as is known
  bool stamps() const { return endpoints > 0 && missing.empty(); }
};

// Of each Service with a policy.
std::vector<Rollout> RolloutsOf(const Model& model, const Enforcers& enforcers);
// Those of `rollouts` that may be stamped.
TokenDomains StampedOf(const std::vector<Rollout>& rollouts);
// Drops who is no endpoint of a Service with a policy any more.
void Forget(const Model& model, Enforcers& enforcers);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_SNAPSHOT_ROLLOUT_H_
