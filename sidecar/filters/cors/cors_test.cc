#include "sidecar/filters/cors/cors.h"

#include <gtest/gtest.h>

#include "sidecar/filter/filter_drive.h"

namespace pillion::filters {
namespace {

using filter::FilterDrive;
using filter::Passage;

config::StringMatch Match(config::StringMatch::Kind kind, const std::string& text) {
  config::StringMatch match;
  match.kind = kind;
  match.text = text;
  return match;
}

config::CorsPolicy Policy() {
  config::CorsPolicy policy;
  policy.allow_origins = {Match(config::StringMatch::Kind::kExact, "https://shop.example"),
                          Match(config::StringMatch::Kind::kSuffix, ".shop.example")};
  policy.allow_methods = "POST, GET";
  policy.allow_headers = "x-grpc-web, content-type";
  policy.expose_headers = "grpc-status, grpc-message";
  policy.max_age = "600";
  return policy;
}

class CorsTest : public ::testing::Test {
 protected:
  FilterDrive Drive(config::FilterOptions options, const std::string& origin) {
    FilterDrive drive(filter_, config::FilterKind::kCors, std::move(options));
    if (!origin.empty()) drive.head.headers.Add("Origin", origin);
    return drive;
  }
  FilterDrive Preflight(config::FilterOptions options, const std::string& origin) {
    FilterDrive drive = Drive(std::move(options), origin);
    drive.head.method = http::Method::kOptions;
    drive.head.method_text = "OPTIONS";
    drive.head.headers.Add("Access-Control-Request-Method", "POST");
    return drive;
  }
  Cors filter_;
};

TEST_F(CorsTest, PreflightsAreAnswered) {
  for (const char* origin : {"https://shop.example", "https://beta.shop.example"}) {
    FilterDrive drive = Preflight(Policy(), origin);
    drive.Request("", 0);
    EXPECT_EQ(drive.passage, Passage::kAnswered);
    EXPECT_EQ(drive.local_response.status, 200);
    EXPECT_EQ(drive.local_response.content.kind, http::ContentLength::Kind::kSized);
    EXPECT_EQ(drive.local_response.content.bytes, 0u);
    EXPECT_EQ(drive.LocalField("access-control-allow-origin"), origin);
    EXPECT_EQ(drive.LocalField("access-control-allow-methods"), "POST, GET");
    EXPECT_EQ(drive.LocalField("access-control-allow-headers"), "x-grpc-web, content-type");
    EXPECT_EQ(drive.LocalField("access-control-expose-headers"), "grpc-status, grpc-message");
    EXPECT_EQ(drive.LocalField("access-control-max-age"), "600");
    EXPECT_EQ(drive.LocalField("access-control-allow-credentials"), "(none)");
    EXPECT_EQ(drive.LocalField("vary"), "origin");
  }
}

TEST_F(CorsTest, WithCredentialsAStarIsWhatWasAskedFor) {
  for (const bool credentials : {false, true}) {
    config::CorsPolicy policy = Policy();
    policy.allow_credentials = credentials;
    policy.allow_methods = policy.allow_headers = "*";
    FilterDrive drive = Preflight(policy, "https://shop.example");
    drive.head.headers.Add("Access-Control-Request-Headers", "x-a, x-b");
    drive.Request("", 0);
    EXPECT_EQ(drive.LocalField("access-control-allow-methods"), credentials ? "POST" : "*");
    EXPECT_EQ(drive.LocalField("access-control-allow-headers"), credentials ? "x-a, x-b" : "*");
    FilterDrive none = Preflight(policy, "https://shop.example");
    none.Request("", 0);
    EXPECT_EQ(none.LocalField("access-control-allow-headers"), credentials ? "(none)" : "*");
  }
}

TEST_F(CorsTest, PreflightsOfOthersGoOnOrAreAnsweredWithoutLeave) {
  FilterDrive forwarded = Preflight(Policy(), "https://evil.example");
  forwarded.Request("", 0);
  EXPECT_EQ(forwarded.passage, Passage::kFlows);
  EXPECT_EQ(forwarded.state.chain, nullptr);
  config::CorsPolicy strict = Policy();
  strict.forward_not_matching_preflights = false;
  FilterDrive answered = Preflight(strict, "https://evil.example");
  answered.Request("", 0);
  EXPECT_EQ(answered.passage, Passage::kAnswered);
  EXPECT_EQ(answered.LocalField("access-control-allow-origin"), "(none)");
}

TEST_F(CorsTest, AnswersGetTheirLeave) {
  config::CorsPolicy policy = Policy();
  policy.allow_credentials = true;
  FilterDrive drive = Drive(policy, "https://shop.example");
  drive.Request("body", 1);
  EXPECT_EQ(drive.sent, "body");
  drive.Response(200, {{"access-control-allow-origin", "*"}, {"vary", "accept"}}, "answer", 2);
  EXPECT_EQ(drive.received, "answer");
  EXPECT_EQ(drive.ResponseField("access-control-allow-origin"), "https://shop.example");
  EXPECT_EQ(drive.ResponseField("access-control-allow-credentials"), "true");
  EXPECT_EQ(drive.ResponseField("access-control-expose-headers"), "grpc-status, grpc-message");
  EXPECT_EQ(drive.ResponseField("vary"), "accept");
  EXPECT_EQ(drive.response.headers.Remove("vary"), 2u);
  // Also one that is made here.
  drive.Response(503, {}, "overloaded", 0, {}, 503);
  EXPECT_EQ(drive.ResponseField("access-control-allow-origin"), "https://shop.example");
}

TEST_F(CorsTest, ThePolicyHasTheLastWordOverTheServer) {
  FilterDrive drive = Drive(Policy(), "https://shop.example");
  drive.Request("", 0);
  drive.Response(
      200, {{"access-control-allow-credentials", "true"}, {"access-control-expose-headers", "x-secret"}}, "",
      0);
  EXPECT_EQ(drive.ResponseField("access-control-allow-credentials"), "(none)");
  EXPECT_EQ(drive.ResponseField("access-control-expose-headers"), "grpc-status, grpc-message");
}

TEST_F(CorsTest, VaryIsAddedOnceAndOnlyWhereItSaysMore) {
  for (const auto& [before, fields] : std::vector<std::pair<std::string, size_t>>{
           {"accept", 2}, {"accept, ORIGIN", 1}, {"*", 1}, {"x-origin", 2}}) {
    FilterDrive drive = Drive(Policy(), "https://shop.example");
    drive.Request("", 0);
    drive.Response(200, {{"vary", before}}, "", 0);
    EXPECT_EQ(drive.response.headers.Remove("vary"), fields) << before;
  }
}

TEST_F(CorsTest, AStarStandsForAllOrigins) {
  config::CorsPolicy policy;
  policy.allow_origins = {Match(config::StringMatch::Kind::kExact, "*")};
  FilterDrive drive = Drive(policy, "https://any.example");
  drive.Request("", 0);
  drive.Response(200, {{"vary", "Origin, accept"}}, "", 0);
  EXPECT_EQ(drive.ResponseField("access-control-allow-origin"), "https://any.example");
  EXPECT_EQ(drive.response.headers.Remove("vary"), 1u);
  // As the whole text only.
  policy.allow_origins = {Match(config::StringMatch::Kind::kPrefix, "*")};
  FilterDrive prefix = Drive(policy, "https://any.example");
  prefix.Request("", 0);
  EXPECT_EQ(prefix.state.chain, nullptr);
}

TEST_F(CorsTest, NobodyElseIsTouched) {
  FilterDrive other = Drive(Policy(), "https://evil.example");
  other.Request("", 0);
  EXPECT_EQ(other.state.chain, nullptr);
  FilterDrive same = Drive(Policy(), "");
  same.Request("", 0);
  EXPECT_EQ(same.state.chain, nullptr);
  // At the listener alone there is no policy.
  FilterDrive none = Preflight(config::Present{}, "https://shop.example");
  none.Request("", 0);
  EXPECT_EQ(none.passage, Passage::kFlows);
  // An OPTIONS that asks for nothing is no preflight.
  FilterDrive options = Drive(Policy(), "https://shop.example");
  options.head.method = http::Method::kOptions;
  options.Request("", 0);
  EXPECT_EQ(options.passage, Passage::kFlows);
  options.head.headers.Add("access-control-request-method", "");
  options.Request("", 0);
  EXPECT_EQ(options.passage, Passage::kFlows);
  // Nor is another method that asks.
  FilterDrive post = Drive(Policy(), "https://shop.example");
  post.head.headers.Add("access-control-request-method", "POST");
  post.Request("", 0);
  EXPECT_EQ(post.passage, Passage::kFlows);
  // No origin is what an empty one names.
  config::CorsPolicy all;
  all.allow_origins = {Match(config::StringMatch::Kind::kExact, "*")};
  FilterDrive empty = Drive(all, "");
  empty.head.headers.Add("origin", "");
  empty.Request("", 0);
  EXPECT_EQ(empty.state.chain, nullptr);
}

}  // namespace
}  // namespace pillion::filters
