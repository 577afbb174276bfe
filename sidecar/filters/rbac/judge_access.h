// Does a request look as conditions of access want it to? Pure, without allocation; any thread.
#ifndef PILLION_SIDECAR_FILTERS_RBAC_JUDGE_ACCESS_H_
#define PILLION_SIDECAR_FILTERS_RBAC_JUDGE_ACCESS_H_

#include "sidecar/config/access_rules.h"
#include "sidecar/config/listener.h"
#include "sidecar/http/head.h"
#include "sidecar/net/address.h"
#include "sidecar/net/security.h"

namespace pillion::filters {

// What is judged; all of it outlives the judgement. An address that is unset lies in no range.
struct AccessFacts {
  const http::RequestHead& head;
  const config::HttpPolicy& policy;  // says whom x-forwarded-for is believed
  const net::Address& peer;
  const net::Address& direct_peer;
  const net::Address& destination;
  const net::Security* security;  // null: plain text
};

bool Matches(const config::AccessCondition& condition, const AccessFacts& facts);

// One of the policies matches.
bool Matches(const config::AccessRules& rules, const AccessFacts& facts);

// By what the rules do with that.
bool Allows(const config::AccessRules& rules, bool matches);

}  // namespace pillion::filters

#endif  // PILLION_SIDECAR_FILTERS_RBAC_JUDGE_ACCESS_H_
