// The server's side of one ADS stream, state of the world: requests in, responses out. Knows no transport.
//
// Calls: OnRequest for each request; SetTarget when node() is known and whenever its snapshot changes; after
// either, and after every response written, Next until it gives nothing. When Deadline() passes: Next again.
// Not thread-safe; the owner (server/) locks.
#ifndef PILLION_CONTROL_PLANE_XDS_STREAM_H_
#define PILLION_CONTROL_PLANE_XDS_STREAM_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "control-plane/snapshot/resource_set.h"
#include "control-plane/xds/push_order.h"
#include "control-plane/xds/type_state.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace pillion::control {

class Stream {
 public:
  Stream();

  // An error ends the stream with that status: InvalidArgument for a request that breaks the protocol,
  // ResourceExhausted for one over limits.h.
  [[nodiscard]] absl::Status OnRequest(const envoy::service::discovery::v3::DiscoveryRequest& request,
                                       const Moment& now);

  // Who asks; nullptr before the first request.
  const envoy::config::core::v3::Node* node() const { return node_ ? &*node_ : nullptr; }

  // Must have no dangling reference.
  void SetTarget(std::shared_ptr<const ResourceSet> target);

  // The next response to write. It is recorded as sent before it is returned.
  std::optional<envoy::service::discovery::v3::DiscoveryResponse> Next(const Moment& now);

  // When Next may give something without a request or a target in between.
  std::optional<std::chrono::steady_clock::time_point> Deadline() const { return deadline_; }

  const TypeState& state(ResourceType type) const { return StateOf(states_, type); }
  const ResourceSet* target() const { return target_.get(); }
  // Requests whose nonce was not the last one.
  uint64_t stale_requests() const { return stale_requests_; }

 private:
  TypeState& mutable_state(ResourceType type) { return states_[static_cast<size_t>(type)]; }
  absl::Status TakeNode(const envoy::service::discovery::v3::DiscoveryRequest& request);
  void OweEndpointsOfChanged(const Resources& before, const Resources& after);

  std::optional<envoy::config::core::v3::Node> node_;
  TypeStates states_;
  std::shared_ptr<const ResourceSet> target_;
  uint64_t last_nonce_ = 0;
  uint64_t stale_requests_ = 0;
  std::optional<std::chrono::steady_clock::time_point> deadline_;
};

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_XDS_STREAM_H_
