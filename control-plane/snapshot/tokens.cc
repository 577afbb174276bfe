#include "control-plane/snapshot/tokens.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "control-plane/model/token_domains.h"
#include "control-plane/snapshot/content_hash.h"
#include "control-plane/snapshot/parts.h"
#include "control-plane/snapshot/token_store.h"
#include "sidecar/base/serialize_in_order.h"

namespace pillion::control {
namespace {

using sidecar::v1::TokenDomain;

sidecar::v1::KeySource KeySourceOf(const TokenRule& rule) {
  switch (rule.key_source) {
    case KeySource::kMint:
      return sidecar::v1::MINT;
    case KeySource::kApp:
      return sidecar::v1::APP;
    case KeySource::kAppOrMint:
      return sidecar::v1::APP_OR_MINT;
    case KeySource::kPassthrough:
      return sidecar::v1::PASSTHROUGH;
  }
  return sidecar::v1::MINT;
}

// Of what makes a key another user's; the keys that JWT are verified with do not.
std::string UsersOf(const KeyPrincipalRule& rule) {
  return "|" + std::to_string(rule.claim.size()) + ' ' + rule.claim + ' ' + rule.issuer;
}

sidecar::v1::Principal MakePrincipal(const KeyPrincipalRule& rule) {
  sidecar::v1::Principal principal;
  principal.set_claim(rule.claim);
  principal.set_issuer(rule.issuer);
  for (const std::string& one : rule.audiences) principal.add_audiences(one);
  if (!rule.jwks.empty()) principal.mutable_jwks()->set_inline_string(rule.jwks);
  if (!rule.jwks_file.empty()) principal.mutable_jwks()->set_filename(rule.jwks_file);
  return principal;
}

void SetKeys(TokenDomain& domain, const ObjectName& service, const TokenRule& rule) {
  if (!rule.keeps_keys()) return;
  domain.set_key_source(KeySourceOf(rule));
  domain.set_require(rule.require);
  if (rule.app_validity.has_value()) SetDuration(domain.mutable_app_validity(), *rule.app_validity);
  for (const std::string& method : rule.methods) domain.add_methods(method);
  for (const std::string& method : rule.grpc_methods) domain.add_grpc_methods(method);
  if (!rule.compares_key_contents) domain.set_fingerprint(TokenDomain::HEAD);
  // Of the Service alone, and whose a key is: what was promised of it holds though the policy changes. Where
  // it compares requests in another way those of keys that are known are refused, which runs nothing twice.
  domain.set_keys(HashOf(service.ToString() + (rule.store.has_value() ? "|shared keys" : "|local keys") +
                         (rule.principal.has_value() ? UsersOf(*rule.principal) : "")));
  if (rule.principal.has_value()) *domain.mutable_principal() = MakePrincipal(*rule.principal);
}

// Of all that `domain` says but who one is to the server, and which keys an issuer has today: whatever they
// are, the records are the same.
uint64_t IdOf(const TokenDomain& domain, const ObjectName& service, const TokenRule& rule) {
  TokenDomain said = domain;
  if (said.has_principal()) said.mutable_principal()->clear_jwks();
  if (!rule.store.has_value()) return HashOf(service.ToString() + "|local|" + SerializeInOrder(said));
  said.mutable_store()->clear_user();
  said.mutable_store()->clear_password();
  return HashOf(service.ToString() + "|shared|" + StoreIdentity(*rule.store) + '|' + SerializeInOrder(said));
}

}  // namespace

TokenDomain MakeTokenDomain(const ObjectName& service, const TokenRule& rule) {
  TokenDomain domain;
  if (rule.validity.has_value()) SetDuration(domain.mutable_validity(), *rule.validity);
  if (rule.max_execution.has_value()) SetDuration(domain.mutable_max_execution(), *rule.max_execution);
  domain.set_on_concurrent(rule.conflict ? TokenDomain::CONFLICT : TokenDomain::WAIT);
  if (rule.reexecutes) domain.set_on_unknown(TokenDomain::RUN_AGAIN);
  domain.set_retain(rule.tombstone ? TokenDomain::TOMBSTONE : TokenDomain::RESPONSE);
  for (const uint32_t status : rule.release_on) domain.add_release_on(status);
  if (rule.unknown_status.has_value()) domain.mutable_unknown_status()->set_value(*rule.unknown_status);
  if (rule.request_bytes.has_value()) domain.mutable_max_request_bytes()->set_value(*rule.request_bytes);
  if (rule.response_bytes.has_value()) domain.mutable_max_response_bytes()->set_value(*rule.response_bytes);
  if (rule.waiters.has_value()) domain.mutable_max_waiters()->set_value(*rule.waiters);
  if (rule.records.has_value()) domain.mutable_max_records()->set_value(*rule.records);
  if (rule.bytes.has_value()) domain.mutable_max_bytes()->set_value(*rule.bytes);
  SetKeys(domain, service, rule);
  if (rule.store.has_value()) *domain.mutable_store() = MakeTokenStore(service, *rule.store);
  domain.set_id(IdOf(domain, service, rule));
  return domain;
}

bool KnowsKeys(const MeshService& service, const SocketAddress& address) {
  bool alone = false;
  for (const MeshPort& port : service.ports) {
    const bool here = std::ranges::any_of(port.endpoints, [&](const MeshEndpoint& endpoint) {
      return endpoint.health == Health::kReady && endpoint.port == address.port &&
             endpoint.host == address.ip;
    });
    if (!here) continue;
    if (ReadyEndpoints(port) > 1) return false;
    alone = true;
  }
  return alone;
}

std::vector<ServiceDomain> DomainsOf(const MeshService& service) {
  std::map<uint64_t, ServiceDomain> domains;
  for (const EnforcedTokens& one : service.enforced) {
    sidecar::v1::TokenDomain domain = MakeTokenDomain(service.name, one.rule);
    // Those that differ only in who one is to their store are one, for whom the first speaks.
    ServiceDomain& into = domains[domain.id()];
    if (into.of == nullptr) {
      into.of = &one;
      if (one.rule.store.has_value())
        domain.mutable_store()->set_cluster(StoreCluster(service, *one.rule.store));
      into.domain = std::move(domain);
    }
    into.ports.insert(one.ports.begin(), one.ports.end());
    into.routes.insert(one.routes.begin(), one.routes.end());
    into.of_service = into.of_service || one.of_service;
  }
  std::vector<ServiceDomain> all;
  all.reserve(domains.size());
  for (auto& [id, domain] : domains) all.push_back(std::move(domain));
  return all;
}

namespace {

using PerFilter = google::protobuf::Map<std::string, google::protobuf::Any>;

// Of requests to a Service of that name.
void SayTokens(PerFilter& to, const TokenRule& rule, const ObjectName& service) {
  sidecar::v1::TokenPolicy policy;
  policy.set_key_source(KeySourceOf(rule));
  policy.set_shared(rule.store.has_value());
  policy.set_runs_unknown_again(rule.reexecutes);
  if (rule.has_domain()) policy.set_domain(MakeTokenDomain(service, rule).id());
  for (const std::string& method : rule.methods) policy.add_methods(method);
  for (const std::string& method : rule.grpc_methods) policy.add_grpc_methods(method);
  if (rule.request_bytes.has_value()) policy.mutable_max_request_bytes()->set_value(*rule.request_bytes);
  if (rule.retries.has_value()) policy.mutable_max_retries()->set_value(*rule.retries);
  to[kTokenFilter].PackFrom(policy);
}

void MayPause(PerFilter& said, const std::string& cluster, const Stamped& stamped) {
  const auto found = said.find(kTokenFilter);
  sidecar::v1::TokenPolicy policy;
  if (found == said.end() || !found->second.UnpackTo(&policy)) return;
  if (policy.key_source() == sidecar::v1::PASSTHROUGH) return;  // nobody's word is waited for
  policy.set_paused(!stamped.contains({cluster, policy.domain()}));
  found->second.PackFrom(policy);
}

}  // namespace

void SetTokens(envoy::config::route::v3::Route& to, const MeshService& service) {
  if (service.tokens.has_value())
    SayTokens(*to.mutable_typed_per_filter_config(), *service.tokens, service.name);
}

void SetTokens(envoy::config::route::v3::Route& to, const RankedMatch& ranked,
               const std::vector<const MeshBackend*>& backends, const Model& model) {
  const std::optional<TokenRule>& of_route = ranked.rule->tokens;
  for (size_t i = 0; i < backends.size(); ++i) {
    const MeshService* const service = backends[i]->valid ? model.FindService(backends[i]->service) : nullptr;
    if (service == nullptr) continue;
    const bool by_route = of_route.has_value() && SpeaksFor(*ranked.route, *of_route, service->name);
    const std::optional<TokenRule>& rule = by_route ? of_route : service->tokens;
    if (!rule.has_value()) continue;
    auto& action = *to.mutable_route();
    PerFilter& said = action.has_weighted_clusters() ? *action.mutable_weighted_clusters()
                                                            ->mutable_clusters(static_cast<int>(i))
                                                            ->mutable_typed_per_filter_config()
                                                     : *to.mutable_typed_per_filter_config();
    SayTokens(said, *rule, service->name);
  }
}

void PauseTokens(envoy::config::route::v3::VirtualHost& host, const Stamped& stamped) {
  for (auto& route : *host.mutable_routes()) {
    if (!route.has_route()) continue;
    if (!route.route().has_weighted_clusters()) {
      MayPause(*route.mutable_typed_per_filter_config(), route.route().cluster(), stamped);
      continue;
    }
    for (auto& share : *route.mutable_route()->mutable_weighted_clusters()->mutable_clusters())
      MayPause(*share.mutable_typed_per_filter_config(), share.name(), stamped);
  }
}

}  // namespace pillion::control
