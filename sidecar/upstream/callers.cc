#include "sidecar/upstream/callers.h"

namespace pillion::upstream {

void Callers::Take(std::shared_ptr<ledger::ClusterLedger> ledger,
                   std::vector<LocalRef<EndpointState>> endpoints) {
  generation_ = version() + 1;  // whatever the other ledger counts from
  ledger_ = std::move(ledger);
  endpoints_ = std::move(endpoints);
}

const Callers::Counts& Callers::counts() {
  if (counted_ == version()) return counts_;
  counted_ = version();
  counts_ = {};
  for (const auto& endpoint : endpoints_) {
    const config::Locality* const locality = endpoint->locality();
    if (locality != nullptr && locality->priority != 0) continue;
    const Standing standing = endpoint->standing();
    ++counts_.all;
    if (standing != Standing::kOut) ++counts_.usable;
    if (standing != Standing::kGood) continue;
    ++counts_.good;
    ++counts_.good_by_place[endpoint->place()];
  }
  return counts_;
}

}  // namespace pillion::upstream
