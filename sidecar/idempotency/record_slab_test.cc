#include "sidecar/idempotency/record_slab.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/base/random.h"

namespace pillion::idempotency {
namespace {

using Of = RecordSlab::Of;
constexpr DomainTime kLife{10'000};
constexpr DomainTime kSpan{1'000};
constexpr uint32_t kNone = RecordSlab::kNone;

// Random steps of one beside a map. Times of tokens come in any order within a skew, and now and then late.
class History {
 public:
  explicit History(uint64_t seed) : random_(seed) {}
  void Run(int steps, uint64_t most_per_step) {
    for (int step = 0; step < steps && !::testing::Test::HasFatalFailure(); ++step) {
      now_ += DomainTime(static_cast<int64_t>(Draw(Draw(50) == 0 ? 2'000 : 3)));
      for (uint64_t i = 0, count = Draw(most_per_step + 1); i < count; ++i) Add();
      if (Draw(3) == 0) Drop();
      if (Draw(3) == 0) TakeOfSize();
      if (Draw(20) == 0) DropOver();
      if (Draw(100) == 0) CheckAll();
    }
    CheckAll();
    now_ += 3 * kLife;
    while (slab_.DropOver(now_, 1, [](RecordSlab::Batch&) {})) {
    }
    slab_.ForSome(0, UINT32_MAX, [&](uint32_t, const RecordSlab::Record&) { FAIL() << "it is left"; });
    for (const auto& [number, known] : known_) ASSERT_EQ(Find(number, known), kNone);
  }
  size_t most_known = 0;
  uint64_t sizes_found = 0;

 private:
  struct Known {
    Of of = Of::kTokens;
    DomainTime time{};
    DomainTime over{};
    uint32_t place = 0;
    uint8_t size_class = 0;
    bool may_be_taken = false;  // by its size
    uint64_t in_batch = 0;
  };
  uint64_t Draw(uint64_t below) { return Below(random_.Next(), below); }
  static TokenKey KeyOf(uint64_t number) {
    TokenKey key;
    key.caller = number;
    return key;
  }
  uint32_t Find(uint64_t number, const Known& known) const {
    const TokenKey key = KeyOf(number);
    return slab_.Find(key, key.Hash(), known.of == Of::kTokens ? std::optional(known.time) : std::nullopt);
  }
  void Add() {
    Known known;
    known.of = Draw(8) == 0 ? Of::kKeys : Of::kTokens;
    known.time = now_;
    if (known.of == Of::kTokens) {
      known.time += DomainTime(static_cast<int64_t>(Draw(20)) - 10);
      if (Draw(200) == 0) known.time -= DomainTime(static_cast<int64_t>(Draw(8'000)));
    }
    known.over = known.time + kLife;
    const uint64_t number = next_++;
    const TokenKey key = KeyOf(number);
    ASSERT_EQ(Find(number, known), kNone);
    known.place = slab_.Add(key, key.Hash(), {known.of, known.time, known.over, kSpan});
    ASSERT_EQ(Find(number, known), known.place);
    RecordSlab::Batch& batch = slab_.BatchOf(known.place);
    batch.tally.Count(0, 1);
    ASSERT_GE(batch.over, known.over);
    ASSERT_LT(batch.over, known.over + kSpan);
    if (Draw(2) == 0) {
      slab_[known.place].answer = batch.pages.Keep(std::string(Draw(300) + 1, 'x'));
      known.size_class = static_cast<uint8_t>(Draw(3));
      known.may_be_taken = true;
      slab_.NoteSize(known.place, known.size_class);
    }
    known_[number] = known;
    most_known = std::max(most_known, known_.size());
  }
  void Drop() {
    if (known_.empty()) return;
    auto one = known_.lower_bound(Draw(next_));
    if (one == known_.end()) --one;
    const TokenKey key = KeyOf(one->first);
    slab_.BatchOf(one->second.place).tally.Count(0, -1);
    slab_[one->second.place].answer = {};
    slab_.Drop(one->second.place, key.Hash());
    ASSERT_EQ(Find(one->first, one->second), kNone);
    ASSERT_FALSE(slab_.Is(one->second.place, key));
    known_.erase(one);
  }
  // All of that class are found, whose batch is there, each once.
  void TakeOfSize() {
    const auto size_class = static_cast<uint8_t>(Draw(3));
    const auto is = [&](const auto& item) {
      return item.second.may_be_taken && item.second.size_class == size_class;
    };
    const auto some = std::ranges::find_if(known_, is);
    const uint32_t place = slab_.TakeOfSize(size_class);
    ASSERT_EQ(place == kNone, some == known_.end());
    if (place == kNone) return;
    ++sizes_found;
    const auto found = known_.find(slab_[place].key.caller);
    ASSERT_TRUE(found != known_.end() && found->second.place == place && is(*found));
    found->second.may_be_taken = false;
    slab_[place].answer = {};
  }
  void DropOver() {
    uint64_t dropped = 0;
    slab_.DropOver(now_, 1 + Draw(3), [&](RecordSlab::Batch& batch) {
      ASSERT_LE(batch.over, now_);
      batch.tally.ForEachCaller([&](uint32_t, uint64_t records) { dropped += records; });
    });
    const size_t before = known_.size();
    std::erase_if(known_, [&](const auto& item) {
      if (slab_.Is(item.second.place, KeyOf(item.first))) return false;
      EXPECT_LE(item.second.over, now_) << "before its time";
      return true;
    });
    ASSERT_EQ(before - known_.size(), dropped);
  }
  void CheckAll() {
    for (const auto& [number, known] : known_) {
      ASSERT_EQ(Find(number, known), known.place);
      ASSERT_EQ(slab_.Find(KeyOf(number), KeyOf(number).Hash()), known.place);
    }
    size_t live = 0;
    for (uint32_t place = 0; place != kNone;)
      place = slab_.ForSome(place, 100, [&](uint32_t, const RecordSlab::Record&) { ++live; });
    ASSERT_EQ(live, known_.size());
  }

  Random random_;
  RecordSlab slab_;
  DomainTime now_{1'000'000};
  uint64_t next_ = 1;
  std::map<uint64_t, Known> known_;
};

TEST(RecordSlab, FindsWhatAMapFinds) {
  uint64_t sizes_found = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    History history(seed);
    history.Run(5'000, 6 * (seed % 4));
    sizes_found += history.sizes_found;
    if (seed % 4 == 3) EXPECT_GT(history.most_known, 3'000u) << "many batches";
  }
  EXPECT_GT(sizes_found, 10'000u);
}

// A place that was another record's is not the one that somebody remembers.
TEST(RecordSlab, APlaceThatIsUsedAgainIsAnothers) {
  RecordSlab slab;
  TokenKey key;
  const auto add = [&](uint64_t number, DomainTime time) {
    key.caller = number;
    return slab.Add(key, key.Hash(), {Of::kTokens, time, time + kLife, kSpan});
  };
  const uint32_t first = add(1, DomainTime(0));
  const TokenKey was = key;
  EXPECT_TRUE(slab.Is(first, was));
  EXPECT_TRUE(slab.DropOver(kLife, 1, [](RecordSlab::Batch&) {}));
  EXPECT_FALSE(slab.Is(first, was)) << "its memory says still what it said";
  EXPECT_EQ(add(2, kLife), first);
  EXPECT_FALSE(slab.Is(first, was));
  EXPECT_TRUE(slab.Is(first, key));
}

// Room is given back with them: what they took must be too, long before their time.
TEST(RecordSlab, ReleasedOnesTakeNoMemory) {
  for (const Of of : {Of::kTokens, Of::kKeys}) {
    RecordSlab slab;
    std::deque<std::pair<TokenKey, uint32_t>> under_way;
    uint32_t last = 0;
    for (uint64_t number = 0; number < 100'000; ++number) {
      const DomainTime time(static_cast<int64_t>(number / 20));
      TokenKey key;
      key.caller = number;
      const uint32_t place = slab.Add(key, key.Hash(), {of, time, time + kLife, kSpan});
      last = std::max(last, place);
      under_way.emplace_back(key, place);
      if (under_way.size() < 700) continue;
      const auto& [first, at] = under_way.front();
      ASSERT_TRUE(slab.Is(at, first));
      slab.Drop(at, first.Hash());
      under_way.pop_front();
    }
    EXPECT_LT(last, 1'500u);
    for (const auto& [key, place] : under_way) EXPECT_EQ(slab.Find(key, key.Hash()), place);
  }
}

// The memory of a batch that is gone says still that records with answers are there.
TEST(RecordSlab, NoAnswerIsFoundWhereAnotherBatchHadOne) {
  RecordSlab slab;
  uint64_t number = 0;
  const auto add = [&](DomainTime time) {
    TokenKey key;
    key.caller = ++number;
    const uint32_t place = slab.Add(key, key.Hash(), {Of::kTokens, time, time + kLife, kSpan});
    slab[place].answer = slab.BatchOf(place).pages.Keep("x");
    slab.NoteSize(place, 1);
    return place;
  };
  add(DomainTime(0));
  const uint32_t dropped = add(5 * kSpan);
  const TokenKey key = slab[dropped].key;
  slab[dropped].answer = {};
  slab.Drop(dropped, key.Hash());
  // The older batch comes to have its place, and goes.
  while (add(DomainTime(0)) != dropped) ASSERT_LT(number, 1'000u);
  EXPECT_TRUE(slab.DropOver(kLife, 1, [](RecordSlab::Batch&) {}));
  EXPECT_EQ(slab.TakeOfSize(1), kNone);
}

}  // namespace
}  // namespace pillion::idempotency
