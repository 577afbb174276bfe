#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "sidecar/config/parse_cluster.h"
#include "sidecar/config/parse_test_yaml.h"

namespace pillion::config {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ClusterProto = envoy::config::cluster::v3::Cluster;
using Discovery = Cluster::Discovery;

Validated<Cluster> Parse(const std::string& yaml) { return ParseCluster(FromYaml<ClusterProto>(yaml), "7"); }
Lines Errors(const std::string& yaml) { return ToLines(Parse(yaml).errors); }

std::string At(const std::string& host, const std::string& port = "80", const std::string& more = "") {
  return "{endpoint: {address: {socket_address: {address: \"" + host + "\", port_value: " + port + "}}}" +
         more + "}";
}
std::string Strict(const std::string& fields, const std::string& endpoints = At("a.test")) {
  return "{name: a, type: STRICT_DNS, load_assignment: {cluster_name: a, endpoints: [{lb_endpoints: [" +
         endpoints + "]}]}" + (fields.empty() ? "" : ", " + fields) + "}";
}
const std::string kEndpoint = "load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.";

TEST(ParseDnsTest, UnsetFieldsHaveTheirDefaults) {
  const auto parsed = Parse(Strict(""));
  ASSERT_EQ(ToLines(parsed.errors), Lines{});
  EXPECT_EQ(parsed.value->discovery, Discovery::kStrictDns);
  EXPECT_TRUE(IsByDns(*parsed.value));
  EXPECT_EQ(parsed.value->dns, DnsOptions());
  EXPECT_EQ(parsed.value->dns.refresh, seconds(5));
  EXPECT_FALSE(parsed.value->dns.respect_ttl);
  EXPECT_EQ(parsed.value->dns.backoff, std::nullopt);
  EXPECT_EQ(parsed.value->dns.jitter, seconds(0));
}

TEST(ParseDnsTest, EveryFieldIsRead) {
  const auto parsed = Parse(Strict(
      "dns_refresh_rate: 0.5s, respect_dns_ttl: true, dns_jitter: 0.25s, "
      "dns_failure_refresh_rate: {base_interval: 1s, max_interval: 4s}, dns_lookup_family: V4_PREFERRED, "
      "dns_resolvers: [{socket_address: {address: 10.0.0.2, port_value: 53}}, "
      "{socket_address: {address: \"fd00::1\", port_value: 5353}}]"));
  ASSERT_EQ(ToLines(parsed.errors), Lines{});
  const DnsOptions& dns = parsed.value->dns;
  EXPECT_EQ(dns.refresh, milliseconds(500));
  EXPECT_TRUE(dns.respect_ttl);
  EXPECT_EQ(dns.jitter, milliseconds(250));
  EXPECT_EQ(dns.backoff, (DnsBackoff{seconds(1), seconds(4)}));
  EXPECT_EQ(dns.family, net::DnsFamily::kV4Preferred);
  ASSERT_EQ(dns.servers.size(), 2u);
  EXPECT_EQ(dns.servers[0].ToString(), "10.0.0.2:53");
  EXPECT_EQ(dns.servers[1].ToString(), "[fd00::1]:5353");
}

TEST(ParseDnsTest, FamiliesHaveTheirNames) {
  const std::pair<const char*, net::DnsFamily> cases[] = {{"AUTO", net::DnsFamily::kAuto},
                                                          {"V4_ONLY", net::DnsFamily::kV4Only},
                                                          {"V6_ONLY", net::DnsFamily::kV6Only},
                                                          {"V4_PREFERRED", net::DnsFamily::kV4Preferred},
                                                          {"ALL", net::DnsFamily::kAll}};
  for (const auto& [name, family] : cases) {
    const auto parsed = Parse(Strict(std::string("dns_lookup_family: ") + name));
    ASSERT_EQ(ToLines(parsed.errors), Lines{}) << name;
    EXPECT_EQ(parsed.value->dns.family, family) << name;
  }
  ClusterProto unknown = FromYaml<ClusterProto>(Strict(""));
  unknown.set_dns_lookup_family(static_cast<ClusterProto::DnsLookupFamily>(7));
  EXPECT_EQ(ToLines(ParseCluster(unknown, "7").errors),
            Lines{"dns_lookup_family: expected AUTO, V4_ONLY, V6_ONLY, V4_PREFERRED or ALL"});
}

TEST(ParseDnsTest, PausesAreMoreThanNothing) {
  EXPECT_EQ(Errors(Strict("dns_refresh_rate: 0.001s")), Lines{"dns_refresh_rate: expected more than 0.001s"});
  EXPECT_EQ(Errors(Strict("dns_refresh_rate: 0.001000001s")), Lines{});
  EXPECT_EQ(Errors(Strict("dns_failure_refresh_rate: {base_interval: 0s}")),
            Lines{"dns_failure_refresh_rate.base_interval: expected more than 0.001s"});
  EXPECT_EQ(Errors(Strict("dns_failure_refresh_rate: {max_interval: 1s}")),
            Lines{"dns_failure_refresh_rate.base_interval: expected an interval"});
  EXPECT_EQ(Errors(Strict("dns_failure_refresh_rate: {base_interval: 2s, max_interval: 1s}")),
            Lines{"dns_failure_refresh_rate.max_interval: expected base_interval or more"});
  EXPECT_EQ(Errors(Strict("dns_jitter: -1s")), Lines{"dns_jitter: expected a duration of 0 or more"});
}

TEST(ParseDnsTest, TheLongestPauseBehindFailuresIsTenTimesTheFirst) {
  const auto parsed = Parse(Strict("dns_failure_refresh_rate: {base_interval: 2s}"));
  ASSERT_EQ(ToLines(parsed.errors), Lines{});
  EXPECT_EQ(parsed.value->dns.backoff, (DnsBackoff{seconds(2), seconds(20)}));
}

TEST(ParseDnsTest, ServersAreAddressesAndFew) {
  EXPECT_EQ(Errors(Strict("dns_resolvers: [{socket_address: {address: dns.test, port_value: 53}}]")),
            Lines{"dns_resolvers[0].socket_address.address: expected an IPv4 or IPv6 address"});
  EXPECT_EQ(Errors(Strict("dns_resolvers: [{socket_address: {address: 10.0.0.1, port_value: 0}}]")),
            Lines{"dns_resolvers[0].socket_address.port_value: expected a port from 1 to 65535"});
  std::string many;
  for (int i = 0; i < 9; ++i) many += "{socket_address: {address: 10.0.0.1, port_value: 53}},";
  EXPECT_EQ(Errors(Strict("dns_resolvers: [" + many + "]")), Lines{"dns_resolvers: expected at most 8"});
}

TEST(ParseDnsTest, NamesAndAddressesAreKeptApart) {
  const auto parsed = Parse(
      Strict("", At("a.test", "80",
                    ", load_balancing_weight: 3, metadata: {filter_metadata: {pillion: {sidecar: true}}}") +
                     "," + At("10.0.0.1", "81") + "," + At("b.test.", "82", ", health_status: DRAINING")));
  ASSERT_EQ(ToLines(parsed.errors), Lines{});
  const Assignment& assignment = *parsed.value->load_assignment;
  ASSERT_EQ(assignment.endpoints.size(), 1u);
  EXPECT_EQ(assignment.endpoints[0].address.ToString(), "10.0.0.1:81");
  ASSERT_EQ(assignment.names.size(), 2u);
  EXPECT_EQ(assignment.names[0].host, "a.test");
  EXPECT_EQ(assignment.names[0].port, 80);
  EXPECT_EQ(assignment.names[0].endpoint.weight, 3u);
  EXPECT_TRUE(assignment.names[0].endpoint.pillion_sidecar);
  EXPECT_EQ(assignment.names[1].host, "b.test.");
  EXPECT_EQ(assignment.names[1].port, 82);
  EXPECT_EQ(assignment.names[1].endpoint.health, Health::kDraining);
}

TEST(ParseDnsTest, WhatCannotBeANameIsRefused) {
  const std::string label(63, 'a');
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'b');
  for (const std::string& good : {std::string("a"), std::string("_x.a-b.TEST."), label, longest})
    EXPECT_EQ(Errors(Strict("", At(good))), Lines{}) << good;
  for (const std::string& bad : {std::string("."), std::string("a..b"), std::string(".a"), std::string("a b"),
                                 std::string("a.test:80"), std::string("[::1]"), label + "a", label + "a.b",
                                 longest + "b", std::string("a/b")}) {
    EXPECT_EQ(Errors(Strict("", At(bad))),
              Lines{kEndpoint + "address: expected an IP address or a host name"})
        << bad;
  }
  EXPECT_EQ(Errors(Strict("", At("a.test", "0"))),
            Lines{kEndpoint + "port_value: expected a port from 1 to 65535"});
  EXPECT_EQ(Errors(Strict("", At(""))), Lines{kEndpoint + "address: expected an IPv4 or IPv6 address"});
}

