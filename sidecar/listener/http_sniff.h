// Whether the first bytes of a connection are HTTP: RFC 9112 section 3 (a request line) or RFC 9113
// section 3.4 (the preface). Decides as soon as the bytes contradict all but one. Pure.
#ifndef PILLION_SIDECAR_LISTENER_HTTP_SNIFF_H_
#define PILLION_SIDECAR_LISTENER_HTTP_SNIFF_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pillion::listener {

inline constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
// A line longer than this is HTTP/1 when it began like it: the session refuses it by its own limits.
inline constexpr size_t kMaxSniffedBytes = size_t{16} * 1024;

enum class HttpGuess : uint8_t { kMore, kNone, kHttp10, kHttp11, kHttp2 };

HttpGuess SniffHttp(std::string_view bytes);

}  // namespace pillion::listener

#endif  // PILLION_SIDECAR_LISTENER_HTTP_SNIFF_H_
