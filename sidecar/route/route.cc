#include "sidecar/route/route.h"

#include <algorithm>

#include "sidecar/base/text.h"

namespace pillion::route {
namespace {

// So few are tried sooner than found.
constexpr size_t kFewRoutes = 6;

enum class FoundBy : uint8_t { kPath, kPrefix, kElementPrefix, kNothing };

FoundBy WhatFinds(const config::RouteMatch& match) {
  using Kind = config::RouteMatch::Kind;
  if (!match.case_sensitive) return FoundBy::kNothing;
  switch (match.kind) {
    case Kind::kPath:
      return FoundBy::kPath;
    case Kind::kPrefix:  // "/" takes also what does not begin with it
      return match.text.size() > 1 ? FoundBy::kPrefix : FoundBy::kNothing;
    case Kind::kPathSeparatedPrefix:
      return FoundBy::kElementPrefix;
    case Kind::kRegex:
    case Kind::kConnect:
      return FoundBy::kNothing;
  }
  return FoundBy::kNothing;
}

bool WantsPathAlone(const config::RouteMatch& match) {
  return match.headers.empty() && match.query.empty() && !match.grpc && !match.share;
}

}  // namespace

HostRoutes::HostRoutes(const std::vector<config::Route>& routes) : routes_(&routes) {
  size_t bytes = 0;
  for (const config::Route& route : routes) bytes += route.match.text.size();
  texts_ = std::make_unique<char[]>(bytes);
  char* end = texts_.get();
  for (uint32_t place = 0; place < routes.size(); ++place) {
    const config::RouteMatch& match = routes[place].match;
    has_shares_ = has_shares_ || match.share.has_value();
    const FoundBy found_by = routes.size() <= kFewRoutes ? FoundBy::kNothing : WhatFinds(match);
    const Candidate candidate = {.place = place,
                                 .path_alone = found_by != FoundBy::kNothing && WantsPathAlone(match)};
    found_by_path_ = found_by_path_ || found_by != FoundBy::kNothing;
    const std::string_view text(end, match.text.size());
    end = std::ranges::copy(match.text, end).out;
    switch (found_by) {
      case FoundBy::kPath:
        paths_[text].push_back(candidate);
        break;
      case FoundBy::kPrefix:
        prefixes_[text].push_back(candidate);
        break;
      case FoundBy::kElementPrefix:
        element_prefixes_[text].push_back(candidate);
        break;
      case FoundBy::kNothing:
        others_.push_back(candidate);
        break;
    }
  }
}

const config::Route* HostRoutes::Find(const Request& request) const {
  const size_t none = routes_->size();
  size_t first = none;
  const auto try_all = [&](const auto& candidates) {
    for (const Candidate& one : candidates) {
      if (one.place >= first) break;
      if (!one.path_alone && !Matches((*routes_)[one.place].match, request)) continue;
      first = one.place;
      break;
    }
    return false;  // there may be a shorter prefix with a route before this one
  };
  const std::string_view path = request.path;
  if (found_by_path_ && request.head.method != http::Method::kConnect) {  // which no path matches
    if (!paths_.empty()) {
      if (const auto found = paths_.find(path); found != paths_.end()) try_all(found->second);
    }
    prefixes_.VisitPrefixesOf(path, [](size_t) { return true; }, try_all);
    element_prefixes_.VisitPrefixesOf(
        path, [&](size_t length) { return path.size() == length || path[length] == '/'; }, try_all);
  }
  try_all(others_);
  return first == none ? nullptr : &(*routes_)[first];
}

RouteIndex::RouteIndex(std::shared_ptr<const config::RouteTable> table) : table_(std::move(table)) {
  hosts_.reserve(table_->virtual_hosts.size());
  size_t place = 0;
  for (const config::VirtualHost& host : table_->virtual_hosts) {
    hosts_.push_back({&host, HostRoutes(host.routes), place});
    place += host.routes.size();
    has_shares_ = has_shares_ || hosts_.back().routes.has_shares();
    for (const std::string_view domain : host.domains) {  // lower case already
      if (domain == "*") {
        any_ = &hosts_.back();
      } else if (domain.starts_with('*')) {
        suffixes_[domain.substr(1)] = &hosts_.back();
      } else if (domain.ends_with('*')) {
        prefixes_[domain.substr(0, domain.size() - 1)] = &hosts_.back();
      } else {
        exact_[domain] = &hosts_.back();
      }
    }
  }
}

const RouteIndex::Host* RouteIndex::FindHost(std::string_view authority) const {
  if (exact_.empty() && suffixes_.empty() && prefixes_.empty()) return any_;
  const auto has_upper = [](char c) { return c >= 'A' && c <= 'Z'; };
  std::string lowered;
  if (std::ranges::any_of(authority, has_upper)) {
    lowered.assign(authority);
    std::ranges::transform(lowered, lowered.begin(), AsciiLower);
    authority = lowered;
  }
  if (const auto found = exact_.find(authority); found != exact_.end()) return found->second;
  if (authority.empty()) return any_;
  const Host* host = any_;
  const auto take = [&](const Host* found) {
    host = found;
    return true;
  };
  // A '*' stands for one character at least.
  bool found = false;
  suffixes_.VisitSuffixesOf(authority.substr(1), [&](const Host* one) { return found = take(one); });
  if (!found)
    prefixes_.VisitPrefixesOf(authority.substr(0, authority.size() - 1), [](size_t) { return true; }, take);
  return host;
}

Match RouteIndex::Find(const http::RequestHead& head, uint64_t draw) const {
  const Host* const host = FindHost(head.authority);
  if (host == nullptr) return {};
  Match match = {.virtual_host = host->host, .route = host->routes.Find(Request(head, draw)), .place = 0};
  if (match.route != nullptr) {
    match.place = host->first_place + static_cast<size_t>(match.route - host->host->routes.data());
  }
  return match;
}

}  // namespace pillion::route
