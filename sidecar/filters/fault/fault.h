// Faults made on purpose: a share of the requests waits, a share is answered with an error. For tests of
// those who call, and of what stands between.
#ifndef PILLION_SIDECAR_FILTERS_FAULT_FAULT_H_
#define PILLION_SIDECAR_FILTERS_FAULT_FAULT_H_

#include "sidecar/filter/filter.h"

namespace pillion::filters {

class Fault final : public filter::Filter {
 public:
  filter::Decision OnRequestHead(const filter::RequestView& request) const override;
};

}  // namespace pillion::filters

#endif  // PILLION_SIDECAR_FILTERS_FAULT_FAULT_H_