TEST(ParseDnsTest, AddressesOfAllNamesTogetherWeighNoMoreThanAnyClusterMay) {
  EXPECT_EQ(Errors(Strict("", At("a.test", "80", ", load_balancing_weight: 16777215"))), Lines{});
  EXPECT_EQ(Errors(Strict("", At("a.test", "80", ", load_balancing_weight: 16777216"))),
            Lines{"load_assignment.endpoints: expected weights that sum up to at most 4294967295"});
}

TEST(ParseDnsTest, LogicalDnsHasOneEndpoint) {
  const std::string begin = "{name: a, type: LOGICAL_DNS, load_assignment: {cluster_name: a, endpoints: [";
  const auto parsed = Parse(begin + "{lb_endpoints: [" + At("a.test") + "]}]}}");
  ASSERT_EQ(ToLines(parsed.errors), Lines{});
  EXPECT_EQ(parsed.value->discovery, Discovery::kLogicalDns);
  EXPECT_EQ(Errors(begin + "{lb_endpoints: [" + At("10.0.0.1") + "]}]}}"), Lines{});
  const Lines one = {
      "load_assignment.endpoints: expected one locality with one endpoint; LOGICAL_DNS has no more"};
  EXPECT_EQ(Errors(begin + "]}}"), one);
  EXPECT_EQ(Errors(begin + "{lb_endpoints: []}]}}"), one);
  EXPECT_EQ(Errors(begin + "{lb_endpoints: [" + At("a.test") + "," + At("b.test") + "]}]}}"), one);
  EXPECT_EQ(
      Errors(begin + "{lb_endpoints: [" + At("a.test") + "]}, {lb_endpoints: [" + At("b.test") + "]}]}}"),
      one);
  EXPECT_EQ(Errors("{name: a, type: LOGICAL_DNS}"),
            Lines{"load_assignment: expected the endpoints of a cluster that is not EDS"});
}

