#include "control-plane/model/token_domains.h"

#include <algorithm>

#include "sidecar/base/check.h"

namespace pillion::control {
namespace {

// Without what sidecars of the Service are not told. With keys they are told of methods too, but only the
// Service's own policy may have keys, and it is one.
TokenRule OfRecords(TokenRule rule) {
  rule.retries.reset();
  rule.methods.clear();
  rule.grpc_methods.clear();
  return rule;
}

auto Find(auto& service, const TokenRule& rule) {
  return std::ranges::find_if(service.enforced,
                              [&](const EnforcedTokens& one) { return SameRecords(one.rule, rule); });
}

}  // namespace

bool SameRecords(const TokenRule& a, const TokenRule& b) { return OfRecords(a) == OfRecords(b); }

bool SpeaksFor(const MeshRoute& route, const TokenRule& rule, const ObjectName& service) {
  return !rule.has_domain() || route.name.ns == service.ns;
}

bool HasRoomFor(const MeshService& service, const TokenRule& rule) {
  return !rule.has_domain() || service.enforced.size() < kMaxTokenDomains ||
         Find(service, rule) != service.enforced.end();
}

void Enforce(MeshService& service, const TokenRule& rule, uint16_t port, const std::string& route) {
  if (!rule.has_domain()) return;
  auto found = Find(service, rule);
  if (found == service.enforced.end()) {
    PILLION_CHECK(HasRoomFor(service, rule));
    service.enforced.push_back({.rule = rule, .ports = {}, .routes = {}, .of_service = false});
    found = service.enforced.end() - 1;
  }
  found->ports.insert(port);
  if (route.empty()) {
    found->of_service = true;
  } else {
    found->routes.insert(route);
  }
}

}  // namespace pillion::control
