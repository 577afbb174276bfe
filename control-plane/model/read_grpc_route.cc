// GRPCRoute: the subset of Gateway API v1 that is implemented (specs/mesh.md 3.3).
#include <re2/re2.h>

#include <algorithm>

#include "control-plane/model/read.h"
#include "control-plane/model/read_route_parts.h"

namespace pillion::control {
namespace {

using config::ElementPath;
using config::FieldPath;
using kube::gateway::v1::GRPCBackendRef;
using kube::gateway::v1::GRPCMethodMatch;
using kube::gateway::v1::GRPCRouteFilter;
using kube::gateway::v1::GRPCRouteMatch;
using kube::gateway::v1::GRPCRouteRule;
using kube::gateway::v1::HTTPBackendRef;
using kube::gateway::v1::HTTPRouteFilter;

constexpr size_t kMaxNameBytes = 1024;  // the Gateway API's
// One segment of a path.
constexpr char kAnyName[] = "[^/]+";

// A name of protobuf: words with dots between them; of a method, one word. A package may begin with a dot.
bool IsName(std::string_view name, bool dots) {
  if (dots && name.starts_with('.')) name.remove_prefix(1);
  bool first = true;
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    const bool within = (c >= '0' && c <= '9') || (c == '.' && dots);
    if (!letter && (first || !within)) return false;
    first = c == '.';
  }
  return !first;
}

void CheckName(const std::string& name, const std::string& path, GRPCMethodMatch::Type type, bool dots,
               Report& report) {
  if (name.size() > kMaxNameBytes) report.Add(path, "expected at most 1024 bytes");
  if (type == GRPCMethodMatch::RegularExpression) {
    if (name.empty()) report.Add(path, "expected a regular expression");
    CheckRegex(name, path, report);
  } else if (!IsName(name, dots)) {
    report.Add(path, dots ? "expected the name of a service, such as shop.v1.Orders"
                          : "expected the name of a method, such as GetOrder");
  }
}

void ReadMethod(const GRPCMethodMatch& message, const std::string& path, HttpMatch& match, Report& report) {
  const std::string& service = message.service();
  const std::string& method = message.method();
  if (message.type() != GRPCMethodMatch::UNSPECIFIED && !message.has_service() && !message.has_method())
    report.Add(path, "expected a service or a method beside the type");
  if (message.has_service()) CheckName(service, FieldPath(path, "service"), message.type(), true, report);
  if (message.has_method()) CheckName(method, FieldPath(path, "method"), message.type(), false, report);
  if (message.type() == GRPCMethodMatch::RegularExpression) {
    // Each is an expression by itself: what one of them opens it closes.
    const auto group = [](bool given, const std::string& regex) {
      return given ? "(?:" + regex + ")" : std::string(kAnyName);
    };
    match.path.kind = PathMatch::Kind::kRegex;
    match.path.path = "/" + group(message.has_service(), service) + "/" + group(message.has_method(), method);
    match.grpc.service_regex = service.size();
    match.grpc.method_regex = method.size();
    // Two good expressions may be none in groups: what \Q begins ends nowhere.
    if (!report.failed()) CheckRegex(match.path.path, path, report);
    return;
  }
  match.grpc.service = service.size();
  match.grpc.method = method.size();
  if (message.has_service() && message.has_method()) {
    match.path = {PathMatch::Kind::kExact, "/" + service + "/" + method};
  } else if (message.has_service()) {
    match.path = {PathMatch::Kind::kPrefix, "/" + service + "/"};
  } else if (message.has_method()) {
    match.path = {PathMatch::Kind::kRegex, std::string("/") + kAnyName + "/" + RE2::QuoteMeta(method)};
  }
}

HttpMatch ReadMatch(const GRPCRouteMatch& message, const std::string& path, Report& report) {
  HttpMatch match;
  match.path = {PathMatch::Kind::kPrefix, "/"};
  ReadMethod(message.method(), FieldPath(path, "method"), match, report);
  const std::string headers_path = FieldPath(path, "headers");
  for (int i = 0; i < message.headers_size(); ++i)
    ReadHeader(message.headers(i), ElementPath(headers_path, static_cast<size_t>(i)), match, report);
  return match;
}

// What a GRPCRoute calls as an HTTPRoute does is the same, and read by the same code.
google::protobuf::RepeatedPtrField<HTTPRouteFilter> AsHttp(
    const google::protobuf::RepeatedPtrField<GRPCRouteFilter>& from) {
  google::protobuf::RepeatedPtrField<HTTPRouteFilter> filters;
  for (const GRPCRouteFilter& message : from) {
    HTTPRouteFilter& to = *filters.Add();
    to.set_type(static_cast<HTTPRouteFilter::Type>(message.type()));
    if (message.has_request_header_modifier())
      *to.mutable_request_header_modifier() = message.request_header_modifier();
    if (message.has_response_header_modifier())
      *to.mutable_response_header_modifier() = message.response_header_modifier();
    if (message.has_request_mirror()) *to.mutable_request_mirror() = message.request_mirror();
    if (message.has_extension_ref()) *to.mutable_extension_ref() = message.extension_ref();
  }
  return filters;
}

HTTPBackendRef AsHttp(const GRPCBackendRef& from) {
  HTTPBackendRef to;
  to.set_group(from.group());
  to.set_kind(from.kind());
  to.set_name(from.name());
  to.set_namespace_(from.namespace_());
  if (from.has_port()) to.set_port(from.port());
  if (from.has_weight()) to.set_weight(from.weight());
  *to.mutable_filters() = AsHttp(from.filters());
  return to;
}

HttpRule ReadRule(const GRPCRouteRule& message, const std::string& path, const std::string& ns,
                  Report& report) {
  HttpRule rule;
  rule.name = message.name();
  if (message.has_session_persistence()) {
    rule.session = ReadSession(message.session_persistence(), FieldPath(path, "session_persistence"), report);
  }
  const std::string matches_path = FieldPath(path, "matches");
  if (message.matches_size() > kMaxMatches) report.Add(matches_path, "expected at most 64");
  for (int i = 0; i < message.matches_size(); ++i) {
    rule.matches.push_back(
        ReadMatch(message.matches(i), ElementPath(matches_path, static_cast<size_t>(i)), report));
  }
  if (rule.matches.empty()) rule.matches.push_back(ReadMatch(GRPCRouteMatch(), path, report));
  rule.filters =
      ReadFilters(AsHttp(message.filters()), FieldPath(path, "filters"), FilterPlace::kRule, report);
  if (rule.filters.direct.has_value())
    report.Add(FieldPath(path, "filters"), "expected no ExtensionRef: a DirectResponse is HTTP");
  const std::string backends_path = FieldPath(path, "backend_refs");
  if (message.backend_refs_size() > kMaxBackends) report.Add(backends_path, "expected at most 16");
  for (int i = 0; i < message.backend_refs_size(); ++i) {
    rule.backends.push_back(ReadBackend(AsHttp(message.backend_refs(i)),
                                        ElementPath(backends_path, static_cast<size_t>(i)), ns, report));
  }
  return rule;
}

}  // namespace

std::optional<GrpcRoute> Read(const kube::gateway::v1::GRPCRoute& message, Report& report) {
  GrpcRoute route;
  route.metadata = ReadMetadata(message.metadata(), report);
  route.kind = RouteKind::kGrpc;
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
