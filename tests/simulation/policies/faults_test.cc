// Apps that do badly under load, as numbers with thresholds: slow ones, black holes, ones that come and go,
// brown-outs (specs/idempotency.md 6.2, Appendix C).
#include <gtest/gtest.h>

#include <cstdio>

#include "tests/simulation/policies/tell.h"

namespace pillion::simulation {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Kind = config::Balancer::Kind;
using To = LoadPlan::Change::To;

LoadPlan ThreeApps() {
  LoadPlan plan = Plan();
  for (size_t app = 0; app < plan.apps; ++app) plan.changes.push_back({milliseconds(0), app, To::kUp});
  return plan;
}

// By default at most a tenth of the endpoints is ejected, which of three is none.
config::OutlierDetection HalfOfThem() {
  config::OutlierDetection outlier;
  outlier.most_percent = 50;
  return outlier;
}

config::RetryPolicy Within(milliseconds per_try) {
  config::RetryPolicy policy = ThreeAttempts();
  policy.per_try_timeout = per_try;
  return policy;
}

// The one is slow from the beginning. An answer that is slow is no failure: ejection needs a time-out that
// makes it one.
TEST(SlowApp, OfThreeIsNotSeenInTheLatencyOfTheRest) {
  const time::Duration healthy = Tell("healthy, round robin", ThreeApps()).Percentile(99);
  const auto one_slow = [](const char* what, Kind kind, bool ejected) {
    LoadPlan plan = ThreeApps();
    plan.balancer.kind = kind;
    plan.changes.push_back({milliseconds(0), 0, To::kSlow, 100});
    if (ejected) plan.retry = Within(milliseconds(50));
    if (ejected) plan.outlier = HalfOfThem();
    const LoadResult result = Tell(what, plan);
    EXPECT_EQ(result.ok, result.requests);
    return result.Percentile(99);
  };
  EXPECT_GT(one_slow("one 100x slow, round robin", Kind::kRoundRobin, false), 50 * healthy);
  // With the other two never busy each gets as many requests as the slow one has answered: a hundredth.
  one_slow("one 100x slow, two choices", Kind::kLeastRequest, false);
  EXPECT_LE(one_slow("one 100x slow, two choices, ejection", Kind::kLeastRequest, true), 2 * healthy);
  EXPECT_LE(one_slow("one 100x slow, peak EWMA", Kind::kPeakEwma, false), 2 * healthy);
  EXPECT_LE(one_slow("one 100x slow, peak EWMA, ejection", Kind::kPeakEwma, true), 2 * healthy);
}

LoadPlan BlackHole(milliseconds after, bool post) {
  LoadPlan plan = ThreeApps();
  plan.post = post;
  plan.lasts = seconds(30);
  plan.timeout = seconds(15);
  plan.connect_timeout = seconds(1);
  plan.retry = Within(milliseconds(250));
  plan.outlier = HalfOfThem();
  plan.changes.push_back({after, 0, To::kBlackHole});
  plan.changes.push_back({seconds(20), 0, To::kHeard});  // and now it gets what was sent to it
  return plan;
}

TEST(BlackHoledApp, OfThreeIsNoticedByNobodyWhoMayAskAgain) {
  for (const milliseconds after : {milliseconds(0), milliseconds(3000)}) {
    for (const milliseconds connect : {milliseconds(250), milliseconds(1000), milliseconds(5000)}) {
      LoadPlan plan = BlackHole(after, false);
      plan.connect_timeout = connect;
      std::printf("connects for %.2f s, from %.0f s: ", Milliseconds(connect) / 1000,
                  Milliseconds(after) / 1000);
      const LoadResult result = Tell("one of three black-holed, GET", plan);
      std::printf("  longest %.0f ms\n", Milliseconds(result.Percentile(100)));
      EXPECT_GE(result.success(), 0.9999);
      EXPECT_LE(result.peak, 1.15);
      EXPECT_LE(result.Percentile(99), milliseconds(10));
    }
  }
}

TEST(BlackHoledApp, RunsNoPostTwice) {
  const LoadResult result = Tell("one of three black-holed, POST", BlackHole(seconds(3), true));
  EXPECT_EQ(result.most, 1u);
  EXPECT_GE(result.ok + 5, result.requests) << "what was under way, if it was";
}

// It is not there, and then there, every half second; or resets all of its connections as often.
TEST(FlappingApp, LosesNoRequestThatMayBeRepeated) {
  for (const bool post : {false, true}) {
    for (const bool resets : {false, true}) {
      LoadPlan plan = ThreeApps();
      plan.post = post;
      plan.retry = ThreeAttempts();
      for (int i = 1; i < 38; ++i) {
        const To to = i % 2 == 1 ? To::kDown : To::kUp;
        plan.changes.push_back({milliseconds(500 * i), 0, resets ? To::kConnsReset : to});
      }
      const char* const what = resets ? "one resets its connections" : "one comes and goes";
      std::printf("%s: ", post ? "POST" : "GET");
      const LoadResult result = Tell(what, plan);
      EXPECT_LE(result.attempts_per_request(), 1.02);
      if (!post) {
        EXPECT_GE(result.success(), 0.9999);
        continue;
      }
      EXPECT_EQ(result.most, 1u);
      EXPECT_GE(result.ok + size_t{37} * 3, result.requests) << "only what was under way is lost";
    }
  }
}

// Of three apps that can serve 1200 requests a second and get 960, all serve three tenths for ten seconds.
LoadPlan Bounded() {
  LoadPlan plan = ThreeApps();
  plan.requests_per_second = 960;
  plan.lasts = seconds(32);
  plan.app.takes = milliseconds(10);
  plan.app.at_once = 4;
  plan.timeout = milliseconds(500);
  plan.circuits = {.connections = UINT32_MAX, .pending = UINT32_MAX, .requests = UINT32_MAX};
  plan.retry = Within(milliseconds(250));
  for (size_t app = 0; app < 3; ++app) plan.changes.push_back({seconds(2), app, To::kSlow, 10 / 3.0});
  for (size_t app = 0; app < 3; ++app) plan.changes.push_back({seconds(12), app, To::kSlow, 1});
  return plan;
}

struct Recovered {
  time::Duration after;
  double peak;
};

Recovered RunBrownOut(const char* what, const LoadPlan& plan) {
  const LoadResult result = Tell(what, plan);
  const time::Duration healthy = result.Percentile(99, {}, seconds(2));
  const time::Duration after = result.Recovery(seconds(12), 2 * healthy);
  std::printf("  p99 before it %.1f ms; as well again %.2f s after its end, of %ld s seen\n",
              Milliseconds(healthy), Milliseconds(after) / 1000, static_cast<long>(plan.lasts.count() - 12));
  return {after, result.peak};
}

constexpr config::RetryBudget kNoBudget = {.share = 1, .per_second = 1e6};

TEST(BrownOuts, OfAppsThatLetNobodyWaitForEverAreOverSoonAndWithoutABudgetNever) {
  LoadPlan plan = Bounded();
  plan.app.waiting = 100;
  const Recovered budget = RunBrownOut("brown-out, a hundred may wait, default budget", plan);
  EXPECT_LE(budget.after, seconds(5));
  EXPECT_LE(budget.peak, 1.2);
  plan.budget = kNoBudget;
  const Recovered unbound = RunBrownOut("the same without a budget", plan);
  EXPECT_GT(unbound.after, seconds(15)) << "retries alone keep the apps down";
  EXPECT_GE(unbound.peak, 2.5);
  plan.retry.reset();
  EXPECT_LE(RunBrownOut("the same without retries", plan).after, seconds(5));
}

TEST(BrownOuts, OfAppsThatDropWhatIsNotWaitedForAreOverSoon) {
  LoadPlan plan = Bounded();
  plan.app.looks_for_gone = true;
  const Recovered budget = RunBrownOut("brown-out, apps drop what has expired, default budget", plan);
  EXPECT_LE(budget.after, seconds(5));
  EXPECT_LE(budget.peak, 1.2);
}

// Whatever comes is queued and run, also for those who have long gone: nobody but the sidecar can help it.
TEST(BrownOuts, OfAppsThatRunEverythingAreOverSoonWhereACircuitLimitsIt) {
  LoadPlan plan = Bounded();
  plan.circuits.requests = 60;
  const Recovered limited = RunBrownOut("brown-out, apps run everything, 60 requests at once", plan);
  EXPECT_LE(limited.after, seconds(5));
  EXPECT_LE(limited.peak, 1.2);
  plan.circuits.requests = UINT32_MAX;
  plan.lasts = seconds(90);
  const Recovered endless = RunBrownOut("the same without a limit", plan);
  EXPECT_LE(endless.peak, 1.2);
  plan.retry.reset();
  const time::Duration without = RunBrownOut("the same without retries", plan).after;
  EXPECT_LE(endless.after, without + seconds(2)) << "retries are not what keeps them down";
}

}  // namespace
}  // namespace pillion::simulation
