#include "sidecar/route/route.h"

#include <re2/re2.h>

#include <algorithm>

#include "sidecar/base/text.h"
#include "sidecar/config/string_match.h"

namespace pillion::route {
namespace {

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = AsciiLower(c);
  return lower;
}

re2::StringPiece Piece(std::string_view text) { return {text.data(), text.size()}; }

bool MatchesPath(const config::RouteMatch& match, std::string_view path) {
  const std::string_view bare = path.substr(0, path.find('?'));
  switch (match.kind) {
    case config::RouteMatch::Kind::kPrefix:
      // "/" is the catch-all, so it takes the target that is no path too: OPTIONS * (RFC 9110 section 9.3.7).
      return config::HasPrefix(path, match.text, !match.case_sensitive) || (match.text == "/" && path == "*");
    case config::RouteMatch::Kind::kPath:
      return match.case_sensitive ? bare == match.text : EqualsIgnoreCase(bare, match.text);
    case config::RouteMatch::Kind::kPathSeparatedPrefix:
      return config::HasPrefix(bare, match.text, !match.case_sensitive) &&
             (bare.size() == match.text.size() || bare[match.text.size()] == '/');
    case config::RouteMatch::Kind::kRegex:
      return re2::RE2::FullMatch(Piece(bare), *match.regex);
    case config::RouteMatch::Kind::kConnect:
      return true;  // as Matches has seen to
  }
  return false;
}

bool MatchesValue(const config::HeaderMatch& match, bool present, std::string_view value) {
  if (!match.value) return present == match.present;
  return present && Matches(*match.value, value);
}

bool MatchesHeader(const config::HeaderMatch& match, const http::RequestHead& head) {
  bool matched = false;
  if (match.name.starts_with(':')) {
    const std::string_view value = match.name == ":method"      ? std::string_view(head.method_text)
                                   : match.name == ":path"      ? std::string_view(head.path)
                                   : match.name == ":authority" ? std::string_view(head.authority)
                                   : match.name == ":scheme"    ? std::string_view(head.scheme)
                                                                : std::string_view();
    matched = MatchesValue(match, true, value);
  } else if (match.name == "host") {
    matched = MatchesValue(match, head.has_authority, head.authority);
  } else {
    // Each field is matched by itself: joining values lets one field speak for another (CVE-2026-26308).
    bool present = false;
    const http::Known known = http::Lookup(match.name);
    for (size_t i = 0; i < head.headers.size() && !(present && matched); ++i) {
      const http::HeaderList::Field field = head.headers[i];
      if (field.known != known || !EqualsIgnoreCase(field.name, match.name)) continue;
      present = true;
      matched = MatchesValue(match, true, field.value);
    }
    if (!present) matched = MatchesValue(match, false, {});
  }
  return matched != match.invert;
}

}  // namespace

bool Matches(const config::RouteMatch& match, const http::RequestHead& head) {
  const bool for_connect = match.kind == config::RouteMatch::Kind::kConnect;
  if (for_connect != (head.method == http::Method::kConnect)) return false;
  if (!MatchesPath(match, head.path)) return false;
  return std::all_of(match.headers.begin(), match.headers.end(),
                     [&](const config::HeaderMatch& header) { return MatchesHeader(header, head); });
}

RouteIndex::RouteIndex(std::shared_ptr<const config::RouteTable> table) : table_(std::move(table)) {
  for (const config::VirtualHost& host : table_->virtual_hosts) {
    for (const std::string& domain : host.domains) {
      if (domain == "*") {
        any_ = &host;
      } else if (domain.starts_with('*')) {
        suffixes_.emplace_back(Lower(domain.substr(1)), &host);
      } else if (domain.ends_with('*')) {
        prefixes_.emplace_back(Lower(domain.substr(0, domain.size() - 1)), &host);
      } else {
        exact_.emplace(Lower(domain), &host);
      }
    }
  }
  const auto longer = [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); };
  std::sort(suffixes_.begin(), suffixes_.end(), longer);
  std::sort(prefixes_.begin(), prefixes_.end(), longer);
}

const config::VirtualHost* RouteIndex::FindHost(std::string_view authority) const {
  if (exact_.empty() && suffixes_.empty() && prefixes_.empty()) return any_;
  const auto has_upper = [](char c) { return c >= 'A' && c <= 'Z'; };
  std::string lowered;
  if (std::any_of(authority.begin(), authority.end(), has_upper)) {
    lowered = Lower(authority);
    authority = lowered;
  }
  if (const auto found = exact_.find(authority); found != exact_.end()) return found->second;
  for (const auto& [suffix, host] : suffixes_) {
    if (authority.size() > suffix.size() && authority.ends_with(suffix)) return host;
  }
  for (const auto& [prefix, host] : prefixes_) {
    if (authority.size() > prefix.size() && authority.starts_with(prefix)) return host;
  }
  return any_;
}

Match RouteIndex::Find(const http::RequestHead& head) const {
  Match match;
  match.virtual_host = FindHost(head.authority);
  if (match.virtual_host == nullptr) return match;
  for (const config::Route& route : match.virtual_host->routes) {
    if (Matches(route.match, head)) {
      match.route = &route;
      break;
    }
  }
  return match;
}

const config::WeightedCluster& PickCluster(const std::vector<config::WeightedCluster>& clusters,
                                           uint64_t total_weight, uint64_t random) {
  if (clusters.size() == 1) return clusters.front();
  // The high bits times the total: uniform without a division (Lemire, 2019).
  auto point = static_cast<uint64_t>((static_cast<unsigned __int128>(random) * total_weight) >> 64);
  for (const config::WeightedCluster& candidate : clusters) {
    if (point < candidate.weight) return candidate;
    point -= candidate.weight;
  }
  return clusters.back();
}

}  // namespace pillion::route
