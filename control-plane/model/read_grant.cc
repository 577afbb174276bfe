// ReferenceGrant (Gateway API v1).
#include <algorithm>
#include <array>

#include "control-plane/model/read.h"
#include "sidecar/config/field_path.h"

namespace pillion::control {
namespace {

using config::ElementPath;
using config::FieldPath;

constexpr int kMaxEntries = 16;  // the Gateway API's, of either list
constexpr std::string_view kGroup = "gateway.networking.k8s.io";
// What a grant may be for. A slip in a name would be a grant that is not there, and nobody would know.
constexpr std::array<std::string_view, 6> kReferring = {"HTTPRoute", "GRPCRoute", "TCPRoute",
                                                        "TLSRoute",  "UDPRoute",  "Gateway"};
constexpr std::array<std::string_view, 3> kReferred = {"Service", "Secret", "ConfigMap"};

template <size_t kCount>
void CheckKind(const std::string& kind, const std::array<std::string_view, kCount>& known,
               const std::string& path, Report& report) {
  if (std::ranges::find(known, kind) != known.end()) return;
  std::string names;
  for (const std::string_view name : known) names.append(names.empty() ? "" : ", ").append(name);
  report.Add(path, "expected kind: one of " + names);
}

void ReadFrom(const kube::gateway::v1::ReferenceGrantFrom& message, const std::string& path,
              ReferenceGrant& grant, Report& report) {
  if (message.kind().empty()) report.Add(path, "expected a kind");
  if (!IsDnsLabel(message.namespace_()))
    report.Add(message.namespace_().empty() ? path : FieldPath(path, "namespace"),
               "expected a namespace, a DNS label");
  if (message.group() != kGroup) {
    if (message.group().empty())
      report.Add(path, "expected a group, that of routes is gateway.networking.k8s.io");
    return;
  }
  if (!message.kind().empty()) CheckKind(message.kind(), kReferring, FieldPath(path, "kind"), report);
  if (message.kind() == "HTTPRoute") grant.from.push_back({RouteKind::kHttp, message.namespace_()});
  if (message.kind() == "GRPCRoute") grant.from.push_back({RouteKind::kGrpc, message.namespace_()});
}

void ReadTo(const kube::gateway::v1::ReferenceGrantTo& message, const std::string& path,
            ReferenceGrant& grant, Report& report) {
  if (message.kind().empty()) report.Add(path, "expected a kind");
  if (!message.group().empty() && message.group() != "core") return;
  if (!message.kind().empty()) CheckKind(message.kind(), kReferred, FieldPath(path, "kind"), report);
  if (message.kind() != "Service") return;
  if (message.name().empty()) {
    grant.all_services = true;
  } else {
    grant.services.push_back(message.name());
  }
}

}  // namespace

std::optional<ReferenceGrant> Read(const kube::gateway::v1::ReferenceGrant& message, Report& report) {
  ReferenceGrant grant;
  grant.metadata = ReadMetadata(message.metadata(), report);
  const auto& spec = message.spec();
  const auto check_count = [&](int count, const char* field) {
    if (count == 0) report.Add("spec", std::string("expected ") + field);
    if (count > kMaxEntries) report.Add(FieldPath("spec", field), "expected at most 16");
  };
  check_count(spec.from_size(), "from");
  check_count(spec.to_size(), "to");
  for (int i = 0; i < spec.from_size(); ++i)
    ReadFrom(spec.from(i), ElementPath("spec.from", static_cast<size_t>(i)), grant, report);
  for (int i = 0; i < spec.to_size(); ++i)
    ReadTo(spec.to(i), ElementPath("spec.to", static_cast<size_t>(i)), grant, report);
  if (report.failed()) return std::nullopt;
  return grant;
}

}  // namespace pillion::control
