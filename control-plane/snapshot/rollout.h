// When sidecars begin to stamp requests to a Service whose requests run at most once: once each of its pods
// enforces the policy (specs/idempotency.md 2.17). What a pod's sidecar enforces is what it has accepted, not
// what it was sent. Values.
#ifndef PILLION_CONTROL_PLANE_SNAPSHOT_ROLLOUT_H_
#define PILLION_CONTROL_PLANE_SNAPSHOT_ROLLOUT_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "control-plane/model/model.h"
#include "envoy/config/listener/v3/listener.pb.h"

namespace pillion::control {

using TokenDomains = std::set<uint64_t>;

// Of a Service, and where other sidecars come in at one of its pods, "ip:port". What a pod says of another
// Service's counts for nothing.
using EnforcerKey = std::pair<ObjectName, std::string>;
// What is known of each; none: it enforces nothing.
using Enforcers = std::map<EnforcerKey, TokenDomains>;

// "ip:port" of such a key. `ip` as EndpointSlices have it.
std::string EnforcerAddress(const std::string& ip, uint16_t port);
// That it enforces.
TokenDomains DomainsOf(const envoy::config::listener::v3::Listener& listener);

// Of one domain at one port of a Service.
struct Rollout {
  ObjectName service;
  uint16_t port = 0;
  uint64_t domain = 0;
  std::set<std::string> routes;      // whose policies it is for, "HTTPRoute shop/checkout"
  bool of_service = false;           // the Service's own
  size_t endpoints = 0;              // that are ready
  std::vector<std::string> missing;  // of those, "host:port": they do not enforce it, as far as is known
  bool keys_refused = false;         // of apps: they are known to one process, and there are several
  bool stamps() const { return endpoints > 0 && missing.empty(); }
};

// `patient`: domains whose endpoints of which nothing is known yet count as enforcing.
std::vector<Rollout> RolloutsOf(const Model& model, const Enforcers& enforcers,
                                const TokenDomains& patient = {});
// Names of clusters, each with a domain.
using Stamped = std::set<std::pair<std::string, uint64_t>>;
// To which requests may be stamped, for which.
Stamped StampedOf(const std::vector<Rollout>& rollouts);
// Of all policies.
TokenDomains DomainsOf(const Model& model);
// Drops who is no endpoint of a Service with a policy.
void Forget(const Model& model, Enforcers& enforcers);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_SNAPSHOT_ROLLOUT_H_
