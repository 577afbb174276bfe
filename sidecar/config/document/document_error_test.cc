// What is refused, with which words and where.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "envoy/config/listener/v3/listener.pb.h"
#include "pillion/testing/v1/every_type.pb.h"
#include "sidecar/config/document/document.h"
#include "sidecar/config/document/limits.h"

namespace pillion::config {
namespace {

using envoy::config::listener::v3::Listener;
using testing::v1::EveryType;
using Lines = std::vector<std::string>;

template <typename M = EveryType>
Lines Errors(const std::string& text) {
  M message;
  Lines lines;
  for (const DocumentError& error : LoadDocument(text, "f", message)) lines.push_back(error.ToString());
  return lines;
}

TEST(DocumentErrorTest, EveryErrorIsListedInFileOrder) {
  EXPECT_EQ(Errors(R"(int32_value: a
messages:
- bool_value: yes
- nothing: 1
  durations: [5]
int32_value: 2
)"),
            (Lines{"f:1:14: int32_value: expected an integer from -2147483648 to 2147483647",
                   "f:3:15: messages[0].bool_value: expected true or false, without quotes",
                   "f:4:3: messages[1].nothing: unknown field of pillion.testing.v1.EveryType",
                   "f:5:15: messages[1].durations[0]: expected a duration in seconds such as 1.5s",
                   "f:6:1: int32_value: duplicate key"}));
}

TEST(DocumentErrorTest, AMisspeltFieldIsAskedAfter) {
  EXPECT_EQ(
      Errors("bool_vlaue: true"),
      Lines{"f:1:1: bool_vlaue: unknown field of pillion.testing.v1.EveryType (did you mean bool_value?)"});
}

TEST(DocumentErrorTest, AFieldThatEnvoyHasIsUnimplemented) {
  Listener listener;
  const auto errors = LoadDocument("bindToPort: false", "f", listener);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(
      errors[0].ToString(),
      "f:1:1: bind_to_port: field bind_to_port of envoy.config.listener.v3.Listener is not implemented");
  EXPECT_TRUE(errors[0].unimplemented);
  EXPECT_FALSE(LoadDocument("bind_to_prt: false", "f", listener)[0].unimplemented);
}

TEST(DocumentErrorTest, BothNamesOfAFieldAreADuplicate) {
  EXPECT_EQ(Errors("int32_value: 1\nint32Value: 1\n"),
            Lines{"f:2:1: int32_value: duplicate field; its other name is set too"});
}

TEST(DocumentErrorTest, DuplicateKeysAreFoundEverywhere) {
  EXPECT_EQ(Errors("{text_by_text: {a: b, a: c},\n struct: {a: 1, a: 2},\n any: {\"@type\": "
                   "a/pillion.testing.v1.EveryType, \"@type\": b}}"),
            (Lines{"f:1:23: text_by_text.a: duplicate key", "f:2:17: struct.a: duplicate key",
                   "f:3:49: any.@type: duplicate key"}));
}

TEST(DocumentErrorTest, OnlyOneChoiceOfAOneofMayBeSet) {
  EXPECT_EQ(Errors("choice_text: a\nchoice_number: 1\n"),
            Lines{"f:2:1: choice_number: expected only one of the choice choices; choice_text is set too"});
  EXPECT_EQ(Errors("choice_number: x\nchoice_message: {}\n").size(), 2u) << "also after a wrong value";
}

TEST(DocumentErrorTest, ShapesMustFit) {
  EXPECT_EQ(
      Errors("numbers: 1\nmessage_value: [1]\nint32_value: {a: 1}\ntext_by_text: a\nstruct: 1\nlist: {}\n"
             "duration: [1]\nany: 1\nchoice_text:\n  - a\n"),
      (Lines{"f:1:10: numbers: expected a list",
             "f:2:1: message_value: expected a map, the fields of pillion.testing.v1.EveryType",
             "f:3:1: int32_value: expected a single value, not a list or map",
             "f:4:15: text_by_text: expected a map", "f:5:9: struct: expected a map",
             "f:6:1: list: expected a list", "f:7:1: duration: expected a duration in seconds such as 1.5s",
             "f:8:6: any: expected a map with \"@type\" and the fields of that type",
             "f:9:1: choice_text: expected a single value, not a list or map"}));
  EXPECT_EQ(Errors("- a\n"), Lines{"f:1:1: expected a map, the fields of pillion.testing.v1.EveryType"});
}

TEST(DocumentErrorTest, NumbersMustFitTheirType) {
  EXPECT_EQ(
      Errors("uint32_value: -1\nint64_value: 9223372036854775808\nfloat_value: 1e39\nwrapped_uint32: 1.5\n"
             "bool_by_number: {x: true}\n"),
      (Lines{"f:1:15: uint32_value: expected an integer from 0 to 4294967295",
             "f:2:14: int64_value: expected an integer from -9223372036854775808 to 9223372036854775807",
             "f:3:14: float_value: expected a number that its type can hold",
             "f:4:17: wrapped_uint32: expected an integer from 0 to 4294967295",
             "f:5:21: bool_by_number[\"x\"]: expected an integer from -2147483648 to 2147483647"}));
}

TEST(DocumentErrorTest, DurationsMustBeExact) {
  for (const char* text : {"1", "1m", "s", "-s", "1.s", ".5s", "1.0000000000s", "1,5s", "1 s", "+1s", "1e3s",
                           "--1s", "315576000001s", "315576000000.1s", "99999999999999999999s"}) {
    EXPECT_EQ(Errors("duration: \"" + std::string(text) + "\""),
              Lines{"f:1:11: duration: expected a duration in seconds such as 1.5s"})
        << text;
  }
}

TEST(DocumentErrorTest, EnumsListTheirNames) {
  EXPECT_EQ(Errors("color: COLOR_GREN"),
            Lines{"f:1:8: color: expected one of COLOR_UNSPECIFIED, COLOR_RED, COLOR_GREEN (did you mean "
                  "COLOR_GREEN?)"});
  EXPECT_EQ(Errors("color: 3"),
            Lines{"f:1:8: color: expected one of COLOR_UNSPECIFIED, COLOR_RED, COLOR_GREEN"});
}

TEST(DocumentErrorTest, NullHasNoPlaceInAListOrMap) {
  EXPECT_EQ(Errors("numbers: [1, null]\ntext_by_text: {a: }\n"),
            (Lines{"f:1:14: numbers[1]: expected a value, found null",
                   "f:2:16: text_by_text[\"a\"]: expected a value, found null"}));
}

TEST(DocumentErrorTest, TimesFieldMasksAndBytes) {
  EXPECT_EQ(Errors("timestamp: noon\nmask: a\nbytes_value: \"$\"\n"),
            (Lines{"f:1:12: timestamp: expected a time such as 2026-01-02T03:04:05Z",
                   "f:2:7: mask: cannot be written in a document: google.protobuf.FieldMask",
                   "f:3:14: bytes_value: expected bytes in base64"}));
}

TEST(DocumentErrorTest, AnyNeedsAKnownType) {
  EXPECT_EQ(Errors("any: {int32_value: 1}"), Lines{"f:1:1: any: expected \"@type\" beside the fields"});
  EXPECT_EQ(Errors("any:\n  \"@type\": no.such.Type\n"),
            Lines{"f:2:12: any.@type: expected \"type.googleapis.com/\" and a known type"});
  EXPECT_EQ(Errors("any: {\"@type\": []}"), Lines{"f:1:7: any.@type: expected the name of a type"});
  EXPECT_EQ(Errors("any: {\"@type\": a/google.protobuf.Duration, seconds: 1}"),
            Lines{"f:1:1: any: expected \"value\" and nothing else beside this \"@type\""});
}

TEST(DocumentErrorTest, ATypeThatEnvoyHasIsUnimplemented) {
  EveryType message;
  const auto errors =
      LoadDocument("any: {\"@type\": a/envoy.extensions.filters.network.rbac.v3.RBAC}", "f", message);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].message, "type envoy.extensions.filters.network.rbac.v3.RBAC is not implemented");
  EXPECT_TRUE(errors[0].unimplemented);
}

