#include "sidecar/base/json_writer.h"

#include <gtest/gtest.h>

namespace pillion {
namespace {

std::string Quoted(std::string_view text) {
  std::string out;
  JsonWriter(out).String(text);
  return out;
}

TEST(JsonWriter, SetsCommasBetweenValuesAndNowhereElse) {
  std::string out;
  JsonWriter json(out);
  json.BeginObject();
  json.Field("a", "b");
  json.Key("c");
  json.BeginArray();
  json.Number(1);
  json.BeginObject();
  json.EndObject();
  json.Bool(true);
  json.EndArray();
  json.Key("d");
  json.BeginArray();
  json.EndArray();
  json.NumberField("e", 18446744073709551615u);
  json.EndObject();
  EXPECT_EQ(out, R"({"a":"b","c":[1,{},true],"d":[],"e":18446744073709551615})");
}

TEST(JsonWriter, NothingInATextEndsItsStringOrItsLine) {
  EXPECT_EQ(Quoted("a\"b\\c\nd\re\tf"), R"("a\"b\\c\nd\re\tf")");
  EXPECT_EQ(Quoted(std::string_view("\0\x1b[31m\x7f", 7)), R"("\u0000\u001b[31m\u007f")");
  EXPECT_EQ(Quoted("\xC2\x9B\u2028\u2029"), R"("\u009b\u2028\u2029")");
  EXPECT_EQ(Quoted("Gr\u00FC\u00DFe \u20AC \U0001F600"), "\"Gr\u00FC\u00DFe \u20AC \U0001F600\"");
}

TEST(JsonWriter, BytesThatAreNotUtf8AreReplacedOneByOne) {
  const std::string r = "\uFFFD";
  EXPECT_EQ(Quoted("a\xFF"
                   "b"),
            "\"a" + r + "b\"");
  EXPECT_EQ(Quoted("\xC0\xAF"), "\"" + r + r + "\"");                  // overlong
  EXPECT_EQ(Quoted("\xED\xA0\x80"), "\"" + r + r + r + "\"");          // a surrogate
  EXPECT_EQ(Quoted("\xF4\x90\x80\x80"), "\"" + r + r + r + r + "\"");  // above U+10FFFF
  EXPECT_EQ(Quoted("\xE2\x82"), "\"" + r + r + "\"");                  // cut short
  EXPECT_EQ(Quoted("\xE2\"\n"), "\"" + r + "\\\"\\n\"");               // must not swallow the quote
}

TEST(ValidUtf8, CutsBetweenCharacters) {
  EXPECT_EQ(ValidUtf8("ab\u20ACd", 5), "ab\u20AC");
  EXPECT_EQ(ValidUtf8("ab\u20ACd", 4), "ab");
  EXPECT_EQ(ValidUtf8("\x80", 3), "\uFFFD");
  EXPECT_EQ(ValidUtf8("\x80", 2), "");
}

}  // namespace
}  // namespace pillion
