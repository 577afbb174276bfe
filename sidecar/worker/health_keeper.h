// The main loop's part of what the process knows of endpoints: it makes the active health checks, compares
// the endpoints of clusters with outlier detection, and lets ejected ones come back. What it finds is in the
// ledger, where all workers see it.
//
//   HealthKeeper > Endpoint (of one cluster) > HealthProbe (one of the cluster's checks) > one side call at a
//   time
//
// Checks go over connections of their own: clusters made of the checked ones, in a table of the keeper's.
#ifndef PILLION_SIDECAR_WORKER_HEALTH_KEEPER_H_
#define PILLION_SIDECAR_WORKER_HEALTH_KEEPER_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/config/snapshot.h"
#include "sidecar/exchange/environment.h"
#include "sidecar/exchange/side_calls.h"
#include "sidecar/idempotency/store.h"
#include "sidecar/ledger/ledger.h"
#include "sidecar/net/loop.h"
#include "sidecar/stream/grpc_call.h"
#include "sidecar/stream/side_call.h"
#include "sidecar/stream/turn.h"
#include "sidecar/telemetry/stats.h"
#include "sidecar/tls/worker_tools.h"
#include "sidecar/upstream/cluster_state.h"
#include "sidecar/worker/tcp_check.h"

namespace pillion::worker {

// One kind of check of one endpoint, again and again. Woken by its call and its timer; deleted by the keeper,
// not by the turn.
class HealthProbe final : public stream::Runnable {
 public:
  enum class Verdict : uint8_t { kUnknown, kHealthy, kUnhealthy };
  // What it needs; all outlive it.
  struct Parts {
    exchange::Environment& env;
    exchange::SideCalls& side_calls;
    net::Loop& loop;
    tls::WorkerTools& tls;
  };
  // What is checked. `cluster` is the one that the checks go to; `traffic`: the one that is checked.
  struct Subject {
    std::shared_ptr<const config::Cluster> cluster;
    const config::HealthCheck& check;  // outlives it
    net::Address address;
    std::string authority;
    std::shared_ptr<ledger::ClusterLedger> traffic;
    std::shared_ptr<ledger::EndpointHealth>
        health;              // whose ejection ends with a check that passes; null: none
    stream::Runnable& told;  // is woken when the verdict changes
  };
  HealthProbe(const Parts& parts, Subject subject);

  stream::Progress Run() override;
  Verdict verdict() const { return verdict_; }
  const net::Address& address() const { return subject_.address; }

 private:
  // kFailAtOnce: whatever the threshold says.
  enum class Found : uint8_t { kNothing, kPass, kFail, kFailAtOnce };
  bool busy() const { return call_ != nullptr || grpc_ != nullptr || tcp_ != nullptr; }
  void Begin();
  Found Look();
  Found LookAtHttp();
  Found LookAtGrpc();
  void Judge(Found found);
  time::Duration NextInterval(Verdict before) const;
  time::Duration Jittered(time::Duration interval);

  Parts parts_;
  Subject subject_;
  stream::Timer timer_;
  std::unique_ptr<stream::SideCall> call_;
  std::unique_ptr<stream::GrpcCall> grpc_;
  std::unique_ptr<TcpCheck> tcp_;
  std::string answer_;  // of a gRPC check
  Verdict verdict_ = Verdict::kUnknown;
  uint32_t in_a_row_ = 0;    // findings against the verdict
  time::MonotonicTime due_;  // of the next check, or of the end of the one under way
};

class HealthKeeper final : public stream::Runnable {
 public:
  // `env`: the engine's, whose clusters are kept. All outlive it.
  HealthKeeper(exchange::Environment& env, net::Loop& loop, telemetry::Shard& stats, tls::WorkerTools& tls);
  // After the engine's table has taken it over. Checks of what did not change go on.
  void Apply(const config::Snapshot& snapshot);
  // What the probes have found, and what is due.
  stream::Progress Run() override;

 private:
  struct Endpoint {
    std::shared_ptr<ledger::EndpointHealth> health;
    std::vector<std::unique_ptr<HealthProbe>> probes;
  };
  struct Kept {
    std::shared_ptr<const config::Cluster> cluster;       // as it was last seen
    std::shared_ptr<const config::Assignment> endpoints;  // likewise
    std::shared_ptr<ledger::ClusterLedger> ledger;
    std::vector<config::ClusterEntry> checks;  // what the checks go to, by number of check
    std::map<net::Address, Endpoint> checked;
    std::vector<std::shared_ptr<ledger::EndpointHealth>> all;
    upstream::OutlierSweep sweep;
  };
  void Update(const upstream::ClusterState& state, const config::ClusterEntry& entry, Kept& kept);
  void MakeCheckClusters(const config::ClusterEntry& entry, Kept& kept) const;
  void UpdateProbes(const upstream::ClusterState& state, Kept& kept);
  static void Tell(Kept& kept);

  exchange::Environment& engine_;
  net::Loop& loop_;
  tls::WorkerTools& tls_;
  ledger::Ledger ledger_{1};  // of the checks' own clusters
  upstream::ClusterTable clusters_;
  const idempotency::WorkerStores no_stores_;  // checks have no tokens
  exchange::Environment env_;
  exchange::SideCalls side_calls_;
  std::map<std::string, Kept> kept_;
  stream::Timer timer_;
};

}  // namespace pillion::worker

#endif  // PILLION_SIDECAR_WORKER_HEALTH_KEEPER_H_
