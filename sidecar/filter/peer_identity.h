// Who a client is, as far as mutual TLS has proven it.
#ifndef PILLION_SIDECAR_FILTER_PEER_IDENTITY_H_
#define PILLION_SIDECAR_FILTER_PEER_IDENTITY_H_

#include <string_view>

#include "sidecar/net/security.h"

namespace pillion::filter {

// The first URI name of its certificate (a SPIFFE identity), else its first DNS name, else its subject. "":
// nothing is proven. `security`, which may be null, holds it.
std::string_view PeerIdentity(const net::Security* security);

}  // namespace pillion::filter

#endif  // PILLION_SIDECAR_FILTER_PEER_IDENTITY_H_