TEST(DocumentErrorTest, ErrorsInsideAnyKeepTheirPath) {
  EXPECT_EQ(Errors("any:\n  \"@type\": a/pillion.testing.v1.EveryType\n  messages:\n  - any:\n      "
                   "\"@type\": a/google.protobuf.UInt32Value\n      value: x\n"),
            Lines{"f:6:14: any.messages[0].any.value: expected an integer from 0 to 4294967295"});
}

TEST(DocumentErrorTest, StructsHoldWhatJsonCanWrite) {
  EXPECT_EQ(Errors("value: .inf"), Lines{"f:1:8: value: expected a finite number"});
  EXPECT_EQ(Errors("struct: {? [a] : b}"), Lines{"f:1:12: struct: expected a text as the key"});
}

TEST(DocumentErrorTest, TagsAndMergeKeysAreRefused) {
  EXPECT_EQ(Errors("string_value: !secret a"), Lines{"f:1:15: string_value: expected no tag, found !secret"});
  EXPECT_EQ(Errors("<<: {int32_value: 1}"),
            Lines{"f:1:1: <<: merge keys are not supported; write the fields out"});
}

TEST(DocumentErrorTest, SyntaxErrorsHaveTheirPlace) {
  EXPECT_EQ(Errors("a: b\n  c: [\n"), Lines{"f:2:4: not YAML: illegal map value"});
  EXPECT_EQ(Errors(""), Lines{"f: expected a document"});
  EXPECT_EQ(Errors("int32_value: 1\n---\nint32_value: 2\n"),
            Lines{"f:3:1: expected one document, this is a second one"});
}

