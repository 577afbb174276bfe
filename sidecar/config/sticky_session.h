// Sessions that stay with an endpoint, as configured. Immutable and validated; any thread.
#ifndef PILLION_SIDECAR_CONFIG_STICKY_SESSION_H_
#define PILLION_SIDECAR_CONFIG_STICKY_SESSION_H_

#include <chrono>
#include <cstdint>
#include <string>

namespace pillion::config {

struct StickySession {
  enum class Kind : uint8_t { kCookie, kHeader };
  Kind kind = Kind::kCookie;
  std::string name;             // of the cookie, or of the field, then in lower case
  std::chrono::seconds ttl{0};  // kCookie; 0: until the client ends
  std::string attributes = "";  // kCookie: what stands behind the value in Set-Cookie, from its first `;` on
  bool strict = false;          // where its endpoint gets no requests, neither do the others
};

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_STICKY_SESSION_H_
