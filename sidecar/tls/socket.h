// TLS round a socket: what holds it reads and writes plain text and needs no second code path.
//
//   session --Write: plain--> [records] --raw Write-->  raw socket
//           <--Read: plain--- [records] <--raw Read---
//           <--OnReady------- TlsSocket <--OnReady-----  loop
//
// The handshake runs inside ConnectError, Read and Write, one step per turn of the worker (HandshakePacer);
// until it is over ConnectError says EINPROGRESS. Write counts bytes as taken when their records have left to
// the kernel, so "all written" means what it means without TLS; what was sealed and did not leave waits here,
// and the next Write must begin with the same bytes. A read that would need the socket to be writable, or a
// write that left something behind, is told of by OnReady with both marks set.
//
// End of stream: kEnd after close_notify; a connection that just ends is kReset (error ECONNABORTED), as
// somebody may have cut it (RFC 8446 section 6.1).
#ifndef PILLION_SIDECAR_TLS_SOCKET_H_
#define PILLION_SIDECAR_TLS_SOCKET_H_

#include <memory>
#include <string>
#include <string_view>

#include "sidecar/net/loop.h"
#include "sidecar/tls/credentials.h"
#include "sidecar/tls/worker_tools.h"

namespace pillion::tls {

// What is sealed and has not left, per connection. Attack: key updates asked for by a peer that reads
// nothing.
inline constexpr size_t kMaxUnsentRecordBytes = size_t{256} * 1024;

// A server's end. `early`: raw bytes that were read from `raw` already. Register it with Loop::Observe.
// `tools` outlives the socket.
std::unique_ptr<net::Socket> Accept(std::unique_ptr<net::Socket> raw,
                                    std::shared_ptr<const ServerCredentials> credentials, WorkerTools& tools,
                                    std::string_view early);

struct DialOptions {
  std::string_view sni;  // "": that of the credentials
  // Of the credentials' list, only this one is offered, if it is there: the caller speaks nothing else. "":
  // all.
  std::string_view only_alpn;
};
// A client's end, connected or not. Register it with Loop::Observe.
std::unique_ptr<net::Socket> Dial(std::unique_ptr<net::Socket> raw,
                                  const std::shared_ptr<const ClientCredentials>& credentials,
                                  WorkerTools& tools, const DialOptions& options);

}  // namespace pillion::tls

#endif  // PILLION_SIDECAR_TLS_SOCKET_H_
