#include "sidecar/idempotency/answer_sizes.h"

#include <gtest/gtest.h>

namespace pillion::idempotency {
namespace {

void Note(AnswerSizes& sizes, uint32_t times, uint64_t bytes) {
  for (uint32_t i = 0; i < times; ++i) sizes.Note(bytes);
}

TEST(AnswerSizes, BeforeAnythingIsKnownItIsWhatIsUsual) {
  AnswerSizes sizes;
  EXPECT_EQ(sizes.likely(), AnswerSizes::kUsual);
  Note(sizes, AnswerSizes::kLookEvery - 1, 100'000);
  EXPECT_EQ(sizes.likely(), AnswerSizes::kUsual);
  sizes.Note(100'000);
  EXPECT_EQ(sizes.likely(), 131'072u) << "the power of two above";
}

TEST(AnswerSizes, OneInAHundredMayBeLarger) {
  AnswerSizes sizes;
  for (int i = 0; i < 64; ++i) {
    Note(sizes, 199, 500);
    sizes.Note(1'000'000);
  }
  EXPECT_EQ(sizes.likely(), 512u);
  for (int i = 0; i < 256; ++i) {
    Note(sizes, 45, 500);
    sizes.Note(1'000'000);
  }
  EXPECT_EQ(sizes.likely(), 1u << 20);
}

TEST(AnswerSizes, WhatIsNewCountsForMore) {
  AnswerSizes sizes;
  Note(sizes, 100 * AnswerSizes::kMost, 200'000);
  EXPECT_EQ(sizes.likely(), 262'144u);
  Note(sizes, 10 * AnswerSizes::kMost, 20);
  EXPECT_EQ(sizes.likely(), 32u);
}

TEST(AnswerSizes, TheEndsOfTheScale) {
  AnswerSizes sizes;
  Note(sizes, AnswerSizes::kLookEvery, 0);
  EXPECT_EQ(sizes.likely(), 0u);
  Note(sizes, 10 * AnswerSizes::kMost, UINT64_MAX);
  EXPECT_EQ(sizes.likely(), 1u << 31);
}

}  // namespace
}  // namespace pillion::idempotency
