#include "sidecar/route/route.h"

#include <gtest/gtest.h>
#include <re2/re2.h>

#include <random>

namespace pillion::route {
namespace {

config::Route To(const std::string& cluster, config::RouteMatch::Kind kind, const std::string& text) {
  config::Route route;
  route.name = cluster;
  route.match.kind = kind;
  route.match.text = text;
  route.clusters = {{cluster, 1}};
  route.total_weight = 1;
  if (kind == config::RouteMatch::Kind::kRegex) route.match.regex = std::make_shared<re2::RE2>(text);
  return route;
}

using Kind = config::RouteMatch::Kind;

std::string Find(const RouteIndex& index, const std::string& host, const std::string& path) {
  http::RequestHead head;
  head.authority = host;
  head.has_authority = true;
  head.path = path;
  const Match match = index.Find(head, 0);
  if (match.virtual_host == nullptr) return "no host";
  return match.route == nullptr ? match.virtual_host->name + ": none" : match.route->name;
}

TEST(RouteIndex, TheRootPrefixTakesTheServerAsAWhole) {
  auto table = std::make_shared<config::RouteTable>();
  table->virtual_hosts.push_back(
      {"any", {"*"}, {To("a", Kind::kPrefix, "/a"), To("root", Kind::kPrefix, "/")}});
  EXPECT_EQ(Find(RouteIndex(table), "shop", "*"), "root");
}

TEST(RouteIndex, ChoosesHostsByExactThenLongestSuffixThenLongestPrefixThenAny) {
  auto table = std::make_shared<config::RouteTable>();
  const auto host = [&](const std::string& name, std::vector<std::string> domains) {
    table->virtual_hosts.push_back({name, std::move(domains), {To(name, Kind::kPrefix, "/")}});
  };
  host("any", {"*"});
  host("suffix", {"*.example.com"});
  host("longer", {"*.b.example.com"});
  host("exact", {"a.example.com", "a.example.com:80"});
  host("prefix", {"www.*"});
  const RouteIndex index(table);
  EXPECT_EQ(Find(index, "a.example.com", "/"), "exact");
  EXPECT_EQ(Find(index, "A.Example.COM", "/"), "exact");
  EXPECT_EQ(Find(index, "a.example.com:80", "/"), "exact");
  EXPECT_EQ(Find(index, "c.example.com", "/"), "suffix");
  EXPECT_EQ(Find(index, "x.b.example.com", "/"), "longer");
  EXPECT_EQ(Find(index, ".example.com", "/"), "any");
  EXPECT_EQ(Find(index, "www.other", "/"), "prefix");
  EXPECT_EQ(Find(index, "", "/"), "any");
}

TEST(RouteIndex, TheFirstMatchingRouteWinsAndPathsIgnoreTheQueryWhereEnvoyDoes) {
  auto table = std::make_shared<config::RouteTable>();
  table->virtual_hosts.push_back(
      {"v",
       {"*"},
       {To("path", Kind::kPath, "/exact"), To("sep", Kind::kPathSeparatedPrefix, "/v2"),
        To("regex", Kind::kRegex, "/r[0-9]+"), To("prefix", Kind::kPrefix, "/p")}});
  const RouteIndex index(table);
  EXPECT_EQ(Find(index, "h", "/exact?x=1"), "path");
  EXPECT_EQ(Find(index, "h", "/exact/"), "v: none");
  EXPECT_EQ(Find(index, "h", "/v2"), "sep");
  EXPECT_EQ(Find(index, "h", "/v2/a"), "sep");
  EXPECT_EQ(Find(index, "h", "/v2?q"), "sep");
  EXPECT_EQ(Find(index, "h", "/v2example"), "v: none");
  EXPECT_EQ(Find(index, "h", "/r12?z"), "regex");
  EXPECT_EQ(Find(index, "h", "/r12z"), "v: none");
  EXPECT_EQ(Find(index, "h", "/pxyz"), "prefix");
  EXPECT_EQ(Find(index, "h", "/P"), "v: none");
}

// What the index finds is what trying one route after the other finds.
TEST(RouteIndex, FindsWhatASearchInOrderFinds) {
  std::mt19937_64 random(17);
  const auto text = [&](size_t elements) {
    std::string path;
    for (size_t i = 0; i < elements; ++i)
      path += "/" + std::string(random() % 3, static_cast<char>('a' + random() % 3));
    return path.empty() ? "/" : path;
  };
  size_t found = 0;
  for (int round = 0; round < 400; ++round) {
    auto table = std::make_shared<config::RouteTable>();
    table->virtual_hosts.push_back({"v", {"*"}, {}});
    std::vector<config::Route>& routes = table->virtual_hosts[0].routes;
    for (size_t i = random() % 40; i > 0; --i) {
      config::Route route = To("c", static_cast<Kind>(random() % 3), text(1 + random() % 3));
      if (random() % 8 == 0) route = To("c", Kind::kRegex, "/a+.*");
      if (random() % 8 == 0) route.match.case_sensitive = false;
      if (random() % 8 == 0) route.match.kind = Kind::kConnect;
      if (random() % 4 == 0) route.match.headers = {{.name = "x", .present = random() % 2 == 0}};
      if (route.match.kind == Kind::kPathSeparatedPrefix && route.match.text.ends_with('/'))
        route.match.text += "a";
      routes.push_back(std::move(route));
    }
    const RouteIndex index(table);
    for (int i = 0; i < 50; ++i) {
      http::RequestHead head;
      head.path = text(random() % 5) + (random() % 3 == 0 ? "?q" : "");
      if (random() % 10 == 0) head.path = "*";
      if (random() % 3 == 0) head.headers.Add("x", "y");
      const config::Route* expected = nullptr;
      for (const config::Route& route : routes) {
        if (expected == nullptr && Matches(route.match, Request(head, 0))) expected = &route;
      }
      const Match match = index.Find(head, 0);
      ASSERT_EQ(match.route, expected) << head.path;
      if (expected == nullptr) continue;
      ++found;
      ASSERT_EQ(match.place, static_cast<size_t>(expected - routes.data()));
    }
  }
  EXPECT_GT(found, 5000u);
}

TEST(RouteIndex, PlacesCountOverAllHosts) {
  auto table = std::make_shared<config::RouteTable>();
  table->virtual_hosts.push_back({"a", {"a"}, {To("0", Kind::kPath, "/x"), To("1", Kind::kPrefix, "/")}});
  table->virtual_hosts.push_back({"b", {"b"}, {To("2", Kind::kPath, "/x"), To("3", Kind::kPrefix, "/")}});
  const RouteIndex index(table);
  for (const char* host : {"a", "b"}) {
    for (const char* path : {"/x", "/y"}) {
      http::RequestHead head;
      head.authority = host;
      head.path = path;
      const Match match = index.Find(head, 0);
      ASSERT_NE(match.route, nullptr);
      EXPECT_EQ(std::to_string(match.place), match.route->name);
    }
  }
}

}  // namespace
}  // namespace pillion::route
