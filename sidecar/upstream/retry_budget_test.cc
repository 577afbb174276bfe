#include "sidecar/upstream/retry_budget.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace pillion::upstream {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const time::MonotonicTime kBegin(std::chrono::hours(1));

RetryBudget Budget(double share, double per_second) {
  RetryBudget budget;
  budget.set_terms({.share = share, .per_second = per_second});
  return budget;
}

int SpendAll(RetryBudget& budget, time::MonotonicTime now) {
  int spent = 0;
  while (budget.Spend(now)) ++spent;
  return spent;
}

TEST(RetryBudget, BeginsWithABurstAndGivesTheFloorBack) {
  RetryBudget budget = Budget(0.1, 2);
  EXPECT_EQ(SpendAll(budget, kBegin), 20);
  EXPECT_EQ(SpendAll(budget, kBegin + milliseconds(499)), 0);
  EXPECT_EQ(SpendAll(budget, kBegin + milliseconds(1501)), 3);
  EXPECT_EQ(SpendAll(budget, kBegin + std::chrono::hours(24)), 20) << "a day saves no more up";
}

TEST(RetryBudget, NothingIsNothing) {
  RetryBudget budget = Budget(0, 0);
  for (int i = 0; i < 1000; ++i) budget.OnRequest(kBegin + milliseconds(i));
  EXPECT_EQ(SpendAll(budget, kBegin + seconds(1)), 0);
}

TEST(RetryBudget, HoldsOneSecondOfAShare) {
  RetryBudget budget = Budget(0.1, 0);
  time::MonotonicTime now = kBegin;
  for (int i = 0; i < 100000; ++i) {  // 10 000 a second, for ten
    budget.OnRequest(now);
    now += std::chrono::microseconds(100);
  }
  const int spent = SpendAll(budget, now);
  EXPECT_GE(spent, 900);
  EXPECT_LE(spent, 1001);
}

TEST(RetryBudget, WhatARushHasSavedUpIsGoneSoonAfterIt) {
  RetryBudget budget = Budget(0.1, 0);
  for (int i = 0; i < 10000; ++i) budget.OnRequest(kBegin + std::chrono::microseconds(100 * i));
  budget.OnRequest(kBegin + seconds(3));
  EXPECT_LE(SpendAll(budget, kBegin + seconds(3)), 20);
}

TEST(RetryBudget, NewTermsHoldAtOnce) {
  RetryBudget budget = Budget(0.1, 1);
  budget.set_terms({.share = 0, .per_second = 0});
  EXPECT_EQ(SpendAll(budget, kBegin), 0);
}

void Ask(RetryBudget& budget, int requests, time::MonotonicTime now) {
  for (int i = 0; i < requests; ++i) budget.OnRequest(now);
}

void End(RetryBudget& budget, int attempts, bool failed, time::MonotonicTime now) {
  for (int i = 0; i < attempts; ++i) budget.OnAttempt(now, failed);
}

TEST(RetryBudget, RequestsPutNothingInWhileMostAttemptsFail) {
  RetryBudget budget = Budget(0.1, 0);
  EXPECT_EQ(SpendAll(budget, kBegin), 20);
  End(budget, 19, true, kBegin);
  Ask(budget, 105, kBegin);
  EXPECT_EQ(SpendAll(budget, kBegin), 10) << "of so few attempts nothing is said";
  End(budget, 1, true, kBegin);
  Ask(budget, 105, kBegin);
  EXPECT_EQ(SpendAll(budget, kBegin), 0);
  End(budget, 20, false, kBegin + milliseconds(999));
  Ask(budget, 105, kBegin + milliseconds(999));
  EXPECT_EQ(SpendAll(budget, kBegin + milliseconds(999)), 10) << "half of them are not most";
}

TEST(RetryBudget, TheFloorIsThereThenToo) {
  RetryBudget budget = Budget(0.1, 3);
  End(budget, 100, true, kBegin);
  EXPECT_EQ(SpendAll(budget, kBegin), 20);
  End(budget, 100, true, kBegin + seconds(1));
  Ask(budget, 1000, kBegin + seconds(1));
  EXPECT_EQ(SpendAll(budget, kBegin + seconds(1)), 3);
}

