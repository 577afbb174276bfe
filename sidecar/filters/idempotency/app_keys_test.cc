#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "sidecar/filter/filter_drive.h"
#include "sidecar/filters/idempotency/idempotency.h"
#include "sidecar/filters/idempotency/keys_fixture.h"
#include "sidecar/idempotency/bell.h"
#include "sidecar/idempotency/hello.h"
#include "sidecar/idempotency/local_table.h"
#include "sidecar/idempotency/token.h"

namespace pillion::filters {
namespace {

using config::KeySource;
using filter::FilterDrive;
using idempotency::LocalTable;

class AppKeysTest : public KeysFixture {
 protected:
  AppKeysTest() : KeysFixture(KeySource::kApp) {}
  std::unique_ptr<FilterDrive> Request(const std::string& key, const char* method = "POST") {
    return WithKey(key == "(none)" ? std::nullopt : std::optional(key), method);
  }
  std::unique_ptr<FilterDrive> Stamped(const std::string& key,
                                       const std::optional<idempotency::Token>& token = {}) {
    return Stamp(Request(key), token);
  }
};

TEST_F(AppKeysTest, AKeyCountsWhoeverBringsIt) {
  EXPECT_EQ(Outcome(Request("k")), "executed");
  EXPECT_EQ(Outcome(Request("\"k\"")), "201 replayed") << "quoted and bare are one";
  EXPECT_EQ(Outcome(Stamped("k")), "201 replayed") << "another attempt may come by a sidecar that stamps";
  EXPECT_EQ(Outcome(Stamped("other")), "executed");
  EXPECT_EQ(Outcome(Request("other")), "201 replayed");
  EXPECT_EQ(Outcome(Request("k"), "another body"), "422 mismatch");
}

TEST_F(AppKeysTest, ByPolicyContentIsNotCompared) {
  domain_.compares_key_contents = false;
  EXPECT_EQ(Outcome(Request("k", "POST"), "written so"), "executed");
  EXPECT_EQ(Outcome(Request("k", "POST"), "and written in another way"), "201 replayed");
  EXPECT_EQ(Outcome(Request("k", "PATCH"), "written so"), "422 mismatch") << "all else is";
}

TEST_F(AppKeysTest, TheKeyIsPassedOn) {
  auto drive = Stamped("\"k\"");
  EXPECT_EQ(Outcome(*drive), "executed");
  EXPECT_EQ(drive->RequestField("idempotency-key"), "\"k\"");
}

TEST_F(AppKeysTest, WhatIsToldAgainSaysSoAndKeepsCookiesBack) {
  auto first = Request("k");
  EXPECT_EQ(Outcome(*first), "executed");
  EXPECT_EQ(first->ResponseField("set-cookie"), "a=1") << "its own answer is whole";
  EXPECT_EQ(first->ResponseField("idempotent-replayed"), "(none)");
  auto again = Request("k");
  EXPECT_EQ(Outcome(*again), "201 replayed");
  EXPECT_EQ(again->LocalField("idempotent-replayed"), "true");
  EXPECT_EQ(again->LocalField("set-cookie"), "(none)");
  EXPECT_EQ(again->LocalField("content-type"), "text/plain");
  EXPECT_EQ(again->stats->token_cookies_dropped.value(), 2u);
}

TEST_F(AppKeysTest, OnlyMethodsOfTheDomainHaveKeys) {
  EXPECT_EQ(Outcome(Request("k", "PUT")), "passed");
  EXPECT_EQ(Outcome(Request("k", "GET")), "passed");
  EXPECT_EQ(Outcome(Request("k", "PATCH")), "executed");
  auto grpc = Request("g");
  grpc->head.headers.Add("content-type", "application/grpc");
  EXPECT_EQ(Outcome(*grpc), "passed") << "not each gRPC method is unary";
  auto charge = Request("g");
  charge->head.headers.Add("content-type", "application/grpc");
  charge->head.path = "/pay.Pay/Charge";
  EXPECT_EQ(Outcome(*charge), "executed");
}

TEST_F(AppKeysTest, WithoutAKeyPolicySays) {
  EXPECT_EQ(Outcome(Request("(none)")), "passed");
  domain_.keys.required = true;
  auto refused = Request("(none)");
  EXPECT_EQ(Outcome(*refused), "400 bad-token");
  EXPECT_NE(refused->local_body.find("urn:pillion:idempotency:key-required"), std::string::npos);
  EXPECT_EQ(Outcome(Request("(none)", "GET")), "passed");
  EXPECT_EQ(Outcome(Request("k")), "executed");
  auto grpc = Request("(none)");
  grpc->head.headers.Add("content-type", "application/grpc");
  grpc->head.path = "/pay.Pay/Charge";
  EXPECT_EQ(Outcome(*grpc), "200 bad-token");
  EXPECT_EQ(grpc->LocalField("grpc-status"), "3");
}

TEST_F(AppKeysTest, WhatIsNoKeyIsRefusedAndNotRun) {
  const std::string cases[] = {"", std::string(256, 'k'), "a\x01", "\"\xc3\xa9\"", "a, b", "\"a"};
  for (const std::string& bad : cases) {
    auto drive = Request(bad);
    EXPECT_EQ(Outcome(*drive), "400 bad-token") << bad;
    EXPECT_NE(drive->local_body.find("urn:pillion:idempotency:bad-key"), std::string::npos);
    EXPECT_EQ(Outcome(Stamped(bad)), "400 bad-token") << bad;
  }
  auto twice = Request("k");
  twice->head.headers.Add("idempotency-key", "k");
  EXPECT_EQ(Outcome(*twice), "400 bad-token");
  EXPECT_EQ(domain_.keys.holder->table->Count().room.records, 0u);
}

TEST_F(AppKeysTest, WhereNoKeysCountTheyArePassedOn) {
  domain_.keys = {};
  EXPECT_EQ(Outcome(Request("k")), "passed");
  EXPECT_EQ(Outcome(Request("")), "passed") << "it is the app's to say that it is none";
  EXPECT_EQ(Outcome(Stamped("k")), "400 bad-token") << "a stamp that means nothing here";
  const auto token = idempotency::Token::Mint(now_, random_);
  EXPECT_EQ(Outcome(Stamped("k", token)), "executed");
}

TEST_F(AppKeysTest, TokensOfSidecarsCountWherePolicySaysSo) {
  const auto mint = [&] { return idempotency::Token::Mint(now_, random_); };
  EXPECT_EQ(Outcome(Stamped("(none)", mint())), "400 bad-token");
  domain_.keys.source = KeySource::kAppOrMint;
  domain_.keys.required = true;
  EXPECT_EQ(Outcome(Stamped("(none)", mint())), "executed") << "it satisfies what is required";
  EXPECT_EQ(Outcome(Request("(none)")), "400 bad-token");
  EXPECT_EQ(Outcome(Stamped("k")), "executed");
  EXPECT_EQ(Outcome(Stamped("k", mint())), "400 bad-token")
      << "an app that uses the key again would run it again";
  EXPECT_EQ(Outcome(Stamped("(none)")), "400 bad-token");
}

TEST_F(AppKeysTest, CallersDoNotShareKeys) {
  const auto as = [&](const char* name) {
    auto security = std::make_unique<net::Security>();
    security->has_peer_certificate = true;
    security->peer_certificate.uri_names = {name};
    security->peer_certificate.verified = true;
    auto drive = Request("k");
    drive->security = security.get();
    return Outcome(*drive);
  };
  EXPECT_EQ(as("spiffe://a/b"), "executed");
  EXPECT_EQ(as("spiffe://a/c"), "executed");
  EXPECT_EQ(as("spiffe://a/b"), "201 replayed");
}

TEST_F(AppKeysTest, AnotherVersionOfThePolicyKnowsTheKeysOfTheOneBefore) {
  EXPECT_EQ(Outcome(Request("k")), "executed");
  domain_.id = 9;
  domain_.holder = std::make_shared<config::TableHolder>();
  domain_.holder->table = std::make_shared<LocalTable>(domain_.terms);
  EXPECT_EQ(Outcome(Request("k")), "201 replayed");
}

TEST_F(AppKeysTest, AKeyIsKnownForItsOwnTime) {
  domain_.terms.app_validity = std::chrono::minutes(10);
  domain_.keys.holder->table = std::make_shared<LocalTable>(domain_.terms);
  EXPECT_EQ(Outcome(Request("k")), "executed");
  now_ += std::chrono::minutes(10);
  EXPECT_EQ(Outcome(Request("k")), "201 replayed") << "a token would be too old by now";
  now_ += std::chrono::minutes(1);
  EXPECT_EQ(Outcome(Request("k")), "executed") << "a key has no time in it";
}

TEST_F(AppKeysTest, WhileAnotherProcessKnowsThemNoneIsRun) {
  domain_.keys.elsewhere = true;
  auto refused = Request("k");
  EXPECT_EQ(Outcome(*refused), "503 not-executed");
  EXPECT_EQ(refused->LocalField("retry-after"), "5");
  EXPECT_EQ(Outcome(Stamped("k")), "503 not-executed");
  EXPECT_EQ(Outcome(Request("")), "400 bad-token") << "the worse news first";
  EXPECT_EQ(Outcome(Request("(none)")), "passed");
}

TEST_F(AppKeysTest, ARequestThatIsTooLargeForItsKeyIsNotRun) {
  domain_.max_request_bytes = 10;
  EXPECT_EQ(Outcome(Request("k"), "eleven byte"), "413 not-executed");
  EXPECT_EQ(Outcome(Request("(none)"), "eleven byte"), "passed");
  EXPECT_EQ(Outcome(Request("k"), "ten bytes."), "executed");
}

TEST_F(AppKeysTest, WhoComesMeanwhileIsToldToAskAgain) {
  domain_.conflict = true;
  auto first = Request("k");
  first->Request("body", 0);
  auto second = Request("k");
  EXPECT_EQ(Outcome(*second), "409 in-flight");
  EXPECT_EQ(second->LocalField("retry-after"), "1");
  first->Response(201, {}, "done", 0);
  EXPECT_EQ(Outcome(Request("k")), "201 replayed");
}

TEST_F(AppKeysTest, AtTheClientsSideAKeyStandsForAToken) {
  const auto named = [&](KeySource source, const std::string& key) {
    config::TokenPolicy policy;
    policy.domain = kDomain;
    policy.source = source;
    FilterDrive drive(filter_, config::FilterKind::kIdempotency, policy);
    if (key != "(none)") drive.head.headers.Add("idempotency-key", key);
    drive.Request("body", 0);
    EXPECT_EQ(drive.sent, "body") << "the service's side refuses what is to be refused";
    if (drive.state.token == nullptr) return "nothing";
    return drive.state.token->key ? "key" : "token";
  };
  EXPECT_STREQ(named(KeySource::kMint, "k"), "token");
  EXPECT_STREQ(named(KeySource::kApp, "k"), "key");
  EXPECT_STREQ(named(KeySource::kApp, "(none)"), "nothing");
  EXPECT_STREQ(named(KeySource::kApp, ""), "nothing");
  EXPECT_STREQ(named(KeySource::kAppOrMint, "k"), "key");
  EXPECT_STREQ(named(KeySource::kAppOrMint, "(none)"), "token");
  EXPECT_STREQ(named(KeySource::kAppOrMint, ""), "nothing");
  EXPECT_STREQ(named(KeySource::kPassthrough, "k"), "key");
  EXPECT_STREQ(named(KeySource::kPassthrough, "(none)"), "nothing");
}

}  // namespace
}  // namespace pillion::filters
