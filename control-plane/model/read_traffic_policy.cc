// FaultPolicy, RateLimitPolicy and DirectResponse.
#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "control-plane/model/read.h"
#include "sidecar/base/text.h"
#include "sidecar/config/field_path.h"

namespace pillion::control {
namespace {

using config::ElementPath;
using config::FieldPath;
using kube::policy::v1alpha1::FaultPolicySpec;
using kube::policy::v1alpha1::RateLimitPolicySpec;

constexpr int kMaxClientLimits = 8;
constexpr int32_t kMaxRequests = 1'000'000;
constexpr std::chrono::milliseconds kLeastPer{50};
constexpr std::chrono::milliseconds kLongestPer = std::chrono::hours(24);

// Of requests, in millionths; the whole where nothing is said.
template <typename Message>
uint32_t ReadShare(const Message& message, const std::string& path, Report& report) {
  if (!message.has_percent()) return 1'000'000;
  if (!(message.percent() >= 0 && message.percent() <= 100)) {
    report.Add(FieldPath(path, "percent"), "expected 0 to 100");
    return 0;
  }
  return static_cast<uint32_t>(std::lround(message.percent() * 10'000));
}

// A field that a sidecar can match or tell clients apart by.
std::string ReadField(std::string name, const std::string& path, Report& report) {
  std::ranges::transform(name, name.begin(), AsciiLower);
  if (!IsToken(name) || name == "content-length" || name == "transfer-encoding" || name == "host")
    report.Add(path, "expected the name of a header that does not frame the message");
  return name;
}

void ReadAbort(const FaultPolicySpec::Abort& message, FaultRule& rule, Report& report) {
  FaultAbort& abort = rule.abort.emplace();
  abort.millionths = ReadShare(message, "spec.abort", report);
  if (message.has_status() == message.has_grpc_status())
    report.Add("spec.abort", "expected status or grpcStatus, one of them");
  abort.grpc = message.has_grpc_status();
  const int32_t status = abort.grpc ? message.grpc_status() : message.status();
  if (abort.grpc && (status < 1 || status > 16)) report.Add("spec.abort.grpc_status", "expected 1 to 16");
  if (message.has_status() && !abort.grpc && (status < 200 || status > 599))
    report.Add("spec.abort.status", "expected 200 to 599");
  abort.status = static_cast<uint32_t>(status);
}

template <typename Message>
RateRule ReadRate(const Message& message, const std::string& path, Report& report) {
  RateRule rate;
  if (message.requests() < 1 || message.requests() > kMaxRequests)
    report.Add(message.requests() == 0 ? path : FieldPath(path, "requests"),
               "expected requests: 1 to 1000000");
  rate.requests = static_cast<uint32_t>(std::max(message.requests(), 0));
  rate.per = std::chrono::seconds(1);
  if (message.has_per()) {
    rate.per = ReadDuration(message.per(), FieldPath(path, "per"), false, report);
    if (rate.per.count() > 0 && (rate.per < kLeastPer || rate.per > kLongestPer))
      report.Add(FieldPath(path, "per"), "expected 50ms to 24h");
  }
  rate.burst = rate.requests;
  if (!message.has_burst()) return rate;
  if (message.burst() < 1 || message.burst() > kMaxRequests)
    report.Add(FieldPath(path, "burst"), "expected 1 to 1000000");
  rate.burst = static_cast<uint32_t>(std::max(message.burst(), 0));
  return rate;
}

ClientRateRule ReadClient(const RateLimitPolicySpec::Client& message, const std::string& path,
                          Report& report) {
  using By = ClientRateRule::By;
  ClientRateRule client;
  client.rate = ReadRate(message, path, report);
  switch (message.by()) {
    case RateLimitPolicySpec::Address:
      break;
    case RateLimitPolicySpec::Header:
      client.by = By::kHeader;
      break;
    case RateLimitPolicySpec::Identity:
      client.by = By::kIdentity;
      break;
    default:
      report.Add(path, "expected by: Address, Header or Identity");
      return client;
  }
  if ((client.by == By::kHeader) != message.has_header()) {
    report.Add(path, "expected a header with by: Header, and only there");
  } else if (client.by == By::kHeader) {
    client.header = ReadField(message.header(), FieldPath(path, "header"), report);
  }
  return client;
}

}  // namespace

std::optional<FaultPolicy> Read(const kube::policy::v1alpha1::FaultPolicy& message, Report& report) {
  FaultPolicy policy;
  policy.metadata = ReadMetadata(message.metadata(), report);
  const FaultPolicySpec& spec = message.spec();
  policy.targets = ReadTargets(spec.target_refs(), policy.metadata.name.ns, true, report);
  if (policy.targets.empty()) report.Add("spec", "expected targetRefs");
  if (!spec.has_delay() && !spec.has_abort()) report.Add("spec", "expected delay or abort");
  if (spec.has_delay()) {
    FaultDelay& delay = policy.rule.delay.emplace();
    delay.time = ReadDuration(spec.delay().duration(), "spec.delay.duration", false, report);
    delay.millionths = ReadShare(spec.delay(), "spec.delay", report);
  }
  if (spec.has_abort()) ReadAbort(spec.abort(), policy.rule, report);
  for (int i = 0; i < spec.headers_size(); ++i) {
    const std::string path = FieldPath(ElementPath("spec.headers", static_cast<size_t>(i)), "name");
    policy.rule.headers.push_back(
        {.name = ReadField(spec.headers(i).name(), path, report), .value = spec.headers(i).value()});
  }
  if (spec.has_max_active()) {
    if (spec.max_active() < 0) report.Add("spec.max_active", "expected 0 or more");
    policy.rule.max_active = static_cast<uint32_t>(std::max(spec.max_active(), 0));
  }
  if (report.failed()) return std::nullopt;
  return policy;
}

// Each limit of clients is found by a name, which is the header's where it is by header.
void CheckClients(const RateLimitPolicy& policy, Report& report) {
  std::set<std::string> names;
  for (size_t i = 0; i < policy.rule.clients.size(); ++i) {
    const ClientRateRule& client = policy.rule.clients[i];
    const std::string path = ElementPath("spec.clients", i);
    std::string name = client.header;
    if (client.by == ClientRateRule::By::kAddress) name = "remote_address";
    if (client.by == ClientRateRule::By::kIdentity) name = "peer_identity";
    if (!names.insert(name).second) report.Add(path, "expected one limit of each kind, and of each header");
    // Towards a caller's sidecar the client is the app beside it, which proves nothing.
    const bool services = std::ranges::all_of(
        policy.targets, [](const Target& target) { return target.kind == TargetKind::kService; });
    if (client.by == ClientRateRule::By::kIdentity && !services)
      report.Add(path, "expected by: Identity only with targets of kind Service");
  }
}

std::optional<RateLimitPolicy> Read(const kube::policy::v1alpha1::RateLimitPolicy& message, Report& report) {
  RateLimitPolicy policy;
  policy.metadata = ReadMetadata(message.metadata(), report);
  const RateLimitPolicySpec& spec = message.spec();
  policy.targets = ReadTargets(spec.target_refs(), policy.metadata.name.ns, true, report);
  if (policy.targets.empty()) report.Add("spec", "expected targetRefs");
  policy.rule.all = ReadRate(spec, "spec", report);
  policy.rule.report_only = spec.report_only();
  if (spec.clients_size() > kMaxClientLimits) report.Add("spec.clients", "expected at most 8");
  for (int i = 0; i < spec.clients_size(); ++i) {
    policy.rule.clients.push_back(
        ReadClient(spec.clients(i), ElementPath("spec.clients", static_cast<size_t>(i)), report));
  }
  CheckClients(policy, report);
  if (report.failed()) return std::nullopt;
  return policy;
}

std::optional<DirectResponse> Read(const kube::policy::v1alpha1::DirectResponse& message, Report& report) {
  constexpr size_t kMaxBodyBytes = 4096;
  DirectResponse response;
  response.metadata = ReadMetadata(message.metadata(), report);
  const int32_t status = message.spec().status();
  if (status < 200 || status > 599) report.Add("spec.status", "expected a status: 200 to 599");
  response.answer = {.status = static_cast<uint32_t>(std::max(status, 0)), .body = message.spec().body()};
  if (response.answer.body.size() > kMaxBodyBytes) report.Add("spec.body", "expected at most 4096 bytes");
  if (report.failed()) return std::nullopt;
  return response;
}

}  // namespace pillion::control
