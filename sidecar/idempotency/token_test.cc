#include "sidecar/idempotency/token.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace pillion::idempotency {
namespace {

TEST(Token, HasTheTimeOfItsMakingInIt) {
  Random random(1);
  for (const int64_t time : {int64_t{0}, int64_t{1}, int64_t{1'732'924'800'123}, (int64_t{1} << 48) - 1}) {
    EXPECT_EQ(Token::Mint(DomainTime(time), random).minted(), DomainTime(time));
  }
}

// RFC 9562 appendix A.6.
TEST(Token, ReadsTheExampleOfTheStandard) {
  const auto token = Token::Parse("017F22E2-79B0-7CC3-98C4-DC0C0C07398F");
  ASSERT_TRUE(token);
  EXPECT_EQ(token->minted(), DomainTime(1'645'557'742'000));
  EXPECT_EQ(token->ToString(), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
}

TEST(Token, WhatIsMintedIsRead) {
  Random random(2);
  for (int i = 0; i < 10'000; ++i) {
    const Token token = Token::Mint(DomainTime(static_cast<int64_t>(random.Next() >> 16)), random);
    const std::string text = token.ToString();
    ASSERT_EQ(text.size(), Token::kTextBytes);
    ASSERT_EQ(Token::Parse(text), token) << text;
  }
}

TEST(Token, TokensOfOneMomentDiffer) {
  Random random(3);
  std::set<std::string> seen;
  for (int i = 0; i < 10'000; ++i) seen.insert(Token::Mint(DomainTime(5), random).ToString());
  EXPECT_EQ(seen.size(), 10'000u);
}

// Each of the 74 bits is 1 in about half of them; those of version and variant always the same.
TEST(Token, AllThatIsNotTimeOrVersionIsDrawn) {
  Random random(4);
  constexpr int kTokens = 4000;
  std::array<int, 128> ones{};
  for (int i = 0; i < kTokens; ++i) {
    const Token token = Token::Mint(DomainTime(0), random);
    for (size_t bit = 0; bit < 128; ++bit) ones[bit] += token.array()[bit / 8] >> (7 - bit % 8) & 1;
  }
  for (size_t bit = 0; bit < 128; ++bit) {
    const bool fixed = bit < 52 || bit == 64 || bit == 65;
    const bool one = bit == 49 || bit == 50 || bit == 51 || bit == 64;
    if (fixed) {
      EXPECT_EQ(ones[bit], one ? kTokens : 0) << bit;
    } else {
      EXPECT_NEAR(2 * ones[bit], kTokens, 400) << bit;
    }
  }
}

TEST(Token, WhatIsNoneIsRefused) {
  const std::string good = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
  ASSERT_TRUE(Token::Parse(good));
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = good[i] == '-' ? '0' : '-';
    EXPECT_FALSE(Token::Parse(bad)) << bad;
    bad[i] = 'g';
    EXPECT_FALSE(Token::Parse(bad)) << bad;
    bad[i] = '\0';
    EXPECT_FALSE(Token::Parse(bad)) << i;
    EXPECT_FALSE(Token::Parse(good.substr(0, i))) << i;
  }
  EXPECT_FALSE(Token::Parse(good + "0"));
  EXPECT_FALSE(Token::Parse("017f22e2-79b0-4cc3-98c4-dc0c0c07398f")) << "version 4";
  EXPECT_FALSE(Token::Parse("017f22e2-79b0-7cc3-58c4-dc0c0c07398f")) << "another variant";
  EXPECT_FALSE(Token::Parse("017f22e2-79b0-7cc3-d8c4-dc0c0c07398f")) << "another variant";
}

}  // namespace
}  // namespace pillion::idempotency
