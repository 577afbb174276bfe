#include "sidecar/filter/grpc.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "sidecar/base/text.h"

namespace pillion::filter {
namespace {

using std::chrono::nanoseconds;

constexpr size_t kMaxTimeoutDigits = 8;

struct Unit {
  char name;
  nanoseconds length;
};
// The finest first.
constexpr std::array<Unit, 6> kUnits = {{{'n', nanoseconds(1)},
                                         {'u', std::chrono::microseconds(1)},
                                         {'m', std::chrono::milliseconds(1)},
                                         {'S', std::chrono::seconds(1)},
                                         {'M', std::chrono::minutes(1)},
                                         {'H', std::chrono::hours(1)}}};

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = AsciiLower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

std::optional<uint32_t> ParseGrpcStatus(std::string_view text) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string EncodeGrpcMessage(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (c >= 0x20 && c <= 0x7e && c != '%') {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kDigits[byte >> 4];
    out += kDigits[byte & 0xF];
  }
  return out;
}

std::string DecodeGrpcMessage(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape =
        text[i] == '%' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 && HexDigit(text[i + 2]) >= 0;
    if (escape) {
      out += static_cast<char>(HexDigit(text[i + 1]) << 4 | HexDigit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::optional<nanoseconds> ParseGrpcTimeout(std::string_view text) {
  if (text.size() < 2 || text.size() > kMaxTimeoutDigits + 1) return std::nullopt;
  const auto* const unit = std::ranges::find(kUnits, text.back(), &Unit::name);
  if (unit == kUnits.end()) return std::nullopt;
  text.remove_suffix(1);
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  // Beyond any deadline, and short of what a clock can add: 99999999 hours would overflow.
  constexpr nanoseconds kLongest = std::chrono::hours(24 * 365 * 100);
  if (number > static_cast<uint64_t>(kLongest / unit->length)) return kLongest;
  return static_cast<int64_t>(number) * unit->length;
}

std::string FormatGrpcTimeout(nanoseconds timeout) {
  constexpr int64_t kMaxNumber = 99'999'999;
  timeout = std::max(timeout, nanoseconds(1));
  for (const Unit& unit : kUnits) {
    if (timeout / unit.length <= kMaxNumber) return std::to_string(timeout / unit.length) + unit.name;
  }
  return std::to_string(kMaxNumber) + "H";
}

uint16_t HttpStatusOfGrpc(uint32_t grpc_status) {
  switch (grpc_status) {
    case 0:  // OK
      return 200;
    case 1:  // CANCELLED
      return 499;
    case 3:   // INVALID_ARGUMENT
    case 9:   // FAILED_PRECONDITION
    case 11:  // OUT_OF_RANGE
      return 400;
    case 4:  // DEADLINE_EXCEEDED
      return 504;
    case 5:  // NOT_FOUND
      return 404;
    case 6:   // ALREADY_EXISTS
    case 10:  // ABORTED
      return 409;
    case 7:  // PERMISSION_DENIED
      return 403;
    case 8:  // RESOURCE_EXHAUSTED
      return 429;
    case 12:  // UNIMPLEMENTED
      return 501;
    case 14:  // UNAVAILABLE
      return 503;
    case 16:  // UNAUTHENTICATED
      return 401;
    default:  // UNKNOWN, INTERNAL, DATA_LOSS, and what nobody knows
      return 500;
  }
}

uint32_t GrpcStatusOfHttp(uint16_t http_status) {
  switch (http_status) {
    case 200:
      return 0;
    case 400:
      return 13;
    case 401:
      return 16;
    case 403:
      return 7;
    case 404:
      return 12;
    case 429:
    case 502:
    case 503:
    case 504:
      return 14;
    default:
      return 2;
  }
}

}  // namespace pillion::filter
