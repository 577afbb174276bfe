// The filters of routes (Gateway API v1, HTTPRouteFilter).
#include <algorithm>
#include <set>
#include <utility>

#include "control-plane/model/read.h"
#include "sidecar/base/text.h"
#include "sidecar/config/editable_field.h"
#include "sidecar/config/field_path.h"

namespace pillion::control {
namespace {

using config::ElementPath;
using config::FieldPath;
using kube::gateway::v1::HTTPHeader;
using kube::gateway::v1::HTTPHeaderFilter;
using kube::gateway::v1::HTTPPathModifier;
using kube::gateway::v1::HTTPRequestRedirectFilter;
using kube::gateway::v1::HTTPRouteFilter;
using kube::gateway::v1::HTTPURLRewriteFilter;

// The limits of the Gateway API itself.
constexpr int kMaxFilters = 16;
constexpr size_t kMaxMirrors = 8;  // what the sidecar takes
constexpr uint32_t kWhole = 1'000'000;
constexpr int kMaxFields = 16;
constexpr size_t kMaxValueBytes = 4096;

constexpr const char* kExpectHost = "expected a host name without a port";

std::string ReadName(const std::string& name, const std::string& path, Report& report) {
  std::string lower = name;
  std::ranges::transform(lower, lower.begin(), AsciiLower);
  if (!IsToken(lower)) {
    report.Add(path, "expected the name of a header");
  } else if (const std::string_view why = config::WhyNotEditable(lower); !why.empty()) {
    report.Add(path, std::string(why));
  }
  return lower;
}

// RFC 9110 section 5.5: visible bytes, with spaces and tabs between them.
bool IsFieldValue(std::string_view value) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  if (value.empty() || blank(value.front()) || blank(value.back())) return false;
  return std::ranges::none_of(
      value, [](char c) { return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == 0x7f; });
}

std::vector<NamedValue> ReadFields(const google::protobuf::RepeatedPtrField<HTTPHeader>& messages,
                                   const std::string& path, Report& report) {
  std::vector<NamedValue> fields;
  if (messages.size() > kMaxFields) report.Add(path, "expected at most 16");
  for (int i = 0; i < messages.size(); ++i) {
    const std::string one_path = ElementPath(path, static_cast<size_t>(i));
    NamedValue field{.name = ReadName(messages[i].name(), FieldPath(one_path, "name"), report),
                     .value = messages[i].value()};
    if (!IsFieldValue(field.value) || field.value.size() > kMaxValueBytes)
      report.Add(FieldPath(one_path, "value"), "expected 1 to 4096 bytes without control characters");
    const bool again =
        std::ranges::any_of(fields, [&](const NamedValue& other) { return other.name == field.name; });
    if (!again) fields.push_back(std::move(field));
  }
  return fields;
}

HeaderModifier ReadModifier(const HTTPHeaderFilter& message, const std::string& path, Report& report) {
  HeaderModifier modifier;
  modifier.set = ReadFields(message.set(), FieldPath(path, "set"), report);
  modifier.add = ReadFields(message.add(), FieldPath(path, "add"), report);
  const std::string remove_path = FieldPath(path, "remove");
  if (message.remove_size() > kMaxFields) report.Add(remove_path, "expected at most 16");
  for (int i = 0; i < message.remove_size(); ++i) {
    modifier.remove.push_back(
        ReadName(message.remove(i), ElementPath(remove_path, static_cast<size_t>(i)), report));
  }
  // What is done later in the list undoes it.
  const auto removed = [&](const NamedValue& field) {
    return std::ranges::find(modifier.remove, field.name) != modifier.remove.end();
  };
  std::erase_if(modifier.set, removed);
  std::erase_if(modifier.add, removed);
  return modifier;
}

PathModifier ReadPathModifier(const HTTPPathModifier& message, const std::string& path, Report& report) {
  PathModifier modifier;
  std::string_view field = "replace_full_path";
  switch (message.type()) {
    case HTTPPathModifier::ReplaceFullPath:
      modifier.path = message.replace_full_path();
      break;
    case HTTPPathModifier::ReplacePrefixMatch:
      modifier.prefix = true;
      field = "replace_prefix_match";
      modifier.path = message.replace_prefix_match();
      break;
    default:
      report.Add(FieldPath(path, "type"), "expected ReplaceFullPath or ReplacePrefixMatch");
      return modifier;
  }
  if (message.has_replace_full_path() == modifier.prefix ||
      message.has_replace_prefix_match() != modifier.prefix)
    report.Add(path, "expected replaceFullPath or replacePrefixMatch, the one that type names");
  if (modifier.path.size() > kMaxPathBytes) report.Add(FieldPath(path, field), "expected at most 1024 bytes");
  if (modifier.path.empty()) modifier.path = "/";
  if (!IsCleanPath(modifier.path)) {
    report.Add(FieldPath(path, field),
               "expected a path that starts with / and has no //, /./, /../, # or %2f");
  }
  if (modifier.prefix && modifier.path.size() > 1 && modifier.path.ends_with("/")) modifier.path.pop_back();
  return modifier;
}

RedirectRule ReadRedirect(const HTTPRequestRedirectFilter& message, const std::string& path, Report& report) {
  RedirectRule redirect;
  if (message.has_scheme()) {
    redirect.scheme = message.scheme();
    if (redirect.scheme != "http" && redirect.scheme != "https")
      report.Add(FieldPath(path, "scheme"), "expected http or https");
  }
  if (message.has_hostname()) {
    redirect.hostname = message.hostname();
    if (!IsDnsSubdomain(redirect.hostname)) report.Add(FieldPath(path, "hostname"), kExpectHost);
  }
  if (message.has_path()) redirect.path = ReadPathModifier(message.path(), FieldPath(path, "path"), report);
  if (message.has_port()) redirect.port = ReadPort(message.port(), FieldPath(path, "port"), report);
  if (message.has_status_code()) {
    const std::set<int32_t> known = {301, 302, 303, 307, 308};
    if (!known.contains(message.status_code()))
      report.Add(FieldPath(path, "status_code"), "expected 301, 302, 303, 307 or 308");
    redirect.status = static_cast<uint32_t>(message.status_code());
  }
  return redirect;
}

RewriteRule ReadRewrite(const HTTPURLRewriteFilter& message, const std::string& path, Report& report) {
  RewriteRule rewrite;
  if (message.has_hostname()) {
    rewrite.hostname = message.hostname();
    if (!IsDnsSubdomain(rewrite.hostname)) report.Add(FieldPath(path, "hostname"), kExpectHost);
  }
  if (message.has_path()) rewrite.path = ReadPathModifier(message.path(), FieldPath(path, "path"), report);
  return rewrite;
}

// A share of requests, in millionths.
uint32_t ReadShare(const kube::gateway::v1::HTTPRequestMirrorFilter& message, const std::string& path,
                   Report& report) {
  if (message.has_percent() && message.has_fraction())
    report.Add(path, "expected percent or fraction, not both");
  if (message.has_percent()) {
    if (message.percent() < 0 || message.percent() > 100)
      report.Add(FieldPath(path, "percent"), "expected 0 to 100");
    return static_cast<uint32_t>(std::clamp(message.percent(), 0, 100)) * 10'000;
  }
  if (!message.has_fraction()) return kWhole;
  const int64_t denominator = message.fraction().has_denominator() ? message.fraction().denominator() : 100;
  const int64_t numerator = message.fraction().numerator();
  if (denominator < 1) {
    report.Add(FieldPath(path, "fraction.denominator"), "expected at least 1");
  } else if (numerator < 0 || numerator > denominator) {
    report.Add(FieldPath(path, "fraction.numerator"), "expected 0 to the denominator");
  } else {
    return static_cast<uint32_t>(numerator * kWhole / denominator);
  }
  return 0;
}

MirrorRule ReadMirror(const kube::gateway::v1::HTTPRequestMirrorFilter& message, const std::string& path,
                      Report& report) {
  const auto& backend = message.backend_ref();
  MirrorRule mirror{.service = {backend.namespace_(), backend.name()},
                    .port = 0,
                    .millionths = ReadShare(message, path, report),
                    .path = FieldPath(path, "backend_ref")};
  const bool service = (backend.group().empty() || backend.group() == "core") &&
                       (backend.kind().empty() || backend.kind() == "Service");
  if (!service) report.Add(mirror.path, "expected kind: Service, other backends are not implemented yet");
  if (backend.name().empty())
    report.Add(message.has_backend_ref() ? mirror.path : path, "expected a backendRef with a name");
  if (backend.has_port()) {
    mirror.port = ReadPort(backend.port(), FieldPath(mirror.path, "port"), report).value_or(0);
  } else if (message.has_backend_ref()) {
    report.Add(mirror.path, "expected a port");
  }
  return mirror;
}

NamedObject ReadExtension(const kube::gateway::v1::LocalObjectReference& message, const std::string& path,
                          Report& report) {
  NamedObject ref{.name = message.name(), .path = path};
  if (message.group() != "policy.pillion.dev" || message.kind() != "DirectResponse")
    report.Add(path, "expected group: policy.pillion.dev and kind: DirectResponse");
  if (ref.name.empty()) report.Add(path, "expected a name");
  return ref;
}

// One, of a type that may stand there, with the field of its type and no other.
void ReadFilter(const HTTPRouteFilter& message, const std::string& path, FilterPlace place,
                HttpFilters& filters, Report& report) {
  const std::string& type = HTTPRouteFilter::Type_Name(message.type());
  const bool there = [&] {
    switch (message.type()) {
      case HTTPRouteFilter::RequestHeaderModifier:
        return message.has_request_header_modifier();
      case HTTPRouteFilter::ResponseHeaderModifier:
        return message.has_response_header_modifier();
      case HTTPRouteFilter::RequestRedirect:
        return message.has_request_redirect();
      case HTTPRouteFilter::URLRewrite:
        return message.has_url_rewrite();
      case HTTPRouteFilter::CORS:
        return message.has_cors();
      case HTTPRouteFilter::RequestMirror:
        return message.has_request_mirror();
      case HTTPRouteFilter::ExtensionRef:
        return message.has_extension_ref();
      default:
        return true;
    }
  }();
  const int given = (message.has_request_header_modifier() ? 1 : 0) +
                    (message.has_response_header_modifier() ? 1 : 0) +
                    (message.has_request_redirect() ? 1 : 0) + (message.has_url_rewrite() ? 1 : 0) +
                    (message.has_cors() ? 1 : 0) + (message.has_request_mirror() ? 1 : 0) +
                    (message.has_extension_ref() ? 1 : 0);
  switch (message.type()) {
    case HTTPRouteFilter::RequestHeaderModifier:
      filters.request =
          ReadModifier(message.request_header_modifier(), FieldPath(path, "request_header_modifier"), report);
      break;
    case HTTPRouteFilter::ResponseHeaderModifier:
      filters.response = ReadModifier(message.response_header_modifier(),
                                      FieldPath(path, "response_header_modifier"), report);
      break;
    case HTTPRouteFilter::RequestRedirect:
      filters.redirect =
          ReadRedirect(message.request_redirect(), FieldPath(path, "request_redirect"), report);
      break;
    case HTTPRouteFilter::URLRewrite:
      filters.rewrite = ReadRewrite(message.url_rewrite(), FieldPath(path, "url_rewrite"), report);
      break;
    case HTTPRouteFilter::CORS:
      filters.cors = ReadCors(message.cors(), FieldPath(path, "cors"), report);
      break;
    case HTTPRouteFilter::RequestMirror:
      filters.mirrors.push_back(
          ReadMirror(message.request_mirror(), FieldPath(path, "request_mirror"), report));
      break;
    case HTTPRouteFilter::ExtensionRef:
      if (message.has_extension_ref())
        filters.direct = ReadExtension(message.extension_ref(), FieldPath(path, "extension_ref"), report);
      break;
    case HTTPRouteFilter::UNSPECIFIED:
      report.Add(FieldPath(path, "type"), "expected a type");
      return;
    default:
      report.Add(FieldPath(path, "type"), type + " is not implemented yet");
      return;
  }
  if (!there || given != 1) report.Add(path, "expected the field of type " + type + " and no other");
  const bool of_rules = filters.redirect.has_value() || filters.rewrite.has_value() ||
                        filters.cors.has_value() || !filters.mirrors.empty() || filters.direct.has_value();
  if (of_rules && place == FilterPlace::kBackend) {
    report.Add(FieldPath(path, "type"),
               "expected RequestHeaderModifier or ResponseHeaderModifier at a backend");
  }
}

}  // namespace

