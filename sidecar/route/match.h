// Does a request look as a route wants it to? Pure; any thread.
#ifndef PILLION_SIDECAR_ROUTE_MATCH_H_
#define PILLION_SIDECAR_ROUTE_MATCH_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "sidecar/config/route_table.h"
#include "sidecar/http/head.h"

namespace pillion::route {

// A request head as routes look at it; a view of it.
struct Request {
  // `draw`: uniform over all 64-bit values, drawn once per request. One for all its routes: those that take
  // the same share take the same requests, as in Envoy.
  Request(const http::RequestHead& head, uint64_t draw);
  const http::RequestHead& head;
  std::string_view path;   // without its query
  std::string_view query;  // without the '?'
  uint64_t draw;
};

// The value of the first parameter of that name, as it stands there; nullopt when there is none.
std::optional<std::string_view> FindParameter(std::string_view query, std::string_view name);

// The value of :method, :path, :authority or :scheme; nullopt where the request has none, and of other names.
std::optional<std::string_view> RequestLineField(const http::RequestHead& head, std::string_view name);

bool Matches(const config::RouteMatch& match, const Request& request);
bool Matches(const config::HeaderMatch& match, const http::RequestHead& head);
// Of a field; each of those of its name is matched by itself.
bool Matches(const config::HeaderMatch& match, const http::HeaderList& fields);

}  // namespace pillion::route

#endif  // PILLION_SIDECAR_ROUTE_MATCH_H_
