// What the filters of a route become in xDS.
#ifndef PILLION_CONTROL_PLANE_SNAPSHOT_ROUTE_FILTERS_H_
#define PILLION_CONTROL_PLANE_SNAPSHOT_ROUTE_FILTERS_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "control-plane/model/objects.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/http/cors/v3/cors.pb.h"

namespace pillion::control {

void SetEdits(envoy::config::route::v3::Route& to, const HttpFilters& from);
void SetEdits(envoy::config::route::v3::WeightedCluster::ClusterWeight& to, const HttpFilters& from);
// `match`: of the route; `port`: that its requests are for.
void SetRedirect(envoy::config::route::v3::RedirectAction& to, const RedirectRule& from,
                 const PathMatch& match, uint16_t port);
void SetRewrite(envoy::config::route::v3::RouteAction& to, const RewriteRule& from, const PathMatch& match);
// `clusters` gets the names of theirs.
void SetMirrors(envoy::config::route::v3::RouteAction& to, const std::vector<MirrorRule>& from,
                std::set<std::string>& clusters);
// The names that the filters have in listeners, and under which routes speak of them.
inline constexpr char kFaultFilter[] = "envoy.filters.http.fault";
inline constexpr char kRateLimitFilter[] = "envoy.filters.http.local_ratelimit";
void SetFault(envoy::config::route::v3::Route& to, const FaultRule& from);
void SetRateLimit(envoy::config::route::v3::Route& to, const RateLimitRule& from);
inline constexpr char kSessionFilter[] = "envoy.filters.http.stateful_session";
// `rule`: the name of its own; `path`: what the route matches.
void SetSession(envoy::config::route::v3::Route& to, const SessionRule& from, const std::string& rule,
                const PathMatch& path);

// The listener must have a filter of that name.
inline constexpr char kCorsFilter[] = "envoy.filters.http.cors";
envoy::extensions::filters::http::cors::v3::CorsPolicy MakeCorsPolicy(const CorsRule& from);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_SNAPSHOT_ROUTE_FILTERS_H_
