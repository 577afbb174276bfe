// Where a request goes, as what, and what is answered here.
#include <re2/re2.h>

#include <algorithm>
#include <array>

#include "envoy/extensions/path/rewrite/uri_template/v3/uri_template_rewrite.pb.h"
#include "sidecar/base/text.h"
#include "sidecar/config/field_path.h"
#include "sidecar/config/fields.h"
#include "sidecar/config/parse_route.h"
#include "sidecar/http/target.h"

namespace pillion::config {
namespace {

namespace route = envoy::config::route::v3;
namespace matcher = envoy::type::matcher::v3;

constexpr const char* kExpectPath = "expected a path: / and visible ASCII without #";

std::shared_ptr<const re2::RE2> ReadSubstitution(const matcher::RegexMatchAndSubstitute& proto,
                                                 const std::string& path, ConfigErrors& errors) {
  auto regex = ReadRegex(proto.pattern(), FieldPath(path, "pattern"), errors);
  std::string error;
  if (regex != nullptr && regex->ok() && !regex->CheckRewriteString(proto.substitution(), &error))
    Add(errors, FieldPath(path, "substitution"), "expected text with groups as \\1: " + error);
  if (!http::IsOriginForm("/" + proto.substitution()))
    Add(errors, FieldPath(path, "substitution"), "expected visible ASCII without #");
  return regex;
}

// `{name}` stands for what the match of that name found.
void ReadTemplate(const envoy::config::core::v3::TypedExtensionConfig& proto, const std::string& path,
                  const RouteMatch& match, PathRewrite& result, ConfigErrors& errors) {
  namespace uri_template = envoy::extensions::path::rewrite::uri_template::v3;
  const std::string config_path = FieldPath(path, "typed_config");
  const auto config =
      Unpack<uri_template::UriTemplateRewriteConfig>(proto.typed_config(), config_path, errors);
  if (config == nullptr) return;
  const std::string text_path = FieldPath(config_path, "path_template_rewrite");
  result.kind = PathRewrite::Kind::kTemplate;
  if (!match.is_template) {
    Add(errors, path, "expected only with a path_match_policy");
    return;
  }
  if (match.regex == nullptr) return;  // told already
  std::string_view rest = config->path_template_rewrite();
  if (!rest.starts_with('/')) Add(errors, text_path, kExpectPath);
  const auto& groups = match.regex->NamedCapturingGroups();
  while (!rest.empty()) {
    PathRewrite::Part& part = result.parts.emplace_back();
    const size_t open = rest.find_first_of("{}");
    part.text = std::string(rest.substr(0, open));
    if (open == std::string_view::npos) break;
    const size_t close = rest.find('}', open);
    const auto group = rest[open] == '{' && close != std::string_view::npos
                           ? groups.find(std::string(rest.substr(open + 1, close - open - 1)))
                           : groups.end();
    if (group == groups.end()) {
      Add(errors, text_path, "expected only names of the path_match_policy between { and }");
      return;
    }
    part.group = static_cast<size_t>(group->second);
    rest.remove_prefix(close + 1);
  }
}

}  // namespace

std::shared_ptr<const PathRewrite> ReadPathRewrite(const route::RouteAction& proto, const RouteMatch& match,
                                                   const std::string& path, ConfigErrors& errors) {
  const int given = (proto.prefix_rewrite().empty() ? 0 : 1) + (proto.has_regex_rewrite() ? 1 : 0) +
                    (proto.has_path_rewrite_policy() ? 1 : 0);
  if (given == 0) return nullptr;
  if (given > 1) Add(errors, path, "expected one of prefix_rewrite, regex_rewrite and path_rewrite_policy");
  PathRewrite result;
  if (proto.has_regex_rewrite()) {
    result.kind = PathRewrite::Kind::kRegex;
    result.text = proto.regex_rewrite().substitution();
    result.regex = ReadSubstitution(proto.regex_rewrite(), FieldPath(path, "regex_rewrite"), errors);
  } else if (proto.has_path_rewrite_policy()) {
    ReadTemplate(proto.path_rewrite_policy(), FieldPath(path, "path_rewrite_policy"), match, result, errors);
  } else {
    result.text = proto.prefix_rewrite();
    if (!http::IsOriginForm(result.text)) Add(errors, FieldPath(path, "prefix_rewrite"), kExpectPath);
  }
  return std::make_shared<const PathRewrite>(std::move(result));
}

std::shared_ptr<const HostRewrite> ReadHostRewrite(const route::RouteAction& proto, const std::string& path,
                                                   ConfigErrors& errors) {
  using Kind = HostRewrite::Kind;
  HostRewrite result;
  switch (proto.host_rewrite_specifier_case()) {
    case route::RouteAction::kHostRewriteLiteral:
      result.text = proto.host_rewrite_literal();
      if (!http::IsAuthority(result.text))
        Add(errors, FieldPath(path, "host_rewrite_literal"), "expected a host, maybe with a port");
      break;
    case route::RouteAction::kHostRewriteHeader:
      result.kind = Kind::kHeader;
      result.text = proto.host_rewrite_header();
      std::ranges::transform(result.text, result.text.begin(), AsciiLower);
      if (!IsFieldName(result.text))
        Add(errors, FieldPath(path, "host_rewrite_header"), "expected a field name");
      break;
    case route::RouteAction::kHostRewritePathRegex:
      result.kind = Kind::kPathRegex;
      result.text = proto.host_rewrite_path_regex().substitution();
      result.regex = ReadSubstitution(proto.host_rewrite_path_regex(),
                                      FieldPath(path, "host_rewrite_path_regex"), errors);
      break;
    case route::RouteAction::HOST_REWRITE_SPECIFIER_NOT_SET:
      return nullptr;
  }
  return std::make_shared<const HostRewrite>(std::move(result));
}

std::vector<HashPolicy> ReadHashPolicies(const route::RouteAction& proto, const std::string& path,
                                         ConfigErrors& errors) {
  constexpr int kMostPolicies = 16;
  using Proto = route::RouteAction::HashPolicy;
  using Kind = HashPolicy::Kind;
  if (proto.hash_policy_size() > kMostPolicies)
    Add(errors, path, "expected at most " + std::to_string(kMostPolicies));
  std::vector<HashPolicy> result;
  for (int i = 0; i < proto.hash_policy_size() && i < kMostPolicies; ++i) {
    const Proto& from = proto.hash_policy(i);
    const std::string one_path = ElementPath(path, static_cast<size_t>(i));
    HashPolicy one;
    one.terminal = from.terminal();
    switch (from.policy_specifier_case()) {
      case Proto::kHeader:
        one.name = ReadRequestField(from.header().header_name(),
                                    FieldPath(FieldPath(one_path, "header"), "header_name"), errors);
        break;
      case Proto::kCookie: {
        const std::string cookie_path = FieldPath(one_path, "cookie");
        one.kind = Kind::kCookie;
        one.name = from.cookie().name();
        if (!IsFieldName(one.name)) Add(errors, FieldPath(cookie_path, "name"), "expected a cookie's name");
        one.path = from.cookie().path();
        if (!one.path.empty() && (!http::IsOriginForm(one.path) || one.path.find(';') != std::string::npos))
          Add(errors, FieldPath(cookie_path, "path"), "expected a path without ;");
        if (from.cookie().has_ttl()) {
          one.ttl = std::chrono::duration_cast<std::chrono::seconds>(
              ReadDuration(from.cookie().ttl(), FieldPath(cookie_path, "ttl"), errors));
        }
        break;
      }
      case Proto::kConnectionProperties:
        one.kind = Kind::kSourceIp;
        if (!from.connection_properties().source_ip())
          Add(errors, FieldPath(FieldPath(one_path, "connection_properties"), "source_ip"), "expected true");
        break;
      case Proto::kQueryParameter:
        one.kind = Kind::kQuery;
        one.name = from.query_parameter().name();
        RequireText(one.name, FieldPath(FieldPath(one_path, "query_parameter"), "name"), errors);
        break;
      case Proto::POLICY_SPECIFIER_NOT_SET:
        Add(errors, one_path, "expected header, cookie, connection_properties or query_parameter");
        break;
    }
    result.push_back(std::move(one));
  }
  return result;
}

std::shared_ptr<const Redirect> ReadRedirect(const route::RedirectAction& proto, const std::string& path,
                                             ConfigErrors& errors) {
  using Proto = route::RedirectAction;
  constexpr std::array<uint16_t, 5> kStatuses = {301, 302, 303, 307, 308};
  Redirect result;
  if (Proto::RedirectResponseCode_IsValid(proto.response_code())) {
    result.status = kStatuses.at(static_cast<size_t>(proto.response_code()));
  } else {
    Add(errors, FieldPath(path, "response_code"), "expected a RedirectResponseCode");
  }
  if (proto.https_redirect()) result.scheme = "https";
  if (!proto.scheme_redirect().empty()) {
    result.scheme = proto.scheme_redirect();
    if (result.scheme != "http" && result.scheme != "https")
      Add(errors, FieldPath(path, "scheme_redirect"), "expected http or https");
  }
  result.host = proto.host_redirect();
  if (!result.host.empty() && !http::IsAuthority(result.host))
    Add(errors, FieldPath(path, "host_redirect"), "expected a host, maybe with a port");
  if (proto.port_redirect() > UINT16_MAX)
    Add(errors, FieldPath(path, "port_redirect"), "expected at most 65535");
  if (proto.port_redirect() != 0 && !result.host.empty() && http::HasPort(result.host))
    Add(errors, FieldPath(path, "port_redirect"), "expected a host_redirect without a port beside it");
  result.port = static_cast<uint16_t>(proto.port_redirect());
  result.strip_query = proto.strip_query();
  switch (proto.path_rewrite_specifier_case()) {
    case Proto::kPathRedirect:
      result.path = proto.path_redirect();
      if (!http::IsOriginForm(*result.path)) Add(errors, FieldPath(path, "path_redirect"), kExpectPath);
      break;
    case Proto::kPrefixRewrite:
      result.rewrite = PathRewrite();
      result.rewrite->text = proto.prefix_rewrite();
      if (!http::IsOriginForm(proto.prefix_rewrite()))
        Add(errors, FieldPath(path, "prefix_rewrite"), kExpectPath);
      break;
    case Proto::kRegexRewrite:
      result.rewrite = PathRewrite();
      result.rewrite->kind = PathRewrite::Kind::kRegex;
      result.rewrite->text = proto.regex_rewrite().substitution();
      result.rewrite->regex =
          ReadSubstitution(proto.regex_rewrite(), FieldPath(path, "regex_rewrite"), errors);
      break;
    case Proto::PATH_REWRITE_SPECIFIER_NOT_SET:
      break;
  }
  return std::make_shared<const Redirect>(std::move(result));
}

}  // namespace pillion::config
