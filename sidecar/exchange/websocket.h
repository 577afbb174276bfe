// The key and its acceptance that a WebSocket handshake has on HTTP/1.1 (RFC 6455 section 4) and has not on
// HTTP/2 (RFC 8441 section 5): made here where the two meet.
#ifndef PILLION_SIDECAR_EXCHANGE_WEBSOCKET_H_
#define PILLION_SIDECAR_EXCHANGE_WEBSOCKET_H_

#include <string>
#include <string_view>

#include "sidecar/base/random.h"
#include "sidecar/http/head.h"

namespace pillion::exchange {

inline constexpr std::string_view kWebSocketKey = "sec-websocket-key";
inline constexpr std::string_view kWebSocketAccept = "sec-websocket-accept";

// A WebSocket asked for on HTTP/2: an HTTP/1.1 app will want a key.
bool NeedsWebSocketKey(const http::RequestHead& request);
std::string MakeWebSocketKey(Random& random);
// A WebSocket asked for on HTTP/1.1 and granted on HTTP/2: the client will want its key accepted.
bool NeedsWebSocketAccept(const http::RequestHead& request, const http::ResponseHead& response);
std::string WebSocketAccept(std::string_view key);

}  // namespace pillion::exchange

#endif  // PILLION_SIDECAR_EXCHANGE_WEBSOCKET_H_
