// Paths: what each rule makes of them, and that the result is a fixed point.
#include "sidecar/http/path.h"

#include <gtest/gtest.h>

namespace pillion::http {
namespace {

std::string Apply(const PathRules& rules, std::string path) {
  switch (Canonicalize(rules, path)) {
    case PathVerdict::kKept:
      return "=" + path;
    case PathVerdict::kChanged:
      return path;
    case PathVerdict::kRedirect:
      return "307 " + path;
    case PathVerdict::kRefused:
      return "400 " + path;
  }
  return "?";
}

TEST(Path, WithoutRulesNothingChanges) {
  for (const char* path : {"/", "//a/./b/..", "/%2e%2E/%41", "/a\\b", "/..;/x", "*", ""})
    EXPECT_EQ(Apply({}, path), "=" + std::string(path));
}

TEST(Path, NormalizingResolvesDotsAndUnescapesWhatNeedsNoEscape) {
  const PathRules rules{.normalize = true};
  EXPECT_EQ(Apply(rules, "/a/b?x=/../%41"), "=/a/b?x=/../%41");
  EXPECT_EQ(Apply(rules, "/a/./b"), "/a/b");
  EXPECT_EQ(Apply(rules, "/a/../b"), "/b");
  EXPECT_EQ(Apply(rules, "/a/b/.."), "/a/");
  EXPECT_EQ(Apply(rules, "/a/b/."), "/a/b/");
  EXPECT_EQ(Apply(rules, "/../../a"), "/a");
  EXPECT_EQ(Apply(rules, "/.."), "/");
  EXPECT_EQ(Apply(rules, "/."), "/");
  EXPECT_EQ(Apply(rules, "/a/%2e%2E/b"), "/b");
  EXPECT_EQ(Apply(rules, "/public/.%2e/%61dmin"), "/admin");
  EXPECT_EQ(Apply(rules, "/a\\..\\b"), "/b");
  EXPECT_EQ(Apply(rules, "/a%2Fb%5c%20%3f?q"), "=/a%2Fb%5c%20%3f?q");
  EXPECT_EQ(Apply(rules, "/%7euser/%2d%5F"), "/~user/-_");
  EXPECT_EQ(Apply(rules, "//a//b"), "=//a//b");
  EXPECT_EQ(Apply(rules, "//a/..//b"), "///b");
  EXPECT_EQ(Apply(rules, "/...;a/.a/..a"), "=/...;a/.a/..a");
}

TEST(Path, WhatReadersDisagreeAboutIsRefused) {
  const PathRules rules{.normalize = true};
  EXPECT_EQ(Apply(rules, "/a/..;/b"), "400 /a/..;/b");
  EXPECT_EQ(Apply(rules, "/a/%2e%2e;x=y/b"), "400 /a/%2e%2e;x=y/b");
  EXPECT_EQ(Apply(rules, "/a/.;/b"), "400 /a/.;/b");
  EXPECT_EQ(Apply(rules, "/a%00.png"), "400 /a%00.png");
  EXPECT_EQ(Apply(rules, "/a?%00"), "=/a?%00");
}

TEST(Path, AnEscapeNeverArisesFromUnescaping) {
  const PathRules rules{.normalize = true};
  EXPECT_EQ(Apply(rules, "/100%"), "=/100%");
  EXPECT_EQ(Apply(rules, "/%zz"), "=/%zz");
  EXPECT_EQ(Apply(rules, "/%2541"), "=/%2541");
  EXPECT_EQ(Apply(rules, "/%%36%31"), "/%%361");
  EXPECT_EQ(Apply(rules, "/%4%31"), "=/%4%31");
}

TEST(Path, SlashesAreMergedWhenAsked) {
  const PathRules rules{.merge_slashes = true};
  EXPECT_EQ(Apply(rules, "//a///b//?x=//"), "/a/b/?x=//");
  EXPECT_EQ(Apply(rules, "/a/../b"), "=/a/../b");
  EXPECT_EQ(Apply({.normalize = true, .merge_slashes = true}, "//a/..//b"), "/b");
}

TEST(Path, EscapedSlashesFollowTheirRule) {
  EXPECT_EQ(Apply({.escaped_slashes = EscapedSlashes::kReject}, "/a%2fb"), "400 /a%2fb");
  EXPECT_EQ(Apply({.escaped_slashes = EscapedSlashes::kReject}, "/a%5Cb"), "400 /a%5Cb");
  EXPECT_EQ(Apply({.escaped_slashes = EscapedSlashes::kReject}, "/a%2eb?%2f"), "=/a%2eb?%2f");
  EXPECT_EQ(Apply({.escaped_slashes = EscapedSlashes::kRedirect}, "/a%2fb?q"), "307 /a/b?q");
  EXPECT_EQ(Apply({.escaped_slashes = EscapedSlashes::kForward}, "/a%2Fb%5c"), "/a/b\\");
  const PathRules all{.normalize = true, .merge_slashes = true, .escaped_slashes = EscapedSlashes::kForward};
  EXPECT_EQ(Apply(all, "/public%2f..%5C/%2fadmin"), "/admin");
  // Without a slash of that kind a normalized path is forwarded, not redirected to.
  EXPECT_EQ(Apply({.normalize = true, .escaped_slashes = EscapedSlashes::kRedirect}, "/a/../b"), "/b");
}

}  // namespace
}  // namespace pillion::http
