#include "sidecar/filters/rbac/judge_access.h"

#include <algorithm>
#include <string_view>
#include <variant>

#include "sidecar/config/string_match.h"
#include "sidecar/filter/client_address.h"
#include "sidecar/route/match.h"

namespace pillion::filters {
namespace {

namespace access = config::access;
using config::AccessCondition;

struct Judge {
  const AccessFacts& facts;

  bool Holds(const AccessCondition& condition) const { return std::visit(*this, condition.what); }

  bool operator()(const access::Always&) const { return true; }
  bool operator()(const access::All& all) const {
    return std::ranges::all_of(all.of, [this](const AccessCondition& one) { return Holds(one); });
  }
  bool operator()(const access::Any& any) const {
    return std::ranges::any_of(any.of, [this](const AccessCondition& one) { return Holds(one); });
  }
  bool operator()(const access::Not& no) const { return !Holds(no.of.front()); }
  bool operator()(const config::HeaderMatch& field) const { return route::Matches(field, facts.head); }
  bool operator()(const access::Path& path) const {
    const std::string_view target = facts.head.path;
    return config::Matches(path.text, target.substr(0, target.find('?')));
  }
  bool operator()(const access::ServerName& name) const {
    return config::Matches(name.text,
                           facts.security == nullptr ? std::string_view() : facts.security->server_name);
  }
  bool operator()(const access::Identity& identity) const {
    if (facts.security == nullptr || !facts.security->has_peer_certificate) return false;
    const net::PeerCertificate& proven = facts.security->peer_certificate;
    if (!proven.verified) return false;
    if (!identity.name) return true;
    const auto matches = [&](std::string_view name) { return config::Matches(*identity.name, name); };
    return std::ranges::any_of(proven.uri_names, matches) || std::ranges::any_of(proven.dns_names, matches) ||
           matches(proven.subject);
  }
  bool operator()(const access::Address& address) const {
    using Whose = access::Address::Whose;
    switch (address.whose) {
      case Whose::kDestination:
        return address.range.Contains(facts.destination);
      case Whose::kPeer:
        return address.range.Contains(facts.peer);
      case Whose::kDirectPeer:
        return address.range.Contains(facts.direct_peer);
      case Whose::kClient:
        return address.range.Contains(filter::ClientIp(facts.policy, facts.peer, facts.head.headers));
    }
    return false;
  }
  bool operator()(const access::Ports& ports) const {
    const bool known = facts.destination.family() != AF_UNSPEC;
    const uint16_t port = known ? facts.destination.port() : uint16_t{0};
    return known && port >= ports.range.start && port < ports.range.end;
  }
};

}  // namespace

bool Matches(const AccessCondition& condition, const AccessFacts& facts) {
  return Judge{facts}.Holds(condition);
}

bool Matches(const config::AccessRules& rules, const AccessFacts& facts) {
  const Judge judge{facts};
  return std::ranges::any_of(rules.policies, [&](const config::AccessPolicy& policy) {
    return judge(policy.permissions) && judge(policy.principals);
  });
}

bool Allows(const config::AccessRules& rules, bool matches) {
  switch (rules.action) {
    case config::AccessRules::Action::kAllow:
      return matches;
    case config::AccessRules::Action::kDeny:
      return !matches;
    case config::AccessRules::Action::kLog:
      return true;
  }
  return false;
}

}  // namespace pillion::filters
