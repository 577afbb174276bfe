// What is accepted, and what it means.
#include "sidecar/config/document/document.h"

#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "pillion/testing/v1/every_type.pb.h"

namespace pillion::config {
namespace {

using google::protobuf::util::MessageDifferencer;
using testing::v1::EveryType;

EveryType Read(const std::string& text) {
  EveryType message;
  for (const DocumentError& error : LoadDocument(text, "f", message)) ADD_FAILURE() << error.ToString();
  return message;
}

EveryType Text(const std::string& text) {
  EveryType message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

void ExpectReads(const std::string& document, const std::string& text_format) {
  std::string difference;
  MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&difference);
  EXPECT_TRUE(differencer.Compare(Text(text_format), Read(document))) << document << "\n" << difference;
}

TEST(DocumentTest, FieldsHaveTwoNames) {
  ExpectReads("int32_value: 1\nint64Value: 2\n", "int32_value: 1 int64_value: 2");
}

TEST(DocumentTest, JsonIsAccepted) {
  ExpectReads(R"({"int32Value":1,"texts":["a","b"],"messageValue":{"boolValue":true}})",
              R"(int32_value: 1 texts: "a" texts: "b" message_value { bool_value: true })");
}

TEST(DocumentTest, ScalarsOfEveryType) {
  ExpectReads(R"(
int32_value: -1
int64_value: "-9007199254740993"
uint32_value: "4294967295"
uint64_value: 18446744073709551615
sint32_value: 1e2
fixed64_value: 0x10
float_value: 1.5
double_value: "2.5"
bool_value: true
string_value: text
bytes_value: aGk=
color: COLOR_RED
)",
              R"(int32_value: -1 int64_value: -9007199254740993 uint32_value: 4294967295
                 uint64_value: 18446744073709551615 sint32_value: 100 fixed64_value: 16 float_value: 1.5
                 double_value: 2.5 bool_value: true string_value: "text" bytes_value: "hi" color: COLOR_RED)");
}

TEST(DocumentTest, EnumsAreNamesOrNumbers) {
  ExpectReads("colors: [COLOR_GREEN, 1, \"2\"]", "colors: COLOR_GREEN colors: COLOR_RED colors: COLOR_GREEN");
}

TEST(DocumentTest, MapsOfEveryKey) {
  ExpectReads(R"(
text_by_text: {a: b, "1": c}
bool_by_number: {1: true, "-2": false}
message_by_bool: {true: {int32_value: 1}}
)",
              R"(text_by_text { key: "a" value: "b" } text_by_text { key: "1" value: "c" }
                 bool_by_number { key: 1 value: true } bool_by_number { key: -2 value: false }
                 message_by_bool { key: true value { int32_value: 1 } })");
}

TEST(DocumentTest, DurationsAreSecondsAsText) {
  ExpectReads("durations: [1s, 1.5s, \"-0.000000001s\", 315576000000s, 0s]",
              R"(durations { seconds: 1 } durations { seconds: 1 nanos: 500000000 } durations { nanos: -1 }
                 durations { seconds: 315576000000 } durations {})");
}

TEST(DocumentTest, TimestampsAreRfc3339) {
  ExpectReads("timestamp: 1970-01-02T00:00:00Z", "timestamp { seconds: 86400 }");
  ExpectReads("timestamp: \"1970-01-01T02:00:00.5+01:00\"", "timestamp { seconds: 3600 nanos: 500000000 }");
}

TEST(DocumentTest, WrappersAreBareValues) {
  ExpectReads(
      "{wrapped_uint32: 0, wrapped_bool: false, wrapped_string: a, wrapped_bytes: aGk=}",
      R"(wrapped_uint32 {} wrapped_bool {} wrapped_string { value: "a" } wrapped_bytes { value: "hi" })");
}

TEST(DocumentTest, StructsHoldAnything) {
  ExpectReads("struct: {a: 1, b: [true, null, x, \"1\"], c: {d: -0.5}}",
              R"(struct {
                   fields { key: "a" value { number_value: 1 } }
                   fields { key: "b" value { list_value { values { bool_value: true }
                     values { null_value: NULL_VALUE } values { string_value: "x" } values { string_value: "1" } } } }
                   fields { key: "c" value { struct_value { fields { key: "d" value { number_value: -0.5 } } } } } })");
  ExpectReads("value: null", "value { null_value: NULL_VALUE }");
  ExpectReads("values: [null, 1]", "values { null_value: NULL_VALUE } values { number_value: 1 }");
  ExpectReads("list: [1]", "list { values { number_value: 1 } }");
}

TEST(DocumentTest, NullIsAsIfNotThere) {
  ExpectReads("int32_value: null\nnumbers:\nmessage_value: ~\nchoice_text: null\nchoice_number: 1\n",
              "choice_number: 1");
}

TEST(DocumentTest, AnyHasItsFieldsBesideTheType) {
  const EveryType message = Read(R"(
any:
  "@type": type.googleapis.com/pillion.testing.v1.EveryType
  int32_value: 7
  any: {"@type": type.googleapis.com/google.protobuf.Duration, value: 1.5s}
)");
  EXPECT_EQ(message.any().type_url(), "type.googleapis.com/pillion.testing.v1.EveryType");
  EveryType inner;
  ASSERT_TRUE(message.any().UnpackTo(&inner));
  EXPECT_EQ(inner.int32_value(), 7);
  google::protobuf::Duration duration;
  ASSERT_TRUE(inner.any().UnpackTo(&duration));
  EXPECT_EQ(duration.nanos(), 500'000'000);
}

