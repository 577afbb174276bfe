#include "sidecar/http/target.h"

#include "sidecar/http/scan.h"

namespace pillion::http {
namespace {

// RFC 3986 section 3.2.2: unreserved and sub-delims; "%" is checked apart.
constexpr ByteSet kRegName("-._~!$&'()*+,;=");
// IPv6address, IPvFuture, and the zone that some clients write.
constexpr ByteSet kIpLiteral("-._~!$&'()*+,;=:%");

bool IsHex(char c) { return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); }

bool IsPort(std::string_view digits) {
  unsigned value = 0;
  if (digits.size() > 5) return false;
  for (const char c : digits) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  return value <= 65535;  // empty too: RFC 3986 section 3.2.3, port = *DIGIT
}

}  // namespace

bool IsOriginForm(std::string_view target) {
  return !target.empty() && target[0] == '/' &&
         SkipPath(target.data(), target.data() + target.size()) == target.data() + target.size();
}

bool IsAuthority(std::string_view text) {
  if (text.empty()) return false;
  size_t i = 0;
  if (text[0] == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos || close < 3) return false;
    for (i = 1; i < close; ++i) {
      if (!kIpLiteral.Has(text[i])) return false;
    }
    i = close + 1;
  } else {
    const char* const end = text.data() + text.size();
    for (const char* at = text.data(); end - at >= 16; at += 16) {  // most hosts: letters, digits, "-", "."
      const unsigned stop = scan::NotPlain(scan::Load(at));
      i += static_cast<size_t>(stop == 0 ? 16 : std::countr_zero(stop));
      if (stop != 0) break;
    }
    while (i < text.size() && text[i] != ':') {
      if (text[i] == '%') {
        if (i + 2 >= text.size() || !IsHex(text[i + 1]) || !IsHex(text[i + 2])) return false;
        i += 3;
      } else if (kRegName.Has(text[i])) {
        ++i;
      } else {
        return false;
      }
    }
    if (i == 0) return false;  // RFC 9110 section 4.2.1: an empty host is invalid
  }
  if (i == text.size()) return true;
  return text[i] == ':' && IsPort(text.substr(i + 1));
}

bool HasPort(std::string_view authority) {
  const size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == authority.size()) return false;
  return authority.find(']', colon) == std::string_view::npos;
}

}  // namespace pillion::http
