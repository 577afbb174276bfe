#include <gtest/gtest.h>

#include "sidecar/telemetry/events.h"
#include "sidecar/telemetry/stats.h"

namespace pillion::telemetry {
namespace {

TEST(RecentTimes, TheMedianIsBelowHalfOfTheValuesAndAQuantileAboveItsShare) {
  using std::chrono::milliseconds;
  RecentTimes times;
  for (int i = 0; i < 31; ++i) times.Record(milliseconds(10));
  EXPECT_EQ(times.Median(), time::Duration(0)) << "too few";
  EXPECT_EQ(times.Quantile(0.9), time::Duration(0)) << "too few";
  times.Record(milliseconds(10));
  EXPECT_LE(times.Median(), milliseconds(10));
  EXPECT_GE(times.Median(), milliseconds(6));
  for (int i = 0; i < 3; ++i) times.Record(milliseconds(100));
  EXPECT_GE(times.Quantile(0.9), milliseconds(10)) << "32 of 35 are 91 %";
  EXPECT_LE(times.Quantile(0.9), milliseconds(16));
  EXPECT_GE(times.Quantile(0.95), milliseconds(100));
  EXPECT_LE(times.Quantile(0.95), milliseconds(150));
  for (int i = 0; i < 40; ++i) times.Record(std::chrono::hours(1));
  EXPECT_GE(times.Median(), std::chrono::minutes(3)) << "the last bucket has no bound of its own";
  EXPECT_GE(times.Quantile(0.99), std::chrono::minutes(3));
}

TEST(RecentTimes, ASlowHourIsForgottenWithinAThousandRequests) {
  RecentTimes times;
  for (int i = 0; i < 100'000; ++i) times.Record(std::chrono::seconds(5));
  for (int i = 0; i < 1000; ++i) times.Record(std::chrono::milliseconds(5));
  EXPECT_LE(times.Median(), std::chrono::milliseconds(5));
  EXPECT_GE(times.Quantile(0.99), std::chrono::seconds(5)) << "not at once, though";
  for (int i = 0; i < 4000; ++i) times.Record(std::chrono::milliseconds(5));
  EXPECT_LE(times.Quantile(0.999), std::chrono::milliseconds(10));
}

TEST(Histogram, EveryValueLiesUnderItsBoundAndNotUnderTheOneBefore) {
  for (uint64_t us = 0; us < 3000000; us += 1 + us / 50) {
    const size_t bucket = Histogram::BucketOf(us);
    if (Histogram::UpperBoundUs(bucket) != 0) EXPECT_LT(us, Histogram::UpperBoundUs(bucket)) << us;
    if (bucket > 0) EXPECT_GE(us, Histogram::UpperBoundUs(bucket - 1)) << us;
  }
  EXPECT_EQ(Histogram::BucketOf(~uint64_t{0} / 1000), Histogram::kBuckets - 1);
}

TEST(RouteStats, MoreCodesThanSlotsEndInTheLast) {
  RouteStats stats;
  for (uint16_t code = 200; code < 300; ++code) stats.CountCode(code);
  stats.CountCode(200);
  EXPECT_EQ(stats.codes[0].code, 200);
  EXPECT_EQ(stats.codes[0].count.value(), 2u);
  uint64_t total = 0;
  for (const auto& slot : stats.codes) total += slot.count.value();
  EXPECT_EQ(total, 101u);
}

TEST(Counter, SubtractUndoesAdd) {
  Counter counter;
  counter.Add(5);
  counter.Subtract(2);
  EXPECT_EQ(counter.value(), 3u);
}

TEST(EventRing, KeepsTheLastOnesInOrder) {
  EventRing ring;
  for (uint32_t i = 0; i < 20; ++i) ring.Note(Event::kRetry, i, {});
  EXPECT_EQ(ring.size(), EventRing::kCapacity);
  EXPECT_EQ(ring.lost(), 4u);
  for (uint32_t i = 0; i < 16; ++i) EXPECT_EQ(ring[i].detail, i + 4);
}

TEST(Registry, SumsTheShardsByKey) {
  Registry registry;
  Shard& a = registry.NewShard();
  Shard& b = registry.NewShard();
  a.Route({"l", "r", "c"}).started.Add(1);
  b.Route({"l", "r", "c"}).started.Add(2);
  int calls = 0;
  registry.ForEachRoute([&](const RouteKey& key, const std::vector<const RouteStats*>& stats) {
    ++calls;
    EXPECT_EQ(key.route, "r");
    EXPECT_EQ(stats.size(), 2u);
  });
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace pillion::telemetry
