// RetryPolicy and TracingPolicy.
#include <algorithm>
#include <array>

#include "control-plane/model/read.h"
#include "sidecar/config/field_path.h"

namespace pillion::control {
namespace {

using config::ElementPath;
using config::FieldPath;

constexpr int32_t kMaxAttempts = 10;
constexpr std::array<std::string_view, 13> kConditions = {"5xx",
                                                          "gateway-error",
                                                          "connect-failure",
                                                          "reset",
                                                          "reset-before-request",
                                                          "refused-stream",
                                                          "retriable-4xx",
                                                          "retriable-status-codes",
                                                          "cancelled",
                                                          "deadline-exceeded",
                                                          "internal",
                                                          "resource-exhausted",
                                                          "unavailable"};

std::vector<Target> ReadTargets(
    const google::protobuf::RepeatedPtrField<kube::policy::v1alpha1::TargetReference>& references,
    const std::string& ns, bool routes_too, Report& report) {
  std::vector<Target> targets;
  for (int i = 0; i < references.size(); ++i) {
    const auto& reference = references[i];
    const std::string path = ElementPath("spec.target_refs", static_cast<size_t>(i));
    Target target{TargetKind::kService, {ns, reference.name()}, path};
    const bool core = reference.group().empty() || reference.group() == "core";
    if (routes_too && reference.group() == "gateway.networking.k8s.io" && reference.kind() == "HTTPRoute") {
      target.kind = TargetKind::kHttpRoute;
    } else if (!core || reference.kind() != "Service") {
      report.Add(path, routes_too ? "expected kind: Service, or kind: HTTPRoute of group "
                                    "gateway.networking.k8s.io"
                                  : "expected kind: Service");
    }
    if (reference.name().empty()) report.Add(path, "expected a name");
    targets.push_back(std::move(target));
  }
  return targets;
}

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

}  // namespace

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
  ReadBackoff(spec.backoff(), policy.rule, report);
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