TEST(RetryBudget, ForgetsFailuresWithinTwoSeconds) {
  const auto given_after = [](milliseconds wait) {
    RetryBudget budget = Budget(0.1, 0);
    SpendAll(budget, kBegin);
    End(budget, 100, true, kBegin);
    Ask(budget, 105, kBegin + wait);
    return SpendAll(budget, kBegin + wait);
  };
  EXPECT_EQ(given_after(milliseconds(999)), 0);
  EXPECT_EQ(given_after(milliseconds(1999)), 0) << "the second before counts";
  EXPECT_EQ(given_after(milliseconds(2000)), 10);
}

TEST(RetryBudget, WhereEachRequestMayBeRetriedItIsAlso) {
  RetryBudget budget = Budget(1, 0);
  SpendAll(budget, kBegin);
  End(budget, 100, true, kBegin);
  Ask(budget, 5, kBegin);
  EXPECT_EQ(SpendAll(budget, kBegin), 5);
}

// Whatever comes when, in every stretch of time no more is spent than was there and came in.
TEST(RetryBudget, IsNeverExceededOnAnySchedule) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    std::mt19937_64 random(seed);
    const double share = static_cast<double>(random() % 50) / 100;
    const auto per_second = static_cast<double>(random() % 10);
    RetryBudget budget = Budget(share, per_second);
    struct At {
      time::MonotonicTime when;
      int requests = 0;
      int spent = 0;
    };
    std::vector<At> story;
    time::MonotonicTime now = kBegin;
    int requests = 0;
    int spent = 0;
    for (int i = 0; i < 400; ++i) {
      const bool rush = random() % 3 == 0;
      now += std::chrono::microseconds(rush ? random() % 100 : random() % 300000);
      for (uint64_t n = random() % (rush ? 50 : 5); n > 0; --n) {
        budget.OnRequest(now);
        ++requests;
      }
      if (random() % 2 == 0) spent += budget.Spend(now) ? 1 : 0;
      if (random() % 20 == 0) spent += SpendAll(budget, now);
      story.push_back({now, requests, spent});
    }
    // What may be there at the beginning of a stretch: the burst, or what the second before it, of any, put
    // in.
    double depth = 20;
    for (size_t a = 0; a < story.size(); ++a) {
      for (size_t b = a; b < story.size() && story[b].when < story[a].when + seconds(1); ++b)
        depth = std::max(depth, share * (story[b].requests - story[a].requests + 50));
    }
    for (size_t a = 0; a < story.size(); ++a) {
      for (size_t b = a; b < story.size(); ++b) {
        const double passed = std::chrono::duration<double>(story[b].when - story[a].when).count();
        const double allowed =
            depth + share * (story[b].requests - story[a].requests) + per_second * passed + 1e-6;
        ASSERT_LE(story[b].spent - story[a].spent, allowed) << "seed " << seed;
      }
    }
  }
}

// Requests that each sidecar of a chain tries again as often as it may, with nobody behind the last one:
// specs/idempotency.md 6.2, G2.
double AttemptsPerRequest(int hops) {
  std::vector<RetryBudget> budgets(static_cast<size_t>(hops), Budget(0.1, 1));
  uint64_t attempts = 0;
  time::MonotonicTime now = kBegin;
  const auto request = [&](auto& self, size_t hop) -> void {
    if (hop == budgets.size()) {
      ++attempts;
      return;
    }
    budgets[hop].OnRequest(now);
    self(self, hop + 1);
    for (int retry = 0; retry < 2 && budgets[hop].Spend(now); ++retry) self(self, hop + 1);
  };
  constexpr int kRequests = 60000;
  for (int i = 0; i < kRequests; ++i) {
    now += milliseconds(1);
    request(request, 0);
  }
  return static_cast<double>(attempts) / kRequests;
}

TEST(RetryBudget, KeepsAChainWithADeadEndFromMultiplying) {
  EXPECT_LE(AttemptsPerRequest(1), 1.12);
  EXPECT_LE(AttemptsPerRequest(3), 1.40);
  EXPECT_GE(AttemptsPerRequest(3), 1.30) << "they do try";
}

}  // namespace
}  // namespace pillion::upstream
