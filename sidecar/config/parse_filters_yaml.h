// Listeners with HTTP filters for tests, written as YAML.
#ifndef PILLION_SIDECAR_CONFIG_PARSE_FILTERS_YAML_H_
#define PILLION_SIDECAR_CONFIG_PARSE_FILTERS_YAML_H_

#include <string>

#include "sidecar/config/parse_listener.h"
#include "sidecar/config/parse_test_yaml.h"

namespace pillion::config {

inline constexpr char kHttp[] = "a/envoy.extensions.filters.http.";

inline std::string Typed(const std::string& type, const std::string& fields = "") {
  return "{\"@type\": " + std::string(kHttp) + type + (fields.empty() ? "" : ", " + fields) + "}";
}
inline std::string Filter(const std::string& name, const std::string& config, const std::string& more = "") {
  return "{name: " + name + ", typed_config: " + config + more + "}, ";
}
// A listener with these filters before the router, and these fields of its table, host and route.
inline Validated<Listener> Parse(const std::string& filters, const std::string& table = "",
                                 const std::string& host = "", const std::string& route = "") {
  const auto also = [](const std::string& fields) {
    return fields.empty() ? "" : ", typed_per_filter_config: {" + fields + "}";
  };
  const std::string yaml =
      "{name: l, address: {socket_address: {address: 127.0.0.1, port_value: 80}}, "
      "filter_chains: [{filters: [{name: h, typed_config: {\"@type\": "
      "a/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: s, "
      "http_filters: [" +
      filters + "{name: router, typed_config: " + Typed("router.v3.Router") +
      "}], route_config: {name: t, virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, "
      "route: "
      "{cluster: c}" +
      also(route) + "}]" + also(host) + "}]" + also(table) + "}}}]}]}";
  return ParseListener(FromYaml<envoy::config::listener::v3::Listener>(yaml), "1", Origin::kPushed);
}
inline Lines Errors(const Validated<Listener>& parsed) {
  Lines lines = ToLines(parsed.errors);
  const std::string common = "filter_chains[0].filters[0].typed_config.";
  for (std::string& line : lines) {
    if (line.starts_with(common)) line.erase(0, common.size());
  }
  return lines;
}
inline const Route& FirstRoute(const Listener& listener) {
  return listener.chain(0).http->http.inline_routes->virtual_hosts[0].routes[0];
}

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_PARSE_FILTERS_YAML_H_
