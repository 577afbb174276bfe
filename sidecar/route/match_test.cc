#include "sidecar/route/match.h"

#include <gtest/gtest.h>
#include <re2/re2.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/config/string_match.h"

namespace pillion::route {
namespace {

using config::HeaderMatch;
using config::QueryMatch;
using config::StringMatch;

StringMatch Exactly(const std::string& text) {
  return {.kind = StringMatch::Kind::kExact, .text = text, .ignore_case = false, .regex = nullptr};
}

http::RequestHead Get(const std::string& path,
                      const std::vector<std::pair<std::string, std::string>>& fields = {}) {
  http::RequestHead head;
  head.path = path;
  head.authority = "shop";
  head.has_authority = true;
  for (const auto& [name, value] : fields) head.headers.Add(name, value);
  return head;
}

config::RouteMatch All() {
  config::RouteMatch match;
  match.kind = config::RouteMatch::Kind::kPrefix;
  match.text = "/";
  return match;
}

TEST(HeaderMatch, LooksAtEachFieldByItself) {
  HeaderMatch match;
  match.name = "x-version";
  match.value = Exactly("two");
  http::RequestHead head = Get("/", {{"X-Version", "one"}});
  EXPECT_FALSE(Matches(match, head));
  match.invert = true;
  EXPECT_TRUE(Matches(match, head));
  head.headers.Add("x-version", "two");
  EXPECT_FALSE(Matches(match, head)) << "one of them is it";
  match.invert = false;
  EXPECT_TRUE(Matches(match, head));
  match.value = Exactly("one,two");
  EXPECT_FALSE(Matches(match, head)) << "they are not joined (CVE-2026-26308)";
}

TEST(StringMatch, EachKindMatchesWhatItSays) {
  using Kind = StringMatch::Kind;
  struct Case {
    Kind kind;
    std::string text;
    bool ignore_case;
    std::vector<std::string> matches;
    std::vector<std::string> others;
  };
  const std::vector<Case> cases = {
      {Kind::kExact, "aBc", false, {"aBc"}, {"", "abc", "aBcd", "aB", "xaBc"}},
      {Kind::kExact, "aBc", true, {"aBc", "ABC"}, {"", "abcd", "ab", "xabc"}},
      {Kind::kPrefix, "aB", false, {"aB", "aBc"}, {"", "a", "abc", "xaB"}},
      {Kind::kPrefix, "aB", true, {"ab", "ABc"}, {"", "a", "xab"}},
      {Kind::kSuffix, "Bc", false, {"Bc", "aBc"}, {"", "c", "abc", "Bcx"}},
      {Kind::kSuffix, "Bc", true, {"bc", "aBC"}, {"", "c", "bcx"}},
      {Kind::kContains, "bC", false, {"bC", "abC", "bCd", "abCd", "bbC"}, {"", "b", "abc", "b C"}},
      {Kind::kContains, "bC", true, {"bc", "aBC", "Bcd", "abcd", "bbc"}, {"", "b", "b c"}},
      {Kind::kRegex, "a+b?", false, {"a", "aab"}, {"", "b", "aabb", "xa", "A", "a\n"}},
  };
  for (const Case& one : cases) {
    StringMatch match{.kind = one.kind, .text = one.text, .ignore_case = one.ignore_case, .regex = nullptr};
    if (one.kind == Kind::kRegex) match.regex = std::make_shared<const re2::RE2>(one.text);
    for (const std::string& text : one.matches)
      EXPECT_TRUE(config::Matches(match, text)) << one.text << " " << text;
    for (const std::string& text : one.others)
      EXPECT_FALSE(config::Matches(match, text)) << one.text << " " << text;
  }
}

TEST(HeaderMatch, AFieldThatIsNotThereHasNoValue) {
  const http::RequestHead head = Get("/");
  HeaderMatch match;
  match.name = "absent";
  for (const bool range : {false, true}) {
    match.value = range ? std::nullopt : std::optional(Exactly("a"));
    match.range = range ? std::optional(config::IntRange{1, 2}) : std::nullopt;
    for (const bool invert : {false, true}) {
      match.invert = invert;
      match.missing_is_empty = false;
      EXPECT_FALSE(Matches(match, head)) << range << invert;
      match.missing_is_empty = true;
      EXPECT_EQ(Matches(match, head), invert) << range;
    }
  }
  match = {.name = "absent", .value = Exactly(""), .missing_is_empty = true};
  EXPECT_TRUE(Matches(match, head));
}

TEST(HeaderMatch, IsThereOrNot) {
  const http::RequestHead head = Get("/", {{"There", ""}});
  for (const bool there : {false, true}) {
    for (const bool present : {false, true}) {
      for (const bool invert : {false, true}) {
        const HeaderMatch match = {.name = there ? "there" : "absent", .invert = invert, .present = present};
        EXPECT_EQ(Matches(match, head), (there == present) != invert) << there << present << invert;
      }
    }
  }
}

TEST(HeaderMatch, ReadsNumbers) {
  const HeaderMatch match = {.name = "n", .range = config::IntRange{-5, 10}};
  for (const char* in : {"-5", "0", "9", "+9", "007"})
    EXPECT_TRUE(Matches(match, Get("/", {{"n", in}}))) << in;
  for (const char* out : {"-6", "10", "", "5x", "5.0", " 5", "++5", "+-5", "0x5", "99999999999999999999"})
    EXPECT_FALSE(Matches(match, Get("/", {{"n", out}}))) << out;
}

TEST(HeaderMatch, KnowsTheRequestLine) {
  const http::RequestHead head = Get("/a?b");
  const auto matches = [&](const std::string& name, const std::string& value) {
    return Matches(HeaderMatch{.name = name, .value = Exactly(value)}, head);
  };
  EXPECT_TRUE(matches(":method", "GET"));
  EXPECT_TRUE(matches(":path", "/a?b"));
  EXPECT_TRUE(matches(":authority", "shop"));
  EXPECT_FALSE(matches(":authority", "Shop"));
  http::RequestHead nameless = head;
  nameless.has_authority = false;
  EXPECT_TRUE(Matches(HeaderMatch{.name = ":authority", .present = false}, nameless));
  EXPECT_FALSE(Matches(HeaderMatch{.name = ":authority", .present = false}, head));
}

TEST(FindParameter, TakesTheFirstAsItStands) {
  using Found = std::optional<std::string_view>;
  EXPECT_EQ(FindParameter("animal=whale&n=1", "animal"), Found("whale"));
  EXPECT_EQ(FindParameter("n=1&animal=whale", "animal"), Found("whale"));
  EXPECT_EQ(FindParameter("a=1&a=2", "a"), Found("1"));
  EXPECT_EQ(FindParameter("a=x=y", "a"), Found("x=y"));
  EXPECT_EQ(FindParameter("a=%41", "a"), Found("%41"));
  EXPECT_EQ(FindParameter("a", "a"), Found(""));
  EXPECT_EQ(FindParameter("a=", "a"), Found(""));
  EXPECT_EQ(FindParameter("&&a&", "a"), Found(""));
  EXPECT_EQ(FindParameter("ab=1&A=2", "a"), std::nullopt);
  EXPECT_EQ(FindParameter("", "a"), std::nullopt);
}

TEST(RouteMatch, WantsAllParameters) {
  config::RouteMatch match = All();
  match.query = {QueryMatch{.name = "animal", .value = Exactly("whale"), .present = true},
                 QueryMatch{.name = "blue", .value = std::nullopt, .present = true},
                 QueryMatch{.name = "red", .value = std::nullopt, .present = false}};
  const auto matches = [&](const std::string& path) { return Matches(match, Request(Get(path), 0)); };
  EXPECT_TRUE(matches("/?animal=whale&blue"));
  EXPECT_TRUE(matches("/x?blue=1&other&animal=whale"));
  EXPECT_FALSE(matches("/?animal=whale"));
  EXPECT_FALSE(matches("/?animal=dolphin&blue"));
  EXPECT_FALSE(matches("/?animal=whale&blue&red"));
  EXPECT_FALSE(matches("/?animal=dolphin&animal=whale&blue")) << "the first counts";
  EXPECT_FALSE(matches("/animal=whale&blue"));
  match.query = {QueryMatch{.name = "animal", .value = Exactly(""), .present = true}};
  EXPECT_FALSE(matches("/")) << "what is not there is not empty";
}

TEST(RouteMatch, TellsGrpcByItsContentType) {
  config::RouteMatch match = All();
  match.grpc = true;
  EXPECT_TRUE(Matches(match, Request(Get("/", {{"content-type", "application/grpc+proto"}}), 0)));
  EXPECT_FALSE(Matches(match, Request(Get("/", {{"content-type", "application/grpc-web"}}), 0)));
  EXPECT_FALSE(Matches(match, Request(Get("/"), 0)));
}

TEST(RouteMatch, TakesAShare) {
  const http::RequestHead head = Get("/");
  config::RouteMatch match = All();
  const auto share = [&](uint32_t numerator, uint32_t denominator) {
    match.share = config::Fraction{.numerator = numerator, .denominator = denominator};
    constexpr uint64_t kDraws = 100'000;
    uint64_t taken = 0;
    for (uint64_t i = 0; i < kDraws; ++i) taken += Matches(match, Request(head, i * (~uint64_t{0} / kDraws)));
    return static_cast<double>(taken) / kDraws;
  };
  EXPECT_EQ(share(0, 100), 0);
  EXPECT_EQ(share(100, 100), 1);
  EXPECT_EQ(share(1'000'000, 1'000'000), 1);
  EXPECT_NEAR(share(30, 100), 0.3, 0.0001);
  EXPECT_NEAR(share(25, 10'000), 0.0025, 0.0001);
  EXPECT_TRUE(Matches(match, Request(head, 0)));
  EXPECT_FALSE(Matches(match, Request(head, ~uint64_t{0})));
}

TEST(RouteMatch, NeverLooksAtTheQueryForThePath) {
  config::RouteMatch match = All();
  match.text = "/a?b";
  EXPECT_FALSE(Matches(match, Request(Get("/a?b"), 0)));
  match.text = "/a";
  EXPECT_TRUE(Matches(match, Request(Get("/a?b"), 0)));
}

}  // namespace
}  // namespace pillion::route
