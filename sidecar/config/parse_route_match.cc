// What a request must look like to take a route.
#include <re2/re2.h>

#include <algorithm>
#include <set>

#include "envoy/extensions/path/match/uri_template/v3/uri_template_match.pb.h"
#include "sidecar/base/text.h"
#include "sidecar/config/field_path.h"
#include "sidecar/config/fields.h"
#include "sidecar/config/parse_route.h"
#include "sidecar/config/transcoding/path_template.h"

namespace pillion::config {
namespace {

namespace route = envoy::config::route::v3;
namespace matcher = envoy::type::matcher::v3;

std::shared_ptr<const re2::RE2> MakeRegex(const std::string& text, const std::string& path,
                                          ConfigErrors& errors) {
  if (text.empty() || text.size() > kMaxRegexBytes) {
    Add(errors, path, "expected 1 to " + std::to_string(kMaxRegexBytes) + " characters");
    return nullptr;
  }
  re2::RE2::Options options;
  options.set_log_errors(false);
  // Byte by byte: of values that are no UTF-8 nothing would match, not even ".*" (RFC 9110 section 5.5,
  // obs-text).
  options.set_encoding(re2::RE2::Options::EncodingLatin1);
  auto regex = std::make_shared<const re2::RE2>(text, options);
  if (!regex->ok()) Add(errors, path, "expected a regular expression of RE2: " + regex->error());
  return regex;
}

}  // namespace

std::shared_ptr<const re2::RE2> ReadRegex(const matcher::RegexMatcher& proto, const std::string& path,
                                          ConfigErrors& errors) {
  return MakeRegex(proto.regex(), FieldPath(path, "regex"), errors);
}

namespace {

StringMatch TextMatch(StringMatch::Kind kind, const std::string& text, const std::string& path,
                      ConfigErrors& errors) {
  // An empty prefix would match everything, which nobody means.
  if (kind != StringMatch::Kind::kExact) RequireText(text, path, errors);
  StringMatch result;
  result.kind = kind;
  result.text = text;
  return result;
}

StringMatch RegexMatch(const matcher::RegexMatcher& proto, const std::string& path, ConfigErrors& errors) {
  StringMatch result;
  result.kind = StringMatch::Kind::kRegex;
  result.text = proto.regex();
  result.regex = ReadRegex(proto, path, errors);
  return result;
}

}  // namespace

StringMatch ReadStringMatch(const matcher::StringMatcher& proto, const std::string& path,
                            ConfigErrors& errors) {
  using Kind = StringMatch::Kind;
  StringMatch result;
  switch (proto.match_pattern_case()) {
    case matcher::StringMatcher::kExact:
      result = TextMatch(Kind::kExact, proto.exact(), FieldPath(path, "exact"), errors);
      break;
    case matcher::StringMatcher::kPrefix:
      result = TextMatch(Kind::kPrefix, proto.prefix(), FieldPath(path, "prefix"), errors);
      break;
    case matcher::StringMatcher::kSuffix:
      result = TextMatch(Kind::kSuffix, proto.suffix(), FieldPath(path, "suffix"), errors);
      break;
    case matcher::StringMatcher::kContains:
      result = TextMatch(Kind::kContains, proto.contains(), FieldPath(path, "contains"), errors);
      break;
    case matcher::StringMatcher::kSafeRegex:
      result = RegexMatch(proto.safe_regex(), FieldPath(path, "safe_regex"), errors);
      break;
    case matcher::StringMatcher::MATCH_PATTERN_NOT_SET:
      Add(errors, path, "expected exact, prefix, suffix, contains or safe_regex");
      break;
  }
  result.ignore_case = proto.ignore_case();
  if (result.ignore_case && result.kind == Kind::kRegex) {
    Add(errors, FieldPath(path, "ignore_case"), "expected false with safe_regex; write (?i) there");
  }
  return result;
}

namespace {

std::string ReadHeaderName(const std::string& name, const std::string& path, ConfigErrors& errors) {
  std::string lower = ReadRequestField(name, path, errors);
  if (lower == "content-length" || lower == "transfer-encoding") {
    Add(errors, path, "expected a field that does not frame the message; " + lower + " cannot be matched");
  }
  return lower;
}

}  // namespace

HeaderMatch ReadHeaderMatch(const route::HeaderMatcher& proto, const std::string& path,
                            ConfigErrors& errors) {
  using Kind = StringMatch::Kind;
  HeaderMatch result;
  result.name = ReadHeaderName(proto.name(), FieldPath(path, "name"), errors);
  result.invert = proto.invert_match();
  result.missing_is_empty = proto.treat_missing_header_as_empty();
  const auto text = [&](Kind kind, const std::string& value, std::string_view field) {
    result.value = TextMatch(kind, value, FieldPath(path, field), errors);
  };
  switch (proto.header_match_specifier_case()) {
    case route::HeaderMatcher::kExactMatch:
      text(Kind::kExact, proto.exact_match(), "exact_match");
      break;
    case route::HeaderMatcher::kPrefixMatch:
      text(Kind::kPrefix, proto.prefix_match(), "prefix_match");
      break;
    case route::HeaderMatcher::kSuffixMatch:
      text(Kind::kSuffix, proto.suffix_match(), "suffix_match");
      break;
    case route::HeaderMatcher::kContainsMatch:
      text(Kind::kContains, proto.contains_match(), "contains_match");
      break;
    case route::HeaderMatcher::kSafeRegexMatch:
      result.value = RegexMatch(proto.safe_regex_match(), FieldPath(path, "safe_regex_match"), errors);
      break;
    case route::HeaderMatcher::kStringMatch:
      result.value = ReadStringMatch(proto.string_match(), FieldPath(path, "string_match"), errors);
      break;
    case route::HeaderMatcher::kRangeMatch:
      result.range = IntRange{.start = proto.range_match().start(), .end = proto.range_match().end()};
      if (result.range->start >= result.range->end)
        Add(errors, FieldPath(path, "range_match"), "expected a start less than its end, which is not in it");
      break;
    case route::HeaderMatcher::kPresentMatch:
      result.present = proto.present_match();
      break;
    case route::HeaderMatcher::HEADER_MATCH_SPECIFIER_NOT_SET:
      break;
  }
  return result;
}

namespace {

QueryMatch ReadQueryMatch(const route::QueryParameterMatcher& proto, const std::string& path,
                          ConfigErrors& errors) {
  QueryMatch result;
  result.name = proto.name();
  RequireText(proto.name(), FieldPath(path, "name"), errors);
  switch (proto.query_parameter_match_specifier_case()) {
    case route::QueryParameterMatcher::kStringMatch:
      result.value = ReadStringMatch(proto.string_match(), FieldPath(path, "string_match"), errors);
      break;
    case route::QueryParameterMatcher::kPresentMatch:
      result.present = proto.present_match();
      break;
    case route::QueryParameterMatcher::QUERY_PARAMETER_MATCH_SPECIFIER_NOT_SET:
      break;
  }
  return result;
}

constexpr size_t kMaxTemplateVariables = 5;  // as Envoy

// A template as the expression that matches the same paths, each of its variables a group with its name.
std::string TemplateToRegex(const PathTemplate& path) {
  std::string regex;
  for (size_t i = 0; i < path.segments.size(); ++i) {
    regex += '/';
    for (const PathTemplate::Variable& variable : path.variables) {
      if (variable.first == i) regex += "(?P<" + variable.field + ">";
    }
    switch (path.segments[i].kind) {
      case PathTemplate::Kind::kLiteral:
        regex += re2::RE2::QuoteMeta(path.segments[i].text);
        break;
      case PathTemplate::Kind::kOne:
        regex += "[^/]+";
        break;
      case PathTemplate::Kind::kRest:
        regex += "(?s:.*)";
        break;
    }
    for (const PathTemplate::Variable& variable : path.variables) {
      if (variable.last == i + 1) regex += ")";
    }
  }
  if (!path.verb.empty()) regex += ":" + re2::RE2::QuoteMeta(path.verb);
  return regex;
}

void ReadTemplate(const envoy::config::core::v3::TypedExtensionConfig& proto, const std::string& path,
                  RouteMatch& result, ConfigErrors& errors) {
  namespace uri_template = envoy::extensions::path::match::uri_template::v3;
  result.kind = RouteMatch::Kind::kRegex;
  result.is_template = true;
  const std::string config_path = FieldPath(path, "typed_config");
  const auto config = Unpack<uri_template::UriTemplateMatchConfig>(proto.typed_config(), config_path, errors);
  if (config == nullptr) return;
  result.text = config->path_template();
  const std::string text_path = FieldPath(config_path, "path_template");
  const auto parsed = ParsePathTemplate(result.text);
  const auto bad_name = [](const PathTemplate::Variable& one) {
    return one.field.find('.') != std::string::npos || (one.field[0] >= '0' && one.field[0] <= '9');
  };
  if (!parsed || std::ranges::any_of(parsed->variables, bad_name)) {
    Add(errors, text_path,
        "expected elements between slashes: text, *, **, {name} or {name=*}; ** comes last");
    return;
  }
  std::set<std::string> names;
  for (const PathTemplate::Variable& variable : parsed->variables) names.insert(variable.field);
  if (names.size() < parsed->variables.size() || names.size() > kMaxTemplateVariables) {
    Add(errors, text_path,
        "expected at most " + std::to_string(kMaxTemplateVariables) + " names, each of them once");
    return;
  }
  result.regex = MakeRegex(TemplateToRegex(*parsed), text_path, errors);
}

}  // namespace

RouteMatch ReadRouteMatch(const route::RouteMatch& proto, const std::string& path, ConfigErrors& errors) {
  RouteMatch result;
  switch (proto.path_specifier_case()) {
    case route::RouteMatch::kPrefix:
      result.kind = RouteMatch::Kind::kPrefix;
      result.text = proto.prefix();
      break;
    case route::RouteMatch::kPath:
      result.kind = RouteMatch::Kind::kPath;
      result.text = proto.path();
      break;
    case route::RouteMatch::kPathSeparatedPrefix:
      result.kind = RouteMatch::Kind::kPathSeparatedPrefix;
      result.text = proto.path_separated_prefix();
      if (result.text.size() < 2 || result.text.ends_with('/') ||
          result.text.find_first_of("?#") != std::string::npos) {
        Add(errors, FieldPath(path, "path_separated_prefix"),
            "expected at least 2 characters, none of them ? or #, and no / at the end");
      }
      break;
    case route::RouteMatch::kSafeRegex:
      result.kind = RouteMatch::Kind::kRegex;
      result.text = proto.safe_regex().regex();
      result.regex = ReadRegex(proto.safe_regex(), FieldPath(path, "safe_regex"), errors);
      break;
    case route::RouteMatch::kConnectMatcher:
      result.kind = RouteMatch::Kind::kConnect;
      break;
    case route::RouteMatch::kPathMatchPolicy:
      ReadTemplate(proto.path_match_policy(), FieldPath(path, "path_match_policy"), result, errors);
      break;
    case route::RouteMatch::PATH_SPECIFIER_NOT_SET:
      Add(errors, path,
          "expected prefix, path, safe_regex, path_separated_prefix, connect_matcher or path_match_policy");
      break;
  }
  if (proto.has_case_sensitive()) result.case_sensitive = proto.case_sensitive().value();
  if (!result.case_sensitive && proto.has_safe_regex()) {
    Add(errors, FieldPath(path, "case_sensitive"), "expected true with safe_regex; write (?i) there");
  } else if (!result.case_sensitive && proto.has_path_match_policy()) {
    Add(errors, FieldPath(path, "case_sensitive"), "expected true with path_match_policy");
  }
  const std::string headers_path = FieldPath(path, "headers");
  for (int i = 0; i < proto.headers_size(); ++i) {
    result.headers.push_back(
        ReadHeaderMatch(proto.headers(i), ElementPath(headers_path, static_cast<size_t>(i)), errors));
  }
  const std::string query_path = FieldPath(path, "query_parameters");
  for (int i = 0; i < proto.query_parameters_size(); ++i) {
    result.query.push_back(
        ReadQueryMatch(proto.query_parameters(i), ElementPath(query_path, static_cast<size_t>(i)), errors));
  }
  result.grpc = proto.has_grpc();
  if (proto.has_runtime_fraction())
    result.share = ReadFraction(proto.runtime_fraction(), FieldPath(path, "runtime_fraction"), errors);
  return result;
}

}  // namespace pillion::config
