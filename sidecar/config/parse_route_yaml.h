// Routes for tests, written as YAML.
#ifndef PILLION_SIDECAR_CONFIG_PARSE_ROUTE_YAML_H_
#define PILLION_SIDECAR_CONFIG_PARSE_ROUTE_YAML_H_

#include <gtest/gtest.h>

#include <string>

#include "sidecar/config/parse_route.h"
#include "sidecar/config/parse_test_yaml.h"

namespace pillion::config {

inline Validated<RouteTable> Parse(const std::string& yaml, Origin origin = Origin::kPushed) {
  return ParseRouteTable(FromYaml<envoy::config::route::v3::RouteConfiguration>(yaml), "3", origin);
}

// A table with one route, and the errors about that route without their common path.
inline std::string Table(const std::string& route) {
  return "{name: r, virtual_hosts: [{name: v, domains: ['*'], routes: [" + route + "]}]}";
}
inline Route OneRoute(const std::string& route) {
  const auto parsed = Parse(Table(route));
  EXPECT_EQ(ToLines(parsed.errors), Lines{}) << route;
  return parsed.value == nullptr ? Route() : parsed.value->virtual_hosts[0].routes[0];
}
inline Lines RouteErrors(const std::string& route) {
  Lines lines = ToLines(Parse(Table(route)).errors);
  const std::string common = "virtual_hosts[0].routes[0].";
  for (std::string& line : lines) {
    if (line.starts_with(common)) line.erase(0, common.size());
  }
  return lines;
}

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_PARSE_ROUTE_YAML_H_
