// One canonical path for routing, policies and the upstream (RFC 3986 section 6.2.2): whoever judges a
// request and whoever answers it must read the same path. Only what the listener's rules ask for is changed;
// the query never is. Pure; any thread.
#ifndef PILLION_SIDECAR_HTTP_PATH_H_
#define PILLION_SIDECAR_HTTP_PATH_H_

#include <cstdint>
#include <string>

namespace pillion::http {

// What to do with %2F and %5C, which some readers take for a separator and some for data.
enum class EscapedSlashes : uint8_t { kKeep, kReject, kRedirect, kForward };

struct PathRules {
  // Escaped letters, digits, "-", "." , "_" and "~" are unescaped, "\" becomes "/", "." and ".." segments are
  // resolved.
  bool normalize = false;
  bool merge_slashes = false;  // "//" becomes "/"
  EscapedSlashes escaped_slashes = EscapedSlashes::kKeep;
  bool any() const { return normalize || merge_slashes || escaped_slashes != EscapedSlashes::kKeep; }
};

enum class PathVerdict : uint8_t {
  kKept,
  kChanged,
  kRedirect,  // changed, and the client is to ask again for the changed path
  kRefused,   // readers disagree about what it names; unchanged
};

// `path`: origin-form with its query. Doing it twice changes nothing more.
PathVerdict Canonicalize(const PathRules& rules, std::string& path);

}  // namespace pillion::http

#endif  // PILLION_SIDECAR_HTTP_PATH_H_
