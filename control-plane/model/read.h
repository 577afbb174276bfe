// From the messages of protos/pillion/kube to objects. Every problem of an object is reported, with its path;
// an object with one is not made. Pure.
#ifndef PILLION_CONTROL_PLANE_MODEL_READ_H_
#define PILLION_CONTROL_PLANE_MODEL_READ_H_

#include <algorithm>
#include <chrono>
#include <optional>

#include "control-plane/model/objects.h"
#include "control-plane/model/report.h"
#include "pillion/kube/core/v1/core.pb.h"
#include "pillion/kube/discovery/v1/discovery.pb.h"
#include "pillion/kube/gateway/v1/gateway.pb.h"
#include "pillion/kube/gateway/v1/reference_grant.pb.h"
#include "pillion/kube/policy/v1alpha1/idempotency.pb.h"
#include "pillion/kube/policy/v1alpha1/policy.pb.h"
#include "pillion/kube/policy/v1alpha1/xds_override.pb.h"

namespace pillion::control {

std::optional<Service> Read(const kube::core::v1::Service& message, Report& report);
std::optional<EndpointSlice> Read(const kube::discovery::v1::EndpointSlice& message, Report& report);
std::optional<HttpRoute> Read(const kube::gateway::v1::HTTPRoute& message, Report& report);
std::optional<GrpcRoute> Read(const kube::gateway::v1::GRPCRoute& message, Report& report);
std::optional<ReferenceGrant> Read(const kube::gateway::v1::ReferenceGrant& message, Report& report);
std::optional<RetryPolicy> Read(const kube::policy::v1alpha1::RetryPolicy& message, Report& report);
std::optional<LoadBalancingPolicy> Read(const kube::policy::v1alpha1::LoadBalancingPolicy& message,
                                        Report& report);
std::optional<CircuitBreakerPolicy> Read(const kube::policy::v1alpha1::CircuitBreakerPolicy& message,
                                         Report& report);
std::optional<HealthPolicy> Read(const kube::policy::v1alpha1::HealthPolicy& message, Report& report);
std::optional<TracingPolicy> Read(const kube::policy::v1alpha1::TracingPolicy& message, Report& report);
std::optional<FaultPolicy> Read(const kube::policy::v1alpha1::FaultPolicy& message, Report& report);
std::optional<RateLimitPolicy> Read(const kube::policy::v1alpha1::RateLimitPolicy& message, Report& report);
std::optional<IdempotencyPolicy> Read(const kube::policy::v1alpha1::IdempotencyPolicy& message,
                                      Report& report);
std::optional<XdsOverride> Read(const kube::policy::v1alpha1::XdsOverride& message, Report& report);
std::optional<DirectResponse> Read(const kube::policy::v1alpha1::DirectResponse& message, Report& report);

// Used by the readers of several kinds.
// Of a policy; `routes_too`: it may be an HTTPRoute.
std::vector<Target> ReadTargets(
    const google::protobuf::RepeatedPtrField<kube::policy::v1alpha1::TargetReference>& references,
    const std::string& ns, bool routes_too, Report& report);
// The rules that the Gateway API has for paths: nothing that another hop could read as another path.
bool IsCleanPath(std::string_view path);
inline constexpr size_t kMaxPathBytes = 1024;  // the Gateway API's
enum class FilterPlace : uint8_t { kRule, kBackend };
HttpFilters ReadFilters(
    const google::protobuf::RepeatedPtrField<kube::gateway::v1::HTTPRouteFilter>& messages,
    const std::string& path, FilterPlace place, Report& report);
CorsRule ReadCors(const kube::gateway::v1::HTTPCORSFilter& message, const std::string& path, Report& report);
Metadata ReadMetadata(const kube::meta::v1::ObjectMeta& message, Report& report);
// The label `pillion/sidecar`.
std::optional<bool> ReadPeerLabel(const kube::meta::v1::ObjectMeta& message, Report& report);
// Positive, or zero where `zero` allows it.
std::chrono::milliseconds ReadDuration(const std::string& text, const std::string& path, bool zero,
                                       Report& report);
// The longest wait between attempts when only the shortest is given: ten times as long, within what the
// sidecar takes (100 years).
inline std::chrono::milliseconds LongestBackoff(std::chrono::milliseconds base) {
  return std::min<std::chrono::milliseconds>(base * 10, std::chrono::hours(100 * 365 * 24));
}
std::vector<uint32_t> ReadStatusCodes(const google::protobuf::RepeatedField<int32_t>& codes,
                                      const std::string& path, Report& report);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_MODEL_READ_H_
