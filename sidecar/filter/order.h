// The order of the filters: one list, with a reason between neighbours.
#ifndef PILLION_SIDECAR_FILTER_ORDER_H_
#define PILLION_SIDECAR_FILTER_ORDER_H_

#include "sidecar/filter/filter.h"

namespace pillion::filter {

FilterList MakeFilters();

}  // namespace pillion::filter

#endif  // PILLION_SIDECAR_FILTER_ORDER_H_
