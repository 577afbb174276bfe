#include "sidecar/idempotency/answer_pages.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/idempotency/test_answer.h"

namespace pillion::idempotency {
namespace {

// Sizes around those of the classes and of a page; old ones go, and some in between, and some are still held
// by whoever tells them.
TEST(AnswerPages, TheyHoldWhatWasPutThere) {
  SparePages spare;
  for (const uint64_t seed : {1, 2, 3}) {
    Random random(seed);
    std::deque<std::pair<std::string, AnswerPages::Kept>> kept;
    std::vector<std::pair<std::string, SavedAnswer>> held;
    {
      AnswerPages pages(spare);
      for (int i = 0; i < 20'000; ++i) {
        const size_t around = size_t{256} << Below(random.Next(), 8);
        const size_t size = around - SavedAnswer::kOwnBytes + Below(random.Next(), 5) - 2;
        const std::string written = AnswerOf(std::string(size, static_cast<char>('a' + i % 26)));
        kept.emplace_back(written, pages.Keep(written));
        EXPECT_EQ(kept.back().second.bytes, written.size());
        ASSERT_EQ(reinterpret_cast<uintptr_t>(kept.back().second.at) % 8, 0u) << "its numbers are read there";
        if (random.Percent(1)) held.emplace_back(written, pages.Share(kept.back().second));
        const auto drop = [&](size_t at) {
          pages.Drop(kept[at].second);
          kept.erase(kept.begin() + static_cast<long>(at));
        };
        if (kept.size() > 100) drop(0);
        if (random.Percent(20)) drop(Below(random.Next(), kept.size()));
        if (kept.empty()) continue;
        const auto& [was, is] = kept[Below(random.Next(), kept.size())];
        ASSERT_EQ(pages.Share(is).written(), was);
      }
    }
    for (const auto& [was, is] : held) ASSERT_EQ(is.written(), was) << "also when the pages are gone";
  }
}

TEST(AnswerPages, WhatIsStillToldIsNotWrittenOver) {
  SparePages spare;
  AnswerPages pages(spare);
  // Behind so many of this size the next one stands in a page that is used again.
  const auto keep = [&](char text) {
    for (int i = 0; i < 8; ++i) pages.Keep(AnswerOf(std::string(4'000, text)));
    return pages.Share(pages.Keep(AnswerOf(std::string(4'000, text))));
  };
  const SavedAnswer held = keep('a');
  const std::string was = AnswerOf(std::string(4'000, 'a'));
  for (int i = 0; i < 100; ++i) {
    pages.Clear();
    keep('b');
    ASSERT_EQ(held.written(), was);
  }
}

}  // namespace
}  // namespace pillion::idempotency
