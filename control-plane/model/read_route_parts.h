// What HTTPRoute and GRPCRoute have in common; used by their readers only. Paths are those in the document.
#ifndef PILLION_CONTROL_PLANE_MODEL_READ_ROUTE_PARTS_H_
#define PILLION_CONTROL_PLANE_MODEL_READ_ROUTE_PARTS_H_

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "control-plane/model/objects.h"
#include "control-plane/model/report.h"
#include "pillion/kube/gateway/v1/gateway.pb.h"
#include "sidecar/config/field_path.h"

namespace pillion::control {

// The limits of the Gateway API itself.
inline constexpr int kMaxRules = 16;
inline constexpr int kMaxMatches = 64;
inline constexpr int kMaxBackends = 16;

// One at least; `ns`: the route's.
std::vector<ParentRef> ReadParents(
    const google::protobuf::RepeatedPtrField<kube::gateway::v1::ParentReference>& messages,
    const std::string& ns, Report& report);

void CheckRegex(const std::string& text, const std::string& path, Report& report);

// A header's or parameter's; of two with one name the first counts.
template <typename Message>
void ReadNamedValue(const Message& message, std::string name, const std::string& path,
                    std::vector<NamedValueMatch>& matches, Report& report) {
  NamedValueMatch match{std::move(name), message.type() == Message::RegularExpression, message.value()};
  if (match.value.empty()) report.Add(config::FieldPath(path, "value"), "expected a value");
  if (match.regex) CheckRegex(match.value, config::FieldPath(path, "value"), report);
  const bool again = std::any_of(matches.begin(), matches.end(),
                                 [&](const auto& other) { return other.name == match.name; });
  if (!again) matches.push_back(std::move(match));
}

void ReadHeader(const kube::gateway::v1::HTTPHeaderMatch& message, const std::string& path, HttpMatch& match,
                Report& report);

BackendRef ReadBackend(const kube::gateway::v1::HTTPBackendRef& message, const std::string& path,
                       const std::string& ns, Report& report);

SessionRule ReadSession(const kube::gateway::v1::SessionPersistence& message, const std::string& path,
                        Report& report);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_MODEL_READ_ROUTE_PARTS_H_
