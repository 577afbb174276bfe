#include "sidecar/config/document/scalar.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>

namespace pillion::config {
namespace {

Scalar Plain(std::string_view text) { return {.text = text, .quoted = false}; }
Scalar Quoted(std::string_view text) { return {.text = text, .quoted = true}; }

TEST(ScalarTest, PlainTextHasTheTypeThatItLooksLike) {
  for (const char* text : {"true", "False", "TRUE"})
    EXPECT_EQ(TypeOf(Plain(text)), ScalarType::kBool) << text;
  for (const char* text :
       {"0", "-1", "+1", "1.5", ".5", "5.", "1e3", "1E-3", "0x1f", "0o17", ".inf", "-.inf", ".nan"}) {
    EXPECT_EQ(TypeOf(Plain(text)), ScalarType::kNumber) << text;
  }
  for (const char* text : {"", "a", "1a", "1.2.3", "10.0.0.1", "5s", "yes", "-", ".", "+", "e3", "1e", "1e+",
                           "0x", "0xg", "0o8", "NaN", "Infinity", "2026-01-02"}) {
    EXPECT_EQ(TypeOf(Plain(text)), ScalarType::kString) << text;
  }
  for (const char* text : {"true", "1", ".nan"}) EXPECT_EQ(TypeOf(Quoted(text)), ScalarType::kString) << text;
}

TEST(ScalarTest, SignedNumbersReachTheirLimits) {
  EXPECT_EQ(ParseSigned(Plain("2147483647"), INT32_MIN, INT32_MAX).value, INT32_MAX);
  EXPECT_EQ(ParseSigned(Plain("-2147483648"), INT32_MIN, INT32_MAX).value, INT32_MIN);
  EXPECT_EQ(ParseSigned(Quoted("-9223372036854775808"), INT64_MIN, INT64_MAX).value, INT64_MIN);
  EXPECT_EQ(ParseSigned(Quoted("9223372036854775807"), INT64_MIN, INT64_MAX).value, INT64_MAX);
  for (const char* text : {"2147483648", "-2147483649", "1e10", "99999999999999999999999"}) {
    const auto parsed = ParseSigned(Plain(text), INT32_MIN, INT32_MAX);
    EXPECT_EQ(parsed.value, std::nullopt) << text;
    EXPECT_EQ(parsed.expected, "expected an integer from -2147483648 to 2147483647");
  }
  EXPECT_EQ(ParseSigned(Plain("9223372036854775808"), INT64_MIN, INT64_MAX).value, std::nullopt);
  EXPECT_EQ(ParseSigned(Plain("9223372036854775808.0"), INT64_MIN, INT64_MAX).value, std::nullopt);
  EXPECT_EQ(ParseSigned(Plain("-9223372036854775808.0"), INT64_MIN, INT64_MAX).value, INT64_MIN);
}

TEST(ScalarTest, UnsignedNumbersReachTheirLimits) {
  EXPECT_EQ(ParseUnsigned(Quoted("18446744073709551615"), UINT64_MAX).value, UINT64_MAX);
  EXPECT_EQ(ParseUnsigned(Plain("4294967295"), UINT32_MAX).value, UINT32_MAX);
  EXPECT_EQ(ParseUnsigned(Plain("4294967296"), UINT32_MAX).value, std::nullopt);
  EXPECT_EQ(ParseUnsigned(Plain("18446744073709551616"), UINT64_MAX).value, std::nullopt);
  EXPECT_EQ(ParseUnsigned(Plain("18446744073709551616.0"), UINT64_MAX).value, std::nullopt);
  EXPECT_EQ(ParseUnsigned(Plain("-1"), UINT32_MAX).value, std::nullopt);
  EXPECT_EQ(ParseUnsigned(Plain("-1.0"), UINT32_MAX).value, std::nullopt);
  EXPECT_EQ(ParseUnsigned(Plain("-0"), UINT32_MAX).value, 0u);
}

TEST(ScalarTest, IntegersHaveManySpellings) {
  for (const char* text : {"16", "+16", "16.0", "1.6e1", "160e-1", "0x10", "0o20"}) {
    EXPECT_EQ(ParseUnsigned(Plain(text), UINT32_MAX).value, 16u) << text;
  }
  for (const char* text : {"16", "16.0", "1.6e1"}) {
    EXPECT_EQ(ParseUnsigned(Quoted(text), UINT32_MAX).value, 16u) << text;
  }
  for (const char* text : {"", " 16", "16 ", "1_6", "16.5", "0x", "1e", "true", "a", "NaN", ".inf"}) {
    EXPECT_EQ(ParseUnsigned(Plain(text), UINT32_MAX).value, std::nullopt) << text;
  }
  EXPECT_EQ(ParseUnsigned(Quoted("0x10"), UINT32_MAX).value, std::nullopt) << "JSON has no hexadecimal";
}

TEST(ScalarTest, ALeadingZeroIsRefused) {
  EXPECT_EQ(ParseUnsigned(Plain("010"), UINT32_MAX).expected, "expected a number without a leading zero");
  EXPECT_EQ(ParseSigned(Plain("-010"), -100, 100).expected, "expected a number without a leading zero");
  EXPECT_EQ(ParseUnsigned(Plain("0"), UINT32_MAX).value, 0u);
  EXPECT_EQ(ParseFloating(Plain("01.5")).value, std::nullopt);
  EXPECT_EQ(ParseFloating(Plain("0.5")).value, 0.5);
}

TEST(ScalarTest, FloatingNumbers) {
  EXPECT_EQ(ParseFloating(Plain("1.5")).value, 1.5);
  EXPECT_EQ(ParseFloating(Quoted("-2e3")).value, -2000);
  EXPECT_EQ(ParseFloating(Plain("+.5")).value, 0.5);
  EXPECT_EQ(ParseFloating(Plain("0x10")).value, 16);
  EXPECT_TRUE(std::isnan(*ParseFloating(Quoted("NaN")).value));
  EXPECT_EQ(ParseFloating(Quoted("-Infinity")).value, -INFINITY);
  EXPECT_EQ(ParseFloating(Plain(".inf")).value, INFINITY);
  EXPECT_EQ(ParseFloating(Plain("1e400")).value, std::nullopt);
  EXPECT_EQ(ParseFloating(Plain("1e39"), 3e38).expected, "expected a number that its type can hold");
  EXPECT_EQ(ParseFloating(Plain("inf")).value, std::nullopt);
  EXPECT_EQ(ParseFloating(Plain("1,5")).expected, "expected a number");
}

TEST(ScalarTest, BooleansAreNeverStrings) {
  EXPECT_EQ(ParseBoolean(Plain("true")).value, true);
  EXPECT_EQ(ParseBoolean(Plain("FALSE")).value, false);
  EXPECT_EQ(ParseBoolean(Quoted("true")).value, std::nullopt);
  for (const char* text : {"yes", "on", "1", "", "tRue"})
    EXPECT_FALSE(ParseBoolean(Plain(text)).value) << text;
}

TEST(ScalarTest, StringsThatLookLikeSomethingElseNeedQuotes) {
  EXPECT_EQ(ParseText(Plain("10.0.0.1")).value, "10.0.0.1");
  EXPECT_EQ(ParseText(Quoted("10")).value, "10");
  EXPECT_EQ(ParseText(Plain("10")).expected, "expected a string; put quotes around it");
  EXPECT_EQ(ParseText(Plain("true")).value, std::nullopt);
  EXPECT_EQ(ParseText(Quoted("\xff")).expected, "expected valid UTF-8");
}

TEST(ScalarTest, BytesAreBase64OfEitherAlphabet) {
  EXPECT_EQ(ParseBytes(Plain("+/8=")).value, "\xfb\xff");
  EXPECT_EQ(ParseBytes(Plain("-_8")).value, "\xfb\xff");
  EXPECT_EQ(ParseBytes(Plain("+/8")).value, "\xfb\xff");
  EXPECT_EQ(ParseBytes(Plain("")).value, "");
  EXPECT_EQ(ParseBytes(Plain("a$b")).expected, "expected bytes in base64");
}

TEST(ScalarTest, Utf8IsChecked) {
  for (const char* text :
       {"", "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(IsUtf8(text)) << text;
  }
  for (const char* text :
       {"\x80", "\xc3", "\xc0\x80", "\xe2\x82", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xc3\x28", "\xe2\x28\xa1", "\xf0\x9f\x98\x28"}) {
    EXPECT_FALSE(IsUtf8(text));
  }
}

}  // namespace
}  // namespace pillion::config
