// HTTPRoute: the subset of Gateway API v1 that is implemented (specs/mesh.md 3).
#include <re2/re2.h>

#include <algorithm>

#include "control-plane/model/read.h"
#include "control-plane/model/read_route_parts.h"
#include "sidecar/base/text.h"
#include "sidecar/config/field_path.h"

namespace pillion::control {
namespace {

using config::ElementPath;
using config::FieldPath;
using kube::gateway::v1::HTTPPathMatch;

// The Gateway API's.
constexpr int kMaxQueryParams = 16;
constexpr uint32_t kMaxAttempts = 10;  // ours: an operator's slip must not multiply load without end

PathMatch ReadPath(const HTTPPathMatch& message, const std::string& path, Report& report) {
  using Kind = PathMatch::Kind;
  const std::string value_path = FieldPath(path, "value");
  PathMatch match;
  if (message.value().size() > kMaxPathBytes) report.Add(value_path, "expected at most 1024 bytes");
  if (message.has_value()) match.path = message.value();
  if (message.type() == HTTPPathMatch::RegularExpression) {
    match.kind = Kind::kRegex;
    if (match.path.empty()) report.Add(value_path, "expected a regular expression");
    CheckRegex(match.path, value_path, report);
    return match;
  }
  if (message.type() == HTTPPathMatch::Exact) match.kind = Kind::kExact;
  if (!IsCleanPath(match.path)) {
    report.Add(value_path, "expected a path that starts with / and has no //, /./, /../, # or %2f");
  }
  // "/a/" and "/a" are one prefix.
  if (match.kind == Kind::kElementPrefix && match.path.size() > 1 && match.path.ends_with("/"))
    match.path.pop_back();
  return match;
}

HttpMatch ReadMatch(const kube::gateway::v1::HTTPRouteMatch& message, const std::string& path,
                    Report& report) {
  HttpMatch match;
  match.path = ReadPath(message.path(), FieldPath(path, "path"), report);
  if (!message.method().empty() && !IsToken(message.method())) {
    report.Add(FieldPath(path, "method"), "expected a method");
  }
  match.method = message.method();
  for (int i = 0; i < message.headers_size(); ++i) {
    ReadHeader(message.headers(i), ElementPath(FieldPath(path, "headers"), static_cast<size_t>(i)), match,
               report);
  }
  const std::string query_path = FieldPath(path, "query_params");
  if (message.query_params_size() > kMaxQueryParams)
    report.Add(query_path, "expected at most " + std::to_string(kMaxQueryParams));
  for (int i = 0; i < message.query_params_size(); ++i) {
    const std::string at = ElementPath(query_path, static_cast<size_t>(i));
    const std::string& name = message.query_params(i).name();
    if (name.empty()) report.Add(FieldPath(at, "name"), "expected the name of a parameter");
    ReadNamedValue(message.query_params(i), name, at, match.query, report);
  }
  return match;
}

RetryRule ReadRetry(const kube::gateway::v1::HTTPRouteRetry& message, const std::string& path,
                    Report& report) {
  RetryRule retry;
  // GEP-1731: connection errors are retried wherever there is a retry stanza; `reset` covers attempts that
  // ran into `backendRequest`.
  retry.retry_on = {"connect-failure", "refused-stream", "reset"};
  retry.codes = ReadStatusCodes(message.codes(), FieldPath(path, "codes"), report);
  if (!retry.codes.empty()) retry.retry_on.emplace_back("retriable-status-codes");
  if (message.has_attempts()) {
    if (message.attempts() < 1 || message.attempts() > static_cast<int32_t>(kMaxAttempts)) {
      report.Add(FieldPath(path, "attempts"), "expected 1 to 10");
    }
    retry.attempts = static_cast<uint32_t>(std::max(message.attempts(), 0));
  }
  if (message.has_backoff()) {
    retry.backoff_base = ReadDuration(message.backoff(), FieldPath(path, "backoff"), false, report);
    retry.backoff_max = LongestBackoff(retry.backoff_base);
  }
  return retry;
}

void ReadTimeouts(const kube::gateway::v1::HTTPRouteTimeouts& message, const std::string& path,
                  HttpRule& rule, Report& report) {
  if (message.has_request()) {
    rule.request_timeout = ReadDuration(message.request(), FieldPath(path, "request"), true, report);
  }
  if (!message.has_backend_request()) return;
  const std::string at = FieldPath(path, "backend_request");
  rule.backend_request_timeout = ReadDuration(message.backend_request(), at, true, report);
  if (rule.request_timeout.count() > 0 && rule.backend_request_timeout > rule.request_timeout) {
    report.Add(at, "expected at most the request time-out");
  }
}

// What one filter says must go with the rest of its rule.
void CheckFilters(const HttpRule& rule, const std::string& path, Report& report) {
  const std::string filters_path = FieldPath(path, "filters");
  const std::optional<RedirectRule>& redirect = rule.filters.redirect;
  const std::optional<RewriteRule>& rewrite = rule.filters.rewrite;
  if (redirect.has_value() && rewrite.has_value())
    report.Add(filters_path, "expected RequestRedirect or URLRewrite, not both");
  const bool direct = rule.filters.direct.has_value();
  if (direct && (redirect.has_value() || rewrite.has_value()))
    report.Add(filters_path, "expected no RequestRedirect and no URLRewrite beside ExtensionRef");
  if (direct && !rule.filters.mirrors.empty())
    report.Add(filters_path, "expected no RequestMirror beside ExtensionRef");
  const std::string answers = direct ? "ExtensionRef" : "RequestRedirect";
  if ((direct || redirect.has_value()) && !rule.backends.empty())
    report.Add(filters_path, "expected no backendRefs beside " + answers);
  if ((direct || redirect.has_value()) && rule.session.has_value())
    report.Add(filters_path, "expected no sessionPersistence beside " + answers);
  const auto by_prefix = [](const auto& filter) {
    return filter.has_value() && filter->path.has_value() && filter->path->prefix;
  };
  const bool all_prefixes = std::ranges::all_of(rule.matches, [](const HttpMatch& match) {
    return match.path.kind == PathMatch::Kind::kElementPrefix;
  });
  if ((by_prefix(redirect) || by_prefix(rewrite)) && !all_prefixes)
    report.Add(filters_path, "expected matches by PathPrefix only, beside ReplacePrefixMatch");
}

HttpRule ReadRule(const kube::gateway::v1::HTTPRouteRule& message, const std::string& path,
                  const std::string& ns, Report& report) {
  HttpRule rule;
  rule.name = message.name();
  if (message.has_session_persistence()) {
    rule.session = ReadSession(message.session_persistence(), FieldPath(path, "session_persistence"), report);
  }
  if (message.matches_size() > kMaxMatches) report.Add(FieldPath(path, "matches"), "expected at most 64");
  if (message.backend_refs_size() > kMaxBackends) {
    report.Add(FieldPath(path, "backend_refs"), "expected at most 16");
  }
  for (int i = 0; i < message.matches_size(); ++i) {
    rule.matches.push_back(ReadMatch(
        message.matches(i), ElementPath(FieldPath(path, "matches"), static_cast<size_t>(i)), report));
  }
  if (rule.matches.empty()) rule.matches.emplace_back();
  rule.filters = ReadFilters(message.filters(), FieldPath(path, "filters"), FilterPlace::kRule, report);
  for (int i = 0; i < message.backend_refs_size(); ++i) {
    rule.backends.push_back(ReadBackend(message.backend_refs(i),
                                        ElementPath(FieldPath(path, "backend_refs"), static_cast<size_t>(i)),
                                        ns, report));
  }
  CheckFilters(rule, path, report);
  ReadTimeouts(message.timeouts(), FieldPath(path, "timeouts"), rule, report);
  if (message.has_retry()) rule.retry = ReadRetry(message.retry(), FieldPath(path, "retry"), report);
  return rule;
}

}  // namespace

std::chrono::milliseconds ReadDuration(const std::string& text, const std::string& path, bool zero,
                                       Report& report) {
  const std::optional<std::chrono::milliseconds> duration = ParseGatewayDuration(text);
  if (!duration.has_value()) {
    report.Add(path, "expected a duration such as 500ms, 10s or 1m30s");
    return {};
  }
  if (!zero && duration->count() == 0) report.Add(path, "expected more than 0");
  return *duration;
}

std::vector<uint32_t> ReadStatusCodes(const google::protobuf::RepeatedField<int32_t>& codes,
                                      const std::string& path, Report& report) {
  std::vector<uint32_t> result;
  for (int i = 0; i < codes.size(); ++i) {
    if (codes[i] < 400 || codes[i] > 599) {
      report.Add(ElementPath(path, static_cast<size_t>(i)), "expected a status code, 400 to 599");
    } else {
      result.push_back(static_cast<uint32_t>(codes[i]));
    }
  }
  return result;
}

std::optional<HttpRoute> Read(const kube::gateway::v1::HTTPRoute& message, Report& report) {
  HttpRoute route;
  route.metadata = ReadMetadata(message.metadata(), report);
  const std::string& ns = route.metadata.name.ns;
  route.parents = ReadParents(message.spec().parent_refs(), ns, report);
  if (message.spec().rules_size() > kMaxRules) report.Add("spec.rules", "expected at most 16");
  for (int i = 0; i < message.spec().rules_size(); ++i) {
    route.rules.push_back(
        ReadRule(message.spec().rules(i), ElementPath("spec.rules", static_cast<size_t>(i)), ns, report));
  }
  if (message.spec().rules_size() == 0) report.Add("spec", "expected rules");
  if (report.failed()) return std::nullopt;
  return route;
}

}  // namespace pillion::control
