// Bytes as hexadecimal digits, in lower case.
#ifndef PILLION_SIDECAR_BASE_HEX_H_
#define PILLION_SIDECAR_BASE_HEX_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace pillion {

inline constexpr std::string_view kHexDigits = "0123456789abcdef";

// Two digits of each byte; what stands behind them.
inline char* WriteHex(std::span<const uint8_t> bytes, char* out) {
  for (const uint8_t byte : bytes) {
    *out++ = kHexDigits[byte >> 4];
    *out++ = kHexDigits[byte & 15];
  }
  return out;
}

inline void AppendHex(std::span<const uint8_t> bytes, std::string& out) {
  const size_t before = out.size();
  out.resize(before + 2 * bytes.size());
  WriteHex(bytes, out.data() + before);
}

inline std::string ToHex(std::span<const uint8_t> bytes) {
  std::string text;
  text.reserve(2 * bytes.size());
  AppendHex(bytes, text);
  return text;
}

// What digits of either case stand for; else kNoHexDigit, whose upper half no digit has.
inline constexpr uint8_t kNoHexDigit = 0xFF;
inline constexpr std::array<uint8_t, 256> kHexValues = [] {
  std::array<uint8_t, 256> values{};
  values.fill(kNoHexDigit);
  for (size_t i = 0; i < kHexDigits.size(); ++i) {
    const auto digit = static_cast<unsigned char>(kHexDigits[i]);
    values[digit] = static_cast<uint8_t>(i);
    if (digit >= 'a') values[digit - 'a' + 'A'] = static_cast<uint8_t>(i);
  }
  return values;
}();
// Of two digits; above 255: they are none.
inline unsigned HexByte(const char* digits) {
  const unsigned high = kHexValues[static_cast<unsigned char>(digits[0])];
  const unsigned low = kHexValues[static_cast<unsigned char>(digits[1])];
  return high << 4 | low | (low & 0x80) << 1;
}

// False: it is not exactly as many digits, in lower case, as `bytes` has. They are undefined then.
inline bool ParseHex(std::string_view text, std::span<uint8_t> bytes) {
  if (text.size() != 2 * bytes.size()) return false;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const char* const digits = text.data() + 2 * i;
    const unsigned byte = HexByte(digits);
    const auto upper = [](char c) { return c >= 'A' && c <= 'F'; };
    if (byte > 0xFF || upper(digits[0]) || upper(digits[1])) return false;
    bytes[i] = static_cast<uint8_t>(byte);
  }
  return true;
}

}  // namespace pillion

#endif  // PILLION_SIDECAR_BASE_HEX_H_
