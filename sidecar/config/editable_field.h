// Which fields of messages a configuration may write or take away. Shared with the control plane, which
// reports it to whoever wrote the route.
#ifndef PILLION_SIDECAR_CONFIG_EDITABLE_FIELD_H_
#define PILLION_SIDECAR_CONFIG_EDITABLE_FIELD_H_

#include <algorithm>
#include <array>
#include <string_view>

namespace pillion::config {

inline constexpr size_t kMaxEditBytes = 16384;  // of a value, as Envoy

// What was expected instead of `name`, which is in lower case and a token or begins with ':'; "": it may be
// edited. Routing, framing and the connection are not for edits.
inline std::string_view WhyNotEditable(std::string_view name) {
  constexpr std::array<std::string_view, 9> kOfTheHop = {
      "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "upgrade", "te",
      "trailer",        "http2-settings"};
  if (name.starts_with(':') || name == "host")
    return "expected a field; the target is changed by the route's rewrites and redirects";
  if (std::ranges::find(kOfTheHop, name) != kOfTheHop.end() || name.starts_with("pillion-"))
    return "expected a field that does not belong to the connection, the framing or to sidecars";
  return "";
}

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_EDITABLE_FIELD_H_
