// Bytes as hexadecimal digits, in lower case.
#ifndef PILLION_SIDECAR_BASE_HEX_H_
#define PILLION_SIDECAR_BASE_HEX_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace pillion {

inline constexpr std::string_view kHexDigits = "0123456789abcdef";

inline constexpr std::array<std::array<char, 2>, 256> kHexPairs = [] {
  std::array<std::array<char, 2>, 256> pairs{};
  for (size_t i = 0; i < pairs.size(); ++i) pairs[i] = {kHexDigits[i >> 4], kHexDigits[i & 15]};
  return pairs;
}();

// Two digits of each byte; what stands behind them.
inline char* WriteHex(std::span<const uint8_t> bytes, char* out) {
  for (const uint8_t byte : bytes) {
    std::memcpy(out, kHexPairs[byte].data(), 2);
    out += 2;
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

// What digits stand for; less than 0: they are none.
using HexValues = std::array<int16_t, 256>;
constexpr HexValues MakeHexValues(bool upper_too) {
  HexValues values{};
  values.fill(-1);
  for (size_t i = 0; i < kHexDigits.size(); ++i) {
    const auto digit = static_cast<unsigned char>(kHexDigits[i]);
    values[digit] = static_cast<int16_t>(i);
    if (upper_too && digit >= 'a') values[digit - 'a' + 'A'] = static_cast<int16_t>(i);
  }
  return values;
}
inline constexpr HexValues kHexValues = MakeHexValues(true);  // of either case
inline constexpr HexValues kLowerHexValues = MakeHexValues(false);

// `digits`: two for each of `bytes`. False: there are others among them; the bytes are undefined then.
inline bool ReadHex(std::string_view digits, std::span<uint8_t> bytes, const HexValues& values = kHexValues) {
  int all = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const int high = values[static_cast<unsigned char>(digits[2 * i])];
    const int low = values[static_cast<unsigned char>(digits[2 * i + 1])];
    const int both = high * 16 | low;
    all |= both;
    bytes[i] = static_cast<uint8_t>(both);
  }
  return all >= 0;
}

// False: it is not exactly as many digits, in lower case, as `bytes` has. They are undefined then.
inline bool ParseHex(std::string_view text, std::span<uint8_t> bytes) {
  return text.size() == 2 * bytes.size() && ReadHex(text, bytes, kLowerHexValues);
}

}  // namespace pillion

#endif  // PILLION_SIDECAR_BASE_HEX_H_
