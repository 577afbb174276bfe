// What is worth retrying, and when.
#include <algorithm>
#include <array>
#include <string_view>

#include "sidecar/base/text.h"
#include "sidecar/config/field_path.h"
#include "sidecar/config/fields.h"
#include "sidecar/config/parse_route.h"

namespace pillion::config {
namespace {

namespace route = envoy::config::route::v3;

struct Condition {
  std::string_view name;
  RetryOn bit;
};

constexpr std::array<Condition, 13> kConditions = {{
    {"5xx", kRetry5xx},
    {"gateway-error", kRetryGatewayError},
    {"reset", kRetryReset},
    {"reset-before-request", kRetryResetBeforeRequest},
    {"connect-failure", kRetryConnectFailure},
    {"refused-stream", kRetryRefusedStream},
    {"retriable-4xx", kRetryRetriable4xx},
    {"retriable-status-codes", kRetryStatusCodes},
    {"cancelled", kRetryGrpcCancelled},
    {"deadline-exceeded", kRetryGrpcDeadlineExceeded},
    {"internal", kRetryGrpcInternal},
    {"resource-exhausted", kRetryGrpcResourceExhausted},
    {"unavailable", kRetryGrpcUnavailable},
}};

// An unknown condition is an error, where Envoy skips it: a misspelt policy would silently do nothing.
uint32_t ReadConditions(const std::string& list, const std::string& path, ConfigErrors& errors) {
  uint32_t bits = 0;
  ForEachListElement(list, [&](std::string_view name) {
    const auto* const condition = std::ranges::find(kConditions, name, &Condition::name);
    if (condition != kConditions.end()) {
      bits |= condition->bit;
      return;
    }
    std::string known;
    for (const Condition& one : kConditions) known.append(known.empty() ? "" : ", ").append(one.name);
    Add(errors, path, "expected conditions of " + known + "; found " + std::string(name));
  });
  return bits;
}

}  // namespace

RetryPolicy ReadRetryPolicy(const route::RetryPolicy& proto, const std::string& path, ConfigErrors& errors) {
  RetryPolicy result;
  result.on = ReadConditions(proto.retry_on(), FieldPath(path, "retry_on"), errors);
  if (proto.has_num_retries()) result.max_retries = proto.num_retries().value();
  if (proto.has_per_try_timeout()) {
    result.per_try_timeout =
        ReadDuration(proto.per_try_timeout(), FieldPath(path, "per_try_timeout"), errors);
  }
  for (int i = 0; i < proto.retriable_status_codes_size(); ++i) {
    const uint32_t code = proto.retriable_status_codes(i);
    if (code < 100 || code > 599) {
      Add(errors, ElementPath(FieldPath(path, "retriable_status_codes"), static_cast<size_t>(i)),
          "expected a status from 100 to 599");
    }
    result.status_codes.push_back(static_cast<uint16_t>(code));
  }
  if (!proto.has_retry_back_off()) return result;
  const std::string backoff_path = FieldPath(path, "retry_back_off");
  const auto& backoff = proto.retry_back_off();
  result.backoff_base =
      ReadDuration(backoff.base_interval(), FieldPath(backoff_path, "base_interval"), errors, true);
  // Ten times a base of many years would overflow.
  result.backoff_max = 10 * std::min<nanoseconds>(result.backoff_base, std::chrono::hours(24 * 365 * 10));
  result.backoff_max = std::max(result.backoff_max, result.backoff_base);
  if (backoff.has_max_interval()) {
    const std::string max_path = FieldPath(backoff_path, "max_interval");
    result.backoff_max = ReadDuration(backoff.max_interval(), max_path, errors, true);
    if (result.backoff_max < result.backoff_base) Add(errors, max_path, "expected at least base_interval");
  }
  return result;
}

}  // namespace pillion::config