TEST(ParseDnsTest, OtherClustersHaveNoNames) {
  EXPECT_EQ(Errors("{name: a, load_assignment: {cluster_name: a, endpoints: [{lb_endpoints: [" +
                   At("a.test") + "]}]}}"),
            Lines{kEndpoint + "address: expected an IPv4 or IPv6 address"});
  const std::string only = ": expected only with type STRICT_DNS or LOGICAL_DNS";
  EXPECT_EQ(
      Errors("{name: a, load_assignment: {cluster_name: a}, dns_refresh_rate: 1s, respect_dns_ttl: true, "
             "dns_jitter: 1s, dns_failure_refresh_rate: {base_interval: 1s}, dns_lookup_family: ALL, "
             "dns_resolvers: [{socket_address: {address: 10.0.0.2, port_value: 53}}]}"),
      (Lines{"dns_refresh_rate" + only, "dns_resolvers" + only, "dns_failure_refresh_rate" + only,
             "dns_jitter" + only, "respect_dns_ttl" + only, "dns_lookup_family" + only}));
  EXPECT_EQ(Errors("{name: a, type: STRICT_DNS, load_assignment: {cluster_name: a}, eds_cluster_config: {}}"),
            Lines{"eds_cluster_config: expected only with type EDS"});
}

}  // namespace
}  // namespace pillion::config
