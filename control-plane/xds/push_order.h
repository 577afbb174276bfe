// Make before break (specs/xds.md 2.4): what is named reaches a client before what names it, and leaves
// after.
//
//   clusters (new and old) -> endpoints -> listeners -> routes -> clusters (new only)
//
// Pure functions over the states of one stream.
#ifndef PILLION_CONTROL_PLANE_XDS_PUSH_ORDER_H_
#define PILLION_CONTROL_PLANE_XDS_PUSH_ORDER_H_

#include <array>

#include "control-plane/snapshot/resource_set.h"
#include "control-plane/xds/type_state.h"

namespace pillion::control {

using TypeStates = std::array<TypeState, 4>;  // by ResourceType

inline const TypeState& StateOf(const TypeStates& states, ResourceType type) {
  return states[static_cast<size_t>(type)];
}

// What the client is to hold of `type`: what it wants of the target and, of clusters, also those that are
// gone from the target and still named by a route table or listener that the client may hold: one that it
// accepted, or that it was sent and may have accepted.
Resources Desired(const TypeStates& states, const ResourceSet& target, ResourceType type);

// The next type that has something to send; nullopt: nothing now. A type waits until those before it are
// answered. `plan` gets what to send. `blocked_by_endpoints`: routes would be next, and one of them names a
// cluster whose endpoints the client has not taken yet; the caller asks again with `patience_over` after
// kEndpointPatience.
std::optional<ResourceType> NextType(const TypeStates& states, const ResourceSet& target, bool patience_over,
                                     Resources& plan, bool& blocked_by_endpoints);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_XDS_PUSH_ORDER_H_
