// Unary gRPC for HTTP/1.1 clients, which need not read trailers: the answer is held, its trailers become
// header fields, and a status other than OK is HTTP 503 (of an answer made here: its own).
#ifndef PILLION_SIDECAR_FILTERS_GRPC_HTTP1_BRIDGE_GRPC_HTTP1_BRIDGE_H_
#define PILLION_SIDECAR_FILTERS_GRPC_HTTP1_BRIDGE_GRPC_HTTP1_BRIDGE_H_

#include "sidecar/filter/filter.h"

namespace pillion::filters {

class GrpcHttp1Bridge final : public filter::Filter {
 public:
  filter::Decision OnRequestHead(const filter::RequestView& request) const override;
};

}  // namespace pillion::filters

#endif  // PILLION_SIDECAR_FILTERS_GRPC_HTTP1_BRIDGE_GRPC_HTTP1_BRIDGE_H_
