#include "sidecar/upstream/priority_load.h"

#include <gtest/gtest.h>

#include <vector>

namespace pillion::upstream {
namespace {

struct Case {
  const char* what;
  std::vector<PriorityCounts> counts;
  double panic;
  std::vector<PriorityLoad> loads;
};

// The shares of xds.md 1.5: an availability is the usable share times 1.4.
TEST(SplitLoad, GivesWhatAPriorityCannotCarryToTheNext) {
  const std::vector<Case> cases = {
      {"all good", {{10, 10, 0}, {10, 10, 0}}, 50, {{100, 0, false}, {0, 0, false}}},
      {"71 % is enough", {{100, 72, 0}, {100, 100, 0}}, 50, {{100, 0, false}, {0, 0, false}}},
      {"half", {{100, 50, 0}, {100, 100, 0}}, 50, {{70, 0, false}, {30, 0, false}}},
      {"a quarter, and the next is well: no panic",
       {{100, 25, 0}, {100, 100, 0}},
       50,
       {{35, 0, false}, {65, 0, false}}},
      {"both a quarter: they share what there is, in panic",
       {{100, 25, 0}, {100, 25, 0}},
       50,
       {{50, 0, true}, {50, 0, true}}},
      {"likewise, where there is no panic",
       {{100, 25, 0}, {100, 25, 0}},
       0,
       {{50, 0, false}, {50, 0, false}}},
      {"one priority below the threshold", {{3, 1, 0}}, 50, {{100, 0, true}}},
      {"at the threshold", {{4, 2, 0}}, 50, {{100, 0, false}}},
      {"none is good: all by their number", {{30, 0, 0}, {10, 0, 0}}, 50, {{75, 0, true}, {25, 0, true}}},
      {"none is good, and there is no panic", {{30, 0, 0}, {10, 0, 0}}, 0, {{0, 0, false}, {0, 0, false}}},
      {"nothing there", {{0, 0, 0}}, 50, {{0, 0, true}}},
      {"no priority", {}, 50, {}},
      {"an empty one is passed over", {{0, 0, 0}, {5, 5, 0}}, 50, {{0, 0, false}, {100, 0, false}}},
      {"degraded ones behind good ones of all priorities",
       {{10, 0, 10}, {10, 5, 0}},
       50,
       {{0, 30, false}, {70, 0, false}}},
      {"degraded alone", {{10, 0, 10}}, 50, {{0, 100, false}}},
      {"thirds: what rounding loses is the first one's",
       {{100, 10, 0}, {100, 10, 0}, {100, 10, 0}},
       0,
       {{34, 0, false}, {33, 0, false}, {33, 0, false}}},
  };
  for (const Case& one : cases) EXPECT_EQ(SplitLoad(one.counts, 140, one.panic), one.loads) << one.what;
  EXPECT_EQ(SplitLoad(std::vector<PriorityCounts>{{10, 5, 0}, {10, 10, 0}}, 200, 50),
            (std::vector<PriorityLoad>{{100, 0, false}, {0, 0, false}}))
      << "more overprovisioning";
}

// For any numbers: what may be used gets all of it, and what is empty nothing.
TEST(SplitLoad, AlwaysGivesAllOfTheLoadAway) {
  uint64_t draw = 7;
  const auto below = [&](uint32_t bound) {
    draw = draw * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>((draw >> 33) % bound);
  };
  for (int i = 0; i < 20000; ++i) {
    std::vector<PriorityCounts> counts(1 + below(4));
    uint32_t usable = 0;
    for (PriorityCounts& one : counts) {
      one.all = below(20);
      one.good = one.all == 0 ? 0 : below(one.all + 1);
      one.degraded = one.all == one.good ? 0 : below(one.all - one.good + 1);
      usable += one.good + one.degraded;
    }
    const double panic = below(2) * 50;
    const auto loads = SplitLoad(counts, 100 + below(100), panic);
    uint32_t sum = 0;
    for (size_t k = 0; k < counts.size(); ++k) {
      sum += loads[k].good + loads[k].degraded;
      if (counts[k].all == 0) EXPECT_EQ(loads[k].good + loads[k].degraded, 0u);
      if (!loads[k].panic && counts[k].good == 0) EXPECT_EQ(loads[k].good, 0u);
      if (counts[k].degraded == 0) EXPECT_EQ(loads[k].degraded, 0u);
    }
    uint32_t all = 0;
    for (const PriorityCounts& one : counts) all += one.all;
    const bool any = usable > 0 || (panic > 0 && all > 0);
    ASSERT_EQ(sum, any ? 100u : 0u) << i;
  }
}

}  // namespace
}  // namespace pillion::upstream
