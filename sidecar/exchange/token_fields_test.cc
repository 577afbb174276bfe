#include "sidecar/exchange/token_fields.h"

#include <gtest/gtest.h>

#include <string>

#include "sidecar/base/random.h"
#include "sidecar/idempotency/hello.h"

namespace pillion::exchange {
namespace {

using Says = filter::TokenState::Says;

class TokenFieldsTest : public ::testing::Test {
 protected:
  TokenFieldsTest() {
    policy_.domain = 0xabcdef;
    state_.policy = &policy_;
    state_.minted = idempotency::Token::Mint(idempotency::DomainTime(1'700'000'000'000), random_);
    state_.process = idempotency::Incarnation{1, 2, 3};
  }
  http::HeaderList Written(uint32_t attempt) const {
    http::HeaderList headers;
    WriteTokenFields(state_, attempt, headers);
    return headers;
  }
  Random random_{1};
  config::TokenPolicy policy_;
  filter::TokenState state_;
};

TEST_F(TokenFieldsTest, WhatIsWrittenIsTaken) {
  http::HeaderList headers = Written(1);
  EXPECT_EQ(headers.size(), 2u) << "a first attempt says no more";
  headers.Add("x-own", "1");
  const auto taken = TakeTokenFields(headers);
  ASSERT_NE(taken, nullptr);
  EXPECT_EQ(taken->says, Says::kToken);
  EXPECT_EQ(taken->taken, state_.minted->array());
  EXPECT_EQ(taken->domain, 0xabcdefu);
  EXPECT_FALSE(taken->first);
  ASSERT_EQ(headers.size(), 1u);
  EXPECT_EQ(headers[0].name, "x-own");
}

TEST_F(TokenFieldsTest, ALaterAttemptOfATokenThatMayHaveRunSaysWhere) {
  state_.may_run = true;
  http::HeaderList headers = Written(2);
  EXPECT_EQ(headers.Find("pillion-attempt"), "2");
  const auto taken = TakeTokenFields(headers);
  EXPECT_EQ(taken->first, state_.process);
  EXPECT_TRUE(headers.empty());
}

TEST_F(TokenFieldsTest, ALaterAttemptWithANewTokenIsThatTokensFirst) {
  http::HeaderList headers = Written(3);
  EXPECT_FALSE(TakeTokenFields(headers)->first);
}

TEST_F(TokenFieldsTest, AnAppsKeyStandsForAToken) {
  state_.minted.reset();
  state_.key.emplace();
  state_.may_run = true;
  http::HeaderList headers = Written(2);
  EXPECT_EQ(headers.Find("pillion-token"), "app");
  const auto taken = TakeTokenFields(headers);
  EXPECT_EQ(taken->says, Says::kAppKey);
  EXPECT_EQ(taken->first, state_.process);
}

TEST_F(TokenFieldsTest, WhatIsNotWellFormedIsNoToken) {
  const auto with = [&](const char* name, std::string_view value) {
    state_.may_run = true;
    http::HeaderList headers = Written(2);
    headers.Remove(name);
    headers.Add(name, value);
    auto taken = TakeTokenFields(headers);
    EXPECT_TRUE(headers.empty());
    return taken;
  };
  EXPECT_EQ(with("pillion-token", "")->says, Says::kNonsense);
  EXPECT_EQ(with("pillion-token", "01890a5d-ac96-474b-bcce-b302099a8057")->says, Says::kNonsense)
      << "version 4";
  EXPECT_EQ(with("pillion-first", "")->says, Says::kNonsense);
  EXPECT_EQ(with("pillion-first", std::string(32, 'x'))->says, Says::kNonsense);
  EXPECT_EQ(with("pillion-domain", "ABCDEF0000000000")->domain, 0u) << "lower case alone";
  EXPECT_EQ(with("pillion-domain", "abc")->domain, 0u);
  EXPECT_EQ(with("pillion-domain", "abc")->says, Says::kToken) << "of a domain that is not ours";
}

TEST_F(TokenFieldsTest, WithoutATokenAllElseIsTakenOffToo) {
  http::HeaderList headers;
  for (const char* const name :
       {"pillion-attempt", "Pillion-First", "pillion-domain", "pillion-dedup", "pillion-new"})
    headers.Add(name, "x");
  EXPECT_EQ(TakeTokenFields(headers), nullptr);
  EXPECT_TRUE(headers.empty());
}

}  // namespace
}  // namespace pillion::exchange
