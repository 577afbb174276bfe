#include "sidecar/http/header_list.h"

#include <gtest/gtest.h>

#include <string>

namespace pillion::http {
namespace {

TEST(Lookup, FindsEachNameInAnyCaseAndNothingElse) {
  for (int i = 1; i < static_cast<int>(Known::kCount); ++i) {
    const auto known = static_cast<Known>(i);
    if (known == Known::kPillionOther) continue;
    const std::string name(NameOf(known));
    ASSERT_FALSE(name.empty());
    std::string upper = name;
    for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    EXPECT_EQ(Lookup(name), known) << name;
    EXPECT_EQ(Lookup(upper), known) << upper;
    for (size_t at = 0; at < name.size(); ++at) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string other = name;
        other[at] = static_cast<char>(byte);
        if (byte == name[at] || byte == upper[at]) continue;
        EXPECT_NE(Lookup(other), known) << other;
      }
    }
    EXPECT_NE(Lookup(name + "x"), known);
    EXPECT_NE(Lookup(name.substr(1)), known);
  }
  EXPECT_EQ(Lookup(""), Known::kOther);
  EXPECT_EQ(Lookup(std::string(100, 'x')), Known::kOther);
}

TEST(Lookup, OtherInternalNamesAreKnownAsSuch) {
  for (const char* const name :
       {"pillion-x", "Pillion-Token2", "PILLION-ATTEMP", "pillion-of-another-version-of-ours"})
    EXPECT_EQ(Lookup(name), Known::kPillionOther) << name;
  for (const char* const name : {"pillion-", "pillion", "pillionx-a", "x-pillion-a", "pillion_a"})
    EXPECT_EQ(Lookup(name), Known::kOther) << name;
}

TEST(HeaderList, OtherInternalFieldsAreFoundByTheirNamesAndRemovedTogether) {
  HeaderList list;
  list.Add("pillion-a", "1");
  list.Add("pillion-b", "2");
  list.Add("pillion-token", "3");
  EXPECT_EQ(list.Find("Pillion-B"), "2");
  EXPECT_EQ(list.Find("pillion-c"), std::nullopt);
  EXPECT_EQ(list.Remove("pillion-a"), 1u);
  EXPECT_EQ(list.Find("pillion-b"), "2");
  list.Add("pillion-c", "4");
  EXPECT_EQ(list.Remove(Known::kPillionOther), 2u);
  EXPECT_EQ(list.size(), 1u);
}

TEST(HeaderList, SeveralAreFoundAndRemovedAtOnceAndNoOthers) {
  HeaderList headers;
  headers.Add("Via", "1.1 a");
  headers.Add("Upgrade", "h2c");
  headers.Add("X-Other", "1");
  headers.Add("Keep-Alive", "1");
  headers.Add("upgrade", "websocket");
  constexpr KnownSet kSet = {Known::kUpgrade, Known::kKeepAlive, Known::kTe};
  EXPECT_FALSE(headers.HasAny({Known::kTe, Known::kCookie}));
  headers.RemoveAny({Known::kTe, Known::kCookie});
  EXPECT_EQ(headers.size(), 5U);
  EXPECT_TRUE(headers.HasAny(kSet));
  headers.RemoveAny(kSet);
  EXPECT_FALSE(headers.HasAny(kSet));
  ASSERT_EQ(headers.size(), 2U);
  EXPECT_EQ(headers[0].value, "1.1 a");
  EXPECT_EQ(headers[1].name, "X-Other");
  EXPECT_TRUE(headers.Has(Known::kVia));
  EXPECT_FALSE(headers.Find(Known::kUpgrade));
}

TEST(HeaderList, SpansAndAddedFieldsLiveTogether) {
  HeaderList list;
  const std::string_view text = "Host: a\r\nX-One:  two\r\n\r\n";
  list.AddSpan(Known::kHost, 0, 4, 6, 1);
  list.AddSpan(Known::kOther, 9, 5, 17, 3);
  list.TakeText(text);
  list.Add("via", "b");
  list.RenameCase(1, "x-ONE");
  ASSERT_EQ(list.size(), 3u);
  EXPECT_EQ(list[0].value, "a");
  EXPECT_EQ(list[1].name, "x-ONE");
  EXPECT_EQ(list.Find("x-one"), "two");
  EXPECT_EQ(list.Find(Known::kVia), "b");
  EXPECT_EQ(list.Remove(Known::kHost), 1u);
  EXPECT_FALSE(list.Has(Known::kHost));
  EXPECT_EQ(list[0].value, "two");
}

}  // namespace
}  // namespace pillion::http
