// CORS (the Fetch standard, section 3.2): answers preflights, and tells browsers which answers a page may
// read.
#ifndef PILLION_SIDECAR_FILTERS_CORS_CORS_H_
#define PILLION_SIDECAR_FILTERS_CORS_CORS_H_

#include "sidecar/filter/filter.h"

namespace pillion::filters {

class Cors final : public filter::Filter {
 public:
  filter::Decision OnRequestHead(const filter::RequestView& request) const override;
};

}  // namespace pillion::filters

#endif  // PILLION_SIDECAR_FILTERS_CORS_CORS_H_
