// Which address a request to a cluster without endpoints of its own is for: what its field names, or else
// what its client dialled. Pure.
#ifndef PILLION_SIDECAR_EXCHANGE_DIALLED_ADDRESS_H_
#define PILLION_SIDECAR_EXCHANGE_DIALLED_ADDRESS_H_

#include "sidecar/base/request_error.h"
#include "sidecar/config/cluster.h"
#include "sidecar/net/address.h"
#include "sidecar/stream/stream.h"

namespace pillion::exchange {

struct Dialled {
  net::Address address;
  RequestError error;  // there is none
};

// A field that is there and names no address is an error: its sender wanted to go somewhere else.
Dialled DialledAddress(const config::OriginalDestination& rules, stream::ClientStream& client);

}  // namespace pillion::exchange

#endif  // PILLION_SIDECAR_EXCHANGE_DIALLED_ADDRESS_H_
