// Unary gRPC requests for servers that speak plain HTTP: the content type is exchanged, the gRPC frame taken
// off and put on if wanted, and the HTTP status becomes the gRPC status.
#ifndef PILLION_SIDECAR_FILTERS_GRPC_HTTP1_REVERSE_BRIDGE_GRPC_HTTP1_REVERSE_BRIDGE_H_
#define PILLION_SIDECAR_FILTERS_GRPC_HTTP1_REVERSE_BRIDGE_GRPC_HTTP1_REVERSE_BRIDGE_H_

#include "sidecar/filter/filter.h"

namespace pillion::filters {

class GrpcHttp1ReverseBridge final : public filter::Filter {
 public:
  filter::Decision OnRequestHead(const filter::RequestView& request) const override;
};

}  // namespace pillion::filters

#endif  // PILLION_SIDECAR_FILTERS_GRPC_HTTP1_REVERSE_BRIDGE_GRPC_HTTP1_REVERSE_BRIDGE_H_
