// envoy.config.route.v3.RouteConfiguration -> RouteTable. Pure; any thread.
#ifndef PILLION_SIDECAR_CONFIG_PARSE_ROUTE_H_
#define PILLION_SIDECAR_CONFIG_PARSE_ROUTE_H_

#include <memory>
#include <string>
#include <string_view>

#include "envoy/config/route/v3/route.pb.h"
#include "sidecar/config/route_table.h"
#include "sidecar/config/validated.h"

namespace pillion::config {

// Bytes of one regular expression. Attack: RE2 is linear in the text but not in the expression.
inline constexpr size_t kMaxRegexBytes = 4096;
// Bytes that a route may answer by itself (Envoy's limit).
inline constexpr size_t kMaxDirectBodyBytes = 4096;

// Copies that one request may become. Attack: a request that costs many.
inline constexpr int kMaxMirrorPolicies = 8;

Validated<RouteTable> ParseRouteTable(const envoy::config::route::v3::RouteConfiguration& proto,
                                      const std::string& version, Origin origin);

// The same for a table inside another message, at `path`.
RouteTable ReadRouteTable(const envoy::config::route::v3::RouteConfiguration& proto, const std::string& path,
                          Origin origin, ConfigErrors& errors);

// The parts below are for the files of this parser.
RouteMatch ReadRouteMatch(const envoy::config::route::v3::RouteMatch& proto, const std::string& path,
                          ConfigErrors& errors);
HeaderMatch ReadHeaderMatch(const envoy::config::route::v3::HeaderMatcher& proto, const std::string& path,
                            ConfigErrors& errors);
StringMatch ReadStringMatch(const envoy::type::matcher::v3::StringMatcher& proto, const std::string& path,
                            ConfigErrors& errors);
std::shared_ptr<const re2::RE2> ReadRegex(const envoy::type::matcher::v3::RegexMatcher& proto,
                                          const std::string& path, ConfigErrors& errors);
// Null: as it is.
std::shared_ptr<const PathRewrite> ReadPathRewrite(const envoy::config::route::v3::RouteAction& proto,
                                                   const RouteMatch& match, const std::string& path,
                                                   ConfigErrors& errors);
std::shared_ptr<const HostRewrite> ReadHostRewrite(const envoy::config::route::v3::RouteAction& proto,
                                                   const std::string& path, ConfigErrors& errors);
std::vector<HashPolicy> ReadHashPolicies(const envoy::config::route::v3::RouteAction& proto,
                                         const std::string& path, ConfigErrors& errors);
std::shared_ptr<const Redirect> ReadRedirect(const envoy::config::route::v3::RedirectAction& proto,
                                             const std::string& path, ConfigErrors& errors);
RetryPolicy ReadRetryPolicy(const envoy::config::route::v3::RetryPolicy& proto, const std::string& path,
                            ConfigErrors& errors);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_PARSE_ROUTE_H_
