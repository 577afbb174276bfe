// Who calls as this sidecar does, for zone-aware balancing: the endpoints of the cluster that the bootstrap
// calls the local one, and where this sidecar is among them. One worker's; its table of clusters tells it
// what there is.
#ifndef PILLION_SIDECAR_UPSTREAM_CALLERS_H_
#define PILLION_SIDECAR_UPSTREAM_CALLERS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "sidecar/base/local_ref.h"
#include "sidecar/config/cluster.h"
#include "sidecar/ledger/ledger.h"
#include "sidecar/upstream/endpoint_state.h"

namespace pillion::upstream {

class Callers : public LocalCounted {
 public:
  // Of its first priority.
  struct Counts {
    uint32_t all = 0;
    uint32_t usable = 0;  // and of them
    uint32_t good = 0;
    std::map<config::Place, uint32_t> good_by_place;
  };

  explicit Callers(config::Place own) : own_(std::move(own)) {}
  const config::Place& own() const { return own_; }
  // The local cluster is another now. Null, and none: it is not known.
  void Take(std::shared_ptr<ledger::ClusterLedger> ledger, std::vector<LocalRef<EndpointState>> endpoints);
  // Grows when the counts may be others.
  uint64_t version() const { return generation_ + (ledger_ == nullptr ? 0 : ledger_->epoch()); }
  const Counts& counts();

 private:
  const config::Place own_;
  std::shared_ptr<ledger::ClusterLedger> ledger_;
  std::vector<LocalRef<EndpointState>> endpoints_;
  uint64_t generation_ = 1;
  Counts counts_;
  uint64_t counted_ = 0;  // the version; 0: none
};

}  // namespace pillion::upstream

#endif  // PILLION_SIDECAR_UPSTREAM_CALLERS_H_