TEST(DocumentErrorTest, AStrayCommaEnds) {
  EXPECT_EQ(Errors(","), Lines{"f:1:1: not YAML: expected a document"});
  EXPECT_EQ(Errors("{} ]"), Lines{"f:1:4: not YAML: illegal flow end"});
}

TEST(DocumentErrorTest, ColumnsAfterASurrogatePairAreTheUsers) {
  EXPECT_EQ(Errors(R"({"texts": ["\ud83d\ude00", "\ud83d\ude00", 1],)"
                   "\n\"numbers\": [x]}"),
            (Lines{"f:1:44: texts[2]: expected a string; put quotes around it",
                   "f:2:13: numbers[0]: expected an integer from -2147483648 to 2147483647"}));
  EXPECT_EQ(Errors(R"({"string_value": "\ud83d"})").size(), 1u) << "half a pair";
}

TEST(DocumentErrorTest, InvalidUtf8IsRefused) { EXPECT_EQ(Errors("string_value: \"a\xc0\xaf\"").size(), 1u); }

TEST(DocumentErrorTest, AFileMayNotBeTooLarge) {
  const std::string text = "string_value: " + std::string(kMaxDocumentBytes, 'a');
  EXPECT_EQ(Errors(text), Lines{"f: expected at most 16777216 bytes"});
}

TEST(DocumentErrorTest, ADocumentMayNotBeTooDeep) {
  const auto nested = [](int levels) {
    std::string text;
    for (int i = 0; i < levels; ++i) text += "{message_value: ";
    return text + "{}" + std::string(static_cast<size_t>(levels), '}');
  };
  EXPECT_EQ(Errors(nested(kMaxDocumentDepth)), Lines{});
  const Lines lines = Errors(nested(kMaxDocumentDepth + 1));
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_TRUE(lines[0].ends_with("expected at most 100 levels of lists and maps")) << lines[0];
  const Lines deeper = Errors(std::string(20000, '['));  // more than the YAML parser itself takes
  ASSERT_EQ(deeper.size(), 1u);
  EXPECT_TRUE(deeper[0].ends_with("expected at most 100 levels of lists and maps")) << deeper[0];
}

TEST(DocumentErrorTest, AnAliasOfItselfEnds) {
  const Lines lines = Errors("message_value: &m {message_value: *m}");
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_TRUE(lines[0].ends_with("expected at most 100 levels of lists and maps")) << lines[0];
}

TEST(DocumentErrorTest, AliasesOfAliasesEnd) {
  std::string text = "struct:\n  a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    text += "  a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int k = 0; k < 9; ++k) text += "," + before;
    text += "]\n";
  }
  const Lines lines = Errors(text);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_TRUE(lines[0].ends_with("expected at most 500000 values, aliases written out")) << lines[0];
}

TEST(DocumentErrorTest, TheListOfErrorsEnds) {
  std::string text = "numbers: [";
  for (int i = 0; i < 1000; ++i) text += "x, ";
  const Lines lines = Errors(text + "]");
  ASSERT_EQ(lines.size(), kMaxDocumentErrors);
  EXPECT_TRUE(lines.back().ends_with("; further errors are not listed"));
}

}  // namespace
}  // namespace pillion::config
