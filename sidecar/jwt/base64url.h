// base64url as JOSE has it (RFC 7515 section 2): the alphabet of RFC 4648 section 5, without padding. Pure.
#ifndef PILLION_SIDECAR_JWT_BASE64URL_H_
#define PILLION_SIDECAR_JWT_BASE64URL_H_

#include <optional>
#include <string>
#include <string_view>

namespace pillion::jwt {

// nullopt: a character that is none, a length that no bytes have, or bits behind the last byte that are not
// zero (RFC 4648 section 3.5): two texts would be the same bytes.
std::optional<std::string> DecodeBase64Url(std::string_view text);

}  // namespace pillion::jwt

#endif  // PILLION_SIDECAR_JWT_BASE64URL_H_
