// What one worker knows of an endpoint beyond its configuration: load, latency, pools. Survives configuration
// swaps as long as cluster name and address stay. One worker each; but for what hangs on the process ledger
// nothing is shared.
#ifndef PILLION_SIDECAR_UPSTREAM_ENDPOINT_STATE_H_
#define PILLION_SIDECAR_UPSTREAM_ENDPOINT_STATE_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "sidecar/base/local_ref.h"
#include "sidecar/config/cluster.h"
#include "sidecar/ledger/ledger.h"
#include "sidecar/time/clock.h"
#include "sidecar/upstream/circuits.h"
#include "sidecar/upstream/peak_ewma.h"

namespace pillion::upstream {

// How long an endpoint that could not be reached is left alone, the first time and at most.
inline constexpr auto kFirstEndpointPause = std::chrono::milliseconds(100);
inline constexpr auto kLongestEndpointPause = std::chrono::seconds(5);

// The connections to one endpoint by one protocol. Held here so that they live as long as the endpoint does;
// what they are is session/'s business.
class EndpointPool {
 public:
  virtual ~EndpointPool() = default;
  // How many connections there are now, for admin.
  virtual size_t connections() const = 0;
};

// Whether requests may go to an endpoint: as to any; where no better one is left; not.
enum class Standing : uint8_t { kGood, kSecondChoice, kOut };

class EndpointState : public LocalCounted {
 public:
  EndpointState(const net::Address& address, std::shared_ptr<const config::Cluster> cluster)
      : address_(address), cluster_(std::move(cluster)) {}
  const net::Address& address() const { return address_; }
  const config::Cluster& cluster() const { return *cluster_; }
  const std::shared_ptr<const config::Cluster>& shared_cluster() const { return cluster_; }
  bool pillion_sidecar() const { return pillion_sidecar_; }
  const config::Endpoint& config() const { return *config_; }
  // Null: none is said.
  const config::Locality* locality() const;
  // Empty: it is not said.
  config::Place place() const {
    const config::Locality* const known = locality();
    if (known == nullptr) return {};
    return *known;
  }
  // Null where nobody judges it: no outlier detection, no health checks.
  const std::shared_ptr<ledger::EndpointHealth>& health() const { return health_; }
  // What the control plane says of it, or kBad where checks or its attempts have said so since.
  config::Health HealthNow() const;
  Standing standing() const;
  const LocalRef<Circuits>& circuits() const { return circuits_; }
  // Null: its cluster does not limit them.
  const LocalRef<EndpointConnections>& connections() const { return connections_; }
  // For one more connection to it (ConnectionHold::Take); empty where a circuit is open.
  ConnectionHold TakeConnection(size_t priority, bool anyway) const {
    ConnectionHold hold = ConnectionHold::Take(circuits_, priority, anyway);
    return hold && hold.MoveTo(connections_, anyway) ? std::move(hold) : ConnectionHold();
  }
  bool HasSpareConnection(size_t priority) const {
    return circuits_->HasSpare(Circuit::kConnections, priority) &&
           (!connections_ || connections_->HasSpare(priority));
  }

  // Its process cannot be reached: until the pause is over others are chosen where there are any, then it is
  // tried by one request at a time. The pauses double until it is reached.
  void CouldNotConnect(time::MonotonicTime now);
  void Reached(time::MonotonicTime now) {
    failures_ = 0;
    silent_since_ = now;
  }
  // A request waits for a connection to it, or a stream on one; until EndWait.
  void BeginWait(time::MonotonicTime now) {
    if (waiting_++ == 0) silent_since_ = now;
  }
  void EndWait() { --waiting_; }
  // It could not be reached, and its pause is not over.
  bool Unreachable(time::MonotonicTime now) const { return failures_ != 0 && now < paused_until_; }
  // Of those that nothing else speaks against. Also where requests wait and nothing has been heard of it for
  // as long as the first pause: who answers to nothing must not gather requests until the first of them gives
  // up.
  bool Paused(time::MonotonicTime now) const {
    return failures_ != 0 ? now < paused_until_ : waiting_ != 0 && now >= silent_since_ + kFirstEndpointPause;
  }
  // It was chosen. Where it could not be reached before, this request tries it; until it is over, or has had
  // time to be, no other does.
  void Chosen(time::MonotonicTime now) {
    if (failures_ == 0) return;
    tried_ = true;
    paused_until_ = now + std::min<time::Duration>(cluster_->connect_timeout, kLongestEndpointPause);
  }
  // Since when it has been good, without a break; for its slow start.
  time::MonotonicTime good_since() const { return good_since_; }

  uint32_t active_attempts = 0;
  PeakEwma latency;  // kept only where the cluster's balancer asks for it
  std::unique_ptr<EndpointPool> http1_pool;
  std::unique_ptr<EndpointPool> http2_pool;

 private:
  friend class ClusterState;
  net::Address address_;
  std::shared_ptr<const config::Cluster> cluster_;
  std::shared_ptr<const config::Assignment> assignment_;  // holds config_
  const config::Endpoint* config_ = nullptr;
  std::shared_ptr<ledger::EndpointHealth> health_;
  LocalRef<Circuits> circuits_;  // its cluster's
  LocalRef<EndpointConnections> connections_;
  bool pillion_sidecar_ = false;
  bool was_good_ = false;
  bool unchecked_may_serve_ = true;
  bool ejected_may_serve_ = false;
  bool tried_ = false;
  uint32_t failures_ = 0;  // to connect, one after the other
  uint32_t waiting_ = 0;   // requests
  time::MonotonicTime paused_until_{};
  time::MonotonicTime silent_since_{};  // it was heard of last, or the first of `waiting_` came
  time::MonotonicTime good_since_{};
  time::MonotonicTime dialled_at_{};  // last, or later: while it was in use; of ClusterState::AtDialled alone
};

// Why it gets no requests, or is the last choice: "ejected", "failed_active_hc", "unhealthy", "draining",
// "unchecked", "degraded"; "healthy".
std::string_view DescribeStanding(const EndpointState& endpoint);

// All of them.
bool HasLabels(const EndpointState& endpoint, const config::Labels& labels);

// The endpoints of a request's earlier attempts, in their order.
using TriedEndpoints = std::vector<LocalRef<EndpointState>>;
using Tried = std::span<const LocalRef<EndpointState>>;
inline bool Has(Tried tried, const EndpointState& endpoint) {
  return std::ranges::any_of(tried, [&](const auto& one) { return one.get() == &endpoint; });
}

}  // namespace pillion::upstream

#endif  // PILLION_SIDECAR_UPSTREAM_ENDPOINT_STATE_H_
