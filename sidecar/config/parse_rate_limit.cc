#include "sidecar/config/parse_rate_limit.h"

#include <algorithm>
#include <utility>

#include "envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb.h"
#include "pillion/sidecar/v1/peer_identity.pb.h"
#include "sidecar/base/text.h"
#include "sidecar/config/field_path.h"
#include "sidecar/config/fields.h"

namespace pillion::config {
namespace {

namespace route = envoy::config::route::v3;
using envoy::extensions::filters::http::local_ratelimit::v3::LocalRateLimit;
using Action = RateLimit::Action;

constexpr nanoseconds kLeastInterval = std::chrono::milliseconds(50);

// Lists of 1 to 8, or of at most 32: what is beyond would be work for every request.
void CheckSize(int size, int min, int max, const std::string& path, ConfigErrors& errors) {
  if (size >= min && size <= max) return;
  Add(errors, path, "expected " + std::to_string(min) + " to " + std::to_string(max) + " elements");
}

Limit ReadLimit(const envoy::type::v3::TokenBucket& proto, const std::string& path, ConfigErrors& errors) {
  Limit result;
  result.max_tokens = std::max<uint32_t>(proto.max_tokens(), 1);
  if (proto.max_tokens() < 1) Add(errors, FieldPath(path, "max_tokens"), "expected at least 1");
  uint32_t per_fill = 1;
  if (proto.has_tokens_per_fill()) {
    per_fill = ReadNumber(proto.tokens_per_fill(), FieldPath(path, "tokens_per_fill"), errors, 1, UINT32_MAX);
  }
  const std::string interval_path = FieldPath(path, "fill_interval");
  const nanoseconds interval = ReadDuration(proto.fill_interval(), interval_path, errors);
  per_fill = std::max<uint32_t>(per_fill, 1);
  if (interval < kLeastInterval || interval.count() < per_fill) {
    Add(errors, interval_path, "expected at least 50 ms, and 1 ns for each token");
    return result;
  }
  // Rounded up: never more than is stated.
  result.token = nanoseconds((interval.count() + per_fill - 1) / per_fill);
  if (result.token.count() > kMaxDurationSeconds * 1'000'000'000 / result.max_tokens) {
    Add(errors, path, "expected a bucket that is full after 100 years");
    result.token = nanoseconds(1);
  }
  return result;
}

Action ReadAction(const route::RateLimit::Action& proto, const std::string& path, ConfigErrors& errors) {
  Action result;
  switch (proto.action_specifier_case()) {
    case route::RateLimit::Action::kRequestHeaders: {
      const std::string fields_path = FieldPath(path, "request_headers");
      result.kind = Action::Kind::kField;
      result.text = proto.request_headers().header_name();
      std::ranges::transform(result.text, result.text.begin(), AsciiLower);
      if (!IsFieldName(result.text))
        Add(errors, FieldPath(fields_path, "header_name"), "expected a field name");
      result.key = proto.request_headers().descriptor_key();
      RequireText(result.key, FieldPath(fields_path, "descriptor_key"), errors);
      result.skip_if_absent = proto.request_headers().skip_if_absent();
      break;
    }
    case route::RateLimit::Action::kRemoteAddress:
      result.kind = Action::Kind::kClientAddress;
      result.key = "remote_address";
      break;
    case route::RateLimit::Action::kGenericKey:
      result.key = proto.generic_key().descriptor_key();
      if (result.key.empty()) result.key = "generic_key";
      result.text = proto.generic_key().descriptor_value();
      RequireText(result.text, FieldPath(FieldPath(path, "generic_key"), "descriptor_value"), errors);
      break;
    case route::RateLimit::Action::kExtension:
      result.kind = Action::Kind::kPeerIdentity;
      result.key = "peer_identity";
      Unpack<sidecar::v1::PeerIdentity>(proto.extension().typed_config(),
                                        FieldPath(FieldPath(path, "extension"), "typed_config"), errors);
      break;
    case route::RateLimit::Action::ACTION_SPECIFIER_NOT_SET:
      Add(errors, path, "expected request_headers, remote_address, generic_key or extension");
      break;
  }
  return result;
}

void ReadDescriptors(const LocalRateLimit& proto, const std::string& path, RateLimit& result,
                     ConfigErrors& errors) {
  CheckSize(proto.descriptors_size(), 0, kMaxDescriptors, path, errors);
  for (int i = 0; i < proto.descriptors_size(); ++i) {
    const auto& one = proto.descriptors(i);
    const std::string one_path = ElementPath(path, static_cast<size_t>(i));
    const std::string entries_path = FieldPath(one_path, "entries");
    CheckSize(one.entries_size(), 1, kMaxDescriptorEntries, entries_path, errors);
    RateLimit::Descriptor& descriptor = result.descriptors.emplace_back();
    for (int j = 0; j < one.entries_size(); ++j) {
      const std::string entry_path = ElementPath(entries_path, static_cast<size_t>(j));
      RequireText(one.entries(j).key(), FieldPath(entry_path, "key"), errors);
      descriptor.entries.push_back({one.entries(j).key(), one.entries(j).value()});
    }
    descriptor.limit = ReadLimit(one.token_bucket(), FieldPath(one_path, "token_bucket"), errors);
  }
}

void ReadRules(const LocalRateLimit& proto, const std::string& path, RateLimit& result,
               ConfigErrors& errors) {
  CheckSize(proto.rate_limits_size(), 0, kMaxDescriptors, path, errors);
  for (int i = 0; i < proto.rate_limits_size(); ++i) {
    const auto& one = proto.rate_limits(i);
    const std::string actions_path = FieldPath(ElementPath(path, static_cast<size_t>(i)), "actions");
    CheckSize(one.actions_size(), 1, kMaxDescriptorEntries, actions_path, errors);
    std::vector<Action>& rule = result.rules.emplace_back();
    for (int j = 0; j < one.actions_size(); ++j) {
      rule.push_back(ReadAction(one.actions(j), ElementPath(actions_path, static_cast<size_t>(j)), errors));
    }
  }
}

}  // namespace

RateLimit ReadRateLimit(const google::protobuf::Any& any, const std::string& path, ConfigErrors& errors) {
  RateLimit result;
  const auto proto = Unpack<LocalRateLimit>(any, path, errors);
  if (proto == nullptr) return result;
  RequireText(proto->stat_prefix(), FieldPath(path, "stat_prefix"), errors);
  const int status = proto->status().code();
  if (status > 599) Add(errors, FieldPath(FieldPath(path, "status"), "code"), "expected at most 599");
  if (status >= 400) result.status = static_cast<uint16_t>(status);
  const std::string bucket_path = FieldPath(path, "token_bucket");
  if (proto->has_token_bucket()) {
    result.limit = ReadLimit(proto->token_bucket(), bucket_path, errors);
  } else if (proto->descriptors_size() > 0) {
    Add(errors, bucket_path, "expected a limit of all requests beside descriptors");
  }
  if (proto->has_filter_enabled())
    result.counted = ReadFraction(proto->filter_enabled(), FieldPath(path, "filter_enabled"), errors);
  if (proto->has_filter_enforced())
    result.enforced = ReadFraction(proto->filter_enforced(), FieldPath(path, "filter_enforced"), errors);
  ReadDescriptors(*proto, FieldPath(path, "descriptors"), result, errors);
  ReadRules(*proto, FieldPath(path, "rate_limits"), result, errors);
  namespace ratelimit = envoy::extensions::common::ratelimit::v3;
  if (!ratelimit::XRateLimitHeadersRFCVersion_IsValid(proto->enable_x_ratelimit_headers())) {
    Add(errors, FieldPath(path, "enable_x_ratelimit_headers"),
        "expected a value of XRateLimitHeadersRFCVersion");
  }
  result.tell_left = proto->enable_x_ratelimit_headers() != ratelimit::OFF;
  result.tell_retry_after = proto->enable_retry_after_header();
  if (proto->has_always_consume_default_token_bucket())
    result.always_common = proto->always_consume_default_token_bucket().value();
  if (proto->rate_limited_as_resource_exhausted()) result.grpc_status = 8;
  if (proto->has_max_dynamic_descriptors()) {
    result.max_clients = ReadNumber(proto->max_dynamic_descriptors(),
                                    FieldPath(path, "max_dynamic_descriptors"), errors, 1, 1'000'000);
  }
  return result;
}

}  // namespace pillion::config
