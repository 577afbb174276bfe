#include "sidecar/filter/sticky_session.h"

#include <charconv>
#include <cstdint>

#include "sidecar/filter/base64.h"

namespace pillion::filter {
namespace {

int64_t UnixSeconds(time::WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
}

// A whole text that is a number without a sign.
template <typename Number>
std::optional<Number> ReadNumber(std::string_view text) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.starts_with('-')) return std::nullopt;
  return value;
}

// As Address::ToString writes it.
std::optional<net::Address> ReadAddress(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = ReadNumber<uint16_t>(text.substr(colon + 1));
  std::string_view ip = text.substr(0, colon);
  if (ip.starts_with('[') && ip.ends_with(']')) ip = ip.substr(1, ip.size() - 2);
  return port ? net::Address::Parse(ip, *port) : std::nullopt;
}

}  // namespace

std::string StickyValue(const net::Address& endpoint, std::chrono::seconds ttl, time::WallTime now) {
  std::string text = endpoint.ToString();
  if (ttl.count() > 0) text += ';' + std::to_string(UnixSeconds(now) + ttl.count());
  std::string value;
  Base64Encoder encoder;
  encoder.Feed(text, value);
  encoder.Flush(value);
  return value;
}

std::optional<net::Address> ReadStickyValue(std::string_view value, time::WallTime now) {
  if (value.size() > kMaxStickyValueBytes) return std::nullopt;
  // Padding may be missing: some clients take it for the end of the value.
  const std::optional<std::string> text = DecodeBinaryField(value);
  if (!text) return std::nullopt;
  const std::string_view all = *text;
  const size_t mark = all.find(';');
  if (mark != std::string_view::npos) {
    const auto end = ReadNumber<int64_t>(all.substr(mark + 1));
    if (!end || UnixSeconds(now) >= *end) return std::nullopt;
  }
  return ReadAddress(all.substr(0, mark));
}

void StickySession::Tell(const net::Address& served, time::WallTime now, http::HeaderList& response) const {
  if (endpoint == served) return;
  const std::string value = StickyValue(served, terms->ttl, now);
  if (terms->kind == config::StickySession::Kind::kHeader) {
    response.Remove(terms->name);
    response.Add(terms->name, value);
  } else {
    response.Add("set-cookie", terms->name + "=" + value + terms->attributes);
  }
}

}  // namespace pillion::filter
