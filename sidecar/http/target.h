// What may stand in a request target and in an authority (RFC 9110 section 4, RFC 3986 section 3), one rule
// for every wire version, so that nothing passes one codec that the other would refuse.
#ifndef PILLION_SIDECAR_HTTP_TARGET_H_
#define PILLION_SIDECAR_HTTP_TARGET_H_

#include <string_view>

namespace pillion::http {

// "/" and path bytes.
bool IsOriginForm(std::string_view target);

// uri-host [":" port] (RFC 9110 section 4.2.1, RFC 3986 section 3.2): no userinfo, no list, port of digits
// up to 65535. Empty is not an authority.
bool IsAuthority(std::string_view text);

// True when an IsAuthority text ends in a port.
bool HasPort(std::string_view authority);

}  // namespace pillion::http

#endif  // PILLION_SIDECAR_HTTP_TARGET_H_
