// A session that stays with an endpoint: what the client brings, and what it is told.
//
// The value, of a cookie or a field, is base64 of the endpoint's address as text, "10.0.0.1:80" or
// "[::1]:80". Where sessions end after a time it is followed by ";" and the second since 1970 in which this
// one does: a client's own clock, or its care for Max-Age, is not what that hangs on. It is not secret, and
// not signed: who writes one of his own can choose among the endpoints that sessions of his route may stay
// with (draining ones, lower priorities and backends of weight 0 too), and no others, for only those are
// looked up.
#ifndef PILLION_SIDECAR_FILTER_STICKY_SESSION_H_
#define PILLION_SIDECAR_FILTER_STICKY_SESSION_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "sidecar/config/sticky_session.h"
#include "sidecar/http/header_list.h"
#include "sidecar/net/address.h"
#include "sidecar/time/clock.h"

namespace pillion::filter {

// More is no address, and is not decoded.
inline constexpr size_t kMaxStickyValueBytes = 128;

// `ttl` 0: without an end.
std::string StickyValue(const net::Address& endpoint, std::chrono::seconds ttl, time::WallTime now);

// Nullopt: it is not such a value, or the session is over.
std::optional<net::Address> ReadStickyValue(std::string_view value, time::WallTime now);

// Of one request. Made by the filter, obeyed when an endpoint is picked. A value type.
struct StickySession {
  const config::StickySession* terms;  // of the listener's configuration, or the route's
  // Where it is to go; nullopt: the client has no session, or one that is over.
  std::optional<net::Address> endpoint;

  bool strict() const { return terms->strict && endpoint.has_value(); }
  // Tells the client where it was served, if it does not know.
  void Tell(const net::Address& served, time::WallTime now, http::HeaderList& response) const;
};

}  // namespace pillion::filter

#endif  // PILLION_SIDECAR_FILTER_STICKY_SESSION_H_
