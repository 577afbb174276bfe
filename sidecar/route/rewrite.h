// Another path, another host, another place: what routes make of a request's target. Pure; any thread.
#ifndef PILLION_SIDECAR_ROUTE_REWRITE_H_
#define PILLION_SIDECAR_ROUTE_REWRITE_H_

#include <string>
#include <string_view>

#include "sidecar/config/route_table.h"
#include "sidecar/http/head.h"

namespace pillion::route {

// The path for the upstream of a request that `match` has taken; its query stays. Always a path: what would
// begin with anything but one '/' ("//" names a host in some readers' eyes) is made to.
std::string RewrittenPath(const config::PathRewrite& rewrite, const config::RouteMatch& match,
                          std::string_view path);

// The host that the upstream is asked for; "": as it is.
std::string RewrittenHost(const config::HostRewrite& rewrite, const http::RequestHead& head);

// The `location` of a redirect: absolute (RFC 9110 section 10.2.2).
std::string Location(const config::Redirect& redirect, const config::RouteMatch& match,
                     const http::RequestHead& head);

}  // namespace pillion::route

#endif  // PILLION_SIDECAR_ROUTE_REWRITE_H_
