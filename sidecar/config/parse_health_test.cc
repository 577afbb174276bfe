#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "sidecar/config/parse_cluster.h"
#include "sidecar/config/parse_test_yaml.h"

namespace pillion::config {
namespace {

using ClusterProto = envoy::config::cluster::v3::Cluster;
using std::chrono::milliseconds;
using std::chrono::seconds;

Validated<Cluster> Parse(const std::string& fields) {
  return ParseCluster(FromYaml<ClusterProto>("{name: a, load_assignment: {cluster_name: a}, " + fields + "}"),
                      "");
}

std::shared_ptr<const Cluster> Read(const std::string& fields) {
  const auto parsed = Parse(fields);
  EXPECT_EQ(ToLines(parsed.errors), Lines{}) << fields;
  return parsed.value == nullptr ? std::make_shared<const Cluster>() : parsed.value;
}

Lines Errors(const std::string& fields) { return ToLines(Parse(fields).errors); }

std::string Check(const std::string& fields) {
  return "health_checks: [{timeout: 1s, interval: 5s, unhealthy_threshold: 2, healthy_threshold: 3, " +
         fields + "}]";
}

TEST(Outlier, DefaultsAreEnvoys) {
  EXPECT_FALSE(Read("")->outlier);
  const auto read = Read("outlier_detection: {}");
  ASSERT_TRUE(read->outlier);
  const OutlierDetection outlier = read->outlier.value_or(OutlierDetection());
  EXPECT_EQ(outlier.server_errors, 5u);
  EXPECT_EQ(outlier.gateway_failures, 5u);
  EXPECT_EQ(outlier.enforce_server_errors, 100u);
  EXPECT_EQ(outlier.enforce_gateway_failures, 0u);
  EXPECT_EQ(outlier.interval, seconds(10));
  EXPECT_EQ(outlier.base_ejection, seconds(30));
  EXPECT_EQ(outlier.longest_ejection, seconds(300));
  EXPECT_EQ(outlier.most_percent, 10u);
  EXPECT_FALSE(outlier.always_one);
  EXPECT_EQ(outlier.success_rate_factor, 1900u);
  EXPECT_EQ(outlier.failure_threshold, 85u);
  EXPECT_EQ(outlier.enforce_failure, 0u);
  EXPECT_FALSE(outlier.split_local);
  EXPECT_TRUE(outlier.checks_uneject);
}

TEST(Outlier, EachFieldIsRead) {
  const auto read = Read(R"(outlier_detection: {consecutive_5xx: 1, consecutive_gateway_failure: 2,
    consecutive_local_origin_failure: 3, enforcing_consecutive_5xx: 4, enforcing_consecutive_gateway_failure: 5,
    enforcing_consecutive_local_origin_failure: 6, interval: 7s, base_ejection_time: 8s, max_ejection_time: 9s,
    max_ejection_time_jitter: 10s, max_ejection_percent: 11, success_rate_minimum_hosts: 12,
    success_rate_request_volume: 13, success_rate_stdev_factor: 14, enforcing_success_rate: 15,
    enforcing_local_origin_success_rate: 16, failure_percentage_threshold: 17,
    failure_percentage_minimum_hosts: 18, failure_percentage_request_volume: 19, enforcing_failure_percentage: 20,
    enforcing_failure_percentage_local_origin: 21, split_external_local_origin_errors: true,
    always_eject_one_host: true, successful_active_health_check_uneject_host: false})");
  ASSERT_TRUE(read->outlier);
  const OutlierDetection outlier = read->outlier.value_or(OutlierDetection());
  EXPECT_EQ(outlier.server_errors, 1u);
  EXPECT_EQ(outlier.gateway_failures, 2u);
  EXPECT_EQ(outlier.local_failures, 3u);
  EXPECT_EQ(outlier.enforce_server_errors, 4u);
  EXPECT_EQ(outlier.enforce_gateway_failures, 5u);
  EXPECT_EQ(outlier.enforce_local_failures, 6u);
  EXPECT_EQ(outlier.interval, seconds(7));
  EXPECT_EQ(outlier.base_ejection, seconds(8));
  EXPECT_EQ(outlier.longest_ejection, seconds(9));
  EXPECT_EQ(outlier.jitter, seconds(10));
  EXPECT_EQ(outlier.most_percent, 11u);
  EXPECT_EQ(outlier.success_rate_hosts, 12u);
  EXPECT_EQ(outlier.success_rate_volume, 13u);
  EXPECT_EQ(outlier.success_rate_factor, 14u);
  EXPECT_EQ(outlier.enforce_success_rate, 15u);
  EXPECT_EQ(outlier.enforce_local_success_rate, 16u);
  EXPECT_EQ(outlier.failure_threshold, 17u);
  EXPECT_EQ(outlier.failure_hosts, 18u);
  EXPECT_EQ(outlier.failure_volume, 19u);
  EXPECT_EQ(outlier.enforce_failure, 20u);
  EXPECT_EQ(outlier.enforce_local_failure, 21u);
  EXPECT_TRUE(outlier.split_local);
  EXPECT_TRUE(outlier.always_one);
  EXPECT_FALSE(outlier.checks_uneject);
}

TEST(Outlier, WhatDoesNotFitIsRefused) {
  EXPECT_EQ(Errors("outlier_detection: {interval: 0s, base_ejection_time: -1s, max_ejection_percent: 101, "
                   "failure_percentage_threshold: 200}"),
            (Lines{"outlier_detection.max_ejection_percent: expected a number from 0 to 100",
                   "outlier_detection.failure_percentage_threshold: expected a number from 0 to 100",
                   "outlier_detection.interval: expected a duration of more than 0",
                   "outlier_detection.base_ejection_time: expected a duration of more than 0"}));
}

TEST(HealthChecks, TimesAndThresholdsAreRead) {
  EXPECT_TRUE(Read("")->health_checks.empty());
  const auto usual = Read(Check("http_health_check: {path: /h}"));
  ASSERT_EQ(usual->health_checks.size(), 1u);
  const HealthCheck& check = usual->health_checks[0];
  EXPECT_EQ(check.timeout, seconds(1));
  EXPECT_EQ(check.interval, seconds(5));
  EXPECT_EQ(check.unhealthy_interval, seconds(5));
  EXPECT_EQ(check.unhealthy_edge_interval, seconds(5));
  EXPECT_EQ(check.healthy_edge_interval, seconds(5));
  EXPECT_EQ(check.no_traffic_interval, seconds(60));
  EXPECT_EQ(check.unhealthy_threshold, 2u);
  EXPECT_EQ(check.healthy_threshold, 3u);
  EXPECT_FALSE(check.alt_port);
  const auto all =
      Read(Check("initial_jitter: 1s, interval_jitter: 2s, interval_jitter_percent: 20, alt_port: 81, "
                 "no_traffic_interval: 3s, unhealthy_interval: 4s, healthy_edge_interval: 6s, "
                 "reuse_connection: false, tcp_health_check: {}"));
  const HealthCheck& other = all->health_checks[0];
  EXPECT_EQ(other.initial_jitter, seconds(1));
  EXPECT_EQ(other.jitter, seconds(2));
  EXPECT_EQ(other.jitter_percent, 20u);
  EXPECT_EQ(other.alt_port, 81);
  EXPECT_EQ(other.no_traffic_interval, seconds(3));
  EXPECT_EQ(other.unhealthy_interval, seconds(4));
  EXPECT_EQ(other.unhealthy_edge_interval, seconds(4));
  EXPECT_EQ(other.healthy_edge_interval, seconds(6));
}

TEST(HealthChecks, EachKindIsRead) {
  using Ranges = std::vector<std::pair<uint32_t, uint32_t>>;
  const auto http =
      Read(Check("http_health_check: {path: \"/h?x\", host: h, method: HEAD, codec_client_type: HTTP2, "
                 "expected_statuses: [{start: 200, end: 300}], retriable_statuses: [{start: 503, end: "
                 "504}]}"))
          ->health_checks[0];
  EXPECT_EQ(http.kind, HealthCheck::Kind::kHttp);
  EXPECT_EQ(http.path, "/h?x");
  EXPECT_EQ(http.host, "h");
  EXPECT_EQ(http.method, "HEAD");
  EXPECT_TRUE(http.http2);
  EXPECT_EQ(http.expected, (Ranges{{200, 300}}));
  EXPECT_EQ(http.retriable, (Ranges{{503, 504}}));
  EXPECT_EQ(Read(Check("http_health_check: {path: /h}"))->health_checks[0].expected, (Ranges{{200, 201}}));
  const auto tcp =
      Read(Check("tcp_health_check: {send: {text: \"0aFF\"}, receive: [{text: \"00\"}, {binary: YWI=}]}"))
          ->health_checks[0];
  EXPECT_EQ(tcp.kind, HealthCheck::Kind::kTcp);
  EXPECT_EQ(tcp.send, "\x0a\xff");
  EXPECT_EQ(tcp.receive, (Lines{std::string(1, '\0'), "ab"}));
  const auto grpc = Read(Check("grpc_health_check: {service_name: s, authority: x}"))->health_checks[0];
  EXPECT_EQ(grpc.kind, HealthCheck::Kind::kGrpc);
  EXPECT_TRUE(grpc.http2);
  EXPECT_EQ(grpc.service, "s");
  EXPECT_EQ(grpc.host, "x");
}

TEST(HealthChecks, WhatDoesNotFitIsRefused) {
  const std::string at = "health_checks[0]";
  EXPECT_EQ(Errors("health_checks: [{}]"),
            (Lines{at + ".timeout: expected a duration of more than 0",
                   at + ".interval: expected a duration of more than 0",
                   at + ".unhealthy_threshold: expected a number from 1 to 4294967295",
                   at + ".healthy_threshold: expected a number from 1 to 4294967295",
                   at + ": expected http_health_check, tcp_health_check or grpc_health_check"}));
  EXPECT_EQ(
      Errors(Check(
          "alt_port: 0, interval_jitter_percent: 1001, unhealthy_interval: 0s, http_health_check: {path: "
          "x, host: \"a b\", method: CONNECT, codec_client_type: HTTP3, expected_statuses: [{start: 99, "
          "end: 200}, {start: 300, end: 300}]}")),
      (Lines{
          at + ".interval_jitter_percent: expected at most 1000",
          at + ".unhealthy_interval: expected a duration of more than 0",
          at + ".alt_port: expected a number from 1 to 65535",
          at + ".http_health_check.host: expected a host, maybe with a port",
          at + ".http_health_check.path: expected a path: / and visible ASCII without #",
          at + ".http_health_check.method: expected a method other than CONNECT",
          at + ".http_health_check.expected_statuses[0]: expected a start of at least 100 and an end behind "
               "it "
               "of at most 600",
          at + ".http_health_check.expected_statuses[1]: expected a start of at least 100 and an end behind "
               "it "
               "of at most 600",
          at + ".http_health_check.codec_client_type: expected HTTP1 or HTTP2; others are not implemented"}));
  EXPECT_EQ(Errors(Check("tcp_health_check: {send: {text: abc}, receive: [{}]}")),
            (Lines{at + ".tcp_health_check.send.text: expected pairs of hexadecimal digits",
                   at + ".tcp_health_check.receive[0]: expected text or binary, not empty"}));
  std::string five = "health_checks: [";
  for (int i = 0; i < 5; ++i) {
    five +=
        "{timeout: 1s, interval: 5s, unhealthy_threshold: 2, healthy_threshold: 3, tcp_health_check: {}}, ";
  }
  EXPECT_EQ(Errors(five + "]"), Lines{"health_checks: expected at most 4"});
}

}  // namespace
}  // namespace pillion::config
