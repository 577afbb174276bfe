#include "sidecar/idempotency/place_index.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "sidecar/base/random.h"

namespace pillion::idempotency {
namespace {

constexpr auto kAny = [](uint32_t) { return true; };

TEST(PlaceIndex, IsEmptyInTheBeginning) {
  const PlaceIndex index;
  EXPECT_EQ(index.Find(0, kAny), PlaceIndex::kNone);
  EXPECT_EQ(index.size(), 0u);
}

TEST(PlaceIndex, TagsThatAreTheSameAreToldApart) {
  PlaceIndex index;
  for (uint32_t place = 0; place < 5; ++place) index.Insert(7, place);
  index.Erase(7, 2);
  for (uint32_t place = 0; place < 5; ++place) {
    const auto is = [&](uint32_t found) { return found == place; };
    EXPECT_EQ(index.Find(7, is), place == 2 ? PlaceIndex::kNone : place);
  }
  EXPECT_EQ(index.Find(8, kAny), PlaceIndex::kNone);
}

// Beside a map, with tags that meet: few, or from the end of the table round to its beginning.
TEST(PlaceIndex, FindsWhatAMapFinds) {
  for (const uint32_t tags : {uint32_t{5}, uint32_t{60}, uint32_t{5000}, UINT32_MAX}) {
    Random random(tags);
    PlaceIndex index;
    std::map<uint32_t, uint32_t> model;  // tag by place
    uint32_t places = 0;
    for (int i = 0; i < 30'000; ++i) {
      const bool grows = i % 10'000 < 6000;
      if (model.empty() || random.Percent(grows ? 70 : 30)) {
        const auto tag = static_cast<uint32_t>(Below(random.Next(), tags)) - tags / 2;
        index.Insert(tag, places);
        model[places++] = tag;
      } else {
        auto victim = model.lower_bound(static_cast<uint32_t>(Below(random.Next(), places)));
        if (victim == model.end()) victim = model.begin();
        index.Erase(victim->second, victim->first);
        model.erase(victim);
      }
      ASSERT_EQ(index.size(), model.size());
      if (i % 500 != 0) continue;
      for (const auto& [place, tag] : model)
        ASSERT_EQ(index.Find(tag, [&](uint32_t found) { return found == place; }), place);
      const auto absent = static_cast<uint32_t>(random.Next());
      const auto expected = [&] {
        for (const auto& [place, tag] : model) {
          if (tag == absent) return place;
        }
        return PlaceIndex::kNone;
      };
      ASSERT_EQ(index.Find(absent, kAny), expected());
    }
  }
}

}  // namespace
}  // namespace pillion::idempotency
