#include "control-plane/snapshot/tokens.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "control-plane/snapshot/parts.h"
#include "sidecar/base/serialize_in_order.h"

namespace pillion::control {
namespace {

using sidecar::v1::TokenDomain;

// FNV-1a. 0 is no domain.
uint64_t HashOf(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash == 0 ? 1 : hash;
}

}  // namespace

TokenDomain MakeTokenDomain(const ObjectName& service, const TokenRule& rule) {
  TokenDomain domain;
  if (rule.validity.has_value()) SetDuration(domain.mutable_validity(), *rule.validity);
  if (rule.max_execution.has_value()) SetDuration(domain.mutable_max_execution(), *rule.max_execution);
  domain.set_on_concurrent(rule.conflict ? TokenDomain::CONFLICT : TokenDomain::WAIT);
  domain.set_retain(rule.tombstone ? TokenDomain::TOMBSTONE : TokenDomain::RESPONSE);
  for (const uint32_t status : rule.release_on) domain.add_release_on(status);
  if (rule.unknown_status.has_value()) domain.mutable_unknown_status()->set_value(*rule.unknown_status);
  if (rule.request_bytes.has_value()) domain.mutable_max_request_bytes()->set_value(*rule.request_bytes);
  if (rule.response_bytes.has_value()) domain.mutable_max_response_bytes()->set_value(*rule.response_bytes);
  if (rule.waiters.has_value()) domain.mutable_max_waiters()->set_value(*rule.waiters);
  if (rule.records.has_value()) domain.mutable_max_records()->set_value(*rule.records);
  if (rule.bytes.has_value()) domain.mutable_max_bytes()->set_value(*rule.bytes);
  domain.set_id(HashOf(service.ToString() + "|local|" + SerializeInOrder(domain)));
  return domain;
}

void SetTokens(envoy::config::route::v3::Route& to, const MeshService& service) {
  if (!service.tokens.has_value()) return;
  const TokenRule& rule = *service.tokens;
  sidecar::v1::TokenPolicy policy;
  policy.set_domain(MakeTokenDomain(service.name, rule).id());
  for (const std::string& method : rule.methods) policy.add_methods(method);
  for (const std::string& method : rule.grpc_methods) policy.add_grpc_methods(method);
  if (rule.request_bytes.has_value()) policy.mutable_max_request_bytes()->set_value(*rule.request_bytes);
  if (rule.retries.has_value()) policy.mutable_max_retries()->set_value(*rule.retries);
  (*to.mutable_typed_per_filter_config())[kTokenFilter].PackFrom(policy);
}

void PauseTokens(envoy::config::route::v3::VirtualHost& host, const Stamped& stamped) {
  for (auto& route : *host.mutable_routes()) {
    const auto found = route.mutable_typed_per_filter_config()->find(kTokenFilter);
    sidecar::v1::TokenPolicy policy;
    if (found == route.mutable_typed_per_filter_config()->end() || !found->second.UnpackTo(&policy)) continue;
    const auto& action = route.route();
    const auto& shares = action.weighted_clusters().clusters();
    const bool all =
        action.has_weighted_clusters()
            ? std::ranges::all_of(shares, [&](const auto& one) { return stamped.contains(one.name()); })
            : stamped.contains(action.cluster());
    policy.set_paused(!all);
    found->second.PackFrom(policy);
  }
}

}  // namespace pillion::control
