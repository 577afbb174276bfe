// A cluster as one worker has it: its endpoints, the sets they are chosen from, its budget and circuits; and
// the table of all clusters. Survives configuration swaps. One worker's; what the process counts hangs on the
// ledger.
#ifndef PILLION_SIDECAR_UPSTREAM_CLUSTER_STATE_H_
#define PILLION_SIDECAR_UPSTREAM_CLUSTER_STATE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "sidecar/base/local_ref.h"
#include "sidecar/base/random.h"
#include "sidecar/base/request_error.h"
#include "sidecar/config/snapshot.h"
#include "sidecar/ledger/ledger.h"
#include "sidecar/upstream/callers.h"
#include "sidecar/upstream/circuits.h"
#include "sidecar/upstream/endpoint_set.h"
#include "sidecar/upstream/endpoint_state.h"
#include "sidecar/upstream/outlier.h"
#include "sidecar/upstream/retry_budget.h"

namespace pillion::upstream {

// Endpoints of one worker in one cluster whose endpoints are what its clients dial. Attack: a client that
// names, or dials, ever other addresses.
inline constexpr size_t kMaxDialledEndpoints = 1024;
inline constexpr RequestError kNothingDialled = {ErrorKind::kNoEndpoint, Side::kLocal, Outcome::kNotSent,
                                                 "it is not known what the client dialled"};
inline constexpr RequestError kTooManyDialled = {
    ErrorKind::kOverflow, Side::kLocal, Outcome::kNotSent,
    "as many addresses as may be that clients dialled are in use at once"};

// Which of the ledger's workers a table belongs to.
struct LedgerSeat {
  ledger::Ledger& ledger;  // outlives the table
  size_t worker;
};

class ClusterState : public LocalCounted {
 public:
  // `callers`: empty where zones do not count.
  ClusterState(config::ClusterEntry entry, LedgerSeat seat, LocalRef<Callers> callers = {});
  // Takes a new configuration over. States of endpoints that stay are kept; a change of the cluster's own
  // options makes new ones, because their connections were made under the old options.
  void Update(config::ClusterEntry entry);
  const config::Cluster& config() const { return *entry_.cluster; }
  const std::string& name() const { return entry_.cluster->name; }
  // The endpoint for an attempt (endpoint_set.h). `labels`: what the route asks of it; null: nothing. Null
  // when there is none.
  EndpointState* Pick(const PickQuery& query, const config::LabelMatch* labels = nullptr);
  // All of them, also those that get no requests.
  const std::vector<LocalRef<EndpointState>>& endpoints() const { return endpoints_; }
  // Null: it has none at that address, or one that gets no requests.
  EndpointState* Find(const net::Address& address) const;
  // It is one of the cluster's now, whatever is thought of it.
  bool Has(const EndpointState& endpoint) const;
  // The endpoint at that address for a request whose session is there. Null: it has none, or one where
  // sessions do not stay (Cluster::session_health), or that the route's `labels` do not allow.
  EndpointState* FindSticky(const net::Address& address, const PickQuery& query,
                            const config::LabelMatch* labels);
  // Of a cluster that calls what clients dial (config::OriginalDestination): the endpoint at that address,
  // made where it is not there. Where there are as many as there may be, one that is not in use makes way.
  // Null: all are in use.
  EndpointState* AtDialled(const net::Address& address, time::MonotonicTime now);
  // Of such a cluster: those that were not in use for as long as its configuration says are gone.
  void ForgetIdle(time::MonotonicTime now);
  // How many could be chosen when one last was.
  size_t eligible() const { return whole_.eligible(); }
  // How an attempt at one of its endpoints went, for outlier detection.
  void Note(EndpointState& endpoint, AttemptResult result, time::MonotonicTime now, Random& random) {
    const std::optional<config::OutlierDetection>& terms = config().outlier;
    if (endpoint.health() == nullptr || !terms) return;
    NoteResult({*ledger_, *endpoint.health(), *terms, worker_}, result, now, random);
  }
  // One of its requests begins: its retry budget grows, and metrics hear of its level.
  void BeginRequest(time::MonotonicTime now) {
    retry_budget.OnRequest(now);
    ledger_->TellBudget(worker_, retry_budget.level());
  }
  ledger::ClusterLedger& ledger() const { return *ledger_; }
  const std::shared_ptr<ledger::ClusterLedger>& shared_ledger() const { return ledger_; }
  const LocalRef<Circuits>& circuits() const { return circuits_; }

  uint64_t active_attempts = 0;
  RetryBudget retry_budget;

 private:
  void TakeTerms(config::ClusterEntry entry);
  void DropEndpoints();
  LocalRef<EndpointState> Make(const net::Address& address,
                               const std::shared_ptr<const config::Cluster>& cluster) const;
  LocalRef<EndpointState> MakeDialled(const net::Address& address) const;
  size_t FindIdle();
  void DecideWhoMayServe();
  void Refresh(const PickQuery& query);
  EndpointSet& SetFor(const config::Subsets& subsets, const config::LabelMatch* labels,
                      const PickQuery& query);
  EndpointSet MakeSet(const config::Labels& labels, const EndpointSet* before, const PickQuery& query) const;

  const size_t worker_;
  const size_t workers_;
  std::shared_ptr<ledger::ClusterLedger> ledger_;
  LocalRef<Circuits> circuits_;
  LocalRef<Callers> callers_;
  config::ClusterEntry entry_;
  std::vector<LocalRef<EndpointState>> endpoints_;
  absl::flat_hash_map<net::Address, EndpointState*> by_address_;  // made when first asked for
  // Where in `endpoints_` those are that AtDialled made, and where it looks next for one that may make way.
  absl::flat_hash_map<net::Address, size_t> dialled_;
  size_t hand_ = 0;
  EndpointSet whole_;
  std::map<std::string, EndpointSet, std::less<>> subsets_;  // by LabelMatch::key
  uint64_t epoch_ = 0;  // of the ledger when the sets were made; 0: they are to be made
  uint64_t callers_version_ = 0;
  time::MonotonicTime refresh_at_{};
};

// All clusters of one worker, by name.
class ClusterTable {
 public:
  explicit ClusterTable(LedgerSeat seat) : seat_(seat) {}
  // Adds, updates and removes so that the table equals the snapshot. Removed clusters live on while pinned.
  void Apply(const config::Snapshot& snapshot);
  // Null when unknown.
  ClusterState* Find(std::string_view name) const;
  void ForgetIdle(time::MonotonicTime now) {
    for (const auto& [name, cluster] : clusters_) cluster->ForgetIdle(now);
  }
  const std::map<std::string, LocalRef<ClusterState>, std::less<>>& all() const { return clusters_; }

 private:
  void TellCallers(const config::OwnPlace& own);
  LedgerSeat seat_;
  LocalRef<Callers> callers_;
  config::ClusterEntry callers_entry_;  // what they were told of
  std::map<std::string, LocalRef<ClusterState>, std::less<>> clusters_;
  std::map<std::string, config::ClusterEntry, std::less<>> applied_;
};

}  // namespace pillion::upstream

#endif  // PILLION_SIDECAR_UPSTREAM_CLUSTER_STATE_H_
