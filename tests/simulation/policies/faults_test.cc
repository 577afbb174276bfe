// Apps that do badly under load, as numbers: slow ones, black holes, brown-outs, flapping ones.
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "tests/simulation/policies/tell.h"

namespace pillion::simulation {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using To = LoadPlan::Change::To;

LoadPlan ThreeApps() {
  LoadPlan plan = Plan();
  for (size_t app = 0; app < plan.apps; ++app) plan.changes.push_back({milliseconds(0), app, To::kUp});
  return plan;
}

config::OutlierDetection Outlier() {
  config::OutlierDetection outlier;
  outlier.most_percent = 50;
  return outlier;
}

config::RetryPolicy Within(milliseconds per_try) {
  config::RetryPolicy policy = ThreeAttempts();
  policy.per_try_timeout = per_try;
  return policy;
}

TEST(Faults, Slow) {
  using Kind = config::Balancer::Kind;
  for (const Kind kind : {Kind::kRoundRobin, Kind::kLeastRequest, Kind::kPeakEwma}) {
    for (const bool outlier : {false, true}) {
      LoadPlan plan = ThreeApps();
      plan.balancer.kind = kind;
      if (outlier) {
        plan.retry = Within(milliseconds(50));
        plan.outlier = Outlier();
      }
      const std::string what = std::to_string(int(kind)) + (outlier ? " outlier" : "");
      Tell((what + " healthy").c_str(), plan);
      plan.changes.push_back({seconds(0), 0, To::kSlow, 100});
      auto r = Tell((what + " one slow").c_str(), plan);
      std::printf("p99 after 1 s %.2f p98.5 %.2f\n", Milliseconds(r.Percentile(99, seconds(1))),
                  Milliseconds(r.Percentile(98.5)));
    }
  }
}

TEST(Faults, BlackHole) {
  for (const bool post : {false, true}) {
    for (const int start : {0, 3000}) {
      for (const bool outlier : {false, true}) {
        LoadPlan plan = ThreeApps();
        plan.post = post;
        plan.lasts = seconds(40);
        plan.retry = Within(milliseconds(250));
        if (outlier) plan.outlier = Outlier();
        plan.changes.push_back({milliseconds(start), 0, To::kBlackHole});
        plan.changes.push_back({seconds(20), 0, To::kHeard});
        Tell(((post ? "POST black hole " : "GET black hole ") + std::to_string(start) +
              (outlier ? " outlier" : ""))
                 .c_str(),
             plan);
      }
    }
  }
}

TEST(Faults, Flapping) {
  for (const bool post : {false, true}) {
    for (const bool reset : {false, true}) {
      LoadPlan plan = ThreeApps();
      plan.post = post;
      plan.retry = ThreeAttempts();
      for (int at = 500; at < 19000; at += 500)
        plan.changes.push_back({milliseconds(at), 0,
                                reset            ? To::kConnsReset
                                : at % 1000 != 0 ? To::kDown
                                                 : To::kUp});
      Tell((std::string(post ? "POST" : "GET") + (reset ? " resets" : " flaps")).c_str(), plan);
    }
  }
}

TEST(Faults, BrownOut) {
  for (const int app : {0, 1, 2, 3})
    for (const int retry : {0, 1, 2}) {
      LoadPlan plan = ThreeApps();
      plan.requests_per_second = 960;
      plan.lasts = seconds(60);
      plan.app.takes = milliseconds(10);
      plan.app.at_once = 4;  // of 1200/s together
      if (app == 1) plan.app.looks_for_gone = true;
      if (app == 2) plan.app.waiting = 100;
      if (app == 3) plan.circuits.connections = 24;
      plan.timeout = milliseconds(500);
      plan.circuits = {.connections = app == 3 ? 12u : 100000u, .pending = 100000, .requests = 100000};
      if (retry > 0) plan.retry = ThreeAttempts();
      if (retry > 0) plan.retry->per_try_timeout = milliseconds(250);
      if (retry == 2) plan.budget = {.share = 1, .per_second = 1000};
      for (size_t i = 0; i < 3; ++i) plan.changes.push_back({seconds(5), i, To::kSlow, 10 / 3.0});
      for (size_t i = 0; i < 3; ++i) plan.changes.push_back({seconds(15), i, To::kSlow, 1});
      const char* apps[] = {"endless queue", "looks for gone", "queue of 100", "circuit 12 connections"};
      const char* rs[] = {"no retries", "budget", "no budget"};
      auto r = Tell((std::string("brown-out ") + apps[app] + " " + rs[retry]).c_str(), plan);
      std::printf("   healthy p99 %.1f; recovery %.2f s\n", Milliseconds(r.Percentile(99, {}, seconds(4))),
                  Milliseconds(r.Recovery(seconds(15), 2 * r.Percentile(99, {}, seconds(4)))) / 1000);
    }
}

}  // namespace
}  // namespace pillion::simulation
