#include "control-plane/snapshot/route_filters.h"

#include <re2/re2.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "control-plane/snapshot/parts.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb.h"
#include "envoy/extensions/filters/http/stateful_session/v3/stateful_session.pb.h"
#include "envoy/extensions/http/stateful_session/cookie/v3/cookie.pb.h"
#include "envoy/extensions/http/stateful_session/header/v3/header.pb.h"
#include "pillion/sidecar/v1/peer_identity.pb.h"

namespace pillion::control {
namespace {

using envoy::config::core::v3::HeaderValueOption;
using envoy::config::route::v3::RedirectAction;
using envoy::config::route::v3::RouteAction;

using Added = google::protobuf::RepeatedPtrField<HeaderValueOption>;
using Removed = google::protobuf::RepeatedPtrField<std::string>;

// In xDS a % begins a value of the request.
std::string Escape(const std::string& value) {
  std::string escaped;
  for (const char c : value) escaped.append(c == '%' ? 2 : 1, c);
  return escaped;
}

void SetModifier(const HeaderModifier& from, Added& added, Removed& removed) {
  const auto add = [&](const NamedValue& field, HeaderValueOption::HeaderAppendAction action) {
    HeaderValueOption& option = *added.Add();
    option.mutable_header()->set_key(field.name);
    option.mutable_header()->set_value(Escape(field.value));
    option.set_append_action(action);
  };
  for (const NamedValue& field : from.set) add(field, HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD);
  for (const NamedValue& field : from.add) add(field, HeaderValueOption::APPEND_IF_EXISTS_OR_ADD);
  for (const std::string& name : from.remove) *removed.Add() = name;
}

template <typename Message>
void SetBoth(Message& to, const HttpFilters& from) {
  SetModifier(from.request, *to.mutable_request_headers_to_add(), *to.mutable_request_headers_to_remove());
  SetModifier(from.response, *to.mutable_response_headers_to_add(), *to.mutable_response_headers_to_remove());
}

// `Message`: RouteAction or RedirectAction, which say it alike. A backslash would name a group; a clean path
// has none.
template <typename Message>
void SetPath(Message& to, const PathModifier& from, const PathMatch& match) {
  const auto by_regex = [&](const std::string& regex) {
    to.mutable_regex_rewrite()->mutable_pattern()->set_regex(regex);
    to.mutable_regex_rewrite()->set_substitution(from.path);
  };
  if (!from.prefix) {
    by_regex("^.*$");
  } else if (match.path == "/") {
    to.set_prefix_rewrite(from.path == "/" ? "/" : from.path + "/");
  } else if (from.path == "/") {
    by_regex("^" + RE2::QuoteMeta(match.path) + "/*");  // "//a" would name another host
  } else {
    to.set_prefix_rewrite(from.path);
  }
}

std::string Joined(const std::vector<std::string>& names) {
  std::string joined;
  for (const std::string& name : names) joined.append(joined.empty() ? "" : ", ").append(name);
  return joined;
}

RedirectAction::RedirectResponseCode Code(uint32_t status) {
  switch (status) {
    case 301:
      return RedirectAction::MOVED_PERMANENTLY;
    case 303:
      return RedirectAction::SEE_OTHER;
    case 307:
      return RedirectAction::TEMPORARY_REDIRECT;
    case 308:
      return RedirectAction::PERMANENT_REDIRECT;
    default:
      return RedirectAction::FOUND;
  }
}

// Two rules have no session in common (GEP-1619), so a session without a name is called by its rule's; hashed
// (FNV-1a), because clients need not know that.
std::string SessionName(const std::string& rule) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : rule) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return absl::StrCat("pillion-session-", absl::Hex(hash, absl::kZeroPad16));
}

