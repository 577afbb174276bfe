// Cookies of requests (RFC 6265). Pure.
#ifndef PILLION_SIDECAR_HTTP_COOKIE_H_
#define PILLION_SIDECAR_HTTP_COOKIE_H_

#include <optional>
#include <string_view>

#include "sidecar/http/header_list.h"

namespace pillion::http {

// The value of a request's cookie (RFC 6265 section 4.2.1), of the first of that name; nullopt: there is
// none.
std::optional<std::string_view> FindCookie(const HeaderList& fields, std::string_view name);

}  // namespace pillion::http

#endif  // PILLION_SIDECAR_HTTP_COOKIE_H_
