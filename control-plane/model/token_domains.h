// What the sidecars of a Service make sure of, because a policy of its own says so or one of a route that
// leads to it.
#ifndef PILLION_CONTROL_PLANE_MODEL_TOKEN_DOMAINS_H_
#define PILLION_CONTROL_PLANE_MODEL_TOKEN_DOMAINS_H_

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>

#include "control-plane/model/model.h"

namespace pillion::control {

// Of one Service. As sidecars have it (sidecar/idempotency/hello.h): one more, and they would refuse all.
inline constexpr size_t kMaxTokenDomains = 64;

// Whether sidecars of a Service would hold the same records by them: what they say to callers alone may
// differ.
bool SameRecords(const TokenRule& a, const TokenRule& b);

// Whether a route's policy is what counts at this backend. What pods keep in their memory, and which files of
// theirs they read for a store, is for policies of their own namespace to say, whoever may send them
// requests.
bool SpeaksFor(const MeshRoute& route, const TokenRule& rule, const ObjectName& service);

// Whether `service` enforces `rule` already, or may still.
bool HasRoomFor(const MeshService& service, const TokenRule& rule);
// From then on it does, at this port. `route`: whose requests are meant, "HTTPRoute shop/checkout"; "": all
// that no route's policy speaks of. Does nothing where the rule has no domain. There is room.
void Enforce(MeshService& service, const TokenRule& rule, uint16_t port, const std::string& route);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_MODEL_TOKEN_DOMAINS_H_
