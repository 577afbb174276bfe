#include "sidecar/idempotency/local_table.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/idempotency/test_answer.h"

namespace pillion::idempotency {
namespace {

using Kind = ClaimAnswer::Kind;
using Ended = LocalTable::Ended;

constexpr DomainTime kStart{1'700'000'000'000};

constexpr CallerId kCaller = 1'000'000;

Digest Print(uint64_t number) {
  Random random(number);
  Digest digest;
  for (uint8_t& byte : digest.bytes) byte = static_cast<uint8_t>(random.Next());
  return digest;
}

TokenKey Named(uint64_t number, CallerId caller = kCaller) { return {Print(number).bytes, caller}; }

std::string AnswerOf(size_t bytes, uint16_t status = 201) {
  return idempotency::AnswerOf(std::string(bytes, 'x'), status);
}

class LocalTableTest : public ::testing::Test {
 protected:
  LocalTable& table() {
    if (table_ == nullptr) table_ = std::make_unique<LocalTable>(terms_);
    return *table_;
  }
  struct Claim ClaimOf(uint64_t token, uint64_t print = 1) const {
    struct Claim claim;
    claim.key = Named(token);
    claim.fingerprint = Print(print);
    claim.now = now_;
    claim.minted = minted_;
    return claim;
  }
  ClaimAnswer Claim(uint64_t token, uint64_t print = 1) { return table().Claim(ClaimOf(token, print)); }
  ClaimAnswer ClaimAs(uint64_t caller, uint64_t token) {
    struct Claim claim = ClaimOf(token);
    claim.key.caller = caller;
    return table().Claim(claim);
  }
  ClaimAnswer ClaimWaiting(uint64_t token, uint64_t number) {
    struct Claim claim = ClaimOf(token);
    claim.waiter = Waiter{bell_, number};
    return table().Claim(claim);
  }
  // It is claimed and answered.
  void Run(uint64_t token, size_t bytes = 10) {
    const ClaimAnswer claimed = Claim(token);
    ASSERT_EQ(claimed.kind, Kind::kClaimed);
    ASSERT_EQ(table().Complete(Named(token), claimed.execution, AnswerOf(bytes), 201), Ended::kDone);
  }
  TableTerms terms_;
  DomainTime now_ = kStart;
  std::optional<DomainTime> minted_ = kStart;
  int wakes_ = 0;
  std::shared_ptr<Bell> bell_ = std::make_shared<Bell>([this] { ++wakes_; });

