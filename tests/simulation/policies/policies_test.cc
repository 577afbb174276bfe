// What retries cost and what they are good for, as numbers (specs/idempotency.md 6.2, Appendix C).
#include <gtest/gtest.h>

#include <cstdio>

#include "tests/simulation/policies/tell.h"

namespace pillion::simulation {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using To = LoadPlan::Change::To;

TEST(RetryPolicies, WithAllAppsDownOneSidecarTriesATenthMore) {
  LoadPlan plan = Plan();
  plan.retry = ThreeAttempts();
  const LoadResult result = Tell("all down, one hop", plan);
  EXPECT_EQ(result.ok, 0u);
  EXPECT_LE(result.attempts_per_request(), 1.12);
  EXPECT_GE(result.attempts_per_request(), 1.05) << "it tries";
  plan.budget = {.share = 1, .per_second = 1000};
  const LoadResult unbound = Tell("the same without a budget", plan);
  EXPECT_GE(unbound.attempts_per_request(), 2.9);
  EXPECT_LE(unbound.attempts_per_request(), 3) << "three attempts are three, for whatever reasons";
}

TEST(RetryPolicies, WithAllAppsDownThreeSidecarsDoNotMultiply) {
  LoadPlan plan = Plan();
  plan.hops = 3;
  plan.retry = ThreeAttempts();
  const LoadResult result = Tell("all down, three hops", plan);
  EXPECT_EQ(result.ok, 0u);
  EXPECT_LE(result.attempts_per_request(), 1.40);
}

TEST(RetryPolicies, OneDeadAppOfThreeIsNoticedByNobody) {
  for (const bool post : {false, true}) {
    LoadPlan plan = Plan();
    plan.changes = {{milliseconds(0), 0, To::kUp}, {milliseconds(0), 1, To::kUp}};
    plan.post = post;
    const LoadResult result = Tell(post ? "one of three dead, POST" : "one of three dead, GET", plan);
    EXPECT_GE(static_cast<double>(result.ok), 0.9999 * static_cast<double>(result.requests));
    EXPECT_EQ(result.executed, result.ok);
    EXPECT_LE(result.attempts_per_request(), 1.01);
  }
}

LoadPlan AllUp() {
  LoadPlan plan = Plan();
  plan.retry = ThreeAttempts();
  for (size_t app = 0; app < plan.apps; ++app) plan.changes.push_back({milliseconds(0), app, To::kUp});
  return plan;
}

// Three of four requests, or of two: a budget is not there to hide that. Of what fails now and then it is.
TEST(RetryPolicies, AppsThatFailOftenCostATenthMoreAtMost) {
  struct Case {
    double fails;
    double at_least;  // share of good answers
    double at_most;   // attempts per request
  };
  for (const Case& one :
       {Case{1, 0.9999, 1.02}, Case{10, 0.99, 1.12}, Case{50, 0.5, 1.12}, Case{75, 0.24, 1.01}}) {
    LoadPlan plan = AllUp();
    plan.app.fails_percent = one.fails;
    std::printf("%.0f %% of the answers are 500: ", one.fails);
    const LoadResult result = Tell("GET", plan);
    EXPECT_GE(result.success(), one.at_least) << one.fails;
    EXPECT_LE(result.attempts_per_request(), one.at_most) << one.fails;
    EXPECT_EQ(result.executed, result.attempts) << "each attempt was run";
  }
}

TEST(RetryPolicies, LostAnswersAreAskedForAgain) {
  for (const bool post : {false, true}) {
    for (const double loses : {1.0, 10.0}) {
      LoadPlan plan = AllUp();
      plan.post = post;
      plan.app.loses_percent = loses;
      std::printf("%.0f %% of the answers are lost: ", loses);
      const LoadResult result = Tell(post ? "POST" : "GET", plan);
      if (post) {
        EXPECT_EQ(result.most, 1u) << "what has run does not run again";
        EXPECT_NEAR(result.success(), 1 - loses / 100, 0.01);
        continue;
      }
      EXPECT_GE(result.success(), loses < 5 ? 0.9999 : 0.99);
      EXPECT_LE(result.attempts_per_request(), loses < 5 ? 1.02 : 1.12);
    }
  }
}

// Each goes away in the middle of its work, and another comes in its place half a second later.
TEST(RetryPolicies, ADeployLosesNoRequestThatMayBeRepeatedAndRunsNoneTwice) {
  for (const bool post : {false, true}) {
    LoadPlan plan = Plan();
    plan.lasts = seconds(10);
    plan.app.takes = milliseconds(20);
    plan.post = post;
    if (!post) plan.retry = ThreeAttempts();
    for (size_t app = 0; app < 3; ++app) plan.changes.push_back({milliseconds(0), app, To::kUp});
    for (size_t app = 0; app < 3; ++app) {
      plan.changes.push_back({milliseconds(1003 + 2000 * app), app, To::kDown});
      plan.changes.push_back({milliseconds(1503 + 2000 * app), app, To::kUp});
    }
    const LoadResult result = Tell(post ? "a deploy, POST" : "a deploy, GET", plan);
    if (!post) {
      EXPECT_EQ(result.ok, result.requests);
      EXPECT_GT(result.executed, result.requests) << "some were under way";
      continue;
    }
    EXPECT_EQ(result.most, 1u) << "what may have run does not run again";
    EXPECT_LT(result.ok, result.requests) << "its client is told";
    EXPECT_GE(result.ok + 40, result.requests) << "and only what was under way is lost";
  }
}

}  // namespace
}  // namespace pillion::simulation
