// A socket of ours that begins with bytes of its own, such as a PROXY protocol header: they leave when the
// connection is made, and until they have left ConnectError says EINPROGRESS. What is written afterwards
// follows them; AckedBytes does not count them.
#ifndef PILLION_SIDECAR_NET_INTRODUCING_SOCKET_H_
#define PILLION_SIDECAR_NET_INTRODUCING_SOCKET_H_

#include <memory>
#include <string>

#include "sidecar/net/loop.h"

namespace pillion::net {

// `raw`: connected or not, nothing written yet. Register the result with Loop::Observe.
std::unique_ptr<Socket> Introduce(std::unique_ptr<Socket> raw, std::string introduction);

}  // namespace pillion::net

#endif  // PILLION_SIDECAR_NET_INTRODUCING_SOCKET_H_
