// Many seeded stories. PILLION_SEED=n runs that one alone and tells what failed in it; PILLION_SEEDS=n runs
// so many.
#include "tests/simulation/mesh_simulation.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace pillion::simulation {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// Made once: keys are dear. PILLION_TLS=1: in all stories.
struct Tls {
  const MeshIdentities identities;
  const bool always = FromEnvironment("PILLION_TLS", 0) != 0;
};

constexpr int kBadStoriesShown = 10;
constexpr uint64_t kEnoughToJudge = 5000;

struct Totals {
  uint64_t requests = 0;
  uint64_t ok = 0;
  uint64_t errors = 0;
  uint64_t broken = 0;
  uint64_t left = 0;
  uint64_t ran_again = 0;
  uint64_t repeated = 0;
  uint64_t stale_reuse = 0;
  uint64_t handshakes = 0;
  uint64_t resumed = 0;        // of them
  uint64_t tunnels = 0;        // that went as planned,
  uint64_t http2_tunnels = 0;  // of them those asked for with Extended CONNECT
  uint64_t calls = 0;          // of gRPC, that ended with status 0
  uint64_t relays = 0;
  uint64_t whole_relays = 0;  // both ends arrived at the other side
  uint64_t reset_relays = 0;
  uint64_t refused_relays = 0;  // for their PROXY header
};

void RunSeeds(bool stormy, Totals& totals) {
  const uint64_t only = FromEnvironment("PILLION_SEED", 0);
  const uint64_t count = FromEnvironment("PILLION_SEEDS", 10000) / 2;
  const Tls tls;
  int bad_stories = 0;
  for (uint64_t seed = only != 0 ? only : 1; seed <= (only != 0 ? only : count); ++seed) {
    Ledger ledger;
    const Outcome outcome = RunStory({seed, stormy, only != 0, &tls.identities, tls.always}, ledger);
    std::string all;
    for (const std::string& wrong : outcome.wrong) all += "\n  " + wrong;
    EXPECT_TRUE(outcome.wrong.empty())
        << "PILLION_SEED=" << seed << (stormy ? " (stormy)" : " (calm)") << all;
    bad_stories += outcome.wrong.empty() ? 0 : 1;
    if (bad_stories >= kBadStoriesShown) return;
    totals.stale_reuse += outcome.stale_reuse;
    totals.handshakes += outcome.handshakes;
    totals.resumed += outcome.resumed;
    for (const auto& [id, fate] : ledger.fates) {
      ++totals.requests;
      totals.ok += static_cast<uint64_t>(fate.ok);
      totals.errors += static_cast<uint64_t>(fate.error);
      totals.broken += static_cast<uint64_t>(fate.broken);
      totals.left += static_cast<uint64_t>(fate.left);
      totals.ran_again += fate.run > 1 ? 1 : 0;
      totals.repeated += static_cast<uint64_t>(fate.repeated);
      const bool tunnel = fate.plan.kind == Kind::kTunnel && fate.ok == 1;
      totals.tunnels += tunnel ? 1 : 0;
      totals.http2_tunnels += tunnel && fate.status == 200 ? 1 : 0;
      totals.calls += fate.plan.kind == Kind::kGrpc && fate.ok == 1 ? 1 : 0;
    }
    for (const auto& [id, fate] : ledger.relays) {
      ++totals.relays;
      totals.whole_relays += fate.client.saw_end && fate.app.saw_end ? 1 : 0;
      totals.reset_relays += fate.client.saw_reset || fate.app.saw_reset ? 1 : 0;
      totals.refused_relays += fate.plan.fault != HeaderFault::kNone ? 1 : 0;
    }
  }
  std::printf(
      "%lu requests: %lu ok, %lu errors, %lu broken, %lu left; %lu ran again, %lu asked again, "
      "%lu stale connections\n",
      totals.requests, totals.ok, totals.errors, totals.broken, totals.left, totals.ran_again,
      totals.repeated, totals.stale_reuse);
  std::printf(
      "%lu tunnels, %lu of them over HTTP/2; %lu gRPC calls; %lu relays, %lu whole, %lu reset, %lu refused; "
      "%lu TLS handshakes, %lu resumed\n",
      totals.tunnels, totals.http2_tunnels, totals.calls, totals.relays, totals.whole_relays,
      totals.reset_relays, totals.refused_relays, totals.handshakes, totals.resumed);
}

// Of a few stories each is judged, but not their sums.
bool TooFewToJudge(const Totals& totals) {
  if (totals.requests >= kEnoughToJudge) return false;
  std::printf("the totals are not judged: fewer than %lu requests\n", kEnoughToJudge);
  return true;
}

TEST(MeshSimulation, InCalmStoriesEveryRequestEndsAsPlanned) {
  Totals totals;
  RunSeeds(false, totals);
  if (TooFewToJudge(totals)) return;
  EXPECT_GT(totals.ok, totals.requests * 3 / 4);
  EXPECT_GT(totals.whole_relays, totals.relays / 2);
  EXPECT_GT(totals.handshakes, totals.requests / 100);
  EXPECT_GT(totals.resumed, totals.handshakes / 20);
  EXPECT_GT(totals.refused_relays, totals.relays / 200);
  EXPECT_GT(totals.http2_tunnels, totals.requests / 200);
  EXPECT_GT(totals.calls, totals.requests / 20);
}

TEST(MeshSimulation, InStormsNothingIsLostDuplicatedOrCorrupted) {
  Totals totals;
  RunSeeds(true, totals);
  if (TooFewToJudge(totals)) return;
  // The storms are real, and they do not ruin everything.
  EXPECT_GT(totals.errors + totals.broken, totals.requests / 100);
  EXPECT_GT(totals.ok, totals.requests / 2);
  EXPECT_GT(totals.ran_again, 0u);
  EXPECT_GT(totals.stale_reuse, 0u);
  EXPECT_GT(totals.whole_relays, totals.relays / 3);
  EXPECT_GT(totals.reset_relays, totals.relays / 10);
  EXPECT_GT(totals.http2_tunnels, totals.requests / 200);
  EXPECT_GT(totals.calls, totals.requests / 30);
}

TEST(MeshSimulation, OneSeedIsOneStory) {
  const Tls tls;
  for (const bool always_tls : {false, true}) {
    for (uint64_t seed = 1; seed <= 50; ++seed) {
      for (const bool stormy : {false, true}) {
        const Options options{seed, stormy, false, &tls.identities, always_tls};
        Ledger first;
        Ledger second;
        EXPECT_EQ(RunStory(options, first).fingerprint, RunStory(options, second).fingerprint)
            << "PILLION_SEED=" << seed << (stormy ? " (stormy)" : " (calm)")
            << (always_tls ? " PILLION_TLS=1" : "");
      }
    }
  }
}

}  // namespace
}  // namespace pillion::simulation
