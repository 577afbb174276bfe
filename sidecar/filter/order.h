// The order of the filters: one list, with a reason between neighbours.
#ifndef PILLION_SIDECAR_FILTER_ORDER_H_
#define PILLION_SIDECAR_FILTER_ORDER_H_

#include "sidecar/filter/filter.h"
#include "sidecar/idempotency/store.h"

namespace pillion::filter {

// `stores`: of the worker whose filters they are; outlive them.
FilterList MakeFilters(const idempotency::WorkerStores& stores);

}  // namespace pillion::filter

#endif  // PILLION_SIDECAR_FILTER_ORDER_H_
