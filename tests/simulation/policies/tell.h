// What the tests of this folder have in common. PILLION_SEED=n: another story.
#ifndef PILLION_TESTS_SIMULATION_POLICIES_TELL_H_
#define PILLION_TESTS_SIMULATION_POLICIES_TELL_H_

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "tests/simulation/policies/load.h"

namespace pillion::simulation {

inline LoadPlan Plan() {
  LoadPlan plan;
  const char* const seed = std::getenv("PILLION_SEED");
  plan.seed = seed == nullptr ? 1 : std::strtoull(seed, nullptr, 10);
  return plan;
}

inline config::RetryPolicy ThreeAttempts() {
  config::RetryPolicy policy;
  policy.on = config::kRetry5xx;
  policy.max_retries = 2;
  return policy;
}

inline double Milliseconds(time::Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

// Prints what came of it.
inline LoadResult Tell(const char* what, const LoadPlan& plan) {
  LoadResult result = RunLoad(plan);
  std::printf(
      "%s: %lu requests, %lu ok, %lu attempts (%.3f each, in the worst second %.2f), %lu executed (one %u "
      "times), p50 %.1f ms, p99 %.1f ms\n",
      what, result.requests, result.ok, result.attempts, result.attempts_per_request(), result.peak,
      result.executed, result.most, Milliseconds(result.Percentile(50)), Milliseconds(result.Percentile(99)));
  EXPECT_EQ(result.lost, 0u);
  return result;
}

}  // namespace pillion::simulation

#endif  // PILLION_TESTS_SIMULATION_POLICIES_TELL_H_
