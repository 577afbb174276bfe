#include "sidecar/upstream/outlier.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace pillion::upstream {
namespace {

using std::chrono::seconds;
using Result = AttemptResult;

const time::MonotonicTime kNow(std::chrono::hours(1));

class Cluster {
 public:
  explicit Cluster(int count) {
    terms.most_percent = 100;
    for (int i = 0; i < count; ++i) endpoints.push_back(ledger.HealthOf(std::to_string(i)));
  }
  // `count` such results, one after the other; whether the endpoint is ejected then.
  bool Note(size_t i, Result result, int count = 1, size_t worker = 0) {
    for (int k = 0; k < count; ++k) NoteResult({ledger, *endpoints[i], terms, worker}, result, now, random);
    return ejected(i);
  }
  bool ejected(size_t i) const { return (endpoints[i]->flags() & ledger::EndpointHealth::kEjected) != 0; }
  std::string all_ejected() const {
    std::string found;
    for (size_t i = 0; i < endpoints.size(); ++i) found += ejected(i) ? std::to_string(i) : "";
    return found;
  }
  time::MonotonicTime Sweep() { return sweep.Run(ledger, terms, endpoints, now, random); }

  ledger::ClusterLedger ledger{2};
  std::vector<std::shared_ptr<ledger::EndpointHealth>> endpoints;
  config::OutlierDetection terms;
  OutlierSweep sweep;
  Random random{1};
  time::MonotonicTime now = kNow;
};

TEST(Consecutive, TheFifthServerErrorEjectsAndAGoodAnswerBeginsAnew) {
  Cluster cluster(3);
  EXPECT_FALSE(cluster.Note(0, Result::kServerError, 4));
  EXPECT_FALSE(cluster.Note(0, Result::kGood));
  EXPECT_FALSE(cluster.Note(0, Result::kServerError, 4));
  EXPECT_TRUE(cluster.Note(0, Result::kServerError));
}

TEST(Consecutive, EachSoManyAreOneFinding) {
  Cluster cluster(2);
  cluster.ledger.SetChecked(*cluster.endpoints[1], false);
  EXPECT_FALSE(cluster.Note(0, Result::kServerError, 5)) << "nobody else is there";
  cluster.ledger.SetChecked(*cluster.endpoints[1], true);
  EXPECT_FALSE(cluster.Note(0, Result::kServerError, 4));
  EXPECT_TRUE(cluster.Note(0, Result::kServerError));
}

TEST(Consecutive, WhoIsEjectedAgainStaysAwayForLonger) {
  Cluster cluster(2);
  cluster.Sweep();
  cluster.Note(0, Result::kServerError, 5);
  EXPECT_EQ(cluster.ledger.NextReturn(), kNow + seconds(30));
  cluster.now += seconds(30);
  cluster.ledger.Uneject(cluster.now);
  cluster.Note(0, Result::kServerError, 5);
  EXPECT_EQ(cluster.ledger.NextReturn(), cluster.now + seconds(60));
  // An interval without an ejection, and it is as if there had been one less.
  cluster.now += seconds(60);
  cluster.Sweep();
  ASSERT_FALSE(cluster.ejected(0));
  cluster.Note(0, Result::kServerError, 5);
  EXPECT_EQ(cluster.ledger.NextReturn(), cluster.now + seconds(60)) << "the third would be 90 s";
}

TEST(Consecutive, FailuresOfAllWorkersCountTogether) {
  Cluster cluster(3);
  EXPECT_FALSE(cluster.Note(0, Result::kServerError, 2, 0));
  EXPECT_FALSE(cluster.Note(0, Result::kServerError, 2, 1));
  EXPECT_TRUE(cluster.Note(0, Result::kServerError, 1, 0));
}

TEST(Consecutive, GatewayFailuresAreCountedApartAndEnforcedOnlyWhereThatIsSaid) {
  Cluster cluster(3);
  cluster.terms.server_errors = 0;
  EXPECT_FALSE(cluster.Note(0, Result::kGatewayError, 20)) << "enforced with 0 % by default";
  cluster.terms.enforce_gateway_failures = 100;
  EXPECT_FALSE(cluster.Note(1, Result::kGatewayError, 4));
  EXPECT_FALSE(cluster.Note(1, Result::kServerError)) << "a 500 is none";
  EXPECT_FALSE(cluster.Note(1, Result::kGatewayError, 4));
  EXPECT_TRUE(cluster.Note(1, Result::kLocalFailure)) << "no answer at all is as bad";
  Cluster another(3);
  another.terms = cluster.terms;
  EXPECT_FALSE(another.Note(1, Result::kGatewayError, 4));
  EXPECT_FALSE(another.Note(1, Result::kGood));
  EXPECT_FALSE(another.Note(1, Result::kGatewayError, 4)) << "a good answer begins anew";
}

TEST(Consecutive, TheSplitCountsWhetherItCanBeReachedApart) {
  Cluster cluster(4);
  cluster.terms.split_local = true;
  EXPECT_FALSE(cluster.Note(0, Result::kLocalFailure, 4));
  EXPECT_FALSE(cluster.Note(0, Result::kServerError)) << "it was reached";
  EXPECT_FALSE(cluster.Note(0, Result::kLocalFailure, 4));
  EXPECT_TRUE(cluster.Note(0, Result::kLocalFailure));
  cluster.terms.local_failures = 0;
  EXPECT_FALSE(cluster.Note(1, Result::kLocalFailure, 50));
  EXPECT_FALSE(cluster.Note(1, Result::kServerError, 4)) << "they are not server errors";
  EXPECT_TRUE(cluster.Note(1, Result::kServerError));
}

TEST(Consecutive, WhatIsEnforcedByChanceEjectsSometimes) {
  int ejected = 0;
  for (uint64_t seed = 0; seed < 500; ++seed) {
    Cluster cluster(2);
    cluster.random = Random(seed);
    cluster.terms.enforce_server_errors = 30;
    ejected += cluster.Note(0, Result::kServerError, 5) ? 1 : 0;
  }
  EXPECT_NEAR(ejected, 150, 50);
}

TEST(FindBelowMean, FindsWhoIsFarBelowTheOthers) {
  const auto find = [](const std::vector<OutlierSample>& samples, uint32_t factor = 1900) {
    return FindBelowMean(samples, 5, 100, factor);
  };
  using Found = std::vector<size_t>;
  EXPECT_EQ(find({{100, 100}, {100, 100}, {100, 99}, {100, 100}, {100, 40}}), Found{4});
  EXPECT_EQ(find({{100, 90}, {100, 91}, {100, 89}, {100, 90}, {100, 88}}, 3000), Found{});
  EXPECT_EQ(find({{100, 50}, {100, 50}, {100, 50}, {100, 50}, {100, 50}}), Found{}) << "all alike";
  EXPECT_EQ(find({{99, 0}, {100, 100}, {100, 100}, {100, 100}, {100, 100}}), Found{}) << "too few endpoints";
  EXPECT_EQ(find({{99, 99}, {100, 100}, {100, 100}, {100, 100}, {100, 0}}, 1000), Found{}) << "likewise";
  EXPECT_EQ(find({{99, 0}, {100, 100}, {100, 100}, {100, 100}, {100, 100}, {100, 20}}), Found{5})
      << "who was asked too seldom is not compared";
  EXPECT_EQ(FindBelowMean({}, 0, 0, 1900), Found{});
  EXPECT_EQ(FindBelowMean(std::vector<OutlierSample>{{0, 0}}, 0, 0, 1900), Found{});
}

TEST(FindFailing, FindsWhoFailsTooOften) {
  using Found = std::vector<size_t>;
  EXPECT_EQ(FindFailing(std::vector<OutlierSample>{{100, 15}, {100, 16}, {50, 0}, {49, 0}}, 3, 50, 85),
            (Found{0, 2}));
  EXPECT_EQ(FindFailing(std::vector<OutlierSample>{{100, 15}, {100, 16}}, 3, 50, 85), Found{});
}

TEST(Sweep, ComparesEachIntervalByItself) {
  Cluster cluster(6);
  cluster.terms.server_errors = 0;
  EXPECT_EQ(cluster.Sweep(), kNow + seconds(10));
  for (size_t i = 0; i < 6; ++i) cluster.Note(i, i == 2 ? Result::kServerError : Result::kGood, 100, i % 2);
  cluster.now += seconds(9);
  cluster.Sweep();
  EXPECT_EQ(cluster.all_ejected(), "") << "the interval is not over";
  cluster.now += seconds(1);
  EXPECT_EQ(cluster.Sweep(), cluster.now + seconds(10));
  EXPECT_EQ(cluster.all_ejected(), "2");
  cluster.now += seconds(30);
  cluster.Sweep();
  EXPECT_EQ(cluster.all_ejected(), "") << "back, and what was long ago does not count again";
}

TEST(Sweep, ComesInTimeForThoseWhoseEjectionIsOver) {
  Cluster cluster(2);
  cluster.terms.base_ejection = seconds(3);
  EXPECT_EQ(cluster.Sweep(), kNow + seconds(3)) << "who is ejected now will be back then";
  cluster.Note(0, Result::kServerError, 5);
  EXPECT_EQ(cluster.Sweep(), kNow + seconds(3));
  cluster.now += seconds(3);
  cluster.Sweep();
  EXPECT_EQ(cluster.all_ejected(), "");
}

TEST(Sweep, FailurePercentagesOfTheSplitAreLookedAtApart) {
  Cluster cluster(6);
  cluster.terms.split_local = true;
  cluster.terms.local_failures = 0;
  cluster.terms.enforce_success_rate = 0;
  cluster.terms.enforce_local_success_rate = 0;
  cluster.terms.enforce_local_failure = 100;
  cluster.Sweep();
  for (size_t i = 0; i < 6; ++i) cluster.Note(i, i == 4 ? Result::kLocalFailure : Result::kGood, 60);
  cluster.now += seconds(10);
  cluster.Sweep();
  EXPECT_EQ(cluster.all_ejected(), "4");
}

}  // namespace
}  // namespace pillion::upstream
