#include "sidecar/idempotency/shared_tally.h"

#include <gtest/gtest.h>

#include <set>
#include <string_view>

namespace pillion::idempotency {
namespace {

TEST(SharedTally, WhatAStoreHasCountedIsRememberedWhenItIsGone) {
  SharedTally tally;
  auto one = tally.Begin();
  auto two = tally.Begin();
  one->held = 7;
  one->claims += 2;
  ++two->claims;
  EXPECT_EQ(tally.Look().totals.claims, 3u);
  EXPECT_EQ(tally.Look().totals.held, 7u);
  one.reset();
  EXPECT_EQ(tally.Look().totals.claims, 3u);
  EXPECT_EQ(tally.Look().totals.held, 0u) << "what it held is not held any more";
  EXPECT_EQ(tally.Look().stores, 1u);
  const auto three = tally.Begin();
  EXPECT_EQ(tally.Look().totals.claims, 3u);
  EXPECT_EQ(tally.Look().totals.held, 0u);
  EXPECT_EQ(tally.Look().stores, 2u);
}

TEST(SharedTally, EveryNumberIsNamedOnce) {
  std::set<std::string_view> names;
  StoreTotals totals;
  for (const auto& one : StoreTotals::all()) {
    EXPECT_TRUE(names.insert(one.name).second) << one.name;
    EXPECT_EQ(totals.*one.number, 0u) << one.name << " is the number of another, too";
    totals.*one.number = 1;
  }
  EXPECT_EQ(sizeof(totals), names.size() * sizeof(uint64_t)) << "one has no name";
}

}  // namespace
}  // namespace pillion::idempotency
