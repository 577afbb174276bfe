#include "sidecar/ledger/limiter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "sidecar/base/random.h"

namespace pillion::ledger {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

time::MonotonicTime At(time::Duration since) { return time::MonotonicTime(std::chrono::hours(100) + since); }
constexpr BucketShape kThree{.max_tokens = 3, .token = seconds(2)};

TEST(TokenBucket, ItIsFullAtFirstAndFillsEvenly) {
  TokenBucket bucket;
  for (uint32_t left : {2u, 1u, 0u}) {
    const Taken taken = bucket.Take(kThree, At({}));
    EXPECT_TRUE(taken.granted);
    EXPECT_EQ(taken.left, left);
    EXPECT_EQ(taken.until_full, seconds(2) * (3 - left));
  }
  const Taken refused = bucket.Take(kThree, At(milliseconds(500)));
  EXPECT_FALSE(refused.granted);
  EXPECT_EQ(refused.until_next, milliseconds(1500));
  EXPECT_EQ(refused.until_full, milliseconds(5500));
  EXPECT_FALSE(bucket.Take(kThree, At(seconds(2) - time::Duration(1))).granted);
  EXPECT_TRUE(bucket.Take(kThree, At(seconds(2))).granted);
  EXPECT_FALSE(bucket.Take(kThree, At(seconds(2))).granted);
}

TEST(TokenBucket, WhatItCannotHoldIsLost) {
  TokenBucket bucket;
  EXPECT_TRUE(bucket.Take(kThree, At({})).granted);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.Take(kThree, At(seconds(1000))).granted) << i;
  EXPECT_FALSE(bucket.Take(kThree, At(seconds(1000))).granted);
}

TEST(TokenBucket, ATimeThatIsOlderThanAnothersGrantsNoMore) {
  TokenBucket bucket;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.Take(kThree, At(seconds(10))).granted);
  EXPECT_FALSE(bucket.Take(kThree, At(seconds(1))).granted);
}

// Threads whose clocks are not quite one, on schedules that no two runs share: the bound is the bucket's.
TEST(TokenBucket, OnNoScheduleDoesItGrantMoreThanItsSizeAndItsRate) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    Random shapes(seed);
    const BucketShape shape{.max_tokens = 1 + static_cast<uint32_t>(Below(shapes.Next(), 50)),
                            .token = time::Duration(1 + static_cast<int64_t>(Below(shapes.Next(), 5000)))};
    TokenBucket bucket;
    constexpr size_t kThreads = 4;
    std::vector<std::vector<int64_t>> granted(kThreads);
    std::atomic<int64_t> clock{0};
    {
      std::vector<std::jthread> threads;
      threads.reserve(kThreads);
      for (size_t t = 0; t < kThreads; ++t) {
        threads.emplace_back([&, t] {
          Random random(seed * 100 + t);
          for (int i = 0; i < 3000; ++i) {
            const int64_t base = clock.fetch_add(static_cast<int64_t>(Below(random.Next(), 400)));
            const int64_t now = base + static_cast<int64_t>(Below(random.Next(), 2000));
            if (bucket.Take(shape, At(time::Duration(now))).granted) granted[t].push_back(now);
          }
        });
      }
    }
    std::vector<int64_t> all;
    for (const auto& one : granted) all.insert(all.end(), one.begin(), one.end());
    std::sort(all.begin(), all.end());
    // Every interval that begins and ends with a grant: all in it came of what was there, and what flowed in.
    int64_t most = INT64_MIN;  // of i * token - all[i], over the beginnings
    for (size_t i = 0; i < all.size(); ++i) {
      const int64_t used = static_cast<int64_t>(i) * shape.token.count();
      most = std::max(most, all[i] - used);
      // (i - j + 1) * token <= max * token + all[i] - all[j] for each j <= i.
      ASSERT_LE(used - all[i] + most + shape.token.count(), shape.full().count()) << "seed " << seed;
    }
    ASSERT_GE(all.size(), shape.max_tokens) << "seed " << seed;
  }
}

