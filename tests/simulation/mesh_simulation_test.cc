// Many seeded stories. PILLION_SEED=n runs that one alone and tells what failed in it; PILLION_SEEDS=n runs
// so many.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "tests/simulation/mesh_simulation.h"

namespace pillion::simulation {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

struct Totals {
  uint64_t requests = 0;
  uint64_t ok = 0;
  uint64_t errors = 0;
  uint64_t broken = 0;
};

void RunSeeds(bool faults, uint64_t count, Totals& totals) {
  const uint64_t only = FromEnvironment("PILLION_SEED", 0);
  for (uint64_t seed = only != 0 ? only : 1; seed <= (only != 0 ? only : count); ++seed) {
    Ledger ledger;
    const std::vector<std::string> wrong = RunStory({seed, faults, only != 0}, ledger);
    ASSERT_TRUE(wrong.empty()) << "PILLION_SEED=" << seed << (faults ? " (faults)" : " (no faults)") << ": "
                               << wrong.front() << ", " << wrong.size() << " findings";
    totals.requests += ledger.plans.size();
    totals.ok += ledger.answered_200.size();
    totals.errors += ledger.answered_error.size();
    totals.broken += ledger.broken.size();
  }
}

TEST(MeshSimulation, WithoutFaultsEveryRequestIsAnsweredOnceAndRight) {
  Totals totals;
  RunSeeds(false, FromEnvironment("PILLION_SEEDS", 10000) / 2, totals);
  EXPECT_EQ(totals.ok, totals.requests);
}

TEST(MeshSimulation, WithResetsNothingIsLostDuplicatedOrCorrupted) {
  Totals totals;
  RunSeeds(true, FromEnvironment("PILLION_SEEDS", 10000) / 2, totals);
  EXPECT_EQ(totals.ok + totals.errors + totals.broken, totals.requests);
  // The faults are real, and they do not ruin everything.
  EXPECT_GT(totals.errors + totals.broken, totals.requests / 1000);
  EXPECT_GT(totals.ok, totals.requests / 2);
}

}  // namespace
}  // namespace pillion::simulation