// The path of a cookie for what matches: as much of it as is certain, in whole elements (GEP-1619).
std::string CookiePath(const PathMatch& match) {
  const std::string& path = match.path;
  const bool regex = match.kind == PathMatch::Kind::kRegex;
  const std::string_view uncertain = regex ? ";?.^$*+()[]{}\\" : ";?";
  const auto found = std::ranges::find_if(
      path, [&](char c) { return c <= 0x20 || c > 0x7e || uncertain.find(c) != std::string_view::npos; });
  auto end = static_cast<size_t>(found - path.begin());
  if (!path.starts_with('/') || (regex && path.find('|') != std::string::npos)) return "/";
  if (end == path.size()) return path;
  if (regex && (path[end] == '?' || path[end] == '*' || path[end] == '{')) --end;  // so is what it follows
  const size_t slash = end == 0 ? 0 : path.rfind('/', end - 1);
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

void SetEdits(envoy::config::route::v3::Route& to, const HttpFilters& from) { SetBoth(to, from); }

void SetEdits(envoy::config::route::v3::WeightedCluster::ClusterWeight& to, const HttpFilters& from) {
  SetBoth(to, from);
}

void SetRedirect(RedirectAction& to, const RedirectRule& from, const PathMatch& match, uint16_t port) {
  to.set_host_redirect(from.hostname);
  if (!from.scheme.empty()) to.set_scheme_redirect(from.scheme);
  // The port of the scheme that is given, else the one that was asked (Gateway API).
  const uint16_t of_scheme = from.scheme == "https" ? 443 : 80;
  to.set_port_redirect(from.port.value_or(from.scheme.empty() ? port : of_scheme));
  to.set_response_code(Code(from.status));
  if (!from.path.has_value()) return;
  if (from.path->prefix) {
    SetPath(to, *from.path, match);
  } else {
    to.set_path_redirect(from.path->path);
  }
}

void SetRewrite(RouteAction& to, const RewriteRule& from, const PathMatch& match) {
  if (!from.hostname.empty()) to.set_host_rewrite_literal(from.hostname);
  if (from.path.has_value()) SetPath(to, *from.path, match);
}

envoy::extensions::filters::http::cors::v3::CorsPolicy MakeCorsPolicy(const CorsRule& from) {
  envoy::extensions::filters::http::cors::v3::CorsPolicy policy;
  for (const CorsOrigin& origin : from.origins) {
    auto& match = *policy.add_allow_origin_string_match();
    if (origin.any_host) {
      const size_t star = origin.text.find('*');
      match.mutable_safe_regex()->set_regex(RE2::QuoteMeta(origin.text.substr(0, star)) + "[^/:]+" +
                                            RE2::QuoteMeta(origin.text.substr(star + 1)));
    } else {
      match.set_exact(origin.text);
    }
  }
  policy.set_allow_methods(Joined(from.methods));
  policy.set_allow_headers(Joined(from.headers));
  policy.set_expose_headers(Joined(from.exposed));
  policy.set_max_age(std::to_string(from.max_age_s));
  policy.mutable_allow_credentials()->set_value(from.credentials);
  // An app that does not know of it might allow what is not allowed here.
  policy.mutable_forward_not_matching_preflights()->set_value(false);
  return policy;
}

void SetShare(envoy::type::v3::FractionalPercent& to, uint32_t millionths) {
  to.set_numerator(millionths);
  to.set_denominator(envoy::type::v3::FractionalPercent::MILLION);
}

void SetMirrors(RouteAction& to, const std::vector<MirrorRule>& from, std::set<std::string>& clusters) {
  for (const MirrorRule& mirror : from) {
    auto& policy = *to.add_request_mirror_policies();
    policy.set_cluster(OutboundCluster(mirror.service, mirror.port));
    clusters.insert(policy.cluster());
    SetShare(*policy.mutable_runtime_fraction()->mutable_default_value(), mirror.millionths);
    policy.set_disable_shadow_host_suffix_append(true);  // the app is to see what the other sees
  }
}

void SetFault(envoy::config::route::v3::Route& to, const FaultRule& from) {
  envoy::extensions::filters::http::fault::v3::HTTPFault fault;
  if (from.delay.has_value()) {
    SetDuration(fault.mutable_delay()->mutable_fixed_delay(), from.delay->time);
    SetShare(*fault.mutable_delay()->mutable_percentage(), from.delay->millionths);
  }
  if (from.abort.has_value()) {
    if (from.abort->grpc) {
      fault.mutable_abort()->set_grpc_status(from.abort->status);
    } else {
      fault.mutable_abort()->set_http_status(from.abort->status);
    }
    SetShare(*fault.mutable_abort()->mutable_percentage(), from.abort->millionths);
  }
  for (const NamedValue& header : from.headers) {
    auto& match = *fault.add_headers();
    match.set_name(header.name);
    if (header.value.empty()) {
      match.set_present_match(true);
    } else {
      match.mutable_string_match()->set_exact(header.value);
    }
  }
  if (from.max_active.has_value()) fault.mutable_max_active_faults()->set_value(*from.max_active);
  (*to.mutable_typed_per_filter_config())[kFaultFilter].PackFrom(fault);
}

void SetRateLimit(envoy::config::route::v3::Route& to, const RateLimitRule& from) {
  envoy::extensions::filters::http::local_ratelimit::v3::LocalRateLimit limit;
  limit.set_stat_prefix("local_rate_limiter");
  const auto bucket = [](envoy::type::v3::TokenBucket& bucket, const RateRule& rate) {
    bucket.set_max_tokens(rate.burst);
    bucket.mutable_tokens_per_fill()->set_value(rate.requests);
    SetDuration(bucket.mutable_fill_interval(), rate.per);
  };
  bucket(*limit.mutable_token_bucket(), from.all);
  for (const ClientRateRule& client : from.clients) {
    auto& action = *limit.add_rate_limits()->add_actions();
    auto& descriptor = *limit.add_descriptors();
    auto& entry = *descriptor.add_entries();
    switch (client.by) {
      case ClientRateRule::By::kAddress:
        action.mutable_remote_address();
        entry.set_key("remote_address");
        break;
      case ClientRateRule::By::kHeader:
        action.mutable_request_headers()->set_header_name(client.header);
        action.mutable_request_headers()->set_descriptor_key(client.header);
        entry.set_key(client.header);
        break;
      case ClientRateRule::By::kIdentity:
        action.mutable_extension()->set_name("pillion.peer_identity");
        action.mutable_extension()->mutable_typed_config()->PackFrom(sidecar::v1::PeerIdentity());
        entry.set_key("peer_identity");
        break;
    }
    bucket(*descriptor.mutable_token_bucket(), client.rate);
  }
  SetShare(*limit.mutable_filter_enabled()->mutable_default_value(), 1'000'000);
  SetShare(*limit.mutable_filter_enforced()->mutable_default_value(), from.report_only ? 0 : 1'000'000);
  limit.set_enable_x_ratelimit_headers(envoy::extensions::common::ratelimit::v3::DRAFT_VERSION_03);
  limit.set_enable_retry_after_header(true);
  limit.set_rate_limited_as_resource_exhausted(true);
  (*to.mutable_typed_per_filter_config())[kRateLimitFilter].PackFrom(limit);
}

void SetSession(envoy::config::route::v3::Route& to, const SessionRule& from, const std::string& rule,
                const PathMatch& path) {
  envoy::extensions::filters::http::stateful_session::v3::StatefulSessionPerRoute session;
  auto& state = *session.mutable_stateful_session()->mutable_session_state();
  if (from.header) {
    envoy::extensions::http::stateful_session::header::v3::HeaderBasedSessionState header;
    header.set_name(from.name.empty() ? "x-" + SessionName(rule) : from.name);
    state.set_name("envoy.http.stateful_session.header");
    state.mutable_typed_config()->PackFrom(header);
  } else {
    envoy::extensions::http::stateful_session::cookie::v3::CookieBasedSessionState state_in_cookie;
    auto& cookie = *state_in_cookie.mutable_cookie();
    cookie.set_name(from.name.empty() ? SessionName(rule) : from.name);
    cookie.set_path(CookiePath(path));
    if (from.lifetime.count() > 0) SetDuration(cookie.mutable_ttl(), from.lifetime);
    // Not Strict: who follows a link from elsewhere would lose his session. Not Secure: apps speak plain HTTP
    // to their sidecars.
    auto& same_site = *cookie.add_attributes();
    same_site.set_name("SameSite");
    same_site.set_value("Lax");
    state.set_name("envoy.http.stateful_session.cookie");
    state.mutable_typed_config()->PackFrom(state_in_cookie);
  }
  (*to.mutable_typed_per_filter_config())[kSessionFilter].PackFrom(session);
}

}  // namespace pillion::control
