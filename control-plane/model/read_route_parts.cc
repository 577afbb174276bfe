#include "control-plane/model/read_route_parts.h"

#include <re2/re2.h>

#include "control-plane/model/read.h"
#include "sidecar/base/text.h"
#include "sidecar/config/editable_field.h"

namespace pillion::control {
namespace {

using config::ElementPath;
using config::FieldPath;

constexpr int32_t kMaxWeight = 1'000'000;     // the Gateway API's
constexpr size_t kMaxSessionNameBytes = 128;  // likewise
constexpr size_t kMaxRegexBytes = 4096;  // as the sidecar: RE2 is linear in the text, not in the expression

bool IsServiceRef(const std::string& group, const std::string& kind) {
  return (group.empty() || group == "core") && kind == "Service";
}

ParentRef ReadParent(const kube::gateway::v1::ParentReference& message, const std::string& path,
                     const std::string& ns, Report& report) {
  ParentRef parent;
  parent.path = path;
  if (!message.has_group() || !IsServiceRef(message.group(), message.kind())) {
    report.Add(path, "expected group: \"\" and kind: Service, other parents are not implemented yet");
  }
  if (!message.section_name().empty()) report.NotImplemented(FieldPath(path, "section_name"));
  if (message.name().empty()) report.Add(path, "expected a name");
  parent.service = {message.namespace_().empty() ? ns : message.namespace_(), message.name()};
  if (message.has_port()) parent.port = ReadPort(message.port(), FieldPath(path, "port"), report);
  return parent;
}

}  // namespace

std::vector<ParentRef> ReadParents(
    const google::protobuf::RepeatedPtrField<kube::gateway::v1::ParentReference>& messages,
    const std::string& ns, Report& report) {
  std::vector<ParentRef> parents;
  parents.reserve(static_cast<size_t>(messages.size()));
  if (messages.empty()) report.Add("spec", "expected parentRefs");
  for (int i = 0; i < messages.size(); ++i)
    parents.push_back(
        ReadParent(messages[i], ElementPath("spec.parent_refs", static_cast<size_t>(i)), ns, report));
  return parents;
}

void CheckRegex(const std::string& text, const std::string& path, Report& report) {
  if (text.size() > kMaxRegexBytes) {
    report.Add(path, "expected at most 4096 bytes");
    return;
  }
  RE2::Options quiet;
  quiet.set_log_errors(false);
  if (const RE2 regex(text, quiet); !regex.ok())
    report.Add(path, "expected a regular expression (RE2): " + regex.error());
}

void ReadHeader(const kube::gateway::v1::HTTPHeaderMatch& message, const std::string& path, HttpMatch& match,
                Report& report) {
  if (!IsToken(message.name())) report.Add(FieldPath(path, "name"), "expected the name of a header");
  std::string name = message.name();
  std::transform(name.begin(), name.end(), name.begin(), AsciiLower);
  // What the sidecar refuses (config/parse_route_match.cc): it does not keep the framing as fields.
  if (name == "content-length" || name == "transfer-encoding") {
    report.Add(FieldPath(path, "name"), "expected a header that does not frame the message");
  }
  ReadNamedValue(message, std::move(name), path, match.headers, report);
}

BackendRef ReadBackend(const kube::gateway::v1::HTTPBackendRef& message, const std::string& path,
                       const std::string& ns, Report& report) {
  BackendRef backend;
  backend.path = path;
  if (!IsServiceRef(message.group(), message.kind().empty() ? "Service" : message.kind())) {
    report.Add(path, "expected kind: Service, other backends are not implemented yet");
  }
  backend.filters = ReadFilters(message.filters(), FieldPath(path, "filters"), FilterPlace::kBackend, report);
  if (message.name().empty()) report.Add(path, "expected a name");
  backend.service = {message.namespace_().empty() ? ns : message.namespace_(), message.name()};
  if (!message.has_port()) {
    report.Add(path, "expected a port");
  } else {
    backend.port = ReadPort(message.port(), FieldPath(path, "port"), report).value_or(0);
  }
  if (message.has_weight()) {
    if (message.weight() < 0 || message.weight() > kMaxWeight) {
      report.Add(FieldPath(path, "weight"), "expected 0 to 1000000");
    }
    backend.weight = static_cast<uint32_t>(std::max(message.weight(), 0));
  }
  return backend;
}

SessionRule ReadSession(const kube::gateway::v1::SessionPersistence& message, const std::string& path,
                        Report& report) {
  using Message = kube::gateway::v1::SessionPersistence;
  SessionRule rule;
  rule.header = message.type() == Message::Header;
  rule.name = message.session_name();
  const std::string name_path = FieldPath(path, "session_name");
  if (rule.name.size() > kMaxSessionNameBytes) report.Add(name_path, "expected at most 128 bytes");
  if (rule.header) std::ranges::transform(rule.name, rule.name.begin(), AsciiLower);
  if (!rule.name.empty() && !IsToken(rule.name)) {
    report.Add(name_path, rule.header ? "expected the name of a header" : "expected the name of a cookie");
  } else if (const auto expected = config::WhyNotEditable(rule.name); rule.header && !expected.empty()) {
    report.Add(name_path, std::string(expected));
  }
  if (message.has_idle_timeout()) report.NotImplemented(FieldPath(path, "idle_timeout"));
  if (rule.header && message.has_cookie_config())
    report.Add(FieldPath(path, "cookie_config"), "expected none beside type: Header");
  const bool permanent = message.cookie_config().lifetime_type() == Message::CookieConfig::Permanent;
  const std::string timeout_path = FieldPath(path, "absolute_timeout");
  if (!message.has_absolute_timeout()) {
    if (permanent) report.Add(path, "expected absoluteTimeout beside lifetimeType: Permanent");
    return rule;
  }
  rule.lifetime = ReadDuration(message.absolute_timeout(), timeout_path, false, report);
  if (!permanent) {
    report.Add(timeout_path,
               "expected cookieConfig.lifetimeType: Permanent beside it; of other sessions the "
               "age is not kept yet");
  } else if (rule.lifetime.count() > 0 && rule.lifetime < std::chrono::seconds(1)) {
    report.Add(timeout_path, "expected at least 1s");
  }
  return rule;
}

}  // namespace pillion::control