bool IsCleanPath(std::string_view path) {
  constexpr std::string_view kSymbols = "-._~!$&'()*+,;=:@/%";
  if (!path.starts_with("/") || path.ends_with("/..") || path.ends_with("/.")) return false;
  for (const std::string_view bad : {"//", "/./", "/../", "%2f", "%2F", "#"}) {
    if (path.find(bad) != std::string_view::npos) return false;
  }
  return std::all_of(path.begin(), path.end(), [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kSymbols.find(c) != std::string_view::npos;
  });
}

HttpFilters ReadFilters(const google::protobuf::RepeatedPtrField<HTTPRouteFilter>& messages,
                        const std::string& path, FilterPlace place, Report& report) {
  HttpFilters filters;
  if (messages.size() > kMaxFilters) report.Add(path, "expected at most 16");
  std::set<HTTPRouteFilter::Type> types;
  for (int i = 0; i < messages.size(); ++i) {
    const std::string one_path = ElementPath(path, static_cast<size_t>(i));
    const bool once = messages[i].type() != HTTPRouteFilter::RequestMirror;
    if (!types.insert(messages[i].type()).second && once)
      report.Add(FieldPath(one_path, "type"), "expected each type once");
    ReadFilter(messages[i], one_path, place, filters, report);
  }
  if (filters.mirrors.size() > kMaxMirrors) report.Add(path, "expected at most 8 of type RequestMirror");
  return filters;
}

}  // namespace pillion::control
