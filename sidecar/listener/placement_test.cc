#include "sidecar/listener/placement.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace pillion::listener {
namespace {

class PlacementTest : public ::testing::Test {
 protected:
  explicit PlacementTest(size_t workers = 3)
      : stats_(workers), placement_(Views(), [](size_t, auto&, auto) {}) {}
  std::vector<const telemetry::WorkerStats*> Views() const {
    std::vector<const telemetry::WorkerStats*> views;
    views.reserve(stats_.size());
    for (const telemetry::WorkerStats& one : stats_) views.push_back(&one);
    return views;
  }
  std::vector<telemetry::WorkerStats> stats_;
  Placement placement_;
};

TEST_F(PlacementTest, FewConnectionsOfOneWorkerAreSpreadOverAll) {
  std::vector<size_t> count(3);
  for (int i = 0; i < 6; ++i) ++count[placement_.Choose(1)];
  EXPECT_EQ(count, (std::vector<size_t>{2, 2, 2}));
}

TEST_F(PlacementTest, AConnectionStaysWhereNoOtherHasFewer) {
  EXPECT_EQ(placement_.Choose(2), 2u);
  EXPECT_EQ(placement_.Choose(1), 1u);
  EXPECT_EQ(placement_.Choose(0), 0u);
  EXPECT_EQ(placement_.Choose(1), 1u);
}

TEST_F(PlacementTest, EndedConnectionsCountNoMore) {
  for (const size_t worker : {0, 1, 2, 0, 1, 2}) EXPECT_EQ(placement_.Choose(worker), worker);
  stats_[2].client_connections_closed.Add(2);
  EXPECT_EQ(placement_.Choose(0), 2u);
}

// Two accept at the same moment: what one has chosen the other must know.
TEST(Placement, WorkersThatChooseAtOnceDoNotChooseTheSame) {
  constexpr size_t kRounds = 20000;
  std::vector<telemetry::WorkerStats> stats(2);
  std::vector<std::unique_ptr<Placement>> placements(kRounds);
  for (std::unique_ptr<Placement>& one : placements)
    one = std::make_unique<Placement>(std::vector<const telemetry::WorkerStats*>{&stats[0], &stats[1]},
                                      [](size_t, const std::string&, std::unique_ptr<net::Socket>) {});
  std::atomic<size_t> arrived{0};
  std::vector<size_t> chosen(2 * kRounds);
  const auto choose = [&](size_t thread) {
    for (size_t i = 0; i < kRounds; ++i) {
      ++arrived;
      while (arrived < 2 * (i + 1)) {  // not a barrier that sleeps: both are to be inside at once
      }
      chosen[2 * i + thread] = placements[i]->Choose(0);
    }
  };
  std::thread other(choose, 1);
  choose(0);
  other.join();
  int same = 0;
  for (size_t i = 0; i < kRounds; ++i) same += chosen[2 * i] == chosen[2 * i + 1] ? 1 : 0;
  EXPECT_EQ(same, 0);
}

TEST_F(PlacementTest, AmongManyASmallDifferenceIsLeftAlone) {
  for (int i = 0; i < 300; ++i) placement_.Choose(static_cast<size_t>(i % 3));
  // Worker 0 has 100 like the others; up to an eighth more it keeps its own.
  for (int i = 0; i < 12; ++i) EXPECT_EQ(placement_.Choose(0), 0u) << i;
  size_t kept = 0;
  for (int i = 0; i < 12; ++i) kept += placement_.Choose(0) == 0;
  EXPECT_LT(kept, 6u);
}

}  // namespace
}  // namespace pillion::listener
