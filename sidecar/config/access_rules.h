// Who may ask for what, as configured (envoy.config.rbac.v3): immutable, validated, ready to be judged by
// filters/rbac. Any thread.
#ifndef PILLION_SIDECAR_CONFIG_ACCESS_RULES_H_
#define PILLION_SIDECAR_CONFIG_ACCESS_RULES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "sidecar/config/route_table.h"
#include "sidecar/net/cidr_range.h"

namespace pillion::config {

// What one policy, or all policies of an RBAC, may hold. Attack: a configuration that makes each request
// costly, or a judgement that goes deeper than the stack.
inline constexpr int kMaxAccessDepth = 32;
inline constexpr size_t kMaxAccessConditions = 16384;

struct AccessCondition;

// What may be said of a request, and combined.
namespace access {

struct Always {};
struct All {
  std::vector<AccessCondition> of;
};
struct Any {
  std::vector<AccessCondition> of;
};
struct Not {
  std::vector<AccessCondition> of;  // one
};
// Of the path without its query.
struct Path {
  StringMatch text;
};
// What the client has asked TLS for.
struct ServerName {
  StringMatch text;
};
// What mutual TLS has proven; none: whatever that is.
struct Identity {
  std::optional<StringMatch> name;
};
struct Address {
  // kClient: as the listener's policy takes it; kPeer: of the connection, or whom PROXY protocol tells;
  // kDirectPeer: of the connection.
  enum class Whose : uint8_t { kDestination, kPeer, kDirectPeer, kClient };
  Whose whose = Whose::kPeer;
  net::CidrRange range;
};
// Of the destination.
struct Ports {
  IntRange range;
};

}  // namespace access

struct AccessCondition {
  std::variant<access::Always, access::All, access::Any, access::Not, HeaderMatch, access::Path,
               access::ServerName, access::Identity, access::Address, access::Ports>
      what;
};

// Matches when both do.
struct AccessPolicy {
  access::Any permissions;
  access::Any principals;
};

struct AccessRules {
  // kAllow: what a policy matches, and nothing else; kDeny: nothing that one matches; kLog: everything.
  enum class Action : uint8_t { kAllow, kDeny, kLog };
  Action action = Action::kAllow;
  std::vector<AccessPolicy> policies;  // one that matches is enough
};

// Of a listener, or of what its routes say in its place. None: nothing is denied.
struct AccessControl {
  std::optional<AccessRules> rules;
  std::optional<AccessRules> shadow;  // only counted
};

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_ACCESS_RULES_H_
