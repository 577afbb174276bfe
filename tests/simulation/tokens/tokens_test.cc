// The first schedules of the simulation of tokens, of both modes. PILLION_SEED=n runs that one alone and
// tells what happened in it; PILLION_SEEDS=n runs so many.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>

#include "tests/simulation/tokens/judge.h"
#include "tests/simulation/tokens/stories.h"

namespace pillion::simulation::tokens {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

constexpr uint64_t kUsual = 20'000;
constexpr uint64_t kUsualOfShared = 3000;
constexpr uint64_t kEnoughToJudge = 1000;
constexpr int kMostShown = 10;

void RunThem(Mode mode, uint64_t usual) {
  const uint64_t only = FromEnvironment("PILLION_SEED", 0);
  const uint64_t first = only != 0 ? only : 1;
  const uint64_t count = only != 0 ? 1 : FromEnvironment("PILLION_SEEDS", usual);
  std::set<uint64_t> states;
  Result sum;
  int failed = 0;
  for (uint64_t seed = first; seed < first + count && failed < kMostShown; ++seed) {
    const Result result = RunSchedule(seed, only != 0, mode);
    for (const std::string& wrong : result.wrong) ADD_FAILURE() << "PILLION_SEED=" << seed << ": " << wrong;
    failed += result.wrong.empty() ? 0 : 1;
    states.insert(result.state);
    sum.Add(result);
  }
  std::printf("%lu schedules, %zu distinct final states; %s\n", count, states.size(), sum.Tell().c_str());
  if (count < kEnoughToJudge) return;
  EXPECT_GT(states.size(), count / 4);
  EXPECT_GT(sum.executions, count);
  EXPECT_GT(sum.retried, count / 10);
  EXPECT_GT(sum.unknown, count / 20);
  EXPECT_GT(sum.replies, count / 4);
  EXPECT_GT(sum.replayed, count / 20);
}

TEST(TokenSchedules, KeepTheInvariantsAndEndInManyStates) { RunThem(Mode::kLocal, kUsual); }

TEST(TokenSchedules, OfSharedRecordsDoSoToo) { RunThem(Mode::kShared, kUsualOfShared); }

// Of mode shared that is not so: its executions have names that are drawn as secrets are (README).
TEST(TokenSchedules, AreTheSameEachTime) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    const Result once = RunSchedule(seed);
    const Result again = RunSchedule(seed);
    ASSERT_EQ(once.history, again.history) << seed;
  }
}

TEST(TokenSchedules, HaveTwoFaultsAtLeastAndAllKindsOfThem) {
  std::set<Trouble::Kind> kinds;
  for (uint64_t seed = 1; seed <= 1000; ++seed) {
    Ledger ledger;
    const Schedule schedule = Draw(seed, ledger);
    ASSERT_GE(schedule.troubles.size(), 2u) << seed;
    for (const Trouble& trouble : schedule.troubles) kinds.insert(trouble.kind);
  }
  EXPECT_EQ(kinds.size(), static_cast<size_t>(Trouble::Kind::kLarge) + 1);
}

// But for what tables alone can do, and for what only a story has.
TEST(TokenSchedules, OfSharedRecordsHaveAllKindsOfFaults) {
  std::set<Trouble::Kind> kinds;
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    Ledger ledger;
    const Schedule schedule = Draw(seed, ledger, Mode::kShared);
    ASSERT_GE(schedule.troubles.size(), 1u) << seed;
    for (const Trouble& trouble : schedule.troubles) kinds.insert(trouble.kind);
  }
  for (size_t i = 0; i <= static_cast<size_t>(Trouble::Kind::kDies); ++i) {
    const auto kind = static_cast<Trouble::Kind>(i);
    const bool drawn = kind != Trouble::Kind::kShed && kind != Trouble::Kind::kTakenOver;
    EXPECT_EQ(kinds.contains(kind), drawn) << i;
  }
}

TEST(TokenStories, EndAsTheyMust) {
  std::string how;
  EXPECT_TRUE(TellStories(how)) << how;
}

}  // namespace
}  // namespace pillion::simulation::tokens
