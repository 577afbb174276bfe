// What a listener's policy changes in heads, and what it refuses: paths, names, forwarding fields, server,
// Expect (config::HttpPolicy). Pure: heads in, heads and a verdict out.
#ifndef PILLION_SIDECAR_EXCHANGE_HTTP_POLICY_H_
#define PILLION_SIDECAR_EXCHANGE_HTTP_POLICY_H_

#include <string>

#include "sidecar/base/request_error.h"
#include "sidecar/config/listener.h"
#include "sidecar/http/head.h"
#include "sidecar/net/address.h"
#include "sidecar/net/security.h"

namespace pillion::exchange {

struct RequestVerdict {
  RequestError error;          // refused; kNone: it goes on
  bool redirect = false;       // the client is to ask for the path that the head has now
  bool send_continue = false;  // 100 (Continue) is ours to send now
};

// How a request came.
struct Arrival {
  const net::Address& peer;
  const net::Security* security = nullptr;  // of TLS that ended here; null: there was none
  bool restored = false;  // a sidecar in front of us has received it from its app, under its own policy about
                          // HTTP/1.0
};

RequestVerdict ApplyToRequest(const config::HttpPolicy& policy, const Arrival& arrival,
                              http::RequestHead& head);
// `upstream`: not an answer made here.
void ApplyToResponse(const config::HttpPolicy& policy, bool upstream, http::ResponseHead& head);

}  // namespace pillion::exchange

#endif  // PILLION_SIDECAR_EXCHANGE_HTTP_POLICY_H_