// All at one moment: as many are granted as were there, however the threads interleave.
TEST(TokenBucket, NoTokenIsGrantedTwice) {
  constexpr uint32_t kTokens = 64'000'000;
  TokenBucket bucket;
  std::atomic<uint32_t> granted{0};
  std::latch all(4);
  {
    std::vector<std::jthread> threads;
    threads.reserve(4);
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        uint32_t own = 0;
        all.arrive_and_wait();
        for (uint32_t i = 0; i < kTokens / 2; ++i) {
          if (bucket.Take({.max_tokens = kTokens, .token = seconds(1)}, At({})).granted) ++own;
        }
        granted += own;
      });
    }
  }
  EXPECT_EQ(granted.load(), kTokens);
}

TEST(Limiter, ClientsHaveBucketsOfTheirOwn) {
  Limiter limiter(kThree);
  bool forgotten = false;
  for (const char* client : {"a", "b"}) {
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter.TakeOf(client, At({}), forgotten).granted);
    EXPECT_FALSE(limiter.TakeOf(client, At({}), forgotten).granted);
  }
  EXPECT_TRUE(limiter.Take(At({})).granted);
  EXPECT_EQ(limiter.clients(), 2u);
  EXPECT_FALSE(forgotten);
}

TEST(Limiter, TheLeastRecentlySeenClientIsForgotten) {
  Limiter limiter({.max_tokens = 1, .token = seconds(1000)}, 1);
  bool forgotten = false;
  EXPECT_TRUE(limiter.TakeOf("a", At({}), forgotten).granted);
  EXPECT_FALSE(limiter.TakeOf("a", At({}), forgotten).granted);
  EXPECT_FALSE(forgotten);
  EXPECT_TRUE(limiter.TakeOf("b", At({}), forgotten).granted);
  EXPECT_TRUE(forgotten);
  EXPECT_EQ(limiter.clients(), 1u);
  EXPECT_TRUE(limiter.TakeOf("a", At({}), forgotten).granted) << "it is a new one";
}

TEST(Limiter, SeenAgainIsSeenLast) {
  // One shard's worth: names that fall together.
  Limiter limiter({.max_tokens = 1, .token = seconds(1000)}, 32);
  bool forgotten = false;
  EXPECT_TRUE(limiter.TakeOf("regular", At({}), forgotten).granted);
  for (int i = 0; i < 10'000; ++i) {
    limiter.TakeOf(std::to_string(i), At({}), forgotten);
    EXPECT_FALSE(limiter.TakeOf("regular", At({}), forgotten).granted) << i;
  }
  EXPECT_LE(limiter.clients(), 32u);
  EXPECT_TRUE(forgotten);
}

TEST(Limiter, LongNamesAreToldApartByAllOfThem) {
  Limiter limiter({.max_tokens = 1, .token = seconds(1000)});
  bool forgotten = false;
  const std::string beginning(10'000, 'x');
  EXPECT_TRUE(limiter.TakeOf(beginning + "a", At({}), forgotten).granted);
  EXPECT_TRUE(limiter.TakeOf(beginning + "b", At({}), forgotten).granted);
  EXPECT_FALSE(limiter.TakeOf(beginning + "a", At({}), forgotten).granted);
}

TEST(Limits, TheSameLimitIsFoundAgainAsLongAsAnybodyHoldsIt) {
  Limits limits;
  auto first = limits.Find("a", kThree, 10);
  const Limiter* const was = first.get();
  EXPECT_TRUE(first->Take(At({})).granted);
  auto second = limits.Find("a", kThree, 10);
  EXPECT_EQ(second.get(), was);
  first.reset();
  EXPECT_EQ(limits.Find("a", kThree, 10)->Take(At({})).left, 1u) << "the old configuration is gone, not it";
  EXPECT_NE(limits.Find("b", kThree, 10).get(), was);
  EXPECT_NE(limits.Find("a", {.max_tokens = 4, .token = seconds(2)}, 10).get(), was) << "another limit";
  second.reset();
  EXPECT_EQ(limits.Find("a", kThree, 10)->Take(At({})).left, 2u) << "nobody held it";
}

TEST(Limits, ThoseOfOldConfigurationsAreForgotten) {
  Limits limits;
  const auto kept = limits.Find("kept", kThree, 10);
  for (int i = 0; i < 10'000; ++i) limits.Find(std::to_string(i), kThree, 10);
  EXPECT_EQ(limits.Find("kept", kThree, 10), kept);
}

}  // namespace
}  // namespace pillion::ledger