TEST(DocumentTest, AnyMayHoldAnEmptyMessageOrNothing) {
  EXPECT_EQ(Read(R"({"any": {"@type": "x.y/google.protobuf.Empty"}, "empty": {}})").any().type_url(),
            "type.googleapis.com/google.protobuf.Empty");
  EXPECT_EQ(Read("any: {}").any().type_url(), "");
  EXPECT_EQ(Read("any: {\"@type\": a/google.protobuf.Duration}").any().type_url(),
            "type.googleapis.com/google.protobuf.Duration");
}

TEST(DocumentTest, AnyIsSerializedInKeyOrder) {
  const std::string head = "any: {\"@type\": a/pillion.testing.v1.EveryType, text_by_text: ";
  std::string forward = "{", backward = "{";
  for (int i = 0; i < 50; ++i) {
    forward += "k" + std::to_string(i) + ": v, ";
    backward += "k" + std::to_string(49 - i) + ": v, ";
  }
  EXPECT_EQ(Read(head + forward + "}}").any().value(), Read(head + backward + "}}").any().value());
}

TEST(DocumentTest, AliasesAreWrittenOut) {
  ExpectReads("message_value: &m {int32_value: 1}\nmessages: [*m, *m]\n",
              "message_value { int32_value: 1 } messages { int32_value: 1 } messages { int32_value: 1 }");
}

TEST(DocumentTest, StringTagsMakeStrings) {
  ExpectReads("string_value: !!str 123", R"(string_value: "123")");
  ExpectReads("texts:\n- |\n  123\n- \"true\"\n- 'null'\n", R"(texts: "123\n" texts: "true" texts: "null")");
}

TEST(DocumentTest, JsonSurrogatePairsAreOneCharacter) {
  ExpectReads(R"({"string_value": "a\ud83d\ude00b\\ud83d\n"})",
              "string_value: \"a\xf0\x9f\x98\x80"
              "b\\\\ud83d\\n\"");
}

TEST(DocumentTest, YamlIsNotTakenForJson) {
  ExpectReads(R"({string_value: '"\ud83d\ude00'})", R"(string_value: "\"\\ud83d\\ude00")");
  ExpectReads("{ # don't \"\nstring_value: '\\ud83d\\ude00'}", R"(string_value: "\\ud83d\\ude00")");
}

TEST(DocumentTest, ManyDocumentsInAFile) {
  const auto parsed = ParseDocuments("---\nkind: A\n---\n# nothing\n---\nkind: B\nspec: {kind: C}\n", "f");
  ASSERT_TRUE(parsed.errors.empty());
  ASSERT_EQ(parsed.documents.size(), 2u);
  EXPECT_EQ(parsed.documents[0].Text("kind"), "A");
  EXPECT_EQ(parsed.documents[1].Text("kind"), "B");
  EXPECT_EQ(parsed.documents[1].Text("spec"), std::nullopt);
  EXPECT_EQ(parsed.documents[1].Text("other"), std::nullopt);
  EXPECT_EQ(parsed.documents[1].ErrorAt("kind", "unknown").ToString(), "f:6:1: kind: unknown");
}

TEST(DocumentTest, APartOfADocumentIsADocument) {
  const auto parsed = ParseDocuments("items:\n- int32_value: 1\n- int32_value: x\n", "f");
  ASSERT_EQ(parsed.documents.size(), 1u);
  const YAML::Node items = parsed.documents[0].root()["items"];
  EveryType message;
  EXPECT_TRUE(parsed.documents[0].Part(items[0]).Fill(message).empty());
  EXPECT_EQ(message.int32_value(), 1);
  const auto errors = parsed.documents[0].Part(items[1]).Fill(message);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].position, (Position{.line = 3, .column = 16}));
}

TEST(DocumentTest, PositionsAreFoundByPath) {
  EveryType message;
  Positions positions;
  const auto errors = LoadDocument(
      "messages:\n- numbers: [1, 2]\n- any:\n    \"@type\": a/pillion.testing.v1.EveryType\n    "
      "text_by_text:\n      a.b: c\n",
      "f", message, &positions);
  ASSERT_TRUE(errors.empty());
  EXPECT_EQ(positions.Of("messages"), (Position{.line = 1, .column = 1}));
  EXPECT_EQ(positions.Of("messages[0].numbers"), (Position{.line = 2, .column = 3}));
  EXPECT_EQ(positions.Of("messages[0].numbers[1]"), (Position{.line = 2, .column = 16}));
  EXPECT_EQ(positions.Of("messages[1].any.text_by_text[\"a.b\"]"), (Position{.line = 6, .column = 7}));
  // What is not there is looked for at what surrounds it.
  EXPECT_EQ(positions.Of("messages[1].any.int32_value"), (Position{.line = 3, .column = 3}));
  EXPECT_EQ(positions.Of("nowhere"), Position{});
}

TEST(DocumentTest, AnOrdinaryBootstrapIsRead) {
  envoy::config::bootstrap::v3::Bootstrap bootstrap;
  const auto errors = LoadDocument(R"(
node: {id: a, cluster: b}
static_resources:
  listeners:
  - name: in
    address: {socket_address: {address: 127.0.0.1, port_value: 80}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          codec_type: AUTO
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: app
    connect_timeout: 0.25s
    type: STATIC
    http2_protocol_options: {}
)",
                                   "f", bootstrap);
  for (const DocumentError& error : errors) ADD_FAILURE() << error.ToString();
  envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager http;
  const auto& listener = bootstrap.static_resources().listeners(0);
  ASSERT_TRUE(listener.filter_chains(0).filters(0).typed_config().UnpackTo(&http));
  EXPECT_EQ(http.http_filters_size(), 1);
  EXPECT_TRUE(bootstrap.static_resources().clusters(0).has_http2_protocol_options());
}

}  // namespace
}  // namespace pillion::config
