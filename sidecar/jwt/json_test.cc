#include "sidecar/jwt/json.h"

#include <gtest/gtest.h>

#include <string>

#include "sidecar/jwt/base64url.h"

namespace pillion::jwt {
namespace {

TEST(Base64UrlTest, WhatHasTwoReadingsIsRefused) {
  EXPECT_EQ(DecodeBase64Url(""), "");
  EXPECT_EQ(DecodeBase64Url("Zg"), "f");
  EXPECT_EQ(DecodeBase64Url("Zm8"), "fo");
  EXPECT_EQ(DecodeBase64Url("Zm9v"), "foo");
  EXPECT_EQ(DecodeBase64Url("Zm9vYmFy"), "foobar");
  EXPECT_EQ(DecodeBase64Url("-_-_"), "\xfb\xff\xbf");
  for (const char* const bad : {"Z", "Zm9vY", "Zg==", "Zm8=", "Zm9v ", " Zm9v", "Zm9v\n", "+/+/", "Zh", "Zm9",
                                "Z.8", "\xc3\xa9", "Zm9vYh"})
    EXPECT_EQ(DecodeBase64Url(bad), std::nullopt) << bad;
  EXPECT_EQ(DecodeBase64Url(std::string_view("Zm\0v", 4)), std::nullopt);
}

TEST(JwtJsonTest, JsonIsTaken) {
  for (const char* const good :
       {"{}", " {\t}\r\n", "[]", "[1,-0,0.5,1e9,-1.25E-3,2e+1]",
        R"({"a":{"b":[{"c":null}]},"d":true,"e":false})", R"("\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00")",
        "\"\xc3\xa9\xf0\x9f\x98\x80\x7f\"", "1", "null"})
    EXPECT_TRUE(IsPlainJson(good)) << good;
}

TEST(JwtJsonTest, WhatReadersReadDifferentlyIsNotTaken) {
  for (const char* const bad : {"",
                                " ",
                                "{",
                                "}",
                                "{}{}",
                                "{} x",
                                "{a:1}",
                                "{'a':1}",
                                R"({"a":1,})",
                                R"({,"a":1})",
                                R"({"a"})",
                                R"({"a":})",
                                R"({"a" 1})",
                                "[1,]",
                                "[,1]",
                                "[1 2]",
                                "[",
                                "]",
                                "01",
                                "-",
                                "+1",
                                ".5",
                                "1.",
                                "1e",
                                "1e+",
                                "0x1",
                                "NaN",
                                "Infinity",
                                "tru",
                                "nul",
                                "True",
                                "\"",
                                "\"a",
                                "'a'",
                                R"("\a")",
                                R"("\u12")",
                                R"("\u12g4")",
                                R"("\ud800")",
                                R"("\ud800a")",
                                R"("\ud800\u0041")",
                                R"("\udc00")",
                                R"("\ud800\ud800")",
                                "\"\n\"",
                                "\"\x01\"",
                                "\"\xff\"",
                                "\"\xc0\x80\"",
                                "\"\xed\xa0\x80\"",
                                "/**/{}",
                                "\xef\xbb\xbf{}"})
    EXPECT_FALSE(IsPlainJson(bad)) << bad;
  EXPECT_FALSE(IsPlainJson(std::string_view("{}\0", 3)));
}

TEST(JwtJsonTest, NoObjectHasAMemberTwice) {
  EXPECT_FALSE(IsPlainJson(R"({"sub":"ann","sub":"bob"})"));
  EXPECT_FALSE(IsPlainJson(R"({"sub":"ann","x":1,"s\u0075b":"bob"})")) << "the same name in other words";
  EXPECT_FALSE(IsPlainJson(R"({"a":{"b":1,"b":1}})"));
  EXPECT_FALSE(IsPlainJson(R"([{"b":1,"b":1}])"));
  EXPECT_FALSE(IsPlainJson(R"({"\ud83d\ude00":1,"😀":2})"));
  EXPECT_TRUE(IsPlainJson(R"({"a":{"b":1},"c":{"b":1},"b":1,"B":1})"));
  EXPECT_TRUE(IsPlainJson(R"({"a":1,"a\u0000":2,"":3})"));
}

TEST(JwtJsonTest, DepthHasALimit) {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(IsPlainJson(nested(kMaxJsonDepth + 1)));
  EXPECT_FALSE(IsPlainJson(nested(kMaxJsonDepth + 2)));
  EXPECT_FALSE(IsPlainJson(std::string(1'000'000, '[')));
}

TEST(JwtJsonTest, TextsAreReadAsTheyAre) {
  const auto object = ReadObject(R"({"a":"x\u0000y","b":"\ud83d\ude00","c":"","d":1,"\u00e9":"e"})");
  ASSERT_TRUE(object);
  EXPECT_EQ(*FindText(*object, "a"), std::string("x\0y", 3));
  EXPECT_EQ(*FindText(*object, "b"), "😀");
  EXPECT_EQ(*FindText(*object, "c"), "");
  EXPECT_EQ(*FindText(*object, "é"), "e");
  EXPECT_EQ(FindText(*object, "d"), nullptr);
  EXPECT_NE(FindMember(*object, "d"), nullptr);
  EXPECT_EQ(FindMember(*object, "z"), nullptr);
}

TEST(JwtJsonTest, OnlyObjectsAreObjects) {
  for (const char* const other : {"[]", "1", "null", "\"a\"", "true", R"({"a":1e999})"})
    EXPECT_FALSE(ReadObject(other)) << other;
}

}  // namespace
}  // namespace pillion::jwt
