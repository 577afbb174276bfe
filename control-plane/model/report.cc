#include "control-plane/model/report.h"

#include <algorithm>

namespace pillion::control {
namespace {

constexpr int kMaxParts = 4;
constexpr size_t kMaxDigits = 5;
constexpr size_t kMaxLabel = 63;
constexpr size_t kMaxSubdomain = 253;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLowerAlnum(char c) { return (c >= 'a' && c <= 'z') || IsDigit(c); }

}  // namespace

std::optional<std::chrono::milliseconds> ParseGatewayDuration(std::string_view text) {
  std::chrono::milliseconds total{0};
  int parts = 0;
  while (!text.empty()) {
    size_t digits = 0;
    int64_t value = 0;
    while (digits < text.size() && IsDigit(text[digits])) {
      if (digits == kMaxDigits) return std::nullopt;
      value = value * 10 + (text[digits++] - '0');
    }
    if (digits == 0 || ++parts > kMaxParts) return std::nullopt;
    text.remove_prefix(digits);
    // "ms" before "m".
    if (text.starts_with("ms")) {
      total += std::chrono::milliseconds(value);
      text.remove_prefix(2);
      continue;
    }
    if (text.starts_with("h")) {
      total += std::chrono::hours(value);
    } else if (text.starts_with("m")) {
      total += std::chrono::minutes(value);
    } else if (text.starts_with("s")) {
      total += std::chrono::seconds(value);
    } else {
      return std::nullopt;
    }
    text.remove_prefix(1);
  }
  if (parts == 0) return std::nullopt;
  return total;
}

bool IsDnsLabel(std::string_view text) {
  if (text.empty() || text.size() > kMaxLabel) return false;
  if (!IsLowerAlnum(text.front()) || !IsLowerAlnum(text.back())) return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return IsLowerAlnum(c) || c == '-'; });
}

bool IsDnsSubdomain(std::string_view text) {
  if (text.empty() || text.size() > kMaxSubdomain) return false;
  while (true) {
    const size_t dot = text.find('.');
    if (!IsDnsLabel(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

bool IsToken(std::string_view text) {
  constexpr std::string_view kSymbols = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kSymbols.find(c) != std::string_view::npos;
  });
}

std::optional<uint16_t> ReadPort(int32_t value, const std::string& path, Report& report) {
  if (value < 1 || value > 65535) {
    report.Add(path, "expected a port, 1 to 65535");
    return std::nullopt;
  }
  return static_cast<uint16_t>(value);
}

}  // namespace pillion::control
