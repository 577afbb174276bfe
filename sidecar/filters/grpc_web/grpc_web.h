// gRPC-Web (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md) to gRPC and back:
//
//   application/grpc-web, -web-text (base64)  -->  application/grpc
//   trailers, as a last frame of the content  <--  trailers
//
// An answer of trailers alone stays one: its status stands in the head. Nothing is held.
#ifndef PILLION_SIDECAR_FILTERS_GRPC_WEB_GRPC_WEB_H_
#define PILLION_SIDECAR_FILTERS_GRPC_WEB_GRPC_WEB_H_

#include "sidecar/filter/filter.h"

namespace pillion::filters {

class GrpcWeb final : public filter::Filter {
 public:
  filter::Decision OnRequestHead(const filter::RequestView& request) const override;
};

}  // namespace pillion::filters

#endif  // PILLION_SIDECAR_FILTERS_GRPC_WEB_GRPC_WEB_H_
