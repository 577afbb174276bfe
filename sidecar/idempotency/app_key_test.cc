#include "sidecar/idempotency/app_key.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>
#include <utility>

#include "sidecar/base/random.h"

namespace pillion::idempotency {
namespace {

using Kind = AppKey::Kind;

TEST(AppKeyTest, QuotedAndBareAreOneKey) {
  for (const std::string key :
       {"8e03978e-40d5-43dd-bc93-6894a57f9324", "a", "A.b_c~d:e+f/g=h-i", "01ARZ3NDEKTSV4RRFFQ69G5FAV"}) {
    EXPECT_EQ(ParseAppKey(key), key);
    EXPECT_EQ(ParseAppKey('"' + key + '"'), key);
    EXPECT_EQ(ParseAppKey(" \t\"" + key + "\" "), key) << "white space around it is the field's";
  }
}

TEST(AppKeyTest, QuotesTakeAllThatIsPrintable) {
  EXPECT_EQ(ParseAppKey(R"("order 17, {a;b}")"), "order 17, {a;b}");
  EXPECT_EQ(ParseAppKey(R"("say \"hi\" \\o/")"), R"(say "hi" \o/)");
  EXPECT_EQ(ParseAppKey("\" \""), " ");
}

TEST(AppKeyTest, WhatIsNeitherIsNoKey) {
  const std::string cases[] = {
      "",
      " ",
      "\"",
      "\"\"",
      "\"a",
      "a\"",
      "\"a\"b",
      "\"a\" b",
      "\"a\";p=1",  // the draft has no parameters
      "\"a\", \"b\"",
      "a, b",
      "a b",
      "a;b",
      "a,b",
      "a\"b",
      "\"a\"b\"",
      R"("a\")",
      R"("a\x")",
      "\"a\x01\"",
      "\"a\x7f\"",
      "\"a\tb\"",
      "\"a\xc3\xa9\"",
      "\xc3\xa9",
      std::string("a\0b", 3),
      std::string("\"a\0b\"", 5),
      "a\\b",
      "'a'",
      "?1",
      "*",
  };
  for (const std::string& one : cases) EXPECT_EQ(ParseAppKey(one), std::nullopt) << one;
}

TEST(AppKeyTest, ItHasUpTo255Characters) {
  const std::string most(255, 'k');
  EXPECT_EQ(ParseAppKey(most), most);
  EXPECT_EQ(ParseAppKey('"' + most + '"'), most);
  EXPECT_EQ(ParseAppKey(most + 'k'), std::nullopt);
  EXPECT_EQ(ParseAppKey('"' + most + "k\""), std::nullopt);
  std::string escaped = "\"";
  for (int i = 0; i < 255; ++i) escaped += R"(\")";
  EXPECT_EQ(ParseAppKey(escaped + '"'), std::string(255, '"')) << "of which escapes are no part";
  EXPECT_EQ(ParseAppKey(escaped + "k\""), std::nullopt);
}

TEST(AppKeyTest, ARequestHasOneOrNone) {
  http::HeaderList headers;
  headers.Add("x-idempotency-key", "other");
  EXPECT_EQ(ReadAppKey(headers).kind, Kind::kNone);
  headers.Add("Idempotency-Key", "\"k\"");
  EXPECT_EQ(ReadAppKey(headers).kind, Kind::kKey);
  EXPECT_EQ(ReadAppKey(headers).text, "k");
  headers.Add("idempotency-key", "k");
  EXPECT_EQ(ReadAppKey(headers).kind, Kind::kBad) << "two lines, though they say the same";
  http::HeaderList bad;
  bad.Add("idempotency-key", "");
  EXPECT_EQ(ReadAppKey(bad).kind, Kind::kBad) << "empty is not absent";
}

TEST(AppKeyTest, KeysHaveBytesOfTheirOwn) {
  EXPECT_EQ(BytesOfKey("a"), BytesOfKey("a"));
  EXPECT_NE(BytesOfKey("a"), BytesOfKey("b"));
}

// As a client would write it.
std::string Quote(std::string_view key) {
  std::string text = "\"";
  for (const char c : key) {
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return text + '"';
}

TEST(AppKeyTest, EachPrintableTextComesBackFromItsQuotes) {
  Random random(7);
  for (int i = 0; i < 20'000; ++i) {
    std::string key;
    const size_t size = 1 + random.Next() % kMaxKeyBytes;
    while (key.size() < size) key += static_cast<char>(0x20 + random.Next() % 95);
    ASSERT_EQ(ParseAppKey(Quote(key)), key);
    // Bare it is the same or nothing, never another.
    const auto bare = ParseAppKey(key);
    const auto trimmed = key.find_first_not_of(' ');
    if (bare && key[trimmed] != '"') {
      ASSERT_EQ(*bare, key.substr(trimmed, key.find_last_not_of(' ') + 1 - trimmed));
    }
  }
}

TEST(AppKeyTest, EachUsersKeyIsAnother) {
  const auto plain = BytesOfKey("k");
  EXPECT_EQ(BytesOfKey("k", ""), plain);
  std::set<std::array<uint8_t, 16>> all = {plain};
  // Whoever chooses one of the two texts finds nobody else's.
  for (const auto& [user, key] :
       {std::pair("ann", "k"), {"bob", "k"}, {"an", "nk"}, {"k", "ann"}, {"a", "nnk"}})
    EXPECT_TRUE(all.insert(BytesOfKey(key, user)).second) << user << key;
  EXPECT_EQ(BytesOfKey("k", "ann"), BytesOfKey("k", "ann"));
}

TEST(AppKeyTest, OneByteThatIsNotPrintableSpoilsIt) {
  Random random(8);
  for (int i = 0; i < 20'000; ++i) {
    std::string value = Quote("a key of some length");
    auto bad = static_cast<char>(random.Next() % 33);
    if (bad == 0x20) bad = 0x7f;
    if (random.Next() % 2 == 0) bad = static_cast<char>(0x80 + random.Next() % 128);
    value[1 + random.Next() % (value.size() - 2)] = bad;
    ASSERT_EQ(ParseAppKey(value), std::nullopt);
  }
}

}  // namespace
}  // namespace pillion::idempotency
