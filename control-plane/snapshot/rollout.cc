#include "control-plane/snapshot/rollout.h"

#include <utility>

#include "control-plane/snapshot/tokens.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "pillion/sidecar/v1/idempotency.pb.h"

namespace pillion::control {
namespace {

using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;

// `use`: called with the key of each endpoint of each port.
template <typename Use>
void ForEachEndpoint(const MeshService& service, Use use) {
  for (const MeshPort& port : service.ports) {
    for (const MeshEndpoint& endpoint : port.endpoints)
      use(endpoint, EnforcerKey(endpoint.host, endpoint.port));
  }
}

}  // namespace

std::string EnforcerKey(const std::string& ip, uint16_t port) {
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

std::vector<Rollout> RolloutsOf(const Model& model, const Enforcers& enforcers) {
  std::vector<Rollout> rollouts;
  for (const auto& [name, service] : model.services) {
    if (!service.tokens.has_value()) continue;
    Rollout rollout{.service = name, .domain = MakeTokenDomain(name, *service.tokens).id(), .missing = {}};
    std::set<std::string> seen;
    ForEachEndpoint(service, [&](const MeshEndpoint& endpoint, const std::string& key) {
      if (endpoint.health != Health::kReady || !seen.insert(key).second) return;
      ++rollout.endpoints;
      const auto found = enforcers.find(key);
      if (found == enforcers.end() || !found->second.contains(rollout.domain)) rollout.missing.push_back(key);
    });
    rollouts.push_back(std::move(rollout));
  }
  return rollouts;
}

TokenDomains StampedOf(const std::vector<Rollout>& rollouts) {
  TokenDomains domains;
  for (const Rollout& rollout : rollouts) {
    if (rollout.stamps()) domains.insert(rollout.domain);
  }
  return domains;
}

void Forget(const Model& model, Enforcers& enforcers) {
  std::set<std::string> there;
  for (const auto& [name, service] : model.services) {
    if (!service.tokens.has_value()) continue;
    ForEachEndpoint(service, [&](const MeshEndpoint&, const std::string& key) { there.insert(key); });
  }
  std::erase_if(enforcers, [&](const auto& item) { return !there.contains(item.first); });
}

}  // namespace pillion::control
