#include "sidecar/config/document/scalar.h"

#include <charconv>
#include <cmath>
#include <system_error>

#include "absl/strings/escaping.h"
#include "sidecar/base/text.h"

namespace pillion::config {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

size_t SkipDigits(std::string_view text, size_t i) {
  while (i < text.size() && IsDigit(text[i])) ++i;
  return i;
}

// [-+]? digits, without a leading zero before another digit.
bool IsDecimalInteger(std::string_view text) {
  const size_t start = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  return start < text.size() && SkipDigits(text, start) == text.size();
}

bool HasLeadingZero(std::string_view text) {
  const size_t start = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  return text.size() > start + 1 && text[start] == '0' && IsDigit(text[start + 1]);
}

// [-+]? digits [. digits] [e[-+]digits], at least one digit before or after the point.
bool IsDecimalNumber(std::string_view text) {
  size_t i = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  size_t end = SkipDigits(text, i);
  size_t digits = end - i;
  i = end;
  if (i < text.size() && text[i] == '.') {
    end = SkipDigits(text, i + 1);
    digits += end - i - 1;
    i = end;
  }
  if (digits == 0) return false;
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
    end = SkipDigits(text, i);
    if (end == i) return false;
    i = end;
  }
  return i == text.size();
}

// 16 for 0x1f, 8 for 0o17, else 0.
int PrefixedBase(std::string_view text) {
  if (text.size() < 3 || text[0] != '0') return 0;
  const int base = text[1] == 'x' ? 16 : text[1] == 'o' ? 8 : 0;
  if (base == 0) return 0;
  for (const char c : text.substr(2)) {
    const bool digit =
        base == 8 ? c >= '0' && c <= '7' : IsDigit(c) || (AsciiLower(c) >= 'a' && AsciiLower(c) <= 'f');
    if (!digit) return 0;
  }
  return base;
}

std::string_view WithoutPlus(std::string_view text) {
  if (!text.empty() && text[0] == '+') text.remove_prefix(1);
  return text;
}

template <typename T>
std::optional<T> FromDigits(std::string_view text, int base) {
  T value{};
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> ToDouble(std::string_view text) {
  text = WithoutPlus(text);
  double value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

// An integer in any of its spellings, 1.0 and 1e3 included.
template <typename T>
std::optional<T> ToInteger(const Scalar& scalar) {
  if (!scalar.quoted) {
    if (const int base = PrefixedBase(scalar.text)) return FromDigits<T>(scalar.text.substr(2), base);
  }
  if (IsDecimalInteger(scalar.text)) {
    // from_chars takes no minus for unsigned types; "-0" is 0 all the same.
    if (std::is_unsigned_v<T> && scalar.text == "-0") return T{0};
    return FromDigits<T>(WithoutPlus(scalar.text), 10);
  }
  if (!IsDecimalNumber(scalar.text)) return std::nullopt;
  const std::optional<double> value = ToDouble(scalar.text);
  // 2^63 and 2^64 are exact doubles, the greatest values of the types are not.
  const double limit = std::is_unsigned_v<T> ? 0x1p64 : 0x1p63;
  const double lowest = std::is_unsigned_v<T> ? 0 : -0x1p63;
  if (!value || std::trunc(*value) != *value || *value < lowest || *value >= limit) return std::nullopt;
  return static_cast<T>(*value);
}

template <typename T>
Parsed<T> ParseInteger(const Scalar& scalar, T min, T max) {
  if (HasLeadingZero(scalar.text) && IsDecimalNumber(scalar.text)) {
    return {.value = {}, .expected = "expected a number without a leading zero"};
  }
  const std::optional<T> value = ToInteger<T>(scalar);
  if (!value || *value < min || *value > max) {
    return {.value = {},
            .expected = "expected an integer from " + std::to_string(min) + " to " + std::to_string(max)};
  }
  return {.value = value, .expected = {}};
}

std::optional<double> ParseNonFinite(std::string_view text) {
  if (text == "NaN" || text == ".nan") return std::numeric_limits<double>::quiet_NaN();
  if (text == "Infinity" || text == ".inf") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity" || text == "-.inf") return -std::numeric_limits<double>::infinity();
  return std::nullopt;
}

// Bytes of the UTF-8 sequence that `lead` begins, 0 if none.
int SequenceLength(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead < 0xe0) return 2;
  if (lead >= 0xe0 && lead < 0xf0) return 3;
  return lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
}

}  // namespace

