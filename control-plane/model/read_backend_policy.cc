// LoadBalancingPolicy, CircuitBreakerPolicy and HealthPolicy: what is said of a Service's endpoints as a
// whole.
#include <algorithm>
#include <limits>

#include "control-plane/model/read.h"
#include "sidecar/base/text.h"
#include "sidecar/config/field_path.h"

namespace pillion::control {
namespace {

namespace policy = kube::policy::v1alpha1;

using config::ElementPath;
using config::EntryPath;
using config::FieldPath;
using BalancerKind = BalancerRule::Kind;

constexpr int kMostHashes = 16;

BalancerKind ReadKind(policy::LoadBalancingPolicySpec::Balancer balancer, Report& report) {
  using Spec = policy::LoadBalancingPolicySpec;
  switch (balancer) {
    case Spec::RoundRobin:
      return BalancerKind::kRoundRobin;
    case Spec::LeastRequest:
      return BalancerKind::kLeastRequest;
    case Spec::Random:
      return BalancerKind::kRandom;
    case Spec::PeakEwma:
      return BalancerKind::kPeakEwma;
    case Spec::RingHash:
      return BalancerKind::kRingHash;
    case Spec::Maglev:
      return BalancerKind::kMaglev;
    default:
      report.Add("spec", "expected balancer: RoundRobin, LeastRequest, Random, PeakEwma, RingHash or Maglev");
      return BalancerKind::kRoundRobin;
  }
}

HashRule ReadHash(const policy::LoadBalancingPolicySpec::HashOn& message, const std::string& path,
                  Report& report) {
  using Kind = HashRule::Kind;
  HashRule rule;
  const int given = (message.header().empty() ? 0 : 1) + (message.has_cookie() ? 1 : 0) +
                    (message.source_ip() ? 1 : 0) + (message.query_parameter().empty() ? 0 : 1);
  if (given != 1) report.Add(path, "expected one of header, cookie, sourceIp: true and queryParameter");
  if (message.has_cookie()) {
    const std::string cookie_path = FieldPath(path, "cookie");
    rule.kind = Kind::kCookie;
    rule.name = message.cookie().name();
    if (!IsToken(rule.name)) report.Add(FieldPath(cookie_path, "name"), "expected a cookie's name");
    if (message.cookie().has_ttl())
      rule.ttl = ReadDuration(message.cookie().ttl(), FieldPath(cookie_path, "ttl"), true, report);
    rule.path = message.cookie().path();
    if (!rule.path.empty() && (!IsCleanPath(rule.path) || rule.path.find(';') != std::string::npos))
      report.Add(FieldPath(cookie_path, "path"), "expected a path without ;");
  } else if (message.source_ip()) {
    rule.kind = Kind::kSourceIp;
  } else if (!message.query_parameter().empty()) {
    rule.kind = Kind::kQuery;
    rule.name = message.query_parameter();
  } else {
    rule.name = message.header();
    std::ranges::transform(rule.name, rule.name.begin(), AsciiLower);
    if (given == 1 && !IsToken(rule.name))
      report.Add(FieldPath(path, "header"), "expected the name of a header");
  }
  return rule;
}

void ReadHashes(const policy::LoadBalancingPolicySpec& spec, BalancerRule& rule, Report& report) {
  const bool hashes = rule.kind == BalancerKind::kRingHash || rule.kind == BalancerKind::kMaglev;
  if (hashes != (spec.hash_on_size() > 0)) {
    report.Add(hashes ? "spec" : "spec.hash_on", hashes ? "expected hashOn, with balancer: RingHash or Maglev"
                                                        : "expected only with balancer: RingHash or Maglev");
  }
  if (spec.hash_on_size() > kMostHashes) report.Add("spec.hash_on", "expected at most 16");
  for (int i = 0; i < spec.hash_on_size() && i < kMostHashes; ++i) {
    rule.hash_on.push_back(
        ReadHash(spec.hash_on(i), ElementPath("spec.hash_on", static_cast<size_t>(i)), report));
  }
}

// Within [least, most].
uint32_t ReadCount(int64_t number, const std::string& path, int64_t least, int64_t most, Report& report) {
  if (number < least || number > most)
    report.Add(path, "expected " + std::to_string(least) + " to " + std::to_string(most));
  return static_cast<uint32_t>(std::clamp<int64_t>(number, least, most));
}

// `message`: SuccessRate or FailurePercentage.
template <typename Message>
void ReadEnough(const Message& message, const std::string& path, EnoughRule& rule, Report& report) {
  constexpr int32_t kMost = std::numeric_limits<int32_t>::max();
  if (message.has_min_requests())
    rule.requests = ReadCount(message.min_requests(), FieldPath(path, "min_requests"), 1, kMost, report);
  if (message.has_min_endpoints())
    rule.endpoints = ReadCount(message.min_endpoints(), FieldPath(path, "min_endpoints"), 1, kMost, report);
}

void ReadRates(const policy::HealthPolicySpec::OutlierDetection& message, OutlierRule& rule, Report& report) {
  constexpr double kMostDeviations = 100;
  const std::string success_path = "spec.outlier_detection.success_rate";
  const std::string failure_path = "spec.outlier_detection.failure_percentage";
  if (message.success_rate().has_deviations()) {
    rule.success_deviations = message.success_rate().deviations();
    if (!(rule.success_deviations >= 0 && rule.success_deviations <= kMostDeviations)) {
      report.Add(FieldPath(success_path, "deviations"), "expected 0 to 100");
      rule.success_deviations = 0;
    }
  }
  ReadEnough(message.success_rate(), success_path, rule.success_enough, report);
  if (!message.has_failure_percentage()) return;
  const auto& failures = message.failure_percentage();
  rule.failure_percent = ReadCount(failures.percent(), FieldPath(failure_path, "percent"), 1, 100, report);
  ReadEnough(failures, failure_path, rule.failure_enough, report);
}

void ReadZoneWeights(const policy::LoadBalancingPolicySpec& spec, BalancerRule& rule, Report& report) {
  constexpr int64_t kMostWeight = 1'000'000;
  constexpr size_t kMostZones = 64;
  const std::string path = "spec.zone_weights";
  if (spec.zone_weights().empty()) return;
  if (spec.zone_weights().size() > kMostZones) report.Add(path, "expected at most 64");
  bool any = false;
  for (const auto& [zone, weight] : spec.zone_weights()) {
    rule.zone_weights[zone] = ReadCount(weight, EntryPath(path, zone), 0, kMostWeight, report);
    any = any || weight > 0;
  }
  if (!any) report.Add(path, "expected one that is more than 0");
  if (rule.kind == BalancerKind::kPeakEwma)
    report.Add(path, "expected another balancer: PeakEwma knows no zones");
  if (rule.prefer_same_zone) report.Add(path, "expected only without preferSameZone");
}

OutlierRule ReadOutlier(const policy::HealthPolicySpec::OutlierDetection& message, Report& report) {
  const std::string path = "spec.outlier_detection";
  constexpr int32_t kMost = std::numeric_limits<int32_t>::max();
  OutlierRule rule;
  if (message.has_consecutive_errors()) {
    rule.errors =
        ReadCount(message.consecutive_errors(), FieldPath(path, "consecutive_errors"), 0, kMost, report);
  }
  if (message.has_consecutive_gateway_errors()) {
    rule.gateway_errors = ReadCount(message.consecutive_gateway_errors(),
                                    FieldPath(path, "consecutive_gateway_errors"), 0, kMost, report);
  }
  if (message.has_interval())
    rule.interval = ReadDuration(message.interval(), FieldPath(path, "interval"), false, report);
  if (message.has_ejection())
    rule.ejection = ReadDuration(message.ejection(), FieldPath(path, "ejection"), false, report);
  rule.longest_ejection = std::max(rule.longest_ejection, rule.ejection);
  if (message.has_max_ejection()) {
    rule.longest_ejection =
        ReadDuration(message.max_ejection(), FieldPath(path, "max_ejection"), false, report);
    if (rule.longest_ejection < rule.ejection)
      report.Add(FieldPath(path, "max_ejection"), "expected at least as long as ejection");
  }
  if (message.has_max_ejection_percent()) {
    rule.most_percent =
        ReadCount(message.max_ejection_percent(), FieldPath(path, "max_ejection_percent"), 0, 100, report);
  }
  ReadRates(message, rule, report);
  return rule;
}

void ReadAnswers(const policy::HealthPolicySpec::HealthCheck::Http& message, const std::string& path,
                 HealthCheckRule& rule, Report& report) {
  constexpr int kMostStatuses = 32;
  rule.method = message.method();
  if (!rule.method.empty() && rule.method != "GET" && rule.method != "HEAD" && rule.method != "OPTIONS")
    report.Add(FieldPath(path, "method"), "expected GET, HEAD or OPTIONS");
  const std::string statuses_path = FieldPath(path, "expected_statuses");
  if (message.expected_statuses_size() > kMostStatuses) report.Add(statuses_path, "expected at most 32");
  for (int i = 0; i < message.expected_statuses_size(); ++i) {
    rule.statuses.push_back(static_cast<uint16_t>(ReadCount(
        message.expected_statuses(i), ElementPath(statuses_path, static_cast<size_t>(i)), 100, 599, report)));
  }
}

HealthCheckRule ReadCheck(const policy::HealthPolicySpec::HealthCheck& message, Report& report) {
  const std::string path = "spec.health_check";
  HealthCheckRule rule;
  if ((message.has_http() ? 1 : 0) + (message.has_grpc() ? 1 : 0) + (message.has_tcp() ? 1 : 0) != 1)
    report.Add(path, "expected one of http, grpc and tcp");
  if (message.has_http()) {
    rule.path = message.http().path();
    if (!IsCleanPath(rule.path.substr(0, rule.path.find('?'))))
      report.Add(FieldPath(path, "http.path"), "expected a path");
    rule.host = message.http().host();
    if (!rule.host.empty() && !IsDnsSubdomain(rule.host))
      report.Add(FieldPath(path, "http.host"), "expected a DNS name");
    ReadAnswers(message.http(), FieldPath(path, "http"), rule, report);
  } else if (message.has_grpc()) {
    rule.kind = HealthCheckRule::Kind::kGrpc;
    rule.service = message.grpc().service();
  } else {
    rule.kind = HealthCheckRule::Kind::kTcp;
  }
  if (message.has_interval())
    rule.interval = ReadDuration(message.interval(), FieldPath(path, "interval"), false, report);
  if (message.has_timeout())
    rule.timeout = ReadDuration(message.timeout(), FieldPath(path, "timeout"), false, report);
  if (message.has_unhealthy_threshold()) {
    rule.unhealthy_threshold =
        ReadCount(message.unhealthy_threshold(), FieldPath(path, "unhealthy_threshold"), 1, 1000, report);
  }
  if (message.has_healthy_threshold()) {
    rule.healthy_threshold =
        ReadCount(message.healthy_threshold(), FieldPath(path, "healthy_threshold"), 1, 1000, report);
  }
  if (message.has_port()) rule.port = ReadPort(message.port(), FieldPath(path, "port"), report);
  return rule;
}

}  // namespace

std::optional<LoadBalancingPolicy> Read(const policy::LoadBalancingPolicy& message, Report& report) {
  constexpr int32_t kMostChoices = 100;
  constexpr int32_t kMostPreconnect = 300;
  LoadBalancingPolicy result;
  result.metadata = ReadMetadata(message.metadata(), report);
  const auto& spec = message.spec();
  result.targets = ReadTargets(spec.target_refs(), result.metadata.name.ns, false, report);
  if (result.targets.empty()) report.Add("spec", "expected targetRefs");
  BalancerRule& rule = result.rule;
  rule.kind = ReadKind(spec.balancer(), report);
  if (spec.has_choices()) {
    rule.choices = ReadCount(spec.choices(), "spec.choices", 2, kMostChoices, report);
    if (rule.kind != BalancerKind::kLeastRequest)
      report.Add("spec.choices", "expected only with balancer: LeastRequest");
  }
  ReadHashes(spec, rule, report);
  if (spec.has_hash_load_percent()) {
    rule.hash_load_percent = ReadCount(spec.hash_load_percent(), "spec.hash_load_percent", 100, 1000, report);
    if (rule.kind != BalancerKind::kRingHash && rule.kind != BalancerKind::kMaglev)
      report.Add("spec.hash_load_percent", "expected only with balancer: RingHash or Maglev");
  }
  if (spec.has_slow_start()) {
    rule.slow_start = ReadDuration(spec.slow_start(), "spec.slow_start", true, report);
    if (rule.kind != BalancerKind::kRoundRobin && rule.kind != BalancerKind::kLeastRequest)
      report.Add("spec.slow_start", "expected only with balancer: RoundRobin or LeastRequest");
  }
  rule.prefer_same_zone = spec.prefer_same_zone();
  ReadZoneWeights(spec, rule, report);
  if (spec.has_panic_percent()) {
    rule.panic_percent = spec.panic_percent();
    if (!(rule.panic_percent >= 0 && rule.panic_percent <= 100))
      report.Add("spec.panic_percent", "expected 0 to 100");
  }
  if (spec.has_preconnect_percent()) {
    rule.preconnect_percent =
        ReadCount(spec.preconnect_percent(), "spec.preconnect_percent", 100, kMostPreconnect, report);
  }
  if (report.failed()) return std::nullopt;
  return result;
}

std::optional<CircuitBreakerPolicy> Read(const policy::CircuitBreakerPolicy& message, Report& report) {
  CircuitBreakerPolicy result;
  result.metadata = ReadMetadata(message.metadata(), report);
  const auto& spec = message.spec();
  result.targets = ReadTargets(spec.target_refs(), result.metadata.name.ns, false, report);
  if (result.targets.empty()) report.Add("spec", "expected targetRefs");
  const auto read = [&](bool present, int64_t number, const char* path,
                        int64_t least) -> std::optional<uint32_t> {
    if (!present) return std::nullopt;
    return ReadCount(number, path, least, std::numeric_limits<uint32_t>::max(), report);
  };
  CircuitRule& rule = result.rule;
  rule.connections = read(spec.has_max_connections(), spec.max_connections(), "spec.max_connections", 1);
  rule.endpoint_connections =
      read(spec.has_max_connections_per_endpoint(), spec.max_connections_per_endpoint(),
           "spec.max_connections_per_endpoint", 1);
  rule.pending =
      read(spec.has_max_pending_requests(), spec.max_pending_requests(), "spec.max_pending_requests", 1);
  rule.requests = read(spec.has_max_requests(), spec.max_requests(), "spec.max_requests", 1);
  rule.retries = read(spec.has_max_retries(), spec.max_retries(), "spec.max_retries", 0);
  if (spec.has_connect_timeout())
    rule.connect_timeout = ReadDuration(spec.connect_timeout(), "spec.connect_timeout", false, report);
  if (!rule.connections && !rule.endpoint_connections && !rule.pending && !rule.requests && !rule.retries &&
      !rule.connect_timeout) {
    report.Add("spec",
               "expected maxConnections, maxConnectionsPerEndpoint, maxPendingRequests, maxRequests, "
               "maxRetries or connectTimeout");
  }
  if (report.failed()) return std::nullopt;
  return result;
}

std::optional<HealthPolicy> Read(const policy::HealthPolicy& message, Report& report) {
  HealthPolicy result;
  result.metadata = ReadMetadata(message.metadata(), report);
  const auto& spec = message.spec();
  result.targets = ReadTargets(spec.target_refs(), result.metadata.name.ns, false, report);
  if (result.targets.empty()) report.Add("spec", "expected targetRefs");
  if (!spec.has_outlier_detection() && !spec.has_health_check())
    report.Add("spec", "expected outlierDetection or healthCheck");
  if (spec.has_outlier_detection()) result.rule.outlier = ReadOutlier(spec.outlier_detection(), report);
  if (spec.has_health_check()) result.rule.check = ReadCheck(spec.health_check(), report);
  if (report.failed()) return std::nullopt;
  return result;
}

}  // namespace pillion::control
