// Who the client is, as a listener's policy takes it. Pure. After the policy has been applied to the request;
// before it has added to x-forwarded-for it would be another.
#ifndef PILLION_SIDECAR_FILTER_CLIENT_ADDRESS_H_
#define PILLION_SIDECAR_FILTER_CLIENT_ADDRESS_H_

#include <string>

#include "sidecar/config/listener.h"
#include "sidecar/http/head.h"
#include "sidecar/net/address.h"

namespace pillion::filter {

// The peer's own address and port, or what trusted proxies say.
std::string ClientAddress(const config::HttpPolicy& policy, const net::Address& peer,
                          const http::HeaderList& headers);
// Likewise, of the peer without its port.
std::string ClientHost(const config::HttpPolicy& policy, const net::Address& peer,
                       const http::HeaderList& headers);

// Likewise, as an address; what trusted proxies say and is none is the peer's. Its port says nothing. Without
// allocation.
net::Address ClientIp(const config::HttpPolicy& policy, const net::Address& peer,
                      const http::HeaderList& headers);

}  // namespace pillion::filter

#endif  // PILLION_SIDECAR_FILTER_CLIENT_ADDRESS_H_
