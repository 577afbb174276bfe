#include "sidecar/idempotency/tables.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "sidecar/idempotency/test_answer.h"

namespace pillion::idempotency {
namespace {

Claim ClaimAt(DomainTime now) {
  Claim claim;
  claim.now = now;
  claim.minted = now;
  return claim;
}

TEST(Tables, ADomainIsFoundAgain) {
  Tables tables({});
  const auto first = tables.Find(1, {});
  EXPECT_EQ(tables.Find(1, {}), first);
  EXPECT_NE(tables.Find(2, {}), first);
  EXPECT_EQ(tables.All().size(), 2u);
}

TEST(Tables, OneThatNobodyNamesStaysUntilItsTokensAreOver) {
  Tables tables({});
  const DomainTime start(1'000'000);
  ASSERT_EQ(tables.Find(1, {})->Claim(ClaimAt(start)).kind, ClaimAnswer::Kind::kClaimed);
  tables.Sweep(start + DomainTime(164'999));
  EXPECT_EQ(tables.All().size(), 1u);
  EXPECT_EQ(tables.Find(1, {})->Claim(ClaimAt(start)).kind, ClaimAnswer::Kind::kExpired);
  tables.Sweep(start + DomainTime(165'000));
  EXPECT_EQ(tables.All().size(), 0u);
}

TEST(Tables, WhereMemoryIsShortHalfOfTheAnswersGo) {
  Tables tables({});
  const auto table = tables.Find(1, {});
  tables.Find(2, {});
  for (uint8_t i = 0; i < 64; ++i) {
    Claim claim = ClaimAt(DomainTime(1'000'000));
    claim.key.token.fill(i);
    const ClaimAnswer claimed = table->Claim(claim);
    table->Complete(claim.key, claimed.execution, AnswerOf(std::string(1000, 'x')), 200);
  }
  tables.ShedHalf();
  EXPECT_EQ(table->Count().completed, 32u);
  EXPECT_EQ(table->Count().tombstones, 32u);
  tables.ShedHalf();
  EXPECT_EQ(table->Count().completed, 16u);
}

TEST(Tables, KeysAreKnownStillWhenPolicyChangesItsTerms) {
  Tables tables({});
  const DomainTime start(1'000'000);
  const auto key = [&](uint8_t number) {
    Claim claim;
    claim.now = start;
    claim.key.token.fill(number);
    return claim;
  };
  const auto before = tables.FindForKeys(1, {});
  ASSERT_EQ(before->Claim(key(1)).kind, ClaimAnswer::Kind::kClaimed);
  ASSERT_EQ(before->Claim(key(2)).kind, ClaimAnswer::Kind::kClaimed);
  TableTerms fewer;
  fewer.room = {.records = 1, .bytes = 1, .caller_percent = 100, .waiters = 0};
  const auto after = tables.FindForKeys(1, fewer);
  EXPECT_EQ(after, before);
  EXPECT_EQ(after->Claim(key(1)).kind, ClaimAnswer::Kind::kInFlight);
  EXPECT_EQ(after->Claim(key(3)).kind, ClaimAnswer::Kind::kFull) << "of the new terms";
  TableTerms shorter;
  shorter.app_validity = DomainTime(60'000);
  tables.FindForKeys(1, shorter);
  // In which of the 16 shards a key is differs from one process to the next.
  const auto shard = [&](uint8_t number) { return key(number).key.Hash() % 16; };
  uint8_t beside = 3;
  while (shard(beside) != shard(1)) ++beside;
  uint8_t apart = 3;
  while (shard(apart) == shard(1) || shard(apart) == shard(2)) ++apart;
  ASSERT_EQ(after->Claim(key(beside)).kind, ClaimAnswer::Kind::kClaimed);
  ASSERT_EQ(after->Claim(key(apart)).kind, ClaimAnswer::Kind::kClaimed);
  tables.Sweep(start + DomainTime(3'600'000));
  EXPECT_EQ(after->Count().in_flight, 3u) << "what was promised a day has it, and what came behind it";
  tables.Sweep(start + DomainTime(86'445'000));
  EXPECT_EQ(after->Count().in_flight, 0u);
}

TEST(Tables, OneThatIsNamedStaysWithoutTokens) {
  Tables tables({});
  const auto named = tables.Find(1, {});
  tables.Find(2, {});
  tables.Sweep(DomainTime(0));
  EXPECT_EQ(tables.All().size(), 1u);
  EXPECT_EQ(tables.Find(1, {}), named);
}

}  // namespace
}  // namespace pillion::idempotency
