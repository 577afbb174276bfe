// What a client can make one stream hold, by name (STYLE.md R11).
#ifndef PILLION_CONTROL_PLANE_XDS_LIMITS_H_
#define PILLION_CONTROL_PLANE_XDS_LIMITS_H_

#include <chrono>
#include <cstddef>

namespace pillion::control {

// Names in one request. Attack: one node subscribing to millions of names that do not exist.
inline constexpr size_t kMaxSubscribedNames = 65536;
// Bytes kept of a rejection's text. Attack: megabytes of error_detail, kept for `status`.
inline constexpr size_t kMaxErrorDetailBytes = 4096;
// How long a route waits for the client to take the endpoints of a cluster that the route names and that is
// new to the client. After that it is sent anyway: a client that rejected the cluster will never ask for
// endpoints.
inline constexpr std::chrono::seconds kEndpointPatience{2};

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_XDS_LIMITS_H_