 private:
  std::unique_ptr<LocalTable> table_;
};

TEST_F(LocalTableTest, ADuplicateIsToldTheSavedAnswer) {
  const ClaimAnswer claimed = Claim(1);
  ASSERT_EQ(claimed.kind, Kind::kClaimed);
  const auto answer = AnswerOf(10);
  EXPECT_EQ(table().Complete(Named(1), claimed.execution, answer, 201), Ended::kDone);
  const ClaimAnswer again = Claim(1);
  EXPECT_EQ(again.kind, Kind::kReplay);
  EXPECT_EQ(again.answer.written(), answer);
  EXPECT_EQ(again.status, 201);
}

TEST_F(LocalTableTest, TokensDoNotKnowOfEachOther) {
  std::set<uint64_t> executions;
  for (uint64_t token = 0; token < 100; ++token) {
    const ClaimAnswer claimed = Claim(token);
    EXPECT_EQ(claimed.kind, Kind::kClaimed);
    executions.insert(claimed.execution);
  }
  EXPECT_EQ(executions.size(), 100u);
  EXPECT_EQ(executions.count(0), 0u);
}

TEST_F(LocalTableTest, AnotherRequestWithThatTokenIsRefusedInEveryState) {
  const ClaimAnswer claimed = Claim(1);
  EXPECT_EQ(Claim(1, 2).kind, Kind::kMismatch);
  table().Abandon(Named(1), claimed.execution);
  EXPECT_EQ(Claim(1, 2).kind, Kind::kMismatch);
  table().Complete(Named(1), claimed.execution, AnswerOf(1), 201);
  EXPECT_EQ(Claim(1, 2).kind, Kind::kMismatch);
  table().Shed(1);
  EXPECT_EQ(Claim(1, 2).kind, Kind::kMismatch);
  EXPECT_EQ(Claim(1, 1).kind, Kind::kTombstone);
}

TEST_F(LocalTableTest, WhatMayHaveRunNeverRunsAgain) {
  const ClaimAnswer claimed = Claim(1);
  EXPECT_EQ(table().Abandon(Named(1), claimed.execution), Ended::kDone);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Claim(1).kind, Kind::kUnknown);
  // The only execution may still tell the truth.
  EXPECT_EQ(table().Complete(Named(1), claimed.execution, AnswerOf(1), 200), Ended::kDone);
  EXPECT_EQ(Claim(1).kind, Kind::kReplay);
  EXPECT_EQ(table().Complete(Named(1), claimed.execution, AnswerOf(1), 200), Ended::kAlready);
  EXPECT_EQ(table().Release(Named(1), claimed.execution), Ended::kAlready);
  EXPECT_EQ(table().Abandon(Named(1), claimed.execution), Ended::kAlready);
}

TEST_F(LocalTableTest, WhatProvablyDidNotRunIsFree) {
  const ClaimAnswer first = Claim(1);
  EXPECT_EQ(table().Release(Named(1), first.execution), Ended::kDone);
  const ClaimAnswer second = Claim(1, 2);
  EXPECT_EQ(second.kind, Kind::kClaimed) << "also for another request";
  EXPECT_NE(second.execution, first.execution);
  // Who has let it go has no say any more.
  EXPECT_EQ(table().Complete(Named(1), first.execution, AnswerOf(1), 200), Ended::kFenced);
  EXPECT_EQ(table().Release(Named(1), first.execution), Ended::kFenced);
  EXPECT_EQ(table().Abandon(Named(1), first.execution), Ended::kFenced);
  EXPECT_EQ(table().Complete(Named(2), 5, AnswerOf(1), 200), Ended::kGone);
}

TEST_F(LocalTableTest, ByPolicyWhatIsUnknownRunsAgainAndTheOldOneIsFenced) {
  const ClaimAnswer first = Claim(1);
  struct Claim claim = ClaimOf(1);
  claim.runs_again = true;
  EXPECT_EQ(table().Claim(claim).kind, Kind::kInFlight);
  table().Abandon(Named(1), first.execution);
  const ClaimAnswer second = table().Claim(claim);
  ASSERT_EQ(second.kind, Kind::kClaimed);
  EXPECT_EQ(table().Complete(Named(1), first.execution, AnswerOf(1, 200), 200), Ended::kFenced);
  EXPECT_EQ(table().Complete(Named(1), second.execution, AnswerOf(1, 202), 202), Ended::kDone);
  EXPECT_EQ(table().Claim(claim).status, 202);
}

TEST_F(LocalTableTest, AnAttemptOfAnotherIncarnationIsAnsweredFromWhatIsKnownOrNotAtAll) {
  struct Claim claim = ClaimOf(1);
  claim.of_another_incarnation = true;
  EXPECT_EQ(table().Claim(claim).kind, Kind::kUnknown);
  EXPECT_EQ(table().Count().room.records, 0u);
  Run(1);
  EXPECT_EQ(table().Claim(claim).kind, Kind::kReplay);
}

TEST_F(LocalTableTest, ATokenIsRefusedBeforeAndAfterItsTime) {
  const auto at = [&](int64_t milliseconds, uint64_t token) {
    now_ = kStart + DomainTime(milliseconds);
    return Claim(token).kind;
  };
  EXPECT_EQ(at(-5'001, 1), Kind::kBadClock);
  EXPECT_EQ(at(-5'000, 2), Kind::kClaimed);
  EXPECT_EQ(at(125'000, 3), Kind::kClaimed);
  EXPECT_EQ(at(125'001, 4), Kind::kExpired);
  EXPECT_EQ(at(125'001, 3), Kind::kExpired) << "whatever is known of it";
}

// I4: there is no moment at which a token is accepted and its record is over.
TEST_F(LocalTableTest, ARecordOutlivesItsToken) {
  for (const int64_t claimed_at : {-5'000, 0, 60'000, 125'000}) {
    for (int64_t again_at = claimed_at; again_at < 200'000; again_at += 500) {
      LocalTable table(terms_);
      now_ = kStart + DomainTime(claimed_at);
      ASSERT_EQ(table.Claim(ClaimOf(1)).kind, Kind::kClaimed);
      now_ = kStart + DomainTime(again_at);
      table.Sweep(now_);
      const Kind kind = table.Claim(ClaimOf(1)).kind;
      ASSERT_EQ(kind, again_at <= 125'000 ? Kind::kInFlight : Kind::kExpired)
          << claimed_at << " " << again_at;
    }
  }
}

TEST_F(LocalTableTest, ATimeThatComesLateIsNotBelieved) {
  Run(1);
  now_ = kStart + DomainTime(400'000);
  table().Sweep(now_);
  EXPECT_EQ(table().Count().room.records, 0u);
  now_ = kStart;
  EXPECT_EQ(Claim(1).kind, Kind::kExpired);
}

TEST_F(LocalTableTest, WhatIsOverIsDropped) {
  for (uint64_t token = 0; token < 50; ++token) Run(token);
  EXPECT_EQ(table().Count().completed, 50u);
  EXPECT_GT(table().Count().room.bytes, uint64_t{50} * LocalTable::kRecordBytes);
  now_ = kStart + DomainTime(164'999);
  table().Sweep(now_);
  EXPECT_EQ(table().Count().completed, 50u);
  now_ = kStart + DomainTime(165'000);
  table().Sweep(now_);
  const LocalTable::Counts counts = table().Count();
  EXPECT_EQ(counts.completed + counts.in_flight + counts.unknown + counts.tombstones, 0u);
  EXPECT_EQ(counts.room.records, 0u);
  EXPECT_EQ(counts.room.bytes, 0u);
  EXPECT_EQ(counts.room.callers, 0u);
}

TEST_F(LocalTableTest, ClaimsDropWhatIsOverToo) {
  terms_.room.records = 1000;
  terms_.room.caller_percent = 100;
  for (uint64_t token = 0; token < 20'000; ++token) {
    now_ += DomainTime(1000);
    minted_ = now_;
    ASSERT_EQ(Claim(token).kind, Kind::kClaimed) << token;
  }
  EXPECT_LT(table().Count().room.records, 350u);
}

TEST_F(LocalTableTest, AKeyWithoutATimeHasItsOwnValidity) {
  terms_.app_validity = DomainTime(1'000'000);
  minted_.reset();
  Run(1);
  now_ = kStart + DomainTime(1'040'000);
  EXPECT_EQ(Claim(1).kind, Kind::kReplay);
  now_ = kStart + DomainTime(1'045'000);
  EXPECT_EQ(Claim(1).kind, Kind::kClaimed);
}

TEST_F(LocalTableTest, KeysThatLiveLongKeepNoTokens) {
  minted_.reset();
  for (uint64_t key = 0; key < 64; ++key) Run(key);
  minted_ = kStart;
  for (uint64_t token = 100; token < 164; ++token) Run(token);
  now_ = kStart + DomainTime(165'000);
  table().Sweep(now_);
  EXPECT_EQ(table().Count().completed, 64u);
}

TEST_F(LocalTableTest, WhoComesMeanwhileIsWokenWhenItEnds) {
  const auto ended = [&](uint64_t token, auto end) {
    const ClaimAnswer claimed = Claim(token);
    EXPECT_EQ(ClaimWaiting(token, 10 * token).kind, Kind::kWaits);
    EXPECT_EQ(ClaimWaiting(token, 10 * token + 1).kind, Kind::kWaits);
    EXPECT_EQ(Claim(token).kind, Kind::kInFlight) << "who does not want to wait";
    EXPECT_EQ(table().Count().room.waiters, 2u);
    EXPECT_TRUE(bell_->Take().empty());
    end(claimed.execution);
    EXPECT_EQ(bell_->Take(), (std::vector<uint64_t>{10 * token, 10 * token + 1}));
    EXPECT_EQ(table().Count().room.waiters, 0u);
  };
  ended(1, [&](uint64_t e) { table().Complete(Named(1), e, AnswerOf(1), 200); });
  ended(2, [&](uint64_t e) { table().Complete(Named(2), e, {}, 200); });
  ended(3, [&](uint64_t e) { table().Abandon(Named(3), e); });
  ended(4, [&](uint64_t e) { table().Release(Named(4), e); });
  EXPECT_EQ(wakes_, 4) << "once for those that are woken together";
  EXPECT_EQ(ClaimWaiting(1, 1).kind, Kind::kReplay);
  EXPECT_EQ(ClaimWaiting(2, 1).kind, Kind::kTombstone);
  EXPECT_EQ(ClaimWaiting(3, 1).kind, Kind::kUnknown);
  EXPECT_EQ(ClaimWaiting(4, 1).kind, Kind::kClaimed) << "one of them runs it";
  EXPECT_EQ(ClaimWaiting(4, 1).kind, Kind::kWaits);
}

TEST_F(LocalTableTest, ABoundedNumberWaits) {
  terms_.room.waiters = 6;
  Claim(1);
  Claim(2);
  for (uint64_t i = 0; i < 4; ++i) EXPECT_EQ(ClaimWaiting(1, i).kind, Kind::kWaits);
  EXPECT_EQ(ClaimWaiting(1, 4).kind, Kind::kInFlight);
  for (uint64_t i = 0; i < 2; ++i) EXPECT_EQ(ClaimWaiting(2, i).kind, Kind::kWaits);
  EXPECT_EQ(ClaimWaiting(2, 2).kind, Kind::kInFlight);
  table().StopWaiting(Named(1), {bell_, 3});
  table().StopWaiting(Named(1), {bell_, 3});
  table().StopWaiting(Named(3), {bell_, 3});
  EXPECT_EQ(table().Count().room.waiters, 5u);
  EXPECT_EQ(ClaimWaiting(2, 2).kind, Kind::kWaits);
}

TEST_F(LocalTableTest, WhoHasStoppedWaitingIsNotWoken) {
  const ClaimAnswer claimed = Claim(1);
  ClaimWaiting(1, 1);
  ClaimWaiting(1, 2);
  table().StopWaiting(Named(1), {bell_, 1});
  table().Release(Named(1), claimed.execution);
  EXPECT_EQ(bell_->Take(), std::vector<uint64_t>{2});
}

// Each batch that is dropped ends the waiting for its records alone.
TEST_F(LocalTableTest, WhoWaitsForWhatIsOverWaitsNoMoreAndOthersDo) {
  ASSERT_EQ(Claim(1).kind, Kind::kClaimed);
  ASSERT_EQ(ClaimWaiting(1, 1).kind, Kind::kWaits);
  now_ += DomainTime(100'000);
  minted_ = now_;
  const ClaimAnswer claimed = Claim(2);
  ASSERT_EQ(ClaimWaiting(2, 2).kind, Kind::kWaits);
  EXPECT_EQ(table().Count().room.waiters, 2u);
  table().Sweep(kStart + DomainTime(190'000));
  EXPECT_EQ(table().Count().room.records, 1u);
  EXPECT_EQ(table().Count().room.waiters, 1u);
  table().Complete(Named(2), claimed.execution, AnswerOf(1), 201);
  EXPECT_EQ(bell_->Take(), std::vector<uint64_t>{2});
  EXPECT_EQ(table().Count().room.waiters, 0u);
}

TEST_F(LocalTableTest, AFullTableRefusesNewTokensAndForgetsNone) {
  terms_.room.records = 10;
  terms_.room.caller_percent = 100;
  for (uint64_t token = 0; token < 10; ++token) Run(token);
  EXPECT_EQ(Claim(10).kind, Kind::kFull);
  for (uint64_t token = 0; token < 10; ++token) EXPECT_EQ(Claim(token).kind, Kind::kReplay);
  now_ += DomainTime(165'000);
  table().Sweep(now_);
  minted_ = now_;
  EXPECT_EQ(Claim(10).kind, Kind::kClaimed);
}

TEST_F(LocalTableTest, OneCallerLeavesRoomForOthers) {
  terms_.room.records = 1000;
  uint64_t token = 0;
  const auto most = [&](uint64_t caller) {
    int claimed = 0;
    while (ClaimAs(caller, token++).kind == Kind::kClaimed) ++claimed;
    EXPECT_EQ(ClaimAs(caller, token++).kind, Kind::kQuota);
    return claimed;
  };
  EXPECT_EQ(most(1), 500);
  EXPECT_EQ(most(2), 250);
  EXPECT_EQ(most(3), 125);
  EXPECT_EQ(most(4), 100) << "its share, whoever else is there";
  for (int i = 0; i < 25; ++i) EXPECT_EQ(ClaimAs(5, token++).kind, Kind::kClaimed);
  EXPECT_EQ(ClaimAs(5, token++).kind, Kind::kFull);
  EXPECT_EQ(table().Count().room.callers, 5u);
}

TEST_F(LocalTableTest, CallersThatHaveGoneTakeNoRoom) {
  for (uint64_t caller = 0; caller < 1000; ++caller) {
    const ClaimAnswer claimed = ClaimAs(caller, caller);
    table().Release(Named(caller, caller), claimed.execution);
  }
  EXPECT_EQ(table().Count().room.callers, 0u);
  EXPECT_EQ(table().Count().room.places, 1u);
}

TEST_F(LocalTableTest, TheLargestAnswersGoFirst) {
  const size_t own = SavedAnswer::kOwnBytes + LocalTable::kRecordBytes;
  terms_.room.bytes = 5 * own + 10'000 + 1000 + 300;
  Run(1, 1000);
  Run(2, 10'000);
  Run(3, 100);
  Run(4, 100);
  Run(5, 100);
  EXPECT_EQ(Claim(2).kind, Kind::kReplay);
  Run(6, 100);
  EXPECT_EQ(Claim(2).kind, Kind::kTombstone);
  EXPECT_EQ(Claim(2).status, 201);
  for (const uint64_t token : {1, 3, 4, 5, 6}) EXPECT_EQ(Claim(token).kind, Kind::kReplay) << token;
  table().Shed(1);
  EXPECT_EQ(Claim(1).kind, Kind::kTombstone);
  for (const uint64_t token : {3, 4, 5, 6}) EXPECT_EQ(Claim(token).kind, Kind::kReplay) << token;
  table().Shed(UINT64_MAX);
  for (uint64_t token = 1; token <= 6; ++token) EXPECT_EQ(Claim(token).kind, Kind::kTombstone) << token;
  EXPECT_EQ(table().Count().room.bytes, 6 * LocalTable::kRecordBytes);
}

TEST_F(LocalTableTest, AnAnswerThatNeverFitsTakesNothingFromOthers) {
  terms_.room.bytes = 10'000;
  Run(1, 1000);
  Run(2, 20'000);
  EXPECT_EQ(Claim(2).kind, Kind::kTombstone);
  EXPECT_EQ(Claim(1).kind, Kind::kReplay);
}

TEST_F(LocalTableTest, WhereNothingIsLeftAnswersAreNotKeptAndThenTokensRefused) {
  terms_.room.bytes = uint64_t{3} * LocalTable::kRecordBytes + 100;
  Run(1, 5000);
  EXPECT_EQ(Claim(1).kind, Kind::kTombstone);
  struct Claim claim = ClaimOf(2);
  claim.most_answer_bytes = 500;
  const ClaimAnswer claimed = table().Claim(claim);
  ASSERT_EQ(claimed.kind, Kind::kClaimed) << "nothing is reserved where there is nothing";
  table().Complete(Named(2), claimed.execution, AnswerOf(5000), 201);
  Run(3, 5000);
  EXPECT_EQ(Claim(4).kind, Kind::kFull);
  EXPECT_EQ(Claim(3).kind, Kind::kTombstone);
}

TEST_F(LocalTableTest, WhatIsReservedIsWhatAnswersAreLikelyToHave) {
  // One of the 16, by the hash, which differs from one process to the next.
  const auto in_one_shard = [&](uint64_t number) {
    struct Claim claim = ClaimOf(number);
    for (uint64_t i = 1; claim.key.Hash() % 16 != 0; ++i) claim.key = Named(number + i * 10'000);
    claim.most_answer_bytes = 1'000'000;
    return claim;
  };
  const auto reserved = [&](uint64_t number) {
    const uint64_t before = table().Count().room.bytes;
    EXPECT_EQ(table().Claim(in_one_shard(number)).kind, Kind::kClaimed);
    return table().Count().room.bytes - before - LocalTable::kRecordBytes;
  };
  terms_.room.bytes = uint64_t{16} * 16'384;
  EXPECT_EQ(reserved(1000), AnswerSizes::kUsual);
  const auto answer = [&](uint64_t first, size_t bytes) {
    for (uint64_t i = 0; i < AnswerSizes::kLookEvery; ++i) {
      const ClaimAnswer claimed = table().Claim(in_one_shard(first + i));
      table().Complete(in_one_shard(first + i).key, claimed.execution, AnswerOf(bytes), 201);
    }
  };
  answer(1, 5000);
  EXPECT_EQ(reserved(1001), 8192u);
  answer(100, 40'000);
  table().Shed(UINT64_MAX);
  EXPECT_EQ(reserved(1002), 16'384u) << "a sixteenth of all at most";
}

// Of a table that has room for two of them.
TEST_F(LocalTableTest, WhatAnswersAreLikelyToHaveNeverRefusesTokensForGood) {
  terms_.room.bytes = 131'072;
  for (uint64_t token = 0; token < 300; ++token) {
    struct Claim claim = ClaimOf(token);
    claim.most_answer_bytes = 1'000'000;
    const ClaimAnswer claimed = table().Claim(claim);
    ASSERT_EQ(claimed.kind, Kind::kClaimed) << token;
    table().Complete(Named(token), claimed.execution, AnswerOf(60'000), 201);
    EXPECT_EQ(Claim(token).kind, Kind::kReplay);
  }
  EXPECT_EQ(table().Count().answer_bytes, 60'000 + SavedAnswer::kOwnBytes) << "another one has given way";
}

TEST_F(LocalTableTest, WhatIsReservedIsThereForItsAnswer) {
  constexpr uint64_t kEach = LocalTable::kRecordBytes + AnswerSizes::kUsual;
  terms_.room.bytes = 16 * AnswerSizes::kUsual + 200;
  ClaimAnswer first;
  for (uint64_t token = 10; table().Count().room.bytes + kEach <= terms_.room.bytes; ++token) {
    struct Claim claim = ClaimOf(token);
    claim.most_answer_bytes = 1'000'000;
    const ClaimAnswer claimed = table().Claim(claim);
    ASSERT_EQ(claimed.kind, Kind::kClaimed);
    if (token == 10) first = claimed;
  }
  struct Claim last = ClaimOf(2);
  last.most_answer_bytes = 1'000'000;
  const ClaimAnswer without = table().Claim(last);
  ASSERT_EQ(without.kind, Kind::kClaimed)
      << "nothing is reserved where there is nothing, and nothing to let go of";
  table().Complete(Named(2), without.execution, AnswerOf(1000), 201);
  EXPECT_EQ(Claim(2).kind, Kind::kTombstone) << "the room is taken";
  table().Complete(Named(10), first.execution, AnswerOf(AnswerSizes::kUsual - SavedAnswer::kOwnBytes), 201);
  EXPECT_EQ(Claim(10).kind, Kind::kReplay);
}

TEST_F(LocalTableTest, RecordsAreFoundByTheHashOfTheirToken) {
  const auto key_of = [](uint64_t token) {
    TokenKey key;
    key.caller = kCaller;
    std::memcpy(key.token.data(), &token, sizeof(token));
    return key;
  };
  for (uint64_t token = 0; token < 1000; ++token) {
    struct Claim claim = ClaimOf(token);
    claim.key = key_of(token);
    const ClaimAnswer claimed = table().Claim(claim);
    ASSERT_EQ(claimed.kind, Kind::kClaimed);
    if (token == 700) table().Complete(claim.key, claimed.execution, AnswerOf(50), 201);
    if (token == 701) table().Release(claim.key, claimed.execution);
    if (token == 702) table().Abandon(claim.key, claimed.execution);
  }
  const auto find = [&](uint64_t token) { return table().Find(ShortHash(key_of(token).token)); };
  const auto completed = find(700);
  ASSERT_EQ(completed.size(), 1u);
  EXPECT_EQ(completed[0].state, "completed");
  EXPECT_EQ(completed[0].status, 201);
  EXPECT_GT(completed[0].answer_bytes, 50u);
  EXPECT_EQ(completed[0].execution, 701u);
  EXPECT_EQ(completed[0].over, kStart + DomainTime(120'000 + 15'000 + 30'000));
  EXPECT_TRUE(find(701).empty());
  ASSERT_EQ(find(702).size(), 1u);
  EXPECT_EQ(find(702)[0].state, "unknown");
  EXPECT_EQ(find(702)[0].status, 0);
  EXPECT_EQ(find(5)[0].state, "in_flight");
  EXPECT_TRUE(find(1000).empty());
  table().Shed(UINT64_MAX);
  EXPECT_EQ(find(700)[0].state, "tombstone");
  EXPECT_EQ(find(700)[0].answer_bytes, 0u);
}

TEST_F(LocalTableTest, WhatHappensIsCounted) {
  terms_.room.records = 4;
  terms_.room.caller_percent = 50;
  const auto one = Claim(1);
  table().Abandon(Named(1), one.execution);
  EXPECT_EQ(table().Count().late, 0u);
  table().Complete(Named(1), one.execution, AnswerOf(1), 200);
  EXPECT_EQ(table().Count().late, 1u);
  EXPECT_EQ(table().Count().fenced, 0u);
  table().Complete(Named(1), one.execution, AnswerOf(1), 200);
  EXPECT_EQ(table().Count().fenced, 1u) << "two executions have ended";
  table().Release(Named(1), one.execution);
  EXPECT_EQ(table().Count().fenced, 1u) << "this one has not";
  const auto two = Claim(2);
  table().Abandon(Named(2), two.execution);
  struct Claim again = ClaimOf(2);
  again.runs_again = true;
  ASSERT_EQ(table().Claim(again).kind, Kind::kClaimed);
  table().Complete(Named(2), two.execution, AnswerOf(1), 200);
  EXPECT_EQ(table().Count().fenced, 2u) << "the first of two has";
  EXPECT_EQ(Claim(3).kind, Kind::kQuota);
  EXPECT_EQ(table().Count().quota, 1u);
  ASSERT_EQ(ClaimAs(7, 4).kind, Kind::kClaimed);
  ASSERT_EQ(ClaimAs(8, 5).kind, Kind::kClaimed);
  EXPECT_EQ(ClaimAs(9, 6).kind, Kind::kFull);
  EXPECT_EQ(table().Count().full, 1u);
  EXPECT_EQ(table().Count().shed, 0u);
  table().Shed(1);
  EXPECT_EQ(table().Count().shed, 1u);
  EXPECT_EQ(table().Count().tombstones, 1u);
  table().detached().Begin();
  table().detached().Begin();
  table().detached().End();
  EXPECT_EQ(table().Count().detached, 1u);
}

// Every step of one table beside a plain model of it, with the invariants of specs/idempotency.md 4.2.
class History {
 public:
  explicit History(uint64_t seed) : random_(seed), table_(terms_) {}
  void Run(int steps) {
    for (int step = 0; step < steps && !::testing::Test::HasFatalFailure(); ++step) {
      now_ += DomainTime(static_cast<int64_t>(Draw(3) == 0 ? Draw(10'000) : Draw(50)));
      // It goes with what came at about the same time.
      std::erase_if(model_, [&](const auto& item) {
        const Known& known = item.second;
        if (known.over <= now_) late_.push_back(known);
        return known.over <= now_;
      });
      const DomainTime life = terms_.validity + 3 * terms_.skew + terms_.max_execution;
      std::erase_if(late_, [&](const Known& known) { return known.over + life / 16 <= now_; });
      if (Draw(10) == 0) {
        table_.Sweep(now_);
        CheckCounts();
      }
      const uint64_t token = Draw(3) == 0 ? next_++ : next_ - std::min(next_, Draw(60));
      minted_.emplace(token, now_);
      const auto known = model_.find(token);
      if (Draw(2) == 0 || known == model_.end()) {
        Claim(token);
      } else {
        End(token, known->second);
      }
      const Room::Use use = table_.Count().room;
      ASSERT_LE(use.records, terms_.room.records);
      ASSERT_LE(use.bytes, terms_.room.bytes) << "I8";
    }
    table_.Sweep(now_ + DomainTime(1'000'000));
    const Room::Use left = table_.Count().room;
    EXPECT_EQ(left.records + left.bytes + left.waiters + left.callers, 0u);
  }
  std::map<Kind, int> seen;

 private:
  struct Known {
    uint64_t execution = 0;
    enum class State : uint8_t { kRuns, kAnswered, kUnknown } state = State::kRuns;
    Digest print;
    DomainTime over{};
  };
  void CheckCounts() const {
    const auto in = [&](Known::State state) {
      return static_cast<uint64_t>(
          std::ranges::count_if(model_, [&](const auto& item) { return item.second.state == state; }));
    };
    const auto late = [&](Known::State state) {
      return static_cast<uint64_t>(std::ranges::count(late_, state, &Known::state));
    };
    const auto check = [&](uint64_t counted, Known::State state) {
      ASSERT_GE(counted, in(state));
      ASSERT_LE(counted, in(state) + late(state));
    };
    const LocalTable::Counts counts = table_.Count();
    check(counts.in_flight, Known::State::kRuns);
    check(counts.unknown, Known::State::kUnknown);
    check(counts.completed + counts.tombstones, Known::State::kAnswered);
  }
  std::vector<Known> late_;  // over, and not dropped yet, perhaps
  uint64_t Draw(uint64_t below) { return Below(random_.Next(), below); }
  static TableTerms Small() {
    TableTerms terms;
    terms.room.records = 40;
    terms.room.bytes = 30'000;
    terms.room.caller_percent = 30;
    return terms;
  }
  static TokenKey KeyOf(uint64_t token) { return Named(token, 2'000'000 + token % 4); }
  static uint16_t StatusOf(uint64_t execution) { return static_cast<uint16_t>(200 + execution % 300); }

  void Claim(uint64_t token) {
    struct Claim claim;
    claim.key = KeyOf(token);
    claim.fingerprint = Print(1'000'000 + Draw(8) / 7);
    claim.now = now_;
    claim.minted = minted_[token];
    claim.most_answer_bytes = Draw(800);
    const ClaimAnswer answer = table_.Claim(claim);
    ++seen[answer.kind];
    const bool expired = now_ > minted_[token] + terms_.validity + terms_.skew;
    ASSERT_EQ(answer.kind == Kind::kExpired, expired);
    if (expired) return;
    const auto known = model_.find(token);
    if (known != model_.end()) {
      Compare(known->second, claim.fingerprint, answer);
      return;
    }
    ASSERT_TRUE(answer.kind == Kind::kClaimed || answer.kind == Kind::kFull || answer.kind == Kind::kQuota);
    if (answer.kind != Kind::kClaimed) return;
    model_[token] = {answer.execution, Known::State::kRuns, claim.fingerprint,
                     minted_[token] + terms_.validity + 3 * terms_.skew + terms_.max_execution};
    ASSERT_EQ(++ran_[token], 1) << "I1";
  }
  void Compare(const Known& known, const Digest& print, const ClaimAnswer& answer) {
    if (known.print != print) {
      ASSERT_EQ(answer.kind, Kind::kMismatch);
    } else if (known.state == Known::State::kRuns) {
      ASSERT_EQ(answer.kind, Kind::kInFlight);
    } else if (known.state == Known::State::kUnknown) {
      ASSERT_EQ(answer.kind, Kind::kUnknown);
    } else {
      ASSERT_TRUE(answer.kind == Kind::kReplay || answer.kind == Kind::kTombstone);
      ASSERT_EQ(answer.status, StatusOf(known.execution)) << "I2";
      if (answer.answer) {
        ASSERT_EQ(answer.answer.content(), std::to_string(known.execution));
      }
    }
  }
  // Also by who is not its execution: I5.
  void End(uint64_t token, Known& known) {
    const uint64_t execution = Draw(8) == 0 ? known.execution + 1 : known.execution;
    const bool open = known.state != Known::State::kAnswered;
    const Ended expected = execution != known.execution ? Ended::kFenced
                           : open                       ? Ended::kDone
                                                        : Ended::kAlready;
    const bool done = expected == Ended::kDone;
    const uint64_t how = Draw(4);
    if (how < 2) {
      http::HeaderList pad;
      pad.Add("x-pad", std::string(Draw(3000), 'p'));
      SliceQueue content;
      content.AppendCopy(std::to_string(execution));
      std::string answer;
      if (how != 0) {
        WriteAnswer(
            200, pad, [](const http::HeaderList::Field&) { return true; }, content, nullptr, {}, answer);
      }
      ASSERT_EQ(table_.Complete(KeyOf(token), execution, answer, StatusOf(execution)), expected);
      if (done) known.state = Known::State::kAnswered;
    } else if (how == 2) {
      ASSERT_EQ(table_.Abandon(KeyOf(token), execution), expected);
      if (done) known.state = Known::State::kUnknown;
    } else {
      ASSERT_EQ(table_.Release(KeyOf(token), execution), expected);
      if (!done) return;
      --ran_[token];
      model_.erase(token);
    }
  }

  const TableTerms terms_ = Small();
  Random random_;
  LocalTable table_;
  std::map<uint64_t, Known> model_;
  std::map<uint64_t, DomainTime> minted_;
  std::map<uint64_t, int> ran_;  // executions that were not released
  DomainTime now_ = kStart;
  uint64_t next_ = 0;
};

TEST(LocalTableHistory, AgreesWithTheModelAndRunsNothingTwice) {
  std::map<Kind, int> seen;
  for (uint64_t seed = 0; seed < 60 && !HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    History history(seed);
    history.Run(4000);
    for (const auto& [kind, count] : history.seen) seen[kind] += count;
  }
  for (const Kind kind : {Kind::kClaimed, Kind::kReplay, Kind::kTombstone, Kind::kInFlight, Kind::kUnknown,
                          Kind::kMismatch, Kind::kExpired, Kind::kFull, Kind::kQuota})
    EXPECT_GT(seen[kind], 20) << static_cast<int>(kind);
}

#if !defined(__SANITIZE_ADDRESS__) && !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
TEST_F(LocalTableTest, ATokenWithoutABodyTakesLessThan256Bytes) {
  terms_.room.caller_percent = 100;
  table();
  for (const uint64_t tokens : {uint64_t{60'000}, uint64_t{120'000}, uint64_t{240'000}, uint64_t{450'000}}) {
    LocalTable fresh(terms_);
    const auto before = static_cast<int64_t>(mallinfo2().uordblks + mallinfo2().hblkhd);
    for (uint64_t token = 0; token < tokens; ++token) {
      struct Claim claim = ClaimOf(token);
      const ClaimAnswer claimed = fresh.Claim(claim);
      fresh.Complete(claim.key, claimed.execution, {}, 200);
    }
    const auto used = static_cast<int64_t>(mallinfo2().uordblks + mallinfo2().hblkhd) - before;
    EXPECT_LT(used / static_cast<int64_t>(tokens), 160) << tokens;
    EXPECT_GT(used / static_cast<int64_t>(tokens), 64) << "it was measured";
  }
}

// They stand in pages: what is let go of must leave none of them half full.
TEST_F(LocalTableTest, AnswersThatAreLetGoOfGiveTheirMemoryBack) {
  terms_.room.caller_percent = 100;
  constexpr uint64_t kTokens = 20'000;
  const auto used = [] { return static_cast<int64_t>(mallinfo2().uordblks + mallinfo2().hblkhd); };
  table();
  const int64_t empty = used();
  int64_t answers = 0;
  for (uint64_t token = 0; token < kTokens; ++token) {
    const size_t bytes = token % 4 == 0 ? 1500 : 300;
    Run(token, bytes);
    answers += static_cast<int64_t>(bytes);
  }
  const int64_t full = used();
  EXPECT_GT(full - empty, answers);
  // The large ones: a quarter of all, and more than half of the bytes.
  table().Shed(kTokens / 4 * 1500);
  EXPECT_LT(used(), full - static_cast<int64_t>(kTokens / 4 * 1500));
  table().Shed(UINT64_MAX);
  EXPECT_LT(used() - empty, static_cast<int64_t>(kTokens * LocalTable::kRecordBytes) + 2'000'000);
}
#endif

}  // namespace
}  // namespace pillion::idempotency
