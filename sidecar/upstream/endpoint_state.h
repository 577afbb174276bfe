// What one worker knows of clusters and endpoints beyond their configuration: load, pools, the balancer's
// place. Survives configuration swaps as long as cluster name and address stay. One worker each; nothing is
// shared.
#ifndef PILLION_SIDECAR_UPSTREAM_ENDPOINT_STATE_H_
#define PILLION_SIDECAR_UPSTREAM_ENDPOINT_STATE_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/base/local_ref.h"
#include "sidecar/base/random.h"
#include "sidecar/config/snapshot.h"
#include "sidecar/time/clock.h"
#include "sidecar/upstream/retry_budget.h"

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

class EndpointState : public LocalCounted {
 public:
  EndpointState(const net::Address& address, std::shared_ptr<const config::Cluster> cluster)
      : address_(address), cluster_(std::move(cluster)) {}
  const net::Address& address() const { return address_; }
  const config::Cluster& cluster() const { return *cluster_; }
  const std::shared_ptr<const config::Cluster>& shared_cluster() const { return cluster_; }
  bool pillion_sidecar() const { return pillion_sidecar_; }

  // Its process cannot be reached: until the pause is over others are chosen where there are any, then it is
  // tried by one request at a time. The pauses double until it is reached.
  void CouldNotConnect(time::MonotonicTime now);
  void Reached() { failures_ = 0; }

  uint32_t active_attempts = 0;
  std::unique_ptr<EndpointPool> http1_pool;
  std::unique_ptr<EndpointPool> http2_pool;

 private:
  friend class ClusterState;
  net::Address address_;
  std::shared_ptr<const config::Cluster> cluster_;
  bool pillion_sidecar_ = false;
  uint32_t weight_ = 1;
  bool Paused(time::MonotonicTime now) const { return failures_ != 0 && now < paused_until_; }
  // One request tries it; until it is over, or has had time to be, no other does.
  void BeginTrial(time::MonotonicTime now) {
    tried_ = true;
    paused_until_ = now + std::min<time::Duration>(cluster_->connect_timeout, kLongestEndpointPause);
  }
  uint32_t failures_ = 0;  // to connect, one after the other
  bool tried_ = false;
  time::MonotonicTime paused_until_{};
  int64_t turn_ = 0;  // smooth weighted round robin
};

// The endpoints of a request's earlier attempts, in their order.
using TriedEndpoints = std::vector<LocalRef<EndpointState>>;
using Tried = std::span<const LocalRef<EndpointState>>;

class ClusterState : public LocalCounted {
 public:
  explicit ClusterState(config::ClusterEntry entry) { Update(std::move(entry)); }
  // Takes a new configuration over. States of endpoints that stay are kept; a change of the cluster's own
  // options makes new ones, because their connections were made under the old options.
  void Update(config::ClusterEntry entry);
  const config::Cluster& config() const { return *entry_.cluster; }
  const std::string& name() const { return entry_.cluster->name; }
  // The next usable endpoint as the cluster's balancer has it: by smooth weighted round robin (a share of
  // w/sum in any run of sum picks), or drawn (draw.h; a request's load is that of this worker), of those that
  // can be reached and have not been tried; where there is none, of those that can be reached but for the one
  // that was tried last; else of all but that one. Null when there is no endpoint.
  EndpointState* Pick(Tried tried, time::MonotonicTime now, Random& random);
  const std::vector<LocalRef<EndpointState>>& endpoints() const { return usable_; }

  uint64_t active_attempts = 0;
  RetryBudget retry_budget;

 private:
  template <typename May>
  std::optional<size_t> Choose(May may, Random& random);

  config::ClusterEntry entry_;
  std::vector<LocalRef<EndpointState>> usable_;
  std::vector<uint64_t> weights_;  // of those up to and with each
};

// All clusters of one worker, by name.
class ClusterTable {
 public:
  // Adds, updates and removes so that the table equals the snapshot. Removed clusters live on while pinned.
  void Apply(const config::Snapshot& snapshot);
  // Null when unknown.
  ClusterState* Find(std::string_view name) const;
  const std::map<std::string, LocalRef<ClusterState>, std::less<>>& all() const { return clusters_; }

 private:
  std::map<std::string, LocalRef<ClusterState>, std::less<>> clusters_;
  std::map<std::string, config::ClusterEntry, std::less<>> applied_;
};

}  // namespace pillion::upstream

#endif  // PILLION_SIDECAR_UPSTREAM_ENDPOINT_STATE_H_
