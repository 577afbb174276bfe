#include "sidecar/route/match.h"

#include <re2/re2.h>

#include <algorithm>
#include <charconv>

#include "sidecar/base/text.h"
#include "sidecar/config/string_match.h"

namespace pillion::route {
namespace {

re2::StringPiece Piece(std::string_view text) { return {text.data(), text.size()}; }

bool MatchesPath(const config::RouteMatch& match, std::string_view path) {
  switch (match.kind) {
    case config::RouteMatch::Kind::kPrefix:
      // "/" is the catch-all, so it takes the target that is no path too: OPTIONS * (RFC 9110 section 9.3.7).
      return config::HasPrefix(path, match.text, !match.case_sensitive) || (match.text == "/" && path == "*");
    case config::RouteMatch::Kind::kPath:
      return match.case_sensitive ? path == match.text : EqualsIgnoreCase(path, match.text);
    case config::RouteMatch::Kind::kPathSeparatedPrefix:
      return config::HasPrefix(path, match.text, !match.case_sensitive) &&
             (path.size() == match.text.size() || path[match.text.size()] == '/');
    case config::RouteMatch::Kind::kRegex:
      return re2::RE2::FullMatch(Piece(path), *match.regex);
    case config::RouteMatch::Kind::kConnect:
      return true;  // as Matches has seen to
  }
  return false;
}

bool IsIn(const config::IntRange& range, std::string_view text) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value >= range.start &&
         value < range.end;
}

// Of a field that is there.
bool MatchesValue(const config::HeaderMatch& match, std::string_view value) {
  if (match.range) return IsIn(*match.range, value);
  return match.value ? config::Matches(*match.value, value) : match.present;
}

bool MatchesMissing(const config::HeaderMatch& match) {
  if (match.missing_is_empty) return MatchesValue(match, "") != match.invert;
  // A value that is not there is neither this one nor another.
  if (match.value || match.range) return false;
  return match.present == match.invert;
}

bool MatchesQuery(const config::QueryMatch& match, std::string_view query) {
  const std::optional<std::string_view> value = FindParameter(query, match.name);
  if (!match.value) return value.has_value() == match.present;
  return value && config::Matches(*match.value, *value);
}

}  // namespace

Request::Request(const http::RequestHead& request, uint64_t random)
    : head(request), path(request.path), draw(random) {
  const size_t mark = path.find('?');
  if (mark == std::string_view::npos) return;
  query = path.substr(mark + 1);
  path = path.substr(0, mark);
}

std::optional<std::string_view> FindParameter(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const size_t end = query.find('&');
    const std::string_view one = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
    const size_t equals = one.find('=');
    if (one.substr(0, equals) != name) continue;
    return equals == std::string_view::npos ? std::string_view() : one.substr(equals + 1);
  }
  return std::nullopt;
}

std::optional<std::string_view> RequestLineField(const http::RequestHead& head, std::string_view name) {
  if (name == ":method") return head.method_text;
  if (name == ":path") return head.path;
  if (name == ":authority" && head.has_authority) return head.authority;
  if (name == ":scheme") return head.scheme;
  return std::nullopt;
}

bool Matches(const config::HeaderMatch& match, const http::RequestHead& head) {
  if (match.name.starts_with(':')) {
    const auto value = RequestLineField(head, match.name);
    return value ? MatchesValue(match, *value) != match.invert : MatchesMissing(match);
  }
  return Matches(match, head.headers);
}

bool Matches(const config::HeaderMatch& match, const http::HeaderList& fields) {
  // Each field is matched by itself: joining values lets one field speak for another (CVE-2026-26308).
  bool present = false;
  const http::Known known = http::Lookup(match.name);
  for (size_t i = 0; i < fields.size(); ++i) {
    const http::HeaderList::Field field = fields[i];
    if (field.known != known || !EqualsIgnoreCase(field.name, match.name)) continue;
    present = true;
    if (MatchesValue(match, field.value)) return !match.invert;
  }
  return present ? match.invert : MatchesMissing(match);
}

bool Matches(const config::RouteMatch& match, const Request& request) {
  const bool for_connect = match.kind == config::RouteMatch::Kind::kConnect;
  if (for_connect != (request.head.method == http::Method::kConnect)) return false;
  if (!MatchesPath(match, request.path)) return false;
  for (const config::HeaderMatch& header : match.headers) {
    if (!Matches(header, request.head)) return false;
  }
  for (const config::QueryMatch& query : match.query) {
    if (!MatchesQuery(query, request.query)) return false;
  }
  if (match.grpc && !http::IsGrpc(request.head.headers)) return false;
  return !match.share || match.share->Holds(request.draw);
}

}  // namespace pillion::route
