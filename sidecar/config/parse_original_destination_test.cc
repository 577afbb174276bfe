#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "sidecar/config/parse_cluster.h"
#include "sidecar/config/parse_listener.h"
#include "sidecar/config/parse_test_yaml.h"

namespace pillion::config {
namespace {

using ClusterProto = envoy::config::cluster::v3::Cluster;
using ListenerProto = envoy::config::listener::v3::Listener;

Validated<Cluster> Parse(const std::string& fields) {
  return ParseCluster(FromYaml<ClusterProto>("{name: a, " + fields + "}"), "7");
}
Validated<Cluster> ParseOriginal(const std::string& fields) {
  return Parse("type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED" + fields);
}
Lines Errors(const std::string& fields) { return ToLines(Parse(fields).errors); }
Lines OriginalErrors(const std::string& fields) { return ToLines(ParseOriginal(fields).errors); }

TEST(ParseOriginalDestinationTest, ClustersAreRead) {
  const auto plain = ParseOriginal("");
  ASSERT_EQ(ToLines(plain.errors), Lines{});
  EXPECT_EQ(plain.value->discovery, Cluster::Discovery::kOriginalDestination);
  ASSERT_NE(plain.value->load_assignment, nullptr);
  EXPECT_TRUE(plain.value->load_assignment->endpoints.empty());
  ASSERT_TRUE(plain.value->original_destination.has_value());
  const OriginalDestination defaults = plain.value->original_destination.value_or(OriginalDestination());
  EXPECT_EQ(defaults.field, "");
  EXPECT_EQ(defaults.port, std::nullopt);
  EXPECT_EQ(defaults.forget_after, std::chrono::seconds(5));

  const auto by_field = ParseOriginal(", original_dst_lb_config: {use_http_header: true}");
  ASSERT_EQ(ToLines(by_field.errors), Lines{});
  EXPECT_EQ(by_field.value->original_destination.value_or(OriginalDestination()).field,
            "x-envoy-original-dst-host");

  const auto all = ParseOriginal(
      ", cleanup_interval: 0.25s, original_dst_lb_config: {use_http_header: true, http_header_name: x-to, "
      "upstream_port_override: 8080}");
  ASSERT_EQ(ToLines(all.errors), Lines{});
  const OriginalDestination read = all.value->original_destination.value_or(OriginalDestination());
  EXPECT_EQ(read.field, "x-to");
  EXPECT_EQ(read.port, 8080);
  EXPECT_EQ(read.forget_after, std::chrono::milliseconds(250));
}

TEST(ParseOriginalDestinationTest, WrongValuesAreRefused) {
  EXPECT_EQ(OriginalErrors(", cleanup_interval: 0s"),
            Lines{"cleanup_interval: expected a duration of more than 0"});
  EXPECT_EQ(OriginalErrors(", original_dst_lb_config: {http_header_name: x-to}"),
            Lines{"original_dst_lb_config.http_header_name: expected only with use_http_header"});
  EXPECT_EQ(OriginalErrors(", original_dst_lb_config: {use_http_header: true, http_header_name: 'a b'}"),
            Lines{"original_dst_lb_config.http_header_name: expected a field name"});
  for (const char* port : {"0", "65536"}) {
    EXPECT_EQ(OriginalErrors(std::string(", original_dst_lb_config: {upstream_port_override: ") + port + "}"),
              Lines{"original_dst_lb_config.upstream_port_override: expected a number from 1 to 65535"});
  }
}

TEST(ParseOriginalDestinationTest, TypeAndPolicyGoTogether) {
  EXPECT_EQ(Errors("type: ORIGINAL_DST"),
            Lines{"lb_policy: expected CLUSTER_PROVIDED with type ORIGINAL_DST"});
  EXPECT_EQ(Errors("load_assignment: {cluster_name: a}, lb_policy: CLUSTER_PROVIDED"),
            Lines{"lb_policy: expected CLUSTER_PROVIDED only with type ORIGINAL_DST"});
  EXPECT_EQ(Errors("load_assignment: {cluster_name: a}, cleanup_interval: 1s, original_dst_lb_config: {}"),
            (Lines{"original_dst_lb_config: expected only with type ORIGINAL_DST",
                   "cleanup_interval: expected only with type ORIGINAL_DST"}));
}

TEST(ParseOriginalDestinationTest, NothingIsChosenAndNothingSaidOfHow) {
  const std::string none = ": expected none with type ORIGINAL_DST, which has no endpoints of its own";
  EXPECT_EQ(OriginalErrors(", load_assignment: {cluster_name: a}"), Lines{"load_assignment" + none});
  EXPECT_EQ(OriginalErrors(", eds_cluster_config: {eds_config: {ads: {}}}"),
            Lines{"eds_cluster_config" + none});
  EXPECT_EQ(OriginalErrors(", lb_subset_config: {}"), Lines{"lb_subset_config" + none});
  EXPECT_EQ(OriginalErrors(", health_checks: [{timeout: 1s, interval: 1s, unhealthy_threshold: 1, "
                           "healthy_threshold: 1, tcp_health_check: {}}]"),
            Lines{"health_checks" + none});
  EXPECT_EQ(OriginalErrors(", outlier_detection: {}"), Lines{"outlier_detection" + none});
  EXPECT_EQ(OriginalErrors(", round_robin_lb_config: {}"), Lines{"round_robin_lb_config" + none});
  EXPECT_EQ(OriginalErrors(", maglev_lb_config: {}"), Lines{"maglev_lb_config: expected only with MAGLEV"});
  EXPECT_EQ(OriginalErrors(", common_lb_config: {healthy_panic_threshold: {value: 1}}"),
            Lines{"common_lb_config.healthy_panic_threshold" + none});
  EXPECT_EQ(OriginalErrors(", common_lb_config: {locality_weighted_lb_config: {}}"),
            Lines{"common_lb_config.locality_weighted_lb_config" + none});
  EXPECT_EQ(OriginalErrors(", common_lb_config: {zone_aware_lb_config: {}}"),
            Lines{"common_lb_config.zone_aware_lb_config" + none});
  EXPECT_EQ(OriginalErrors(", common_lb_config: {consistent_hashing_lb_config: {}}"),
            Lines{"common_lb_config.consistent_hashing_lb_config" + none});
  EXPECT_EQ(OriginalErrors(", dns_refresh_rate: 1s"),
            Lines{"dns_refresh_rate: expected only with type STRICT_DNS or LOGICAL_DNS"});
  EXPECT_EQ(
      OriginalErrors(", load_balancing_policy: {policies: [{typed_extension_config: {name: r, typed_config: "
                     "{\"@type\": a/envoy.extensions.load_balancing_policies.random.v3.Random}}}]}"),
      Lines{"load_balancing_policy: expected none with type ORIGINAL_DST"});
}

std::string Filter(const std::string& package, const std::string& type) {
  return "{name: f, typed_config: {\"@type\": a/envoy.extensions.filters.listener." + package + ".v3." +
         type + "}}";
}

Validated<Listener> ParseWith(const std::string& filters) {
  const std::string tcp =
      "{name: t, typed_config: {\"@type\": "
      "a/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: s, cluster: c}}";
  return ParseListener(
      FromYaml<ListenerProto>("{name: l, address: {socket_address: {address: 127.0.0.1, port_value: 1}}, "
                              "listener_filters: [" +
                              filters + "], filter_chains: [{filters: [" + tcp + "]}]}"),
      "1", Origin::kPushed, nullptr);
}

TEST(ParseOriginalDestinationTest, ListenersAskForIt) {
  const std::string original = Filter("original_dst", "OriginalDst");
  const std::string proxy = Filter("proxy_protocol", "ProxyProtocol");
  const std::string filter_of_another_kind =
      "{name: f, typed_config: {\"@type\": a/envoy.extensions.filters.http.router.v3.Router}}";
  EXPECT_EQ(ToLines(ParseWith("").errors), Lines{});
  EXPECT_FALSE(ParseWith("").value->original_destination);
  EXPECT_TRUE(ParseWith(original).value->original_destination);
  const auto both = ParseWith(original + ", " + proxy);
  ASSERT_EQ(ToLines(both.errors), Lines{});
  EXPECT_TRUE(both.value->original_destination && both.value->proxy_protocol);
  EXPECT_EQ(ToLines(ParseWith(proxy + ", " + original).errors),
            Lines{"listener_filters[1].typed_config: expected before the ProxyProtocol, whose header counts "
                  "where it has one"});
  EXPECT_EQ(ToLines(ParseWith(original + ", " + original).errors),
            Lines{"listener_filters[1].typed_config: expected each filter at most once"});
  EXPECT_EQ(
      ToLines(ParseWith(filter_of_another_kind).errors),
      Lines{"listener_filters[0].typed_config: expected a TlsInspector, HttpInspector, ProxyProtocol or "
            "OriginalDst; others are not implemented"});
}

}  // namespace
}  // namespace pillion::config
