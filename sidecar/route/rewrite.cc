#include "sidecar/route/rewrite.h"

#include <re2/re2.h>

#include <algorithm>
#include <vector>

namespace pillion::route {
namespace {

re2::StringPiece Piece(std::string_view text) { return {text.data(), text.size()}; }

std::string_view Bare(std::string_view path) { return path.substr(0, path.find('?')); }
std::string_view Query(std::string_view path) {  // with its '?'
  const size_t mark = path.find('?');
  return mark == std::string_view::npos ? std::string_view() : path.substr(mark);
}

// How much of the path the match speaks of: all of it, but for prefixes.
size_t Matched(const config::RouteMatch& match, std::string_view bare) {
  using Kind = config::RouteMatch::Kind;
  const bool prefix = match.kind == Kind::kPrefix || match.kind == Kind::kPathSeparatedPrefix;
  return prefix ? std::min(match.text.size(), bare.size()) : bare.size();
}

// The names of a match's template, filled in with what they matched.
std::string FillTemplate(const std::vector<config::PathRewrite::Part>& parts, const re2::RE2& regex,
                         std::string_view bare) {
  const auto groups = static_cast<size_t>(regex.NumberOfCapturingGroups());
  std::vector<re2::StringPiece> found(groups + 1);
  std::string path;
  if (!regex.Match(Piece(bare), 0, bare.size(), re2::RE2::ANCHOR_BOTH, found.data(),
                   static_cast<int>(found.size())))
    return path;
  for (const config::PathRewrite::Part& part : parts) {
    path += part.text;
    if (part.group > 0 && part.group < found.size())
      path.append(found[part.group].data(), found[part.group].size());
  }
  return path;
}

}  // namespace

std::string RewrittenPath(const config::PathRewrite& rewrite, const config::RouteMatch& match,
                          std::string_view path) {
  using Kind = config::PathRewrite::Kind;
  const std::string_view bare = Bare(path);
  std::string result;
  switch (rewrite.kind) {
    case Kind::kMatched:
      result = rewrite.text;
      result.append(bare.substr(Matched(match, bare)));
      break;
    case Kind::kRegex:
      result.assign(bare);
      re2::RE2::GlobalReplace(&result, *rewrite.regex, Piece(rewrite.text));
      break;
    case Kind::kTemplate:
      result = FillTemplate(rewrite.parts, *match.regex, bare);
      break;
  }
  const size_t start = std::min(result.find_first_not_of('/'), result.size());
  if (start != 1) result.replace(0, start, "/");
  return result.append(Query(path));
}

std::string RewrittenHost(const config::HostRewrite& rewrite, const http::RequestHead& head) {
  using Kind = config::HostRewrite::Kind;
  switch (rewrite.kind) {
    case Kind::kLiteral:
      return rewrite.text;
    case Kind::kHeader:
      return std::string(head.headers.Find(rewrite.text).value_or(""));
    case Kind::kPathRegex: {
      std::string host(Bare(head.path));
      re2::RE2::GlobalReplace(&host, *rewrite.regex, Piece(rewrite.text));
      return host;
    }
  }
  return {};
}

std::string Location(const config::Redirect& redirect, const config::RouteMatch& match,
                     const http::RequestHead& head) {
  // An HTTP/2 client may say any scheme.
  const std::string_view own = head.scheme == "https" ? "https" : "http";
  const std::string_view scheme = redirect.scheme.empty() ? own : std::string_view(redirect.scheme);
  std::string_view host = redirect.host.empty() ? std::string_view(head.authority) : redirect.host;
  if (redirect.host.empty()) {
    // Behind the last ':', unless that is within an IPv6 address.
    const size_t colon = host.rfind(':');
    const bool has_port = colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos;
    const std::string_view port = has_port ? host.substr(colon + 1) : std::string_view();
    // The old scheme's own port would be a strange one of the new.
    const bool old_default = scheme != own && port == (own == "https" ? "443" : "80");
    if (has_port && (redirect.port != 0 || old_default)) host = host.substr(0, colon);
  }
  std::string location(scheme);
  location.append("://").append(host);
  if (redirect.port != 0 && redirect.port != (scheme == "https" ? 443 : 80))
    location += ":" + std::to_string(redirect.port);
  std::string path = head.path == "*" ? "/" : head.path;
  if (redirect.strip_query) path.resize(Bare(path).size());
  if (redirect.path) {
    // Its own query wins, whatever is said of the request's.
    const bool has_query = redirect.path->find('?') != std::string::npos;
    path = *redirect.path + (has_query ? std::string() : std::string(Query(path)));
  } else if (redirect.rewrite) {
    path = RewrittenPath(*redirect.rewrite, match, path);
  }
  // Nobody knows which: the same one (RFC 9110 section 10.2.2). More slashes would name another.
  if (host.empty()) return "/" + path.substr(std::min(path.find_first_not_of("/\\"), path.size()));
  return location + path;
}

}  // namespace pillion::route
