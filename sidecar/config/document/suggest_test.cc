#include "sidecar/config/document/suggest.h"

#include <gtest/gtest.h>

namespace pillion::config {
namespace {

const std::vector<std::string> kKnown = {"name", "address", "filter_chains", "traffic_direction"};

TEST(SuggestTest, ATypingErrorFindsItsName) {
  EXPECT_EQ(ClosestName("nmae", kKnown), "name");
  EXPECT_EQ(ClosestName("adress", kKnown), "address");
  EXPECT_EQ(ClosestName("filterchain", kKnown), "filter_chains");
  EXPECT_EQ(ClosestName("TrafficDirection", kKnown), "traffic_direction");
}

TEST(SuggestTest, WhatIsFarFindsNothing) {
  EXPECT_EQ(ClosestName("port", kKnown), std::nullopt);
  EXPECT_EQ(ClosestName("", kKnown), std::nullopt);
  EXPECT_EQ(ClosestName(std::string(10000, 'a'), kKnown), std::nullopt);
}

TEST(SuggestTest, TheClosestOfSeveralWins) {
  EXPECT_EQ(ClosestName("cart", {"card", "cat", "cart"}), "cart");
}

TEST(SuggestTest, TheQuestionIsEmptyWithoutAnAnswer) {
  EXPECT_EQ(DidYouMean("nmae", kKnown), " (did you mean name?)");
  EXPECT_EQ(DidYouMean("port", kKnown), "");
}

TEST(SuggestTest, CamelCaseBecomesSnakeCase) {
  EXPECT_EQ(SnakeCase("maxHeadersCount"), "max_headers_count");
  EXPECT_EQ(SnakeCase("max_headers_count"), "max_headers_count");
}

}  // namespace
}  // namespace pillion::config
