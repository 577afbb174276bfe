#include "sidecar/idempotency/app_key.h"

#include <algorithm>

#include "sidecar/base/text.h"
#include "sidecar/idempotency/digest.h"

namespace pillion::idempotency {
namespace {

bool IsBare(char c) {
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return letter || (c >= '0' && c <= '9') || std::string_view("._~:+/=-").find(c) != std::string_view::npos;
}

// What stands between the quotes. RFC 8941 section 4.2.5.
std::optional<std::string> Unescape(std::string_view inner) {
  std::string key;
  for (size_t i = 0; i < inner.size(); ++i) {
    char c = inner[i];
    if (c < 0x20 || c > 0x7e || c == '"') return std::nullopt;
    if (c == '\\') {
      if (++i == inner.size()) return std::nullopt;
      c = inner[i];
      if (c != '"' && c != '\\') return std::nullopt;
    }
    if (key.size() == kMaxKeyBytes) return std::nullopt;
    key += c;
  }
  return key;
}

}  // namespace

std::optional<std::string> ParseAppKey(std::string_view value) {
  value = TrimOws(value);
  if (value.starts_with('"')) {
    if (value.size() < 3 || !value.ends_with('"')) return std::nullopt;
    return Unescape(value.substr(1, value.size() - 2));
  }
  if (value.empty() || value.size() > kMaxKeyBytes || !std::ranges::all_of(value, IsBare))
    return std::nullopt;
  return std::string(value);
}

AppKey ReadAppKey(const http::HeaderList& headers) {
  AppKey read;
  if (!headers.Has(http::Known::kIdempotencyKey)) return read;
  for (size_t i = 0; i < headers.size(); ++i) {
    if (headers[i].known != http::Known::kIdempotencyKey) continue;
    std::optional<std::string> key = ParseAppKey(headers[i].value);
    if (!key || read.kind != AppKey::Kind::kNone) return {AppKey::Kind::kBad, ""};
    read = {AppKey::Kind::kKey, *std::move(key)};
  }
  return read;
}

std::array<uint8_t, 16> BytesOfKey(std::string_view key, std::string_view principal) {
  Digester digester;
  digester.Part(principal.empty() ? "Idempotency-Key" : "Idempotency-Key of a user");
  if (!principal.empty()) digester.Part(principal);
  digester.Part(key);
  return digester.End().bytes;
}

}  // namespace pillion::idempotency
