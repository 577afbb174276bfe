// Limits of the rate of requests: for all of them and for each client, counted in the process's ledger. What
// is beyond is refused with 429, or what the policy says.
#ifndef PILLION_SIDECAR_FILTERS_LOCAL_RATELIMIT_LOCAL_RATELIMIT_H_
#define PILLION_SIDECAR_FILTERS_LOCAL_RATELIMIT_LOCAL_RATELIMIT_H_

#include "sidecar/filter/filter.h"

namespace pillion::filters {

class LocalRateLimit final : public filter::Filter {
 public:
  filter::Decision OnRequestHead(const filter::RequestView& request) const override;
};

}  // namespace pillion::filters

#endif  // PILLION_SIDECAR_FILTERS_LOCAL_RATELIMIT_LOCAL_RATELIMIT_H_
