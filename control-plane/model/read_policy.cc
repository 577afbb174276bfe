// RetryPolicy and TracingPolicy.
#include <algorithm>
#include <array>

#include <google/protobuf/descriptor.pb.h>

#include "control-plane/model/read.h"
#include "sidecar/base/text.h"
#include "sidecar/config/field_path.h"

namespace pillion::control {
namespace {

using config::ElementPath;
using config::FieldPath;

constexpr int32_t kMaxAttempts = 10;
constexpr std::array<std::string_view, 15> kConditions = {"5xx",
                                                          "gateway-error",
                                                          "connect-failure",
                                                          "reset",
                                                          "reset-before-request",
                                                          "refused-stream",
                                                          "retriable-4xx",
                                                          "retriable-status-codes",
                                                          "retriable-headers",
                                                          "envoy-ratelimited",
                                                          "cancelled",
                                                          "deadline-exceeded",
                                                          "internal",
                                                          "resource-exhausted",
                                                          "unavailable"};

void ReadBackoff(const kube::policy::v1alpha1::RetryPolicySpec::Backoff& message, RetryRule& rule,
                 Report& report) {
  if (message.has_base()) {
    rule.backoff_base = ReadDuration(message.base(), "spec.backoff.base", false, report);
    rule.backoff_max = LongestBackoff(rule.backoff_base);
  }
  if (!message.has_max()) return;
  rule.backoff_max = ReadDuration(message.max(), "spec.backoff.max", false, report);
  if (rule.backoff_max < rule.backoff_base) report.Add("spec.backoff.max", "expected at least the base");
}

void ReadHeaders(const kube::policy::v1alpha1::RetryPolicySpec& spec, RetryRule& rule, Report& report) {
  for (int i = 0; i < spec.headers_size(); ++i) {
    const std::string path = FieldPath(ElementPath("spec.headers", static_cast<size_t>(i)), "name");
    NamedValue header{.name = spec.headers(i).name(), .value = spec.headers(i).value()};
    std::ranges::transform(header.name, header.name.begin(), AsciiLower);
    // What the sidecar refuses (config/parse_route_match.cc).
    if (!IsToken(header.name) || header.name == "content-length" || header.name == "transfer-encoding" ||
        header.name == "host") {
      report.Add(path, "expected the name of a header that does not frame the message");
    }
    rule.headers.push_back(std::move(header));
  }
  const bool wanted = std::ranges::find(spec.retry_on(), "retriable-headers") != spec.retry_on().end();
  if (wanted != (spec.headers_size() > 0)) {
    report.Add(wanted ? "spec.retry_on" : "spec.headers",
               "expected both headers and the condition retriable-headers, or neither");
  }
}

void ReadBudget(const kube::policy::v1alpha1::RetryPolicySpec& spec, RetryPolicy& policy, Report& report) {
  constexpr int32_t kMostPerSecond = 1000;
  if (!spec.has_budget()) return;
  RetryBudgetRule& budget = policy.rule.budget.emplace();
  const auto& message = spec.budget();
  if (message.has_percent()) budget.percent = message.percent();
  if (!(budget.percent >= 0 && budget.percent <= 100)) report.Add("spec.budget.percent", "expected 0 to 100");
  if (message.has_per_second()) {
    if (message.per_second() < 0 || message.per_second() > kMostPerSecond)
      report.Add("spec.budget.per_second", "expected 0 to 1000");
    budget.per_second = static_cast<uint32_t>(std::max(message.per_second(), 0));
  }
  const bool services = std::ranges::all_of(
      policy.targets, [](const Target& target) { return target.kind == TargetKind::kService; });
  if (!services) report.Add("spec.budget", "expected only with targets of kind Service");
}

}  // namespace

std::vector<Target> ReadTargets(
    const google::protobuf::RepeatedPtrField<kube::policy::v1alpha1::TargetReference>& references,
    const std::string& ns, bool routes_too, Report& report) {
  std::vector<Target> targets;
  for (int i = 0; i < references.size(); ++i) {
    const auto& reference = references[i];
    const std::string path = ElementPath("spec.target_refs", static_cast<size_t>(i));
    Target target{TargetKind::kService, {ns, reference.name()}, path};
    const bool core = reference.group().empty() || reference.group() == "core";
    const bool http = reference.kind() == "HTTPRoute";
    const bool route =
        reference.group() == "gateway.networking.k8s.io" && (http || reference.kind() == "GRPCRoute");
    if (routes_too && route) {
      target.kind = http ? TargetKind::kHttpRoute : TargetKind::kGrpcRoute;
    } else if (!core || reference.kind() != "Service") {
      report.Add(path, routes_too ? "expected kind: Service, or kind: HTTPRoute or GRPCRoute of group "
                                    "gateway.networking.k8s.io"
                                  : "expected kind: Service");
    }
    if (reference.name().empty()) report.Add(path, "expected a name");
    targets.push_back(std::move(target));
  }
  return targets;
}

// Which methods may run twice, as their own descriptors say.
void ReadDescriptors(const std::string& bytes, RetryRule& rule, Report& report) {
  if (bytes.empty()) return;
  const std::string path = "spec.grpc_descriptors";
  google::protobuf::FileDescriptorSet set;
  if (!set.ParseFromString(bytes)) return report.Add(path, "expected a serialized FileDescriptorSet");
  for (const auto& file : set.file()) {
    const std::string package = file.package().empty() ? "" : file.package() + ".";
    for (const auto& service : file.service()) {
      for (const auto& method : service.method()) {
        if (method.options().idempotency_level() == google::protobuf::MethodOptions::IDEMPOTENCY_UNKNOWN)
          continue;
        rule.idempotent_methods.push_back("/" + package + service.name() + "/" + method.name());
      }
    }
  }
  if (rule.idempotent_methods.empty())
    report.Add(path, "expected a method with an idempotency_level of IDEMPOTENT or NO_SIDE_EFFECTS");
}

void ReadHedge(const kube::policy::v1alpha1::RetryPolicySpec& spec, RetryRule& rule, Report& report) {
  if (!spec.has_hedge()) return;
  const auto& hedge = spec.hedge();
  if (!hedge.has_percentile() && !hedge.on_per_try_timeout())
    report.Add("spec.hedge", "expected percentile, onPerTryTimeout or both");
  if (hedge.has_percentile() && !(hedge.percentile() >= 50 && hedge.percentile() <= 99.9))
    report.Add("spec.hedge.percentile", "expected 50 to 99.9");
  rule.hedge.percentile = hedge.percentile();
  if (hedge.has_at_least()) {
    if (!hedge.has_percentile()) report.Add("spec.hedge.at_least", "expected a percentile beside it");
    rule.hedge.at_least = ReadDuration(hedge.at_least(), "spec.hedge.at_least", true, report);
  }
  rule.hedge.on_per_try_timeout = hedge.on_per_try_timeout();
  if (hedge.on_per_try_timeout() && !spec.has_per_try_timeout())
    report.Add("spec.hedge.on_per_try_timeout", "expected a perTryTimeout of the policy");
}

std::optional<RetryPolicy> Read(const kube::policy::v1alpha1::RetryPolicy& message, Report& report) {
  RetryPolicy policy;
  policy.metadata = ReadMetadata(message.metadata(), report);
  const auto& spec = message.spec();
  policy.targets = ReadTargets(spec.target_refs(), policy.metadata.name.ns, true, report);
  if (policy.targets.empty()) report.Add("spec", "expected targetRefs");
  if (spec.has_attempts()) {
    if (spec.attempts() < 1 || spec.attempts() > kMaxAttempts)
      report.Add("spec.attempts", "expected 1 to 10");
    policy.rule.attempts = static_cast<uint32_t>(std::max(spec.attempts(), 0));
  }
  if (spec.retry_on_size() == 0) report.Add("spec", "expected retryOn");
  bool by_code = false;
  for (int i = 0; i < spec.retry_on_size(); ++i) {
    const std::string& condition = spec.retry_on(i);
    if (std::find(kConditions.begin(), kConditions.end(), condition) == kConditions.end()) {
      std::string known;
      for (const std::string_view name : kConditions) known.append(known.empty() ? "" : ", ").append(name);
      report.Add(ElementPath("spec.retry_on", static_cast<size_t>(i)), "expected one of " + known);
    }
    by_code = by_code || condition == "retriable-status-codes";
    policy.rule.retry_on.push_back(condition);
  }
  policy.rule.codes = ReadStatusCodes(spec.codes(), "spec.codes", report);
  if (by_code != (spec.codes_size() > 0)) {
    report.Add(by_code ? "spec.retry_on" : "spec.codes",
               "expected both codes and the condition retriable-status-codes, or neither");
  }
  if (spec.has_per_try_timeout()) {
    policy.rule.per_try_timeout = ReadDuration(spec.per_try_timeout(), "spec.per_try_timeout", true, report);
  }
  if (spec.has_per_try_idle_timeout()) {
    policy.rule.per_try_idle_timeout =
        ReadDuration(spec.per_try_idle_timeout(), "spec.per_try_idle_timeout", true, report);
  }
  if (spec.has_max_retry_after()) {
    policy.rule.max_retry_after = ReadDuration(spec.max_retry_after(), "spec.max_retry_after", false, report);
  }
  policy.rule.idempotent = spec.idempotent();
  ReadDescriptors(spec.grpc_descriptors(), policy.rule, report);
  ReadHeaders(spec, policy.rule, report);
  ReadBudget(spec, policy, report);
  ReadBackoff(spec.backoff(), policy.rule, report);
  ReadHedge(spec, policy.rule, report);
  if (report.failed()) return std::nullopt;
  return policy;
}

std::optional<TracingPolicy> Read(const kube::policy::v1alpha1::TracingPolicy& message, Report& report) {
  TracingPolicy policy;
  policy.metadata = ReadMetadata(message.metadata(), report);
  const auto& spec = message.spec();
  policy.targets = ReadTargets(spec.target_refs(), policy.metadata.name.ns, false, report);
  if (!spec.has_collector() || spec.collector().name().empty()) {
    report.Add(spec.has_collector() ? "spec.collector" : "spec", "expected a collector with a name");
  }
  const std::string& ns = spec.collector().namespace_();
  policy.collector = {ns.empty() ? policy.metadata.name.ns : ns, spec.collector().name()};
  if (spec.has_collector()) {
    policy.collector_port = ReadPort(spec.collector().port(), "spec.collector.port", report).value_or(0);
  }
  if (spec.has_sampling_percent()) {
    policy.sampling_percent = spec.sampling_percent();
    if (!(policy.sampling_percent >= 0 && policy.sampling_percent <= 100)) {
      report.Add("spec.sampling_percent", "expected 0 to 100");
    }
  }
  if (report.failed()) return std::nullopt;
  return policy;
}

}  // namespace pillion::control