ScalarType TypeOf(const Scalar& scalar) {
  if (scalar.quoted) return ScalarType::kString;
  if (ParseBoolean(scalar).value) return ScalarType::kBool;
  if (IsDecimalNumber(scalar.text) || PrefixedBase(scalar.text) != 0) return ScalarType::kNumber;
  const bool dotted = scalar.text.starts_with(".") || scalar.text.starts_with("-.");
  return dotted && ParseNonFinite(scalar.text) ? ScalarType::kNumber : ScalarType::kString;
}

Parsed<int64_t> ParseSigned(const Scalar& scalar, int64_t min, int64_t max) {
  return ParseInteger<int64_t>(scalar, min, max);
}

Parsed<uint64_t> ParseUnsigned(const Scalar& scalar, uint64_t max) {
  return ParseInteger<uint64_t>(scalar, 0, max);
}

Parsed<double> ParseFloating(const Scalar& scalar, double max_magnitude) {
  if (const auto value = ParseNonFinite(scalar.text)) return {.value = value, .expected = {}};
  std::optional<double> value;
  if (const int base = scalar.quoted ? 0 : PrefixedBase(scalar.text)) {
    if (const auto integer = FromDigits<uint64_t>(scalar.text.substr(2), base)) {
      value = static_cast<double>(*integer);
    }
  } else if (IsDecimalNumber(scalar.text) && !HasLeadingZero(scalar.text)) {
    value = ToDouble(scalar.text);
  }
  if (!value) return {.value = {}, .expected = "expected a number"};
  if (std::abs(*value) > max_magnitude) {
    return {.value = {}, .expected = "expected a number that its type can hold"};
  }
  return {.value = value, .expected = {}};
}

Parsed<bool> ParseBoolean(const Scalar& scalar) {
  const std::string_view text = scalar.text;
  if (!scalar.quoted && (text == "true" || text == "True" || text == "TRUE")) {
    return {.value = true, .expected = {}};
  }
  if (!scalar.quoted && (text == "false" || text == "False" || text == "FALSE")) {
    return {.value = false, .expected = {}};
  }
  return {.value = {}, .expected = "expected true or false, without quotes"};
}

Parsed<std::string> ParseText(const Scalar& scalar) {
  if (TypeOf(scalar) != ScalarType::kString) {
    return {.value = {}, .expected = "expected a string; put quotes around it"};
  }
  if (!IsUtf8(scalar.text)) return {.value = {}, .expected = "expected valid UTF-8"};
  return {.value = std::string(scalar.text), .expected = {}};
}

Parsed<std::string> ParseBytes(const Scalar& scalar) {
  std::string bytes;
  if (absl::Base64Unescape(ToAbsl(scalar.text), &bytes) ||
      absl::WebSafeBase64Unescape(ToAbsl(scalar.text), &bytes)) {
    return {.value = std::move(bytes), .expected = {}};
  }
  return {.value = {}, .expected = "expected bytes in base64"};
}

bool IsUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const auto length = static_cast<size_t>(SequenceLength(lead));
    if (length == 0 || i + length > text.size()) return false;
    for (size_t k = 1; k < length; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80) return false;
    }
    if (length > 2) {
      // Overlong forms, surrogates and what lies beyond U+10FFFF (RFC 3629 section 4).
      const auto second = static_cast<unsigned char>(text[i + 1]);
      if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f)) return false;
      if ((lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f)) return false;
    }
    i += length;
  }
  return true;
}

}  // namespace pillion::config
