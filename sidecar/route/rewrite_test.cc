#include "sidecar/route/rewrite.h"

#include <gtest/gtest.h>
#include <re2/re2.h>

#include <string>

namespace pillion::route {
namespace {

using config::PathRewrite;
using config::Redirect;
using config::RouteMatch;

RouteMatch Match(RouteMatch::Kind kind, const std::string& text) {
  RouteMatch match;
  match.kind = kind;
  match.text = text;
  if (kind == RouteMatch::Kind::kRegex) match.regex = std::make_shared<re2::RE2>(text);
  return match;
}

std::string Replace(const RouteMatch& match, const std::string& with, const std::string& path) {
  PathRewrite rewrite;
  rewrite.text = with;
  return RewrittenPath(rewrite, match, path);
}

TEST(RewrittenPath, ReplacesWhatTheMatchNames) {
  const RouteMatch elements = Match(RouteMatch::Kind::kPathSeparatedPrefix, "/prefix/one");
  EXPECT_EQ(Replace(elements, "/one", "/prefix/one/two"), "/one/two");
  EXPECT_EQ(Replace(elements, "/one", "/prefix/one?q=/prefix/one"), "/one?q=/prefix/one");
  const RouteMatch prefix = Match(RouteMatch::Kind::kPrefix, "/api/");
  EXPECT_EQ(Replace(prefix, "/v1/", "/api/x?y"), "/v1/x?y");
  const RouteMatch path = Match(RouteMatch::Kind::kPath, "/full/one/two");
  EXPECT_EQ(Replace(path, "/one", "/full/one/two?q"), "/one?q");
  const RouteMatch regex = Match(RouteMatch::Kind::kRegex, "/[a-z]+/x");
  EXPECT_EQ(Replace(regex, "/one", "/abc/x?q"), "/one?q") << "it names the whole path";
}

// The Gateway API's strip-prefix: no host by way of "//".
TEST(RewrittenPath, BeginsWithOneSlash) {
  const RouteMatch strip = Match(RouteMatch::Kind::kPathSeparatedPrefix, "/strip-prefix");
  EXPECT_EQ(Replace(strip, "/", "/strip-prefix/three"), "/three");
  EXPECT_EQ(Replace(strip, "/", "/strip-prefix"), "/");
  EXPECT_EQ(Replace(strip, "/", "/strip-prefix?q"), "/?q");
  EXPECT_EQ(Replace(strip, "/", "/strip-prefix////host/x"), "/host/x");
  PathRewrite nothing;
  nothing.kind = PathRewrite::Kind::kRegex;
  nothing.regex = std::make_shared<re2::RE2>("^/a/");
  EXPECT_EQ(RewrittenPath(nothing, strip, "/a/b?c"), "/b?c");
  nothing.regex = std::make_shared<re2::RE2>(".*");
  EXPECT_EQ(RewrittenPath(nothing, strip, "/a/b?c"), "/?c");
}

TEST(RewrittenPath, ReplacesEachFindOfAnExpression) {
  PathRewrite rewrite;
  rewrite.kind = PathRewrite::Kind::kRegex;
  rewrite.regex = std::make_shared<re2::RE2>("/service/([^/]+)(/.*)");
  rewrite.text = "\\2/instance/\\1";
  const RouteMatch any = Match(RouteMatch::Kind::kPrefix, "/");
  EXPECT_EQ(RewrittenPath(rewrite, any, "/service/foo/v1/api?q"), "/v1/api/instance/foo?q");
  rewrite.regex = std::make_shared<re2::RE2>("one");
  rewrite.text = "two";
  EXPECT_EQ(RewrittenPath(rewrite, any, "/xxx/one/yyy/one/zzz?one"), "/xxx/two/yyy/two/zzz?one");
}

TEST(RewrittenPath, FillsInATemplate) {
  const RouteMatch match = Match(RouteMatch::Kind::kRegex, "/(?P<lang>[^/]+)/(?P<rest>.*)");
  PathRewrite rewrite;
  rewrite.kind = PathRewrite::Kind::kTemplate;
  rewrite.parts = {{"/", 2}, {"/in/", 1}, {".html", 0}};
  EXPECT_EQ(RewrittenPath(rewrite, match, "/en/a/b?q"), "/a/b/in/en.html?q");
}

http::RequestHead Head(const std::string& authority, const std::string& path) {
  http::RequestHead head;
  head.authority = authority;
  head.has_authority = true;
  head.path = path;
  head.scheme = "http";
  return head;
}

TEST(RewrittenHost, IsWhatItIsToldToBe) {
  config::HostRewrite rewrite;
  rewrite.text = "elsewhere:80";
  http::RequestHead head = Head("shop", "/tenant/x?y");
  EXPECT_EQ(RewrittenHost(rewrite, head), "elsewhere:80");
  rewrite.kind = config::HostRewrite::Kind::kHeader;
  rewrite.text = "x-host";
  EXPECT_EQ(RewrittenHost(rewrite, head), "") << "not there: the host stays";
  head.headers.Add("X-Host", "there");
  EXPECT_EQ(RewrittenHost(rewrite, head), "there");
  rewrite.kind = config::HostRewrite::Kind::kPathRegex;
  rewrite.regex = std::make_shared<re2::RE2>("^/([^/]+)/.*$");
  rewrite.text = "\\1.example";
  EXPECT_EQ(RewrittenHost(rewrite, head), "tenant.example");
}

TEST(Location, IsWhatWasAskedForButForWhatIsSaid) {
  const RouteMatch any = Match(RouteMatch::Kind::kPrefix, "/");
  const auto location = [&](const Redirect& redirect, const std::string& authority = "shop:8080",
                            const std::string& path = "/a/b?q") {
    return Location(redirect, any, Head(authority, path));
  };
  EXPECT_EQ(location({}), "http://shop:8080/a/b?q");
  EXPECT_EQ(location({.host = "example.org"}), "http://example.org/a/b?q");
  EXPECT_EQ(location({.port = 8083}), "http://shop:8083/a/b?q");
  EXPECT_EQ(location({.host = "example.org", .port = 8083}), "http://example.org:8083/a/b?q");
  EXPECT_EQ(location({.scheme = "https"}), "https://shop:8080/a/b?q");
  EXPECT_EQ(location({.scheme = "https"}, "shop:80"), "https://shop/a/b?q") << "http's own port";
  EXPECT_EQ(location({.scheme = "https"}, "[::1]:80"), "https://[::1]/a/b?q");
  EXPECT_EQ(location({.port = 80}), "http://shop/a/b?q") << "what every client knows is not said";
  EXPECT_EQ(location({.scheme = "https", .port = 443}), "https://shop/a/b?q");
  EXPECT_EQ(location({.scheme = "https", .port = 80}), "https://shop:80/a/b?q");
  EXPECT_EQ(location({.port = 1}, "[::1]"), "http://[::1]:1/a/b?q");
  EXPECT_EQ(location({.strip_query = true}), "http://shop:8080/a/b");
  EXPECT_EQ(location({.path = "/new"}), "http://shop:8080/new?q");
  EXPECT_EQ(location({.path = "/new", .strip_query = true}), "http://shop:8080/new");
  EXPECT_EQ(location({.path = "/new?other", .strip_query = true}), "http://shop:8080/new?other");
  EXPECT_EQ(location({}, "shop", "*"), "http://shop/");
  EXPECT_EQ(location({}, "", "/a?b"), "/a?b") << "the host it has asked, whichever that is";
  EXPECT_EQ(location({}, "", "//evil.example/x"), "/evil.example/x");
  EXPECT_EQ(location({}, "", "/\\evil.example/x"), "/evil.example/x");
  http::RequestHead strange = Head("shop", "/a");
  strange.scheme = "javascript";
  EXPECT_EQ(Location({}, any, strange), "http://shop/a");
  Redirect prefix;
  prefix.rewrite = PathRewrite();
  prefix.rewrite->text = "/replacement-prefix";
  EXPECT_EQ(Location(prefix, Match(RouteMatch::Kind::kPathSeparatedPrefix, "/original-prefix"),
                     Head("shop", "/original-prefix/lemon?q")),
            "http://shop/replacement-prefix/lemon?q");
}

}  // namespace
}  // namespace pillion::route
