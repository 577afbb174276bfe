#include "control-plane/xds/stream.h"

#include <utility>
#include <vector>

#include "control-plane/xds/limits.h"

namespace pillion::control {
namespace {

using envoy::service::discovery::v3::DiscoveryRequest;
using envoy::service::discovery::v3::DiscoveryResponse;

constexpr char kIdentifier[] = "pillion-control-plane";

}  // namespace

Stream::Stream()
    : states_{TypeState(ResourceType::kCluster), TypeState(ResourceType::kEndpoints),
              TypeState(ResourceType::kListener), TypeState(ResourceType::kRoutes)} {}

absl::Status Stream::TakeNode(const DiscoveryRequest& request) {
  if (!node_.has_value()) {
    if (request.node().id().empty()) {
      return absl::InvalidArgumentError("node.id: expected in the first request of a stream");
    }
    node_ = request.node();
    return absl::OkStatus();
  }
  // Only the first request must carry it; repeated it must be the same (xds.md 2.1).
  if (request.has_node() && !request.node().id().empty() && request.node().id() != node_->id()) {
    return absl::InvalidArgumentError("node.id: expected the one of the stream's first request");
  }
  return absl::OkStatus();
}

absl::Status Stream::OnRequest(const DiscoveryRequest& request, const Moment& now) {
  if (request.type_url().empty()) return absl::InvalidArgumentError("type_url: expected");
  if (absl::Status status = TakeNode(request); !status.ok()) return status;
  if (static_cast<size_t>(request.resource_names_size()) > kMaxSubscribedNames) {
    return absl::ResourceExhaustedError("resource_names: expected at most " +
                                        std::to_string(kMaxSubscribedNames));
  }
  // A type that we have nothing of: the wish is heard, and there is nothing to say.
  const std::optional<ResourceType> type = TypeOfUrl(request.type_url());
  if (!type.has_value()) return absl::OkStatus();
  TypeState& state = mutable_state(*type);
  // An empty nonce is a first request or one that crossed our first response: a wish, not an answer.
  if (!request.response_nonce().empty()) {
    if (request.response_nonce() != state.nonce()) {
      ++stale_requests_;
      return absl::OkStatus();
    }
    // A rejection is told by error_detail alone; versions say nothing about it.
    if (state.in_flight() && request.has_error_detail()) {
      state.Rejected(request.error_detail().message(), now);
    } else if (state.in_flight()) {
      state.Acked(now);
    }
  }
  state.Subscribe({request.resource_names().begin(), request.resource_names().end()});
  return absl::OkStatus();
}

void Stream::SetTarget(std::shared_ptr<const ResourceSet> target) {
  target_ = std::move(target);
  for (const ResourceType type : kResourceTypes) mutable_state(type).Forget(target_->of(type));
}

// The client warms a changed cluster and waits for a new assignment even when no endpoint changed; without
// one it stalls for 15 s (xds.md 2.2, server rule 4).
void Stream::OweEndpointsOfChanged(const Resources& before, const Resources& after) {
  for (const auto& [name, cluster] : after) {
    const auto old = before.find(name);
    if (old != before.end() && old->second->version == cluster->version) continue;
    for (const Reference& reference : cluster->references) {
      if (reference.type == ResourceType::kEndpoints) {
        mutable_state(ResourceType::kEndpoints).Owe(reference.name);
      }
    }
  }
}

std::optional<DiscoveryResponse> Stream::Next(const Moment& now) {
  if (target_ == nullptr) return std::nullopt;
  Resources plan;
  bool blocked = false;
  const bool patience_over = deadline_.has_value() && now.steady >= *deadline_;
  const std::optional<ResourceType> type = NextType(states_, *target_, patience_over, plan, blocked);
  if (blocked) {
    if (!deadline_.has_value()) deadline_ = now.steady + kEndpointPatience;
    return std::nullopt;
  }
  // While endpoints are on their way the wait goes on; once routes leave, or nothing is left to send, it is
  // over.
  const bool endpoints_moving =
      state(ResourceType::kEndpoints).in_flight() || type == ResourceType::kEndpoints;
  if (!endpoints_moving) deadline_.reset();
  if (!type.has_value()) return std::nullopt;
  TypeState& state = mutable_state(*type);
  if (*type == ResourceType::kCluster) OweEndpointsOfChanged(state.sent(), plan);

  DiscoveryResponse response;
  response.set_type_url(std::string(TypeUrl(*type)));
  // Of a full state: of what is in it. Of the others, whose responses hold only what changed: of the whole
  // type.
  response.set_version_info(IsFullState(*type) ? VersionOf(plan) : target_->version(*type));
  response.set_nonce(std::to_string(++last_nonce_));
  response.mutable_control_plane()->set_identifier(kIdentifier);
  for (const auto& [name, resource] : plan) *response.add_resources() = resource->body;
  state.Sent(std::move(plan), response.version_info(), response.nonce(), now);
  return response;
}

}  // namespace pillion::control
