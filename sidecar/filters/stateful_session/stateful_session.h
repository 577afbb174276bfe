// Sessions that stay with an endpoint: reads where a request's is. It is obeyed when an endpoint is picked,
// and the answer tells the client of another (filter/sticky_session.h).
#ifndef PILLION_SIDECAR_FILTERS_STATEFUL_SESSION_STATEFUL_SESSION_H_
#define PILLION_SIDECAR_FILTERS_STATEFUL_SESSION_STATEFUL_SESSION_H_

#include "sidecar/filter/filter.h"

namespace pillion::filters {

class StatefulSession final : public filter::Filter {
 public:
  filter::Decision OnRequestHead(const filter::RequestView& request) const override;
};

}  // namespace pillion::filters

#endif  // PILLION_SIDECAR_FILTERS_STATEFUL_SESSION_STATEFUL_SESSION_H_
