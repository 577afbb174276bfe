// Keys that are an end user's, whom a JWT names (specs/idempotency.md 2.9). What is believed of a JWT is
// sidecar/jwt/verify_test.cc.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "sidecar/filter/filter_drive.h"
#include "sidecar/filters/idempotency/idempotency.h"
#include "sidecar/filters/idempotency/keys_fixture.h"
#include "sidecar/idempotency/app_key.h"
#include "sidecar/idempotency/local_table.h"
#include "sidecar/idempotency/token.h"
#include "sidecar/jwt/test_signer.h"

namespace pillion::filters {
namespace {

using config::KeySource;
using filter::FilterDrive;

class KeyUsersTest : public KeysFixture {
 protected:
  KeyUsersTest() : KeysFixture(KeySource::kAppOrMint) {
    principal_->terms = {.claim = "sub", .issuer = "https://a", .audiences = {}};
    SetKeys(signer_.Set());
    domain_.keys.principal = principal_;
  }
  void SetKeys(const std::string& jwks) const {
    principal_->keys->Set(std::make_shared<const jwt::KeySet>(*jwt::KeySet::Parse(jwks)));
  }
  // The field's value. `more`: of the claims, for a token that differs.
  std::string Bearer(const std::string& user, int64_t expires = 1'700'000'600,
                     const std::string& more = "") const {
    return "Bearer " + signer_.Token(jwt::Algorithm::kEdDsa, R"({"alg":"EdDSA"})",
                                     R"({"iss":"https://a","sub":")" + user + R"(","exp":)" +
                                         std::to_string(expires) + more + '}');
  }
  // With a key; "" is no field.
  std::unique_ptr<FilterDrive> Request(const std::string& authorization, const std::string& key = "k") {
    auto drive = WithKey(key.empty() ? std::nullopt : std::optional(key));
    if (!authorization.empty()) drive->head.headers.Add("Authorization", authorization);
    return drive;
  }
  // The detail of what it is told; it has not run.
  std::string Refusal(const std::string& authorization) {
    auto drive = Request(authorization);
    EXPECT_EQ(Outcome(*drive), "401 bad-token") << authorization;
    EXPECT_EQ(domain_.keys.holder->table->Count().room.records, 0u);
    const std::string name = "\"detail\":\"";
    const size_t from = drive->local_body.find(name) + name.size();
    return drive->local_body.substr(from, drive->local_body.find('"', from) - from);
  }
  jwt::TestSigner signer_{jwt::KeyKind::kEd25519};
  std::shared_ptr<config::KeyPrincipal> principal_ = std::make_shared<config::KeyPrincipal>();
};

TEST_F(KeyUsersTest, Row31TheSameKeyOfAnotherUserIsAnother) {
  EXPECT_EQ(Outcome(Request(Bearer("ann"))), "executed");
  EXPECT_EQ(Outcome(Request(Bearer("bob"))), "executed");
  EXPECT_EQ(Outcome(Request(Bearer("ann"))), "201 replayed");
  EXPECT_EQ(Outcome(Request(Bearer("bob"))), "201 replayed");
  EXPECT_EQ(Outcome(Request(Bearer("ann"), "other")), "executed");
}

TEST_F(KeyUsersTest, Row32ATokenThatIsRenewedNamesTheSameUser) {
  const std::string first = Bearer("ann", 1'700'000'600);
  const std::string second = Bearer("ann", 1'700'001'200, R"(,"jti":"2")");
  ASSERT_NE(first, second);
  EXPECT_EQ(Outcome(Request(first)), "executed");
  EXPECT_EQ(Outcome(Request(second)), "201 replayed");
  now_ += std::chrono::seconds(900);
  EXPECT_EQ(Outcome(Request(first)), "401 bad-token") << "it has expired, whoever it was";
  EXPECT_EQ(Outcome(Request(second)), "201 replayed");
}

TEST_F(KeyUsersTest, StampedRequestsAreHeldToTheSame) {
  EXPECT_EQ(Outcome(Stamp(Request(Bearer("ann")))), "executed");
  EXPECT_EQ(Outcome(Request(Bearer("ann"))), "201 replayed");
  EXPECT_EQ(Outcome(Stamp(Request(Bearer("bob")))), "executed");
  EXPECT_EQ(Outcome(Stamp(Request(""))), "401 bad-token");
  EXPECT_EQ(Outcome(Stamp(Request(Bearer("ann", 1)))), "401 bad-token");
}

TEST_F(KeyUsersTest, AUserIsOneAtEachCallerAlone) {
  const auto as = [&](const char* name) {
    auto security = std::make_unique<net::Security>();
    security->has_peer_certificate = true;
    security->peer_certificate.uri_names = {name};
    security->peer_certificate.verified = true;
    auto drive = Request(Bearer("ann"));
    drive->security = security.get();
    return Outcome(*drive);
  };
  EXPECT_EQ(as("spiffe://a/b"), "executed");
  EXPECT_EQ(as("spiffe://a/c"), "executed");
  EXPECT_EQ(as("spiffe://a/b"), "201 replayed");
}

TEST_F(KeyUsersTest, WhoDoesNotSayIsRefusedAndNotRun) {
  const std::string wanted = "A request with a key is run only with one JWT, Authorization: Bearer.";
  const std::string token = Bearer("ann").substr(7);
  for (const std::string& none : {std::string(), std::string("Bearer"), std::string("Bearer "),
                                  std::string("Basic YTpi"), token, "Bearer" + token})
    EXPECT_EQ(Refusal(none), wanted) << none;
  EXPECT_EQ(Outcome(Request("bEARER  " + token)), "executed")
      << "the scheme's name has no case (RFC 9110 11.1)";
}

TEST_F(KeyUsersTest, WhoIsNotBelievedIsToldWhyAndNotRun) {
  const std::string common = "The request was not run. Why: ";
  EXPECT_EQ(Refusal("Bearer a"), common + "it is no compact JWS: three parts with dots between them.");
  EXPECT_EQ(Refusal(Bearer("ann", 1'699'999'000)), common + "it has expired.");
  EXPECT_EQ(Refusal(Bearer("")), common + "the claim that is wanted is not a string of 1 to 512 bytes.");
  EXPECT_EQ(Refusal(Bearer("ann") + ", " + Bearer("bob")),
            common + "it is no compact JWS: three parts with dots between them.");
  std::string forged = Bearer("ann");
  forged[forged.size() - 9] = forged[forged.size() - 9] == 'A' ? 'B' : 'A';
  EXPECT_EQ(Refusal(forged), common + "its signature does not fit.");
  principal_->terms.issuer = "https://b";
  EXPECT_EQ(Refusal(Bearer("ann")), common + "it is of another issuer.");
}

TEST_F(KeyUsersTest, TwoTokensAreNone) {
  for (const char* const second : {"", "Bearer a.b.c", "Basic YTpi"}) {
    for (const bool first : {true, false}) {
      auto drive = Request(first ? Bearer("ann") : second);
      if (!first && second[0] == '\0') drive->head.headers.Add("authorization", "");
      drive->head.headers.Add("authorization", first ? second : Bearer("ann"));
      EXPECT_EQ(Outcome(*drive), "401 bad-token") << second << first;
    }
  }
  auto twice = Request(Bearer("ann"));
  twice->head.headers.Add("authorization", Bearer("ann"));
  EXPECT_EQ(Outcome(*twice), "401 bad-token");
}

TEST_F(KeyUsersTest, NothingOfTheTokenIsTold) {
  const std::string token = Bearer("a-secret-user", 1'600'000'000);
  auto drive = Request(token);
  EXPECT_EQ(Outcome(*drive), "401 bad-token");
  std::string told = drive->local_body;
  for (size_t i = 0; i < drive->local_response.headers.size(); ++i)
    told += std::string(drive->local_response.headers[i].value);
  EXPECT_EQ(told.find("a-secret-user"), std::string::npos) << told;
  EXPECT_EQ(told.find(token.substr(7, 12)), std::string::npos) << told;
  EXPECT_EQ(drive->LocalField("www-authenticate"), "Bearer error=\"invalid_token\"");
}

TEST_F(KeyUsersTest, GrpcCallsAreToldInTheirWay) {
  auto call = Request(Bearer("ann", 1));
  call->head.headers.Add("content-type", "application/grpc");
  call->head.path = "/pay.Pay/Charge";
  EXPECT_EQ(Outcome(*call), "200 bad-token");
  EXPECT_EQ(call->LocalField("grpc-status"), "16");
}

TEST_F(KeyUsersTest, WhatHasNoKeyNeedsNoToken) {
  EXPECT_EQ(Outcome(Request("", "")), "passed");
  EXPECT_EQ(Outcome(Request("Bearer a", "")), "passed") << "it is the app's to say what it is";
  const auto token = idempotency::Token::Mint(now_, random_);
  EXPECT_EQ(Outcome(Stamp(Request("", ""), token)), "executed");
  auto get = Request("");
  get->head.method = http::Method::kGet;
  get->head.method_text = "GET";
  EXPECT_EQ(Outcome(*get), "passed");
  EXPECT_EQ(Outcome(Request("", "a b")), "400 bad-token") << "the key first";
}

TEST_F(KeyUsersTest, WithoutAPrincipalNobodyIsAsked) {
  domain_.keys.principal = nullptr;
  EXPECT_EQ(Outcome(Request("")), "executed");
  EXPECT_EQ(Outcome(Request(Bearer("ann", 1))), "201 replayed");
}

TEST_F(KeyUsersTest, WhileNoKeysAreThereNothingIsRun) {
  principal_->keys->Set(nullptr);
  auto refused = Request(Bearer("ann"));
  EXPECT_EQ(Outcome(*refused), "503 not-executed");
  EXPECT_EQ(refused->LocalField("retry-after"), "5");
  EXPECT_EQ(Outcome(Request("", "")), "passed");
  SetKeys(signer_.Set());
  EXPECT_EQ(Outcome(Request(Bearer("ann"))), "executed");
}

TEST_F(KeyUsersTest, KeysThatAreExchangedLeaveRecordsWhereTheyAre) {
  EXPECT_EQ(Outcome(Request(Bearer("ann"))), "executed");
  const std::string old = Bearer("ann");
  signer_ = jwt::TestSigner(jwt::KeyKind::kEd25519);
  SetKeys(signer_.Set());
  EXPECT_EQ(Outcome(Request(old)), "401 bad-token");
  EXPECT_EQ(Outcome(Request(Bearer("ann"))), "201 replayed");
}

TEST_F(KeyUsersTest, WhatIsToldAgainKeepsItsCookies) {
  EXPECT_EQ(Outcome(Request(Bearer("ann"))), "executed");
  auto again = Request(Bearer("ann"));
  EXPECT_EQ(Outcome(*again), "201 replayed");
  EXPECT_EQ(again->LocalField("set-cookie"), "a=1");
  EXPECT_EQ(again->LocalField("idempotent-replayed"), "true");
  EXPECT_EQ(again->stats->token_cookies_dropped.value(), 0u);
}

TEST_F(KeyUsersTest, TheTokenIsPassedOn) {
  const std::string token = Bearer("ann");
  auto drive = Request(token);
  EXPECT_EQ(Outcome(*drive), "executed");
  EXPECT_EQ(drive->RequestField("authorization"), token);
}

}  // namespace
}  // namespace pillion::filters
