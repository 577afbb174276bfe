#include "control-plane/snapshot/rollout.h"

#include <utility>

#include "control-plane/snapshot/parts.h"
#include "control-plane/snapshot/tokens.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "pillion/sidecar/v1/idempotency.pb.h"

namespace pillion::control {
namespace {

using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;

// Of a port of `service`.
Rollout RolloutOf(const ObjectName& service, const MeshPort& port, const ServiceDomain& domain,
                  const Enforcers& enforcers, const TokenDomains& patient) {
  Rollout rollout{.service = service,
                  .port = port.port,
                  .domain = domain.domain.id(),
                  .routes = domain.routes,
                  .of_service = domain.of_service,
                  .missing = {},
                  .keys_refused = false};
  for (const MeshEndpoint& endpoint : port.endpoints) {
    if (endpoint.health != Health::kReady) continue;
    ++rollout.endpoints;
    std::string address = EnforcerAddress(endpoint.host, endpoint.port);
    const auto found = enforcers.find({service, address});
    const bool enforces = found == enforcers.end() ? endpoint.peer && patient.contains(rollout.domain)
                                                   : found->second.contains(rollout.domain);
    if (!enforces) rollout.missing.push_back(std::move(address));
  }
  return rollout;
}

}  // namespace

std::string EnforcerAddress(const std::string& ip, uint16_t port) {
  const bool v6 = ip.find(':') != std::string::npos;
  return (v6 ? "[" + ip + "]:" : ip + ":") + std::to_string(port);
}

TokenDomains DomainsOf(const envoy::config::listener::v3::Listener& listener) {
  TokenDomains domains;
  for (const auto& chain : listener.filter_chains()) {
    for (const auto& filter : chain.filters()) {
      HttpConnectionManager manager;
      if (!filter.typed_config().UnpackTo(&manager)) continue;
      for (const auto& http : manager.http_filters()) {
        sidecar::v1::Idempotency tokens;
        if (http.name() != kTokenFilter || !http.typed_config().UnpackTo(&tokens)) continue;
        for (const auto& domain : tokens.domains()) domains.insert(domain.id());
      }
    }
  }
  return domains;
}

std::vector<Rollout> RolloutsOf(const Model& model, const Enforcers& enforcers, const TokenDomains& patient) {
  std::vector<Rollout> rollouts;
  for (const auto& [name, service] : model.services) {
    for (const ServiceDomain& domain : DomainsOf(service)) {
      for (const MeshPort& port : service.ports) {
        if (!domain.ports.contains(port.port)) continue;
        Rollout& made = rollouts.emplace_back(RolloutOf(name, port, domain, enforcers, patient));
        made.keys_refused = domain.of->rule.keys_of_one_process() && made.endpoints > 1;
      }
    }
  }
  return rollouts;
}

Stamped StampedOf(const std::vector<Rollout>& rollouts) {
  Stamped clusters;
  for (const Rollout& rollout : rollouts) {
    if (rollout.stamps()) clusters.emplace(OutboundCluster(rollout.service, rollout.port), rollout.domain);
  }
  return clusters;
}

TokenDomains DomainsOf(const Model& model) {
  TokenDomains domains;
  for (const auto& [name, service] : model.services) {
    for (const ServiceDomain& one : DomainsOf(service)) domains.insert(one.domain.id());
  }
  return domains;
}

void Forget(const Model& model, Enforcers& enforcers) {
  std::set<EnforcerKey> there;
  for (const auto& [name, service] : model.services) {
    if (service.enforced.empty()) continue;
    for (const MeshPort& port : service.ports) {
      for (const MeshEndpoint& endpoint : port.endpoints)
        there.emplace(name, EnforcerAddress(endpoint.host, endpoint.port));
    }
  }
  std::erase_if(enforcers, [&](const auto& item) { return !there.contains(item.first); });
}

}  // namespace pillion::control
