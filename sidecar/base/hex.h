// Bytes as hexadecimal digits, in lower case.
#ifndef PILLION_SIDECAR_BASE_HEX_H_
#define PILLION_SIDECAR_BASE_HEX_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace pillion {

inline constexpr std::string_view kHexDigits = "0123456789abcdef";

inline void AppendHex(std::span<const uint8_t> bytes, std::string& out) {
  for (const uint8_t byte : bytes) {
    out += kHexDigits[byte >> 4];
    out += kHexDigits[byte & 15];
  }
}

inline std::string ToHex(std::span<const uint8_t> bytes) {
  std::string text;
  text.reserve(2 * bytes.size());
  AppendHex(bytes, text);
  return text;
}

// False: it is not exactly as many digits, in lower case, as `bytes` has. They are undefined then.
inline bool ParseHex(std::string_view text, std::span<uint8_t> bytes) {
  if (text.size() != 2 * bytes.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t digit = kHexDigits.find(text[i]);
    if (digit == std::string_view::npos) return false;
    bytes[i / 2] = static_cast<uint8_t>(bytes[i / 2] << 4 | digit);
  }
  return true;
}

}  // namespace pillion

#endif  // PILLION_SIDECAR_BASE_HEX_H_
