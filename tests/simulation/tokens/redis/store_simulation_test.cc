// The first schedules of processes that share a Redis deployment. PILLION_SEED=n runs that one alone and
// tells what happened in it; PILLION_SEEDS=n runs so many.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>

#include "tests/simulation/tokens/redis/store_world.h"

namespace pillion::simulation::tokens {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

constexpr uint64_t kUsual = 3000;
constexpr uint64_t kEnoughToJudge = 1000;
constexpr int kMostShown = 10;

TEST(StoreSchedules, KeepTheInvariants) {
  const uint64_t only = FromEnvironment("PILLION_SEED", 0);
  const uint64_t first = only != 0 ? only : 1;
  const uint64_t count = only != 0 ? 1 : FromEnvironment("PILLION_SEEDS", kUsual);
  StoreResult sum;
  int failed = 0;
  for (uint64_t seed = first; seed < first + count && failed < kMostShown; ++seed) {
    const StoreResult result = RunStoreSchedule(seed, only != 0);
    for (const std::string& wrong : result.wrong) ADD_FAILURE() << "PILLION_SEED=" << seed << ": " << wrong;
    failed += result.wrong.empty() ? 0 : 1;
    sum.Add(result);
  }
  std::printf("%lu schedules: %s\n", count, sum.Tell().c_str());
  if (count < kEnoughToJudge) return;
  EXPECT_GT(sum.executions, count / 2);
  // Of a token of the future nothing is promised: none is drawn.
  using Kind = idempotency::ClaimAnswer::Kind;
  for (const Kind kind : {Kind::kClaimed, Kind::kReplay, Kind::kTombstone, Kind::kInFlight, Kind::kUnknown,
                          Kind::kMismatch, Kind::kExpired, Kind::kDoubt, Kind::kFull, Kind::kRefused})
    EXPECT_GT(sum.answers[static_cast<size_t>(kind)], count / 200) << static_cast<int>(kind);
  for (size_t i = 0; i < sum.ends.size(); ++i) {
    // Nobody else ends an execution: there would be something wrong.
    if (i != static_cast<size_t>(idempotency::Ended::kAlready)) EXPECT_GT(sum.ends[i], count / 1000) << i;
  }
}

TEST(StoreSchedules, AreTheSameEachTime) {
  for (uint64_t seed = 1; seed <= 200; ++seed)
    ASSERT_EQ(RunStoreSchedule(seed).history, RunStoreSchedule(seed).history) << seed;
}

}  // namespace
}  // namespace pillion::simulation::tokens
