// The internal header `pillion-h1`: what an HTTP/1 message was before it was put on an HTTP/2 connection
// between two sidecars, so that the far one can restore it. Neither application ever sees it.
//
//   pillion-h1: 1.1;t;abs;x=X-B3-traceID,ETag
//     1.1     version; "2" alone: it came by HTTP/2, and there is nothing to restore
//     t, l    how names are spelled: Title-Case, lower case
//     f       Host, Content-Length and Transfer-Encoding are spelled the other way
//     abs     absolute-form target
//     nohost, emptyhost  no Host field, or one without a value
//     x=...   names spelled otherwise
//     s=...   the app's own status, of an answer to an Extended CONNECT that would grant it on HTTP/2
//     r=...   a reason phrase that is not the status's own; the last, since it may hold any text
//
// For one client the value is nearly always the same, so it costs one byte of an HPACK reference.
#ifndef PILLION_SIDECAR_EXCHANGE_ORIGIN_HEADER_H_
#define PILLION_SIDECAR_EXCHANGE_ORIGIN_HEADER_H_

#include <string>
#include <string_view>

#include "sidecar/http/head.h"

namespace pillion::exchange {

// What a sidecar says to another of a request that came to it by HTTP/2: no more than that it is a sidecar.
inline constexpr std::string_view kHttp2Origin = "2";

std::string DescribeOrigin(const http::RequestHead& head);
// `to_upgrade`: it answers a request to switch protocols. One that does not switch though it is a 2xx must go
// with the status kNotSwitched, which is not the app's.
inline constexpr uint16_t kNotSwitched = 501;
std::string DescribeOrigin(const http::ResponseHead& head, bool to_upgrade = false);
// Apply a description to a head that came by HTTP/2. False: the value is malformed, or cannot be true of this
// message, and nothing was changed.
[[nodiscard]] bool RestoreOrigin(std::string_view description, http::RequestHead& head);
[[nodiscard]] bool RestoreOrigin(std::string_view description, http::ResponseHead& head);
// Only the status of such a response, and at once: what becomes of the attempt depends on it.
void RestoreStatus(http::ResponseHead& head);

}  // namespace pillion::exchange

#endif  // PILLION_SIDECAR_EXCHANGE_ORIGIN_HEADER_H_
