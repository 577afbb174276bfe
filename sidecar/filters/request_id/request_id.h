// Gives a request without x-request-id a random one (UUID version 4, RFC 9562), when the listener asks for
// it.
#ifndef PILLION_SIDECAR_FILTERS_REQUEST_ID_REQUEST_ID_H_
#define PILLION_SIDECAR_FILTERS_REQUEST_ID_REQUEST_ID_H_

#include "sidecar/filter/filter.h"

namespace pillion::filters {

class RequestId final : public filter::Filter {
 public:
  filter::Decision OnRequestHead(const filter::RequestView& request) const override;
};

}  // namespace pillion::filters

#endif  // PILLION_SIDECAR_FILTERS_REQUEST_ID_REQUEST_ID_H_
