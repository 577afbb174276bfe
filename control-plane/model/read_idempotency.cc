// IdempotencyPolicy.
#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "control-plane/model/read.h"
#include "control-plane/model/read_key_principal.h"
#include "control-plane/model/read_token_store.h"
#include "sidecar/config/field_path.h"

namespace pillion::control {
namespace {

using config::ElementPath;
using kube::policy::v1alpha1::IdempotencyPolicySpec;

constexpr int kMaxReleases = 8;
// As sidecars have it (sidecar/idempotency/shared/terms.h).
constexpr uint32_t kMaxStoredBytes = 3 * 1024 * 1024;
// Methods that change nothing (RFC 9110 section 9.2.1), and the one that makes a tunnel.
constexpr std::array<std::string_view, 5> kOthers = {"GET", "HEAD", "OPTIONS", "TRACE", "CONNECT"};

// Within [least, most]; the bounds are told.
template <typename Number, typename Into>
void ReadWithin(bool said, Number value, Number least, Number most, const std::string& path, Into& into,
                Report& report) {
  if (!said) return;
  if (value < least || value > most)
    return report.Add(path, "expected " + std::to_string(least) + " to " + std::to_string(most));
  into = static_cast<typename Into::value_type>(value);
}

void ReadMethods(const IdempotencyPolicySpec& spec, TokenRule& rule, Report& report) {
  for (int i = 0; i < spec.methods_size(); ++i) {
    const std::string& name = spec.methods(i);
    if (!IsToken(name) || std::ranges::find(kOthers, name) != kOthers.end())
      report.Add(ElementPath("spec.methods", static_cast<size_t>(i)),
                 "expected a method that may change something");
    rule.methods.push_back(name);
  }
  for (int i = 0; i < spec.grpc_methods_size(); ++i) {
    const std::string& path = spec.grpc_methods(i);
    const size_t slash = path.find('/', 1);
    if (!path.starts_with('/') || slash == std::string::npos || slash == 1 || slash + 1 == path.size())
      report.Add(ElementPath("spec.grpc_methods", static_cast<size_t>(i)),
                 "expected /package.Service/Method");
    rule.grpc_methods.push_back(path);
  }
}

void ReadTime(bool said, const std::string& text, std::chrono::seconds most, const std::string& path,
              std::optional<std::chrono::milliseconds>& into, Report& report,
              std::chrono::seconds least = std::chrono::seconds(1)) {
  if (!said) return;
  const std::chrono::milliseconds time = ReadDuration(text, path, false, report);
  if (time < least || time > most)
    return report.Add(
        path, "expected " + std::to_string(least.count()) + "s to " + std::to_string(most.count()) + "s");
  into = time;
}

// Who names requests, and what goes with it.
void ReadKeys(const IdempotencyPolicySpec& spec, TokenRule& rule, Report& report) {
  switch (spec.key_source()) {
    case IdempotencyPolicySpec::App:
      rule.key_source = KeySource::kApp;
      break;
    case IdempotencyPolicySpec::AppOrMint:
      rule.key_source = KeySource::kAppOrMint;
      break;
    case IdempotencyPolicySpec::Passthrough:
      rule.key_source = KeySource::kPassthrough;
      break;
    default:
      rule.key_source = KeySource::kMint;
  }
  rule.require = spec.require();
  if (rule.require && !rule.keeps_keys())
    report.Add("spec.require", "expected keySource App or AppOrMint with it");
  rule.compares_key_contents = spec.fingerprint() != IdempotencyPolicySpec::Head;
  if (!rule.compares_key_contents && !rule.keeps_keys())
    report.Add("spec.fingerprint", "expected keySource App or AppOrMint with Head");
  if (spec.has_app_validity() && !rule.keeps_keys())
    report.Add("spec.app_validity", "expected keySource App or AppOrMint with it");
  ReadTime(spec.has_app_validity(), spec.app_validity(), std::chrono::hours(168), "spec.app_validity",
           rule.app_validity, report, std::chrono::minutes(1));
  if (spec.has_principal()) {
    rule.principal = ReadKeyPrincipal(spec.principal(), report);
    if (!rule.keeps_keys()) report.Add("spec.principal", "expected keySource App or AppOrMint with it");
  }
  const bool of_records = spec.has_validity() || spec.has_max_execution() || spec.on_concurrent() != 0 ||
                          spec.retain() != 0 || spec.release_on_size() > 0 || spec.has_unknown_status() ||
                          spec.has_limits() || spec.mode() != 0 || spec.has_store() || spec.on_unknown() != 0;
  if (!rule.has_domain() && of_records)
    report.Add("spec.key_source",
               "expected nothing but methods and retries with Passthrough: no records are kept");
}

// Which route a request took its Service's sidecars do not see. They would have to count keys of all
// requests, also of those that are not meant, or miss those that no sidecar has stamped: what has run with a
// key would run again with it.
void CheckTargets(const IdempotencyPolicy& policy, Report& report) {
  const bool routes = std::ranges::any_of(
      policy.targets, [](const Target& target) { return target.kind != TargetKind::kService; });
  if (routes && policy.rule.keeps_keys())
    report.Add(
        "spec.key_source",
        "expected Mint or Passthrough where a target is a route: sidecars of a Service do not see which "
        "route a request took, so that keys count for all of a Service's requests or for none");
}

void ReadLimits(const IdempotencyPolicySpec::Limits& limits, TokenRule& rule, Report& report) {
  constexpr int32_t kMiB = 1024 * 1024;
  const auto read = [&](bool said, int32_t value, int32_t least, int32_t most, const char* name,
                        std::optional<uint32_t>& into) {
    ReadWithin(said, value, least, most, std::string("spec.limits.") + name, into, report);
  };
  read(limits.has_request_bytes(), limits.request_bytes(), 1, kMiB, "request_bytes", rule.request_bytes);
  read(limits.has_response_bytes(), limits.response_bytes(), 0, 16 * kMiB, "response_bytes",
       rule.response_bytes);
  read(limits.has_waiters(), limits.waiters(), 0, 1000, "waiters", rule.waiters);
  read(limits.has_records(), limits.records(), 1, 100'000'000, "records", rule.records);
  ReadWithin(limits.has_bytes(), limits.bytes(), int64_t{65'536}, int64_t{1} << 50, "spec.limits.bytes",
             rule.bytes, report);
}

void ReadMode(const IdempotencyPolicySpec& spec, TokenRule& rule, Report& report) {
  if (!rule.has_domain()) return;  // ReadKeys has said it
  if (spec.mode() != IdempotencyPolicySpec::Shared) {
    if (spec.has_store()) report.Add("spec.store", "expected only with mode: Shared");
    return;
  }
  const auto refuse = [&](bool said, const char* name) {
    if (said)
      report.Add(std::string("spec.limits.") + name,
                 "expected none with mode: Shared: how much there is room for is the Redis server's to say "
                 "(maxmemory)");
  };
  refuse(spec.limits().has_records(), "records");
  refuse(spec.limits().has_bytes(), "bytes");
  if (rule.response_bytes.value_or(0) > kMaxStoredBytes)
    report.Add("spec.limits.response_bytes", "expected at most " + std::to_string(kMaxStoredBytes) +
                                                 " with mode: Shared: no larger answer is kept in the store");
  if (!spec.has_store()) return report.Add("spec", "expected store with mode: Shared");
  rule.store = ReadTokenStore(spec.store(), report);
}

}  // namespace

std::optional<IdempotencyPolicy> Read(const kube::policy::v1alpha1::IdempotencyPolicy& message,
                                      Report& report) {
  IdempotencyPolicy policy;
  policy.metadata = ReadMetadata(message.metadata(), report);
  const IdempotencyPolicySpec& spec = message.spec();
  policy.targets = ReadTargets(spec.target_refs(), policy.metadata.name.ns, true, report);
  if (policy.targets.empty()) report.Add("spec", "expected targetRefs");
  TokenRule& rule = policy.rule;
  ReadMethods(spec, rule, report);
  ReadTime(spec.has_validity(), spec.validity(), std::chrono::hours(1), "spec.validity", rule.validity,
           report);
  ReadTime(spec.has_max_execution(), spec.max_execution(), std::chrono::seconds(60), "spec.max_execution",
           rule.max_execution, report);
  rule.conflict = spec.on_concurrent() == IdempotencyPolicySpec::Conflict;
  rule.tombstone = spec.retain() == IdempotencyPolicySpec::Tombstone;
  rule.reexecutes = spec.on_unknown() == IdempotencyPolicySpec::Reexecute;
  if (rule.reexecutes != spec.accept_at_least_once())
    report.Add("spec.accept_at_least_once",
               rule.reexecutes ? "expected true with onUnknown: Reexecute, which may run a request twice"
                               : "expected only with onUnknown: Reexecute");
  if (spec.release_on_size() > kMaxReleases) report.Add("spec.release_on", "expected at most 8");
  rule.release_on = ReadStatusCodes(spec.release_on(), "spec.release_on", report);
  ReadWithin(spec.has_unknown_status(), spec.unknown_status(), 400, 599, "spec.unknown_status",
             rule.unknown_status, report);
  ReadWithin(spec.has_retries(), spec.retries(), 0, 10, "spec.retries", rule.retries, report);
  ReadLimits(spec.limits(), rule, report);
  ReadKeys(spec, rule, report);
  CheckTargets(policy, report);
  ReadMode(spec, rule, report);
  if (report.failed()) return std::nullopt;
  return policy;
}

}  // namespace pillion::control
