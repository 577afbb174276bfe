#include "sidecar/idempotency/verdict.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace pillion::idempotency {
namespace {

TEST(Verdict, EachIsReadAsItIsWritten) {
  std::set<std::string_view> words;
  for (size_t i = 0; i < kVerdicts; ++i) {
    const auto verdict = static_cast<Verdict>(i);
    const std::string word(ToString(verdict));
    words.insert(ToString(verdict));
    EXPECT_EQ(ParseVerdict(word), verdict) << word;
    EXPECT_EQ(ParseVerdict(word + ";age=3;exec=\"5\""), verdict) << word;
    EXPECT_EQ(ParseVerdict(word + " ; age=3"), verdict) << word;
  }
  EXPECT_EQ(words.size(), kVerdicts);
}

TEST(Verdict, AnotherWordIsNone) {
  for (const char* const value :
       {"", ";", "Executed", "executed2", "replaye", "age=3", "executed,replayed"}) {
    EXPECT_EQ(ParseVerdict(value), std::nullopt) << value;
  }
}

// specs/idempotency.md 2.1, and the client's rule of 4.1.
TEST(Verdict, OnlyWhatRunsNothingTwiceIsTriedAgain) {
  const auto again = [](Verdict verdict, bool only) {
    const Meaning meaning = MeaningOf(verdict, only);
    return meaning == Meaning::kNotRun || meaning == Meaning::kAmbiguous;
  };
  for (size_t i = 0; i < kVerdicts; ++i) {
    const auto verdict = static_cast<Verdict>(i);
    const bool safe = verdict == Verdict::kNotExecuted || verdict == Verdict::kInFlight;
    EXPECT_EQ(again(verdict, false), safe) << ToString(verdict);
    EXPECT_EQ(again(verdict, true), safe || verdict == Verdict::kDoubt) << ToString(verdict);
  }
  EXPECT_EQ(MeaningOf(Verdict::kTombstone, true), Meaning::kDefinitive);
  EXPECT_EQ(MeaningOf(Verdict::kBypass, true), Meaning::kUnprotected);
}

}  // namespace
}  // namespace pillion::idempotency
