// What is worth retrying, and when.
#include <algorithm>
#include <array>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "envoy/extensions/retry/host/omit_canary_hosts/v3/omit_canary_hosts.pb.h"
#include "envoy/extensions/retry/host/omit_host_metadata/v3/omit_host_metadata_config.pb.h"
#include "envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.pb.h"
#include "pillion/sidecar/v1/hedge.pb.h"
#include "pillion/sidecar/v1/idempotent.pb.h"
#include "sidecar/base/text.h"
#include "sidecar/config/field_path.h"
#include "sidecar/config/fields.h"
#include "sidecar/config/parse_balancer.h"
#include "sidecar/config/parse_route.h"

namespace pillion::config {
namespace {

namespace route = envoy::config::route::v3;

struct Condition {
  std::string_view name;
  RetryOn bit;
};

constexpr std::array<Condition, 15> kConditions = {{
    {"5xx", kRetry5xx},
    {"gateway-error", kRetryGatewayError},
    {"reset", kRetryReset},
    {"reset-before-request", kRetryResetBeforeRequest},
    {"connect-failure", kRetryConnectFailure},
    {"refused-stream", kRetryRefusedStream},
    {"retriable-4xx", kRetryRetriable4xx},
    {"retriable-status-codes", kRetryStatusCodes},
    {"retriable-headers", kRetryHeaders},
    {"envoy-ratelimited", kRetryRateLimited},
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

std::vector<HeaderMatch> ReadHeaderMatches(
    const google::protobuf::RepeatedPtrField<route::HeaderMatcher>& protos, const std::string& path,
    ConfigErrors& errors) {
  std::vector<HeaderMatch> matches;
  matches.reserve(static_cast<size_t>(protos.size()));
  for (int i = 0; i < protos.size(); ++i)
    matches.push_back(ReadHeaderMatch(protos[i], ElementPath(path, static_cast<size_t>(i)), errors));
  return matches;
}

void ReadResets(const route::RetryPolicy::RateLimitedRetryBackOff& proto, const std::string& path,
                RetryPolicy& result, ConfigErrors& errors) {
  const std::string headers_path = FieldPath(path, "reset_headers");
  if (proto.reset_headers().empty()) Add(errors, headers_path, "expected at least one");
  for (int i = 0; i < proto.reset_headers_size(); ++i) {
    const auto& one = proto.reset_headers(i);
    const std::string one_path = ElementPath(headers_path, static_cast<size_t>(i));
    RetryPolicy::ResetHeader& header = result.reset_headers.emplace_back();
    header.name = one.name();
    std::ranges::transform(header.name, header.name.begin(), AsciiLower);
    if (!IsFieldName(header.name)) Add(errors, FieldPath(one_path, "name"), "expected a field name");
    if (!route::RetryPolicy::ResetHeaderFormat_IsValid(one.format()))
      Add(errors, FieldPath(one_path, "format"), "expected a ResetHeaderFormat");
    header.timestamp = one.format() == route::RetryPolicy::UNIX_TIMESTAMP;
  }
  if (proto.has_max_interval())
    result.reset_max = ReadDuration(proto.max_interval(), FieldPath(path, "max_interval"), errors, true);
}

// Those that were tried are left out in any case.
std::vector<Labels> ReadPredicates(const route::RetryPolicy& proto, const std::string& path,
                                   ConfigErrors& errors) {
  using envoy::extensions::retry::host::omit_canary_hosts::v3::OmitCanaryHostsPredicate;
  using envoy::extensions::retry::host::omit_host_metadata::v3::OmitHostMetadataConfig;
  using envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate;
  std::vector<Labels> avoided;
  for (int i = 0; i < proto.retry_host_predicate_size(); ++i) {
    const std::string one_path = FieldPath(
        ElementPath(FieldPath(path, "retry_host_predicate"), static_cast<size_t>(i)), "typed_config");
    const auto& any = proto.retry_host_predicate(i).typed_config();
    if (any.Is<OmitCanaryHostsPredicate>()) {
      Unpack<OmitCanaryHostsPredicate>(any, one_path, errors);
      avoided.push_back({{"canary", "true"}});
    } else if (any.Is<OmitHostMetadataConfig>()) {
      const auto config = Unpack<OmitHostMetadataConfig>(any, one_path, errors);
      if (config == nullptr) continue;
      const std::string match_path = FieldPath(one_path, "metadata_match");
      auto labels = ReadLabelMatch(config->metadata_match(), match_path, errors);
      if (labels && !labels->empty()) {
        avoided.push_back(*std::move(labels));
      } else {
        Add(errors, match_path, "expected fields of envoy.lb");
      }
    } else {
      Unpack<PreviousHostsPredicate>(any, one_path, errors);
    }
  }
  return avoided;
}

// Our own: what Envoy has no fields for.
void ReadOptions(const route::RetryPolicy& proto, const std::string& path, RetryPolicy& result,
                 ConfigErrors& errors) {
  using pillion::sidecar::v1::HedgeByLatency;
  using pillion::sidecar::v1::Idempotent;
  using pillion::sidecar::v1::IdempotentMethods;
  for (int i = 0; i < proto.retry_options_predicates_size(); ++i) {
    const std::string one_path = FieldPath(
        ElementPath(FieldPath(path, "retry_options_predicates"), static_cast<size_t>(i)), "typed_config");
    const auto& any = proto.retry_options_predicates(i).typed_config();
    if (any.Is<HedgeByLatency>()) {
      const auto hedge = Unpack<HedgeByLatency>(any, one_path, errors);
      if (!hedge) continue;
      if (!(hedge->percentile() >= 50 && hedge->percentile() <= 99.9))
        Add(errors, FieldPath(one_path, "percentile"), "expected 50 to 99.9");
      result.hedge.quantile = hedge->percentile() / 100;
      if (hedge->has_at_least())
        result.hedge.at_least = ReadDuration(hedge->at_least(), FieldPath(one_path, "at_least"), errors);
    } else if (any.Is<IdempotentMethods>()) {
      const auto methods = Unpack<IdempotentMethods>(any, one_path, errors);
      if (!methods) continue;
      const std::string paths_path = FieldPath(one_path, "paths");
      if (methods->paths().empty()) Add(errors, paths_path, "expected at least one");
      for (int j = 0; j < methods->paths_size(); ++j) {
        if (!methods->paths(j).starts_with('/'))
          Add(errors, ElementPath(paths_path, static_cast<size_t>(j)),
              "expected a path: /package.Service/Method");
      }
      result.idempotent_methods = std::make_shared<const std::set<std::string, std::less<>>>(
          methods->paths().begin(), methods->paths().end());
    } else {
      Unpack<Idempotent>(any, one_path, errors);
      result.non_idempotent = true;
    }
  }
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
  if (proto.has_per_try_idle_timeout()) {
    result.per_try_idle_timeout =
        ReadDuration(proto.per_try_idle_timeout(), FieldPath(path, "per_try_idle_timeout"), errors);
  }
  const std::string headers_path = FieldPath(path, "retriable_headers");
  result.response_headers = ReadHeaderMatches(proto.retriable_headers(), headers_path, errors);
  for (size_t i = 0; i < result.response_headers.size(); ++i) {
    if (result.response_headers[i].name.starts_with(':'))
      Add(errors, FieldPath(ElementPath(headers_path, i), "name"), "expected a field of the response");
  }
  result.request_headers = ReadHeaderMatches(proto.retriable_request_headers(),
                                             FieldPath(path, "retriable_request_headers"), errors);
  if (proto.has_rate_limited_retry_back_off()) {
    ReadResets(proto.rate_limited_retry_back_off(), FieldPath(path, "rate_limited_retry_back_off"), result,
               errors);
  }
  result.avoided = ReadPredicates(proto, path, errors);
  ReadOptions(proto, path, result, errors);
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
