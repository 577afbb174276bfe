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
  const Match match = index.Find(head);
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

TEST(HeaderMatch, LooksAtEachFieldByItselfAndInverts) {
  config::RouteMatch match;
  config::HeaderMatch header;
  header.name = "x-version";
  header.value = config::StringMatch{config::StringMatch::Kind::kExact, "two", false, nullptr};
  match.headers = {header};
  http::RequestHead head;
  head.path = "/";
  EXPECT_FALSE(Matches(match, head));
  head.headers.Add("X-Version", "one");
  EXPECT_FALSE(Matches(match, head));
  head.headers.Add("x-version", "two");
  EXPECT_TRUE(Matches(match, head));
  match.headers[0].invert = true;
  EXPECT_FALSE(Matches(match, head));
  match.headers[0] = {"x-version", false, std::nullopt, false};
  EXPECT_FALSE(Matches(match, head));
  match.headers[0] = {"absent", false, std::nullopt, false};
  EXPECT_TRUE(Matches(match, head));
  match.headers[0] = {":method", false,
                      config::StringMatch{config::StringMatch::Kind::kPrefix, "ge", true, nullptr}};
  EXPECT_TRUE(Matches(match, head));
}

TEST(PickCluster, FollowsTheWeightsAndNeverPicksWeightZero) {
  config::Route route;
  route.clusters = {{"a", 70}, {"b", 30}, {"never", 0}};
  route.total_weight = 100;
  std::mt19937_64 random(7);
  int a = 0;
  for (int i = 0; i < 100000; ++i) {
    const std::string& name = PickCluster(route, random()).cluster;
    ASSERT_NE(name, "never");
    a += name == "a";
  }
  EXPECT_NEAR(a, 70000, 700);
  EXPECT_EQ(PickCluster(route, 0).cluster, "a");
  EXPECT_EQ(PickCluster(route, ~uint64_t{0}).cluster, "b");
}

}  // namespace
}  // namespace pillion::route
