#include "sidecar/ledger/ledger.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace pillion::ledger {
namespace {

const time::MonotonicTime kNow(std::chrono::hours(1));

using std::chrono::seconds;

TEST(SharedCount, ASmallLimitIsKeptExactly) {
  SharedCount shared;
  WorkerCount one(shared);
  WorkerCount other(shared);
  const CountLimit limit = CountLimit::Of(3, 2);
  EXPECT_EQ(limit.batch, 1u);
  EXPECT_TRUE(one.Take(limit));
  EXPECT_TRUE(other.Take(limit));
  EXPECT_TRUE(one.Take(limit));
  EXPECT_FALSE(one.Take(limit));
  EXPECT_FALSE(other.Take(limit));
  other.GiveBack(limit);
  EXPECT_TRUE(one.Take(limit));
  EXPECT_FALSE(other.Take(limit));
  one.TakeAnyway(limit);
  one.GiveBack(limit);
  EXPECT_FALSE(other.Take(limit)) << "four were held, and one of them is back";
  EXPECT_FALSE(one.Take(CountLimit::Of(0, 2)));
}

TEST(SharedCount, WhatAWorkerHeldIsBackWhenItEnds) {
  SharedCount shared;
  const CountLimit limit = CountLimit::Of(2, 1);
  {
    WorkerCount gone(shared);
    EXPECT_TRUE(gone.Take(limit));
    EXPECT_TRUE(gone.Take(limit));
  }
  WorkerCount next(shared);
  EXPECT_TRUE(next.Take(limit));
  EXPECT_TRUE(next.Take(limit));
  EXPECT_FALSE(next.Take(limit));
}

TEST(SharedCount, OneWorkerAloneIsExactWhateverItsBatch) {
  SharedCount shared;
  WorkerCount count(shared);
  const CountLimit limit = CountLimit::Of(100, 1);
  EXPECT_GT(limit.batch, 1u);
  int taken = 0;
  while (count.Take(limit)) ++taken;
  EXPECT_EQ(taken, 100);
}

// However the threads are scheduled: never over the limit by more than a batch of each, less one.
TEST(SharedCount, WorkersTogetherStayWithinTheirBatches) {
  constexpr int kWorkers = 4;
  constexpr uint32_t kMost = 512;
  SharedCount shared;
  const CountLimit limit = CountLimit::Of(kMost, kWorkers);
  EXPECT_EQ(limit.batch, 8u);
  std::atomic<int64_t> held{0};
  std::atomic<int64_t> highest{0};
  std::atomic<int> refused{0};
  const auto work = [&](uint64_t seed) {
    WorkerCount count(shared);
    uint64_t draw = seed;
    for (int i = 0; i < 20000; ++i) {
      draw = draw * 6364136223846793005u + 1442695040888963407u;
      const bool take = count.held() == 0 || (draw >> 33) % 100 < 55;
      if (take && count.Take(limit)) {
        const int64_t now = held.fetch_add(1) + 1;
        int64_t known = highest.load();
        while (now > known && !highest.compare_exchange_weak(known, now)) {
        }
      } else if (take) {
        refused.fetch_add(1);
      } else {
        held.fetch_sub(1);
        count.GiveBack(limit);
      }
    }
    while (count.held() > 0) {
      held.fetch_sub(1);
      count.GiveBack(limit);
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(kWorkers);
  for (int i = 0; i < kWorkers; ++i) threads.emplace_back(work, static_cast<uint64_t>(i) + 1);
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(highest.load(), kMost + kWorkers * (limit.batch - 1));
  EXPECT_GT(highest.load(), kMost / 2) << "else the limit was never near";
  EXPECT_GT(refused.load(), 0);
  EXPECT_EQ(shared.told(), 0);
}

struct Cluster {
  ClusterLedger ledger{2};
  std::vector<std::shared_ptr<EndpointHealth>> endpoints;
  explicit Cluster(int count) {
    for (int i = 0; i < count; ++i) endpoints.push_back(ledger.HealthOf(std::to_string(i)));
  }
  bool Eject(size_t i, time::MonotonicTime now, const EjectionTerms& terms, time::Duration jitter = {}) {
    return ledger.Eject(*endpoints[i], now, terms, jitter);
  }
  bool ejected(size_t i) const { return (endpoints[i]->flags() & EndpointHealth::kEjected) != 0; }
};

TEST(Ejection, IsBoundedByShareAndLeavesOneThatServes) {
  Cluster few(9);
  EXPECT_FALSE(few.Eject(0, kNow, {seconds(30), seconds(300)})) << "a ninth is more than a tenth";
  EXPECT_TRUE(few.Eject(0, kNow, {seconds(30), seconds(300), 10, true})) << "one in any case";
  EXPECT_FALSE(few.Eject(1, kNow, {seconds(30), seconds(300), 10, true}));
  Cluster ten(10);
  EXPECT_TRUE(ten.Eject(0, kNow, {seconds(30), seconds(300)}));
  EXPECT_FALSE(ten.Eject(0, kNow, {seconds(30), seconds(300), 100})) << "it is";
  Cluster two(2);
  two.ledger.SetChecked(*two.endpoints[0], false);
  EXPECT_FALSE(two.Eject(1, kNow, {seconds(30), seconds(300), 100})) << "the other one fails its checks";
  two.ledger.SetChecked(*two.endpoints[0], true);
  EXPECT_TRUE(two.Eject(1, kNow, {seconds(30), seconds(300), 100}));
  EXPECT_FALSE(two.Eject(0, kNow, {seconds(30), seconds(300), 100}));
  EXPECT_EQ(two.ledger.ejected(), 1u);
}

TEST(Ejection, LastsLongerEachTimeAndIsForgiven) {
  Cluster cluster(2);
  const EjectionTerms terms{seconds(30), seconds(70), 100};
  time::MonotonicTime now = kNow;
  for (const int length : {30, 60, 70, 70}) {
    ASSERT_TRUE(cluster.Eject(0, now, terms));
    EXPECT_EQ(cluster.ledger.NextReturn(), now + seconds(length));
    now += seconds(length) - time::Duration(1);
    EXPECT_EQ(cluster.ledger.Uneject(now), 0u);
    now += time::Duration(1);
    EXPECT_EQ(cluster.ledger.Uneject(now), 1u);
    EXPECT_FALSE(cluster.ejected(0));
  }
  for (int i = 0; i < 3; ++i) cluster.ledger.Forgive();
  ASSERT_TRUE(cluster.Eject(0, now, terms, seconds(5)));
  EXPECT_EQ(cluster.ledger.NextReturn(), now + seconds(60 + 5)) << "the second again, and the jitter";
  EXPECT_EQ(Cluster(1).ledger.NextReturn(), time::MonotonicTime::max());
}

TEST(Ejection, NothingIsForgivenWhileItLasts) {
  Cluster cluster(2);
  const EjectionTerms terms{seconds(30), seconds(300), 100};
  ASSERT_TRUE(cluster.Eject(0, kNow, terms));
  for (int i = 0; i < 3; ++i) cluster.ledger.Forgive();
  cluster.ledger.Uneject(kNow + seconds(30));
  ASSERT_TRUE(cluster.Eject(0, kNow, terms));
  EXPECT_EQ(cluster.ledger.NextReturn(), kNow + seconds(60));
}

TEST(Ejection, AnEndpointComesBackWithoutItsStreaks) {
  Cluster cluster(2);
  cluster.endpoints[0]->Lengthen(Streak::kGateway);
  EXPECT_EQ(cluster.endpoints[0]->Lengthen(Streak::kGateway), 2u);
  ASSERT_TRUE(cluster.Eject(0, kNow, {seconds(1), seconds(1), 100}));
  cluster.ledger.Uneject(kNow + seconds(1));
  EXPECT_EQ(cluster.endpoints[0]->Lengthen(Streak::kGateway), 1u);
}

TEST(Health, EachChangeIsSeenByItsEpochAndNothingElseIs) {
  Cluster cluster(3);
  uint64_t epoch = cluster.ledger.epoch();
  const auto changed = [&] { return std::exchange(epoch, cluster.ledger.epoch()) != epoch; };
  cluster.ledger.SetUnchecked(*cluster.endpoints[0]);
  EXPECT_TRUE(changed());
  cluster.ledger.SetChecked(*cluster.endpoints[0], true);
  EXPECT_TRUE(changed());
  cluster.ledger.SetChecked(*cluster.endpoints[0], true);
  EXPECT_FALSE(changed());
  cluster.ledger.SetChecked(*cluster.endpoints[0], false);
  EXPECT_TRUE(changed());
  EXPECT_EQ(cluster.endpoints[0]->flags(), EndpointHealth::kCheckFailed);
  cluster.ledger.ForgetChecks(*cluster.endpoints[0]);
  EXPECT_TRUE(changed());
  EXPECT_EQ(cluster.endpoints[0]->flags(), 0u);
  cluster.ledger.SetUnchecked(*cluster.endpoints[0]);
  cluster.ledger.ForgetChecks(*cluster.endpoints[0]);
  EXPECT_EQ(cluster.endpoints[0]->flags(), 0u);
}

TEST(Health, AnEjectionEndsByItselfOrByWordNotByAPassingCheckAlone) {
  Cluster cluster(3);
  ASSERT_TRUE(cluster.Eject(0, kNow, {seconds(30), seconds(300), 100}));
  cluster.ledger.SetChecked(*cluster.endpoints[0], true);
  EXPECT_TRUE(cluster.ejected(0));
  cluster.ledger.EndEjection(*cluster.endpoints[0]);
  EXPECT_FALSE(cluster.ejected(0));
}

TEST(Ledger, TellsWhatItCounts) {
  Ledger ledger(2);
  const auto cluster = ledger.ClusterOf("c");
  const auto gone = ledger.ClusterOf("gone");
  const auto first = cluster->HealthOf("1");
  const auto second = cluster->HealthOf("2");
  const auto third = cluster->HealthOf("3");
  EXPECT_FALSE(cluster->Counts().retries.has_value());
  ASSERT_TRUE(cluster->Eject(*first, kNow, {seconds(30), seconds(300), 100}, {}));
  cluster->SetUnchecked(*second);
  cluster->SetChecked(*third, false);
  cluster->NoteCheck(true);
  cluster->NoteCheck(false);
  cluster->NoteCheck(false);
  cluster->NoteRefused(1, Circuit::kRetries);
  cluster->TellBudget(0, 2.5);
  cluster->TellBudget(1, 3);
  cluster->TellBudget(1, 4);
  WorkerCount held(cluster->circuit(0, Circuit::kRequests));
  ASSERT_TRUE(held.Take({5, 1}));
  const auto counts = ledger.Counts();
  ASSERT_EQ(counts.size(), 2u);
  const ClusterCounts& of = counts.at("c");
  EXPECT_EQ(of.endpoints, 3u);
  EXPECT_EQ(of.ejected, 1u);
  EXPECT_EQ(of.unchecked, 1u);
  EXPECT_EQ(of.check_failed, 1u);
  EXPECT_EQ(of.ejections, 1u);
  EXPECT_EQ(of.checks_passed, 1u);
  EXPECT_EQ(of.checks_failed, 2u);
  EXPECT_EQ(of.refused[1][static_cast<size_t>(Circuit::kRetries)], 1u);
  EXPECT_EQ(of.held[0][static_cast<size_t>(Circuit::kRequests)], 1u);
  EXPECT_EQ(of.held[1][static_cast<size_t>(Circuit::kRequests)], 0u);
  EXPECT_EQ(of.retries, 6.5);
}

TEST(Ledger, WhatIsHeldIsTheSameForAllAndWhatIsNotIsForgotten) {
  Ledger ledger(2);
  auto cluster = ledger.ClusterOf("a");
  EXPECT_EQ(ledger.ClusterOf("a"), cluster);
  EXPECT_NE(ledger.ClusterOf("b"), cluster);
  auto endpoint = cluster->HealthOf("1");
  EXPECT_EQ(cluster->HealthOf("1"), endpoint);
  cluster->SetUnchecked(*endpoint);
  endpoint.reset();
  EXPECT_EQ(cluster->HealthOf("1")->flags(), 0u);
  for (int i = 0; i < 1000; ++i) ledger.ClusterOf(std::to_string(i));
  EXPECT_EQ(ledger.ClusterOf("a"), cluster);
}

}  // namespace
}  // namespace pillion::ledger
