#include "control-plane/snapshot/cluster_policy.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <cmath>

#include "control-plane/snapshot/parts.h"
#include "pillion/sidecar/v1/peak_ewma.pb.h"

namespace pillion::control {
namespace {

using envoy::config::cluster::v3::Cluster;
using Kind = BalancerRule::Kind;

void SetOutlier(Cluster& cluster, const OutlierRule& rule) {
  constexpr uint32_t kAlways = 100;
  auto& outlier = *cluster.mutable_outlier_detection();
  outlier.mutable_consecutive_5xx()->set_value(rule.errors);
  outlier.mutable_consecutive_gateway_failure()->set_value(rule.gateway_errors);
  outlier.mutable_enforcing_consecutive_gateway_failure()->set_value(kAlways);
  SetDuration(outlier.mutable_interval(), rule.interval);
  SetDuration(outlier.mutable_base_ejection_time(), rule.ejection);
  SetDuration(outlier.mutable_max_ejection_time(), rule.longest_ejection);
  outlier.mutable_max_ejection_percent()->set_value(rule.most_percent);
  outlier.mutable_always_eject_one_host()->set_value(rule.most_percent > 0);
  outlier.mutable_enforcing_success_rate()->set_value(rule.success_deviations > 0 ? kAlways : 0);
  outlier.mutable_success_rate_stdev_factor()->set_value(
      static_cast<uint32_t>(std::lround(rule.success_deviations * 1000)));
  outlier.mutable_success_rate_request_volume()->set_value(rule.success_enough.requests);
  outlier.mutable_success_rate_minimum_hosts()->set_value(rule.success_enough.endpoints);
  if (rule.failure_percent == 0) return;
  outlier.mutable_enforcing_failure_percentage()->set_value(kAlways);
  outlier.mutable_failure_percentage_threshold()->set_value(rule.failure_percent);
  outlier.mutable_failure_percentage_request_volume()->set_value(rule.failure_enough.requests);
  outlier.mutable_failure_percentage_minimum_hosts()->set_value(rule.failure_enough.endpoints);
}

void SetCheck(Cluster& cluster, const HealthCheckRule& rule, const std::string& host) {
  auto& check = *cluster.add_health_checks();
  SetDuration(check.mutable_timeout(), rule.timeout);
  SetDuration(check.mutable_interval(), rule.interval);
  SetDuration(check.mutable_no_traffic_interval(), rule.interval);
  check.mutable_unhealthy_threshold()->set_value(rule.unhealthy_threshold);
  check.mutable_healthy_threshold()->set_value(rule.healthy_threshold);
  check.set_interval_jitter_percent(10);
  if (rule.port.has_value()) check.mutable_alt_port()->set_value(*rule.port);
  switch (rule.kind) {
    case HealthCheckRule::Kind::kHttp: {
      auto& http = *check.mutable_http_health_check();
      http.set_path(rule.path);
      http.set_host(rule.host.empty() ? host : rule.host);
      if (rule.method == "HEAD") http.set_method(envoy::config::core::v3::HEAD);
      if (rule.method == "OPTIONS") http.set_method(envoy::config::core::v3::OPTIONS);
      for (const uint16_t status : rule.statuses) {
        auto& range = *http.add_expected_statuses();
        range.set_start(status);
        range.set_end(status + 1);
      }
      auto& passing = *http.add_retriable_statuses();
      passing.set_start(503);
      passing.set_end(505);
      break;
    }
    case HealthCheckRule::Kind::kGrpc:
      check.mutable_grpc_health_check()->set_service_name(rule.service);
      check.mutable_grpc_health_check()->set_authority(host);
      break;
    case HealthCheckRule::Kind::kTcp:
      check.mutable_tcp_health_check();
      break;
  }
}

}  // namespace

void SetSafeLimits(Cluster& cluster) {
  for (const auto priority : {envoy::config::core::v3::DEFAULT, envoy::config::core::v3::HIGH}) {
    auto& limits = *cluster.mutable_circuit_breakers()->add_thresholds();
    limits.set_priority(priority);
    limits.mutable_max_connections()->set_value(UINT32_MAX);
    limits.mutable_max_pending_requests()->set_value(UINT32_MAX);
    limits.mutable_max_requests()->set_value(UINT32_MAX);
  }
  cluster.mutable_common_lb_config()->mutable_healthy_panic_threshold()->set_value(0);
}

void SetCircuits(Cluster& cluster, const CircuitRule& rule) {
  for (auto& limits : *cluster.mutable_circuit_breakers()->mutable_thresholds()) {
    if (rule.connections) limits.mutable_max_connections()->set_value(*rule.connections);
    if (rule.pending) limits.mutable_max_pending_requests()->set_value(*rule.pending);
    if (rule.requests) limits.mutable_max_requests()->set_value(*rule.requests);
    if (rule.retries) limits.mutable_max_retries()->set_value(*rule.retries);
  }
  if (rule.endpoint_connections) {
    for (const auto& limits : cluster.circuit_breakers().thresholds()) {
      auto& each = *cluster.mutable_circuit_breakers()->add_per_host_thresholds();
      each.set_priority(limits.priority());
      each.mutable_max_connections()->set_value(*rule.endpoint_connections);
    }
  }
  if (rule.connect_timeout) SetDuration(cluster.mutable_connect_timeout(), *rule.connect_timeout);
}

void SetBalancer(Cluster& cluster, const BalancerRule& rule) {
  switch (rule.kind) {
    case Kind::kRoundRobin:
      if (rule.slow_start.count() > 0) {
        SetDuration(
            cluster.mutable_round_robin_lb_config()->mutable_slow_start_config()->mutable_slow_start_window(),
            rule.slow_start);
      }
      break;
    case Kind::kLeastRequest:
      cluster.set_lb_policy(Cluster::LEAST_REQUEST);
      cluster.mutable_least_request_lb_config()->mutable_choice_count()->set_value(rule.choices);
      if (rule.slow_start.count() > 0) {
        SetDuration(cluster.mutable_least_request_lb_config()
                        ->mutable_slow_start_config()
                        ->mutable_slow_start_window(),
                    rule.slow_start);
      }
      break;
    case Kind::kRandom:
      cluster.set_lb_policy(Cluster::RANDOM);
      break;
    case Kind::kPeakEwma: {
      // Who does not know it has the old field to go by.
      cluster.set_lb_policy(Cluster::LEAST_REQUEST);
      auto& policy =
          *cluster.mutable_load_balancing_policy()->add_policies()->mutable_typed_extension_config();
      policy.set_name("pillion.peak_ewma");
      policy.mutable_typed_config()->PackFrom(sidecar::v1::PeakEwma());
      break;
    }
    case Kind::kRingHash:
      cluster.set_lb_policy(Cluster::RING_HASH);
      break;
    case Kind::kMaglev:
      cluster.set_lb_policy(Cluster::MAGLEV);
      break;
  }
  auto& common = *cluster.mutable_common_lb_config();
  common.mutable_healthy_panic_threshold()->set_value(rule.panic_percent);
  if (rule.hash_load_percent > 0) {
    auto& hashing = *common.mutable_consistent_hashing_lb_config();
    hashing.mutable_hash_balance_factor()->set_value(rule.hash_load_percent);
  }
  if (!rule.zone_weights.empty()) common.mutable_locality_weighted_lb_config();
  if (rule.preconnect_percent > 100) {
    cluster.mutable_preconnect_policy()->mutable_per_upstream_preconnect_ratio()->set_value(
        rule.preconnect_percent / 100.0);
  }
}

void SetHealth(Cluster& cluster, const HealthRule& rule, const std::string& host) {
  if (rule.outlier.has_value()) SetOutlier(cluster, *rule.outlier);
  if (rule.check.has_value()) SetCheck(cluster, *rule.check, host);
}

void AddHashPolicies(envoy::config::route::v3::RouteAction& action, const BalancerRule& rule) {
  // Of a route with several backends: what all of them hash on, each thing once. A sidecar takes no more.
  constexpr int kMost = 16;
  for (const HashRule& one : rule.hash_on) {
    envoy::config::route::v3::RouteAction::HashPolicy policy;
    switch (one.kind) {
      case HashRule::Kind::kHeader:
        policy.mutable_header()->set_header_name(one.name);
        break;
      case HashRule::Kind::kCookie:
        policy.mutable_cookie()->set_name(one.name);
        policy.mutable_cookie()->set_path(one.path);
        if (one.ttl.has_value()) SetDuration(policy.mutable_cookie()->mutable_ttl(), *one.ttl);
        break;
      case HashRule::Kind::kSourceIp:
        policy.mutable_connection_properties()->set_source_ip(true);
        break;
      case HashRule::Kind::kQuery:
        policy.mutable_query_parameter()->set_name(one.name);
        break;
    }
    const bool known = std::ranges::any_of(action.hash_policy(), [&](const auto& other) {
      return google::protobuf::util::MessageDifferencer::Equals(other, policy);
    });
    if (!known && action.hash_policy_size() < kMost) *action.add_hash_policy() = std::move(policy);
  }
}

}  // namespace pillion::control
