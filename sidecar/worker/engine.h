// Everything that serves requests on one thread, without the thread: the turn, the pools, the clusters, the
// listeners. A worker runs one on an epoll loop, the main loop runs one without listeners, the simulation
// runs several on virtual time.
#ifndef PILLION_SIDECAR_WORKER_ENGINE_H_
#define PILLION_SIDECAR_WORKER_ENGINE_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/config/snapshot.h"
#include "sidecar/exchange/environment.h"
#include "sidecar/exchange/mirror.h"
#include "sidecar/exchange/side_calls.h"
#include "sidecar/idempotency/tables.h"
#include "sidecar/ledger/ledger.h"
#include "sidecar/ledger/limiter.h"
#include "sidecar/listener/listener.h"
#include "sidecar/net/loop.h"
#include "sidecar/route/route.h"
#include "sidecar/session/pool.h"
#include "sidecar/session/worker_memory.h"
#include "sidecar/stream/doorbell.h"
#include "sidecar/stream/turn.h"
#include "sidecar/telemetry/request_record.h"
#include "sidecar/telemetry/stats.h"
#include "sidecar/upstream/cluster_state.h"
#include "sidecar/worker/health_keeper.h"
#include "sidecar/worker/token_stores.h"

namespace pillion::worker {

// A snapshot with what all workers share of its preparation.
struct PreparedSnapshot {
  std::shared_ptr<const config::Snapshot> snapshot;
  std::map<const config::RouteTable*, std::shared_ptr<const route::RouteIndex>> indexes;
};
// `previous` may be null; indexes of tables that stayed are shared with it. `limits` are the process's, which
// rates of requests are counted by (find_limits.h), `tables` those that hold the records of tokens
// (find_tables.h); null: those of this snapshot alone.
std::shared_ptr<const PreparedSnapshot> Prepare(std::shared_ptr<const config::Snapshot> snapshot,
                                                const PreparedSnapshot* previous,
                                                ledger::Limits* limits = nullptr,
                                                idempotency::Tables* tables = nullptr);

// An engine's place among the workers; none: it keeps all connections that it accepts.
struct Place {
  listener::Placement* placement = nullptr;
  size_t number = 0;
  const PressureGauge* pressure = nullptr;  // none: memory is never short
  time::Duration drain_timeout = listener::kDrainTimeout;
  // Asked after each kLookBytes that were read, or came of what was read (HPACK); true: memory is short,
  // those that hold most are given up.
  std::function<bool(time::MonotonicTime)> look = {};
  time::Duration longest_turn = stream::Turn::kLongest;
  // What the process counts once; none: this engine is all of it. `ledger_number`: its own there.
  ledger::Ledger* ledger = nullptr;
  size_t ledger_number = 0;
  // Called on any thread when AnswerDoor is to be called on the engine's own; none: all are on that one.
  std::function<void()> ring = {};
  // It also makes the health checks and compares the endpoints, for all who share the ledger; one alone does
  // in any case.
  bool keeps_health = false;
};
inline constexpr uint64_t kLookBytes = uint64_t{1} << 20;

// Looks from time to time for endpoints that clients dialled and nobody calls any more.
class Forgetter final : public stream::Runnable {
 public:
  Forgetter(stream::Turn& turn, upstream::ClusterTable& clusters)
      : turn_(turn), clusters_(clusters), timer_(this) {}
  // The clusters are others now.
  void Apply(const config::Snapshot& snapshot);
  stream::Progress Run() override;

 private:
  stream::Turn& turn_;
  upstream::ClusterTable& clusters_;
  stream::Timer timer_;
  time::Duration interval_ = time::Duration::max();  // of the cluster that forgets first; max: none does
};

class Engine {
 public:
  // All outlive the engine.
  Engine(const time::Clock& clock, net::Loop& loop, telemetry::Shard& stats, uint64_t seed, Place place = {});
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Takes a configuration over, between turns. What its listeners do not serve any more drains, and is ended
  // after the drain's time-out. Returns the listeners that could not be opened, with the
  // reason.
  std::vector<std::string> Apply(std::shared_ptr<const PreparedSnapshot> prepared);
  // A connection that another worker accepted on its socket of the same listener. Closed when this worker
  // does not have that listener any more.
  void Adopt(const std::string& listener, std::unique_ptr<net::Socket> socket);
  // Waits for work until `deadline` at the latest, then runs one turn.
  void TurnOnce(time::MonotonicTime deadline);
  // One turn without waiting; true when work is left for the next. For drivers that wait themselves.
  bool RunTurn();

  // Stops accepting on listeners of that direction (those without one count as outbound) and drains their
  // sessions; Abort ends what is left. A configuration that comes later opens no listener of that direction
  // any more.
  void Drain(bool inbound);
  void Abort();
  // Memory is short: gives up the requests, connections and relays that hold most; returns how many.
  size_t ShedLargest();
  // Requests that others have rung for go on.
  void AnswerDoor() { doorbell_.Answer(); }
  // No session and no exchange of that kind is left.
  bool Drained(bool inbound) const;

  stream::Turn& turn() { return turn_; }
  net::Loop& loop() { return loop_; }
  exchange::Environment& environment() { return environment_; }
  exchange::SideCalls& side_calls() { return side_calls_; }
  telemetry::RecordBuffer& records() { return records_; }
  telemetry::WorkerStats& worker_stats() { return stats_.worker; }
  const upstream::ClusterTable& clusters() const { return clusters_; }
  const TokenStores& token_stores() const { return token_stores_; }
  listener::ListenerParts listener_parts() {
    return {turn_,
            loop_,
            memory_,
            stats_.worker,
            {turn_, loop_, memory_.scratch, stats_, records_, clusters_, random_, tls_},
            tls_,
            place_.placement,
            place_.number,
            place_.pressure,
            place_.drain_timeout};
  }

 private:
  struct Active {
    config::ListenerEntry entry;
    std::vector<LocalRef<exchange::ListenerScope>> scopes;  // by number of chain; null for TCP
    std::unique_ptr<listener::Listener> listener;
  };
  static LocalRef<exchange::ListenerScope> ScopeOf(const Active& active, const config::HttpServer& http);
  void ApplyListener(const std::string& name, const config::ListenerEntry& entry,
                     const PreparedSnapshot& prepared, std::vector<std::string>& failures);
  void LookAtMemory();

  net::Loop& loop_;
  telemetry::Shard& stats_;
  const Place place_;
  stream::Turn turn_;
  session::WorkerMemory memory_;
  tls::WorkerTools tls_;
  std::unique_ptr<ledger::Ledger> own_ledger_;  // where there is no other
  upstream::ClusterTable clusters_;
  Forgetter forgetter_;
  session::UpstreamPools pools_;
  Random random_;
  telemetry::RecordBuffer records_;
  TokenStores token_stores_;
  exchange::Environment environment_;
  exchange::SideCalls side_calls_;
  std::unique_ptr<HealthKeeper> health_;  // null: another engine's
  exchange::Mirrors mirrors_;
  stream::Doorbell doorbell_;
  std::map<std::string, Active, std::less<>> listeners_;
  std::vector<Active> leaving_;  // removed from the configuration, still draining
  std::shared_ptr<const PreparedSnapshot> prepared_;
  bool draining_inbound_ = false;
  bool draining_outbound_ = false;
  uint64_t looked_at_bytes_ = 0;  // of them when memory was last looked at
};

}  // namespace pillion::worker

#endif  // PILLION_SIDECAR_WORKER_ENGINE_H_
