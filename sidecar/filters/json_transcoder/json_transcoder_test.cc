#include "sidecar/filters/json_transcoder/json_transcoder.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "google/api/annotations.pb.h"
#include "google/rpc/status.pb.h"
#include "pillion/testing/v1/library.pb.h"
#include "sidecar/base/random.h"
#include "sidecar/config/transcoding/library_set.h"
#include "sidecar/config/transcoding/transcoding.h"
#include "sidecar/filter/base64.h"
#include "sidecar/filter/filter_drive.h"
#include "sidecar/filter/grpc_frames.h"

namespace pillion::filters {
namespace {

using filter::FilterDrive;
using filter::Passage;
using pillion::testing::v1::Book;
using pillion::testing::v1::BookRequest;
using pillion::testing::v1::Echo;

std::string Frame(const std::string& message, uint8_t flags = 0) {
  return filter::FrameHeadText(flags, message.size()) + message;
}

template <typename M>
std::string Text(const M& message) {
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  std::string text;
  printer.PrintToString(message, &text);
  if (!text.empty()) text.pop_back();
  return text;
}

template <typename M>
M FromText(const std::string& text) {
  M message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

// The messages of framed bytes, as text, one a line.
template <typename M>
std::string Messages(const std::string& bytes) {
  SliceQueue in;
  in.AppendCopy(bytes);
  std::string lines;
  while (!in.empty()) {
    const auto frame = filter::PeekFrameHead(in);
    if (!frame || in.bytes() < filter::kFrameHeadBytes + frame->bytes) return lines + "cut off";
    in.Consume(filter::kFrameHeadBytes);
    std::string message(frame->bytes, '\0');
    in.CopyTo(message.data(), message.size());
    in.Consume(message.size());
    M parsed;
    EXPECT_TRUE(parsed.ParseFromString(message));
    if (!lines.empty()) lines += '\n';
    lines += Text(parsed);
  }
  return lines;
}

class TranscoderTest : public ::testing::Test {
 protected:
  using Library = std::shared_ptr<const config::Transcoding>;
  Library Build(const config::TranscodingOptions& options) {
    config::TranscodingErrors errors;
    auto library = config::Transcoding::Build(set_.SerializeAsString(), {testing::kLibrary}, options, errors);
    EXPECT_NE(library, nullptr);
    return library;
  }
  FilterDrive Drive(const std::string& method, const std::string& path, const Library& library) {
    FilterDrive drive(filter_, config::FilterKind::kJsonTranscoder, library);
    drive.head.method_text = method;
    drive.head.method = http::ParseMethod(method);
    drive.head.path = path;
    return drive;
  }
  FilterDrive Drive(const std::string& method, const std::string& path,
                    const config::TranscodingOptions& options = {}) {
    return Drive(method, path, Build(options));
  }
  // What the server gets of one request, at all sizes of pieces.
  std::string Sent(const std::string& method, const std::string& path, const std::string& body = "",
                   const config::TranscodingOptions& options = {}) {
    std::string first;
    const Library library = Build(options);
    for (const size_t piece : filter::kPieceSizes) {
      FilterDrive drive = Drive(method, path, library);
      drive.Request(body, piece);
      std::string got = drive.passage == Passage::kAnswered
                            ? std::to_string(drive.local_response.status) + " " + drive.local_body
                        : drive.state.chain == nullptr ? "untouched"
                                                       : Messages<BookRequest>(drive.sent);
      if (piece == 1) first = got;
      EXPECT_EQ(got, first) << path << " in pieces of " << piece;
      if (drive.state.chain != nullptr && drive.passage != Passage::kAnswered) {
        EXPECT_TRUE(drive.rematched);
        EXPECT_EQ(drive.head.method_text, "POST");
        EXPECT_EQ(drive.head.method, http::Method::kPost);
        EXPECT_TRUE(drive.head.path.starts_with("/pillion.testing.v1.Library/")) << drive.head.path;
        EXPECT_EQ(drive.head.path.find('?'), std::string::npos) << drive.head.path;
        EXPECT_EQ(drive.RequestField("content-type"), "application/grpc");
        EXPECT_EQ(drive.RequestField("te"), "trailers");
        path_ = drive.head.path;
      }
    }
    return first;
  }
  google::protobuf::FileDescriptorSet set_ = testing::LibrarySet();
  JsonTranscoder filter_;
  std::string path_;
};

TEST_F(TranscoderTest, PathQueryAndContentBecomeOneMessage) {
  struct Case {
    std::string method;
    std::string path;
    std::string body;
    std::string message;
  };
  const Case cases[] = {
      {"GET", "/v1/shelves/1/books/2", "", R"(name: "shelves/1/books/2")"},
      {"GET", "/v1/books/7?page=3", "", R"(id: "7" page: 3)"},
      {"GET", "/v1/books/7?copies=1&copies=2&tags=a&tags=b%20c", "",
       R"(id: "7" copies: 1 copies: 2 tags: "a" tags: "b c")"},
      {"GET", "/v1/books/7?book.title=T&book.author.name=N&book.pages=99", "",
       R"(id: "7" book { title: "T" pages: 99 author { name: "N" } })"},
      {"GET", "/v1/books/7?book.inPrint=true&book.binding=HARDCOVER&book.price=1.5&book.cover=aGk%3D", "",
       R"(id: "7" book { binding: HARDCOVER cover: "hi" in_print: true price: 1.5 })"},
      {"GET", "/v1/books/7?book.rating=5&book.author.born=1970-01-01T00:00:07Z", "",
       R"(id: "7" book { author { born { seconds: 7 } } rating { value: 5 } })"},
      // Of one field said twice, the last counts.
      {"GET", "/v1/books/7?page=1&page=2", "", R"(id: "7" page: 2)"},
      {"GET", "/v1/books/7?&p%61ge=3&&", "", R"(id: "7" page: 3)"},
      {"GET", "/v1/books/7?book.title&tags=", "", R"(id: "7" book { } tags: "")"},
      {"GET", "/v1/books/7?book.title=a%26b%3Dc%2Fd%2Be", "", R"(id: "7" book { title: "a&b=c/d+e" })"},
      // The path has the last word over the query.
      {"GET", "/v1/books/7?id=8", "", R"(id: "7")"},
      {"GET", "/v1/books/7?", "", R"(id: "7")"},
      {"GET", "/v1/books/%22quoted%22%0a", "", R"(id: "\"quoted\"\n")"},
      {"GET", "/v1/books/%01%1f%20", "", R"(id: "\001\037 ")"},
      {"GET", "/v1/books/7", "ignored", R"(id: "7")"},
      {"POST", "/v1/shelves/1/books", R"({"title":"T","pages":"12","tags":["x"],"stock":{"a":1}})",
       R"(name: "shelves/1" book { title: "T" pages: 12 tags: "x" stock { key: "a" value: 1 } })"},
      {"POST", "/v1/shelves/1/books", R"({"title":"T","unknown":[1,{}]})",
       R"(name: "shelves/1" book { title: "T" })"},
      {"POST", "/v1/shelves/1:publish", R"({"id":"9","book":{"title":"T","unknown":[1,{}]}})",
       R"(name: "shelves/1" id: "9" book { title: "T" })"},
      {"POST", "/v1/shelves/1:publish", "", R"(name: "shelves/1")"},
      // The content has the last word over both; of repeated fields it adds to them.
      {"POST", "/v1/shelves/1:publish?id=7&tags=a", R"({"name":"N","id":"9","tags":["b"]})",
       R"(name: "N" id: "9" tags: "a" tags: "b")"},
      {"PUT", "/v1/books/7/tags", R"( ["a", "b]"] )", R"(id: "7" tags: "a" tags: "b]")"},
      {"DELETE", "/v1/books/7", "", R"(id: "7")"},
      {"LOCK", "/v1/books/7", "", R"(id: "7")"},
  };
  for (const Case& one : cases) EXPECT_EQ(Sent(one.method, one.path, one.body), one.message) << one.path;
  EXPECT_EQ(path_, "/pillion.testing.v1.Library/Lock");
}

// Around the sizes at which a length takes one more byte.
TEST_F(TranscoderTest, LongFieldsOfTheContentAreWhole) {
  for (const size_t size : {1, 124, 125, 126, 127, 300, 16380, 16381, 16390}) {
    const std::string title(size, 'x');
    EXPECT_EQ(Sent("POST", "/v1/shelves/1/books", R"({"title":")" + title + "\"}"),
              R"(name: "shelves/1" book { title: ")" + title + "\" }");
  }
}

TEST_F(TranscoderTest, StreamsOfMessagesMayBeAnArrayOrLines) {
  const std::string two = "id: \"9\" page: 1\npage: 2";
  EXPECT_EQ(Sent("POST", "/v1/upload/9", R"([{"page":1},{"page":2}])"), two);
  EXPECT_EQ(Sent("POST", "/v1/upload/9", "{\"page\":1}\n{\"page\":2}\n"), two);
  EXPECT_EQ(Sent("POST", "/v1/upload/9", ""), "id: \"9\"");
  EXPECT_EQ(Sent("POST", "/v1/chat", "[]"), "");
  EXPECT_EQ(path_, "/pillion.testing.v1.Library/Chat");
}

TEST_F(TranscoderTest, WhatDoesNotFitIsRefused) {
  const std::string bad = R"(400 {"code":3,"message":")";
  for (const auto& [method, path, body] : std::vector<std::array<std::string, 3>>{
           {"GET", "/v1/books/7?page=x", ""},
           {"GET", "/v1/books/7?page=99999999999", ""},
           {"GET", "/v1/books/7?book.binding=SPIRAL", ""},
           {"GET", "/v1/books/7?book.author.born=yesterday", ""},
           {"GET", "/v1/books/%ff", ""},
           {"POST", "/v1/shelves/1/books", ""},
           {"POST", "/v1/shelves/1/books", "{"},
           {"POST", "/v1/shelves/1/books", "[]"},
           {"POST", "/v1/shelves/1/books", R"({"pages":"x"})"},
           {"POST", "/v1/shelves/1/books", R"({"title":"a"} {"title":"b"})"},
           {"PUT", "/v1/books/7/tags", R"(["a"], "name": "other")"},
           {"PUT", "/v1/books/7/tags", ""},
           {"POST", "/v1/upload/9", R"([{"page":1},{"page":"x"}])"},
           {"POST", "/v1/upload/9", R"([{"page":1})"},
           {"POST", "/v1/chat", "nonsense!"},
       }) {
    const std::string answer = Sent(method, path, body);
    EXPECT_TRUE(answer.starts_with(bad)) << path << ' ' << body << ": " << answer;
  }
}

TEST_F(TranscoderTest, CaseOfEnumsAndUnknownParametersAreAMatterOfOptions) {
  const std::string unknown = "/v1/books/7?nothing=1&page=3";
  EXPECT_EQ(Sent("GET", unknown), "untouched");
  config::TranscodingOptions options;
  options.ignore_unknown_parameters = true;
  EXPECT_EQ(Sent("GET", unknown, "", options), R"(id: "7" page: 3)");
  options = {};
  options.ignored_parameters = {"nothing"};
  EXPECT_EQ(Sent("GET", unknown, "", options), R"(id: "7" page: 3)");
  options = {};
  options.reject_unknown_parameters = true;
  EXPECT_EQ(Sent("GET", unknown, "", options), R"(400 {"code":3,"message":"no field has the name nothing"})");
  EXPECT_EQ(Sent("GET", "/nowhere", "", options), "untouched");
  options.reject_unknown_method = true;
  EXPECT_EQ(Sent("GET", "/nowhere", "", options), R"(404 {"code":5,"message":"no method has this path"})");
  options = {};
  options.case_insensitive_enums = true;
  options.plus_is_space = true;
  EXPECT_EQ(Sent("GET", "/v1/books/7?book.binding=hardcover&book.title=a+b", "", options),
            R"(id: "7" book { title: "a b" binding: HARDCOVER })");
  EXPECT_EQ(Sent("GET", "/v1/books/7?book.title=a+b"), R"(id: "7" book { title: "a+b" })");
}

TEST_F(TranscoderTest, WhatIsGrpcPasses) {
  FilterDrive drive = Drive("POST", "/v1/books/7");
  drive.head.method_text = "GET";
  drive.head.headers.Add("content-type", "application/grpc");
  drive.Request("x", 0);
  EXPECT_EQ(drive.state.chain, nullptr);
}

TEST_F(TranscoderTest, TheRouteMayBeKept) {
  config::TranscodingOptions options;
  options.keep_route = true;
  FilterDrive drive = Drive("GET", "/v1/books/7", options);
  drive.Request("", 0);
  EXPECT_FALSE(drive.rematched);
  EXPECT_EQ(drive.head.content.kind, http::ContentLength::Kind::kSized);
  EXPECT_EQ(drive.head.content.bytes, drive.sent.size());
  FilterDrive stream = Drive("POST", "/v1/chat", options);
  stream.head.content = {http::ContentLength::Kind::kSized, 2};
  stream.request_trailers.Add("x-more", "1");
  stream.Request("[]", 0);
  EXPECT_FALSE(stream.rematched);
  EXPECT_EQ(stream.head.content.kind, http::ContentLength::Kind::kUnsized);
  EXPECT_TRUE(stream.request_trailers.empty());
}

TEST_F(TranscoderTest, MoreThanMayBeHeldIsTooLarge) {
  config::TranscodingOptions options;
  options.max_request_bytes = 1000;
  options.max_response_bytes = 1000;
  for (const size_t piece : {size_t{0}, size_t{7}}) {
    FilterDrive drive = Drive("POST", "/v1/shelves/1/books", options);
    drive.Request("{\"title\":\"" + std::string(200000, 'x') + "\"}", piece);
    EXPECT_EQ(drive.passage, Passage::kTooLarge);
  }
  EXPECT_EQ(Sent("POST", "/v1/chat", "[{\"id\":\"" + std::string(2000, 'x') + "\"}]", options),
            R"(413 {"code":3,"message":"a message is too large"})");
  FilterDrive drive = Drive("GET", "/v1/books", options);
  drive.Request("", 0);
  drive.Response(200, {{"content-type", "application/grpc"}}, Frame(std::string(1001, '\0')), 0,
                 {{"grpc-status", "0"}});
  EXPECT_EQ(drive.passage, Passage::kBroken);
}

// To the byte.
TEST_F(TranscoderTest, AsMuchAsMayBeHeldIsNotTooLarge) {
  config::TranscodingOptions options;
  options.max_request_bytes = options.max_response_bytes = 1000;
  const Library library = Build(options);
  for (const size_t size : {size_t{1000}, size_t{1001}}) {
    const bool fits = size == 1000;
    const std::string json = R"({"id":")" + std::string(size - 9, 'x') + "\"}";
    const std::string message =
        FromText<Book>("title: '" + std::string(size - 3, 'x') + "'").SerializeAsString();
    ASSERT_EQ(json.size(), size);
    ASSERT_EQ(message.size(), size);
    for (const size_t piece : filter::kPieceSizes) {
      FilterDrive unary = Drive("POST", "/v1/shelves/1/books", library);
      unary.Request(json, piece);
      EXPECT_EQ(unary.passage, fits ? Passage::kFlows : Passage::kTooLarge) << size;
      FilterDrive stream = Drive("POST", "/v1/chat", library);
      stream.Request(json + json, piece);
      EXPECT_EQ(stream.passage, fits ? Passage::kFlows : Passage::kAnswered) << size;
      for (const char* path : {"/v1/books/7", "/v1/books"}) {
        FilterDrive drive = Drive("GET", path, library);
        drive.Request("", 0);
        drive.Response(200, {{"content-type", "application/grpc"}}, Frame(message), piece,
                       {{"grpc-status", "0"}});
        EXPECT_EQ(drive.passage == Passage::kFlows, fits) << path << size;
      }
    }
  }
}

TEST_F(TranscoderTest, AMessageUnderWayIsKnownToBeHeld) {
  FilterDrive drive = Drive("POST", "/v1/chat");
  drive.Request("[{\"id\":\"" + std::string(100'000, 'x') + "\"}]", 1000);
  EXPECT_EQ(drive.passage, Passage::kFlows);
  EXPECT_GE(drive.most_held, 99'000u);
}

TEST_F(TranscoderTest, ManySmallMessagesAreTheWorkOfManyTurns) {
  constexpr size_t kMessages = 5000;
  std::string body = "[{}";
  std::string frames = Frame("");
  for (size_t i = 1; i < kMessages; ++i) {
    body += ",{}";
    frames += Frame("");
  }
  for (const size_t piece : {size_t{0}, size_t{1000}}) {
    FilterDrive drive = Drive("POST", "/v1/chat");
    drive.Request(body + "]", piece);
    EXPECT_EQ(drive.sent, frames) << piece;
    EXPECT_LE(drive.most_out, 1000u) << piece;
    EXPECT_TRUE(drive.state.chain->yielded());
    drive.Response(200, {{"content-type", "application/grpc"}}, frames, piece, {{"grpc-status", "0"}});
    EXPECT_EQ(drive.received, body + "]") << piece;
    EXPECT_LE(drive.most_out, 1000u) << piece;
  }
}

struct Answer {
  uint16_t status;
  std::string type;
  std::string body;
};

class TranscodedAnswerTest : public TranscoderTest {
 protected:
  // At all sizes of pieces.
  Answer Get(const std::string& path, const std::string& frames, const std::vector<filter::Field>& trailers,
             const std::string& accept = "", const config::TranscodingOptions& options = {},
             uint16_t local = 0) {
    std::optional<Answer> first;
    const Library library = Build(options);
    for (const size_t piece : filter::kPieceSizes) {
      FilterDrive drive =
          Drive(path.starts_with("PATCH ") ? "PATCH" : "GET", path.substr(path.find('/')), library);
      if (!accept.empty()) drive.head.headers.Add("accept", accept);
      drive.Request(path.starts_with("PATCH ") ? "{}" : "", 0);
      drive.Response(200, {{"content-type", "application/grpc"}}, frames, piece, trailers, local);
      EXPECT_TRUE(drive.trailers.empty() || drive.passage != Passage::kFlows);
      Answer got{drive.response.status, drive.ResponseField("content-type"), drive.received};
      if (drive.passage != Passage::kFlows) got.body = "BROKEN";
      if (!first) first = got;
      EXPECT_EQ(got.body, first->body) << piece;
      EXPECT_EQ(got.status, first->status);
    }
    return *first;
  }
};

const std::vector<filter::Field> kOk = {{"grpc-status", "0"}};

TEST_F(TranscodedAnswerTest, AMessageBecomesJson) {
  const auto echo = FromText<Echo>(
      R"(method: "Get" request { id: "7" book { pages: 5 in_print: true binding: PAPERBACK } })");
  Answer got = Get("/v1/books/7", Frame(echo.SerializeAsString()), kOk);
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.type, "application/json");
  EXPECT_EQ(
      got.body,
      R"({"request":{"id":"7","book":{"pages":"5","binding":"PAPERBACK","inPrint":true}},"method":"Get"})");
  EXPECT_EQ(Get("/v1/books/7", Frame(""), kOk).body, "{}");
  config::TranscodingOptions options;
  options.print_enums_as_ints = true;
  options.preserve_field_names = true;
  options.print_defaults = true;
  got = Get("/v1/books/7", Frame(echo.SerializeAsString()), kOk, "", options);
  EXPECT_NE(got.body.find(R"("in_print":true)"), std::string::npos) << got.body;
  EXPECT_NE(got.body.find(R"("binding":1)"), std::string::npos) << got.body;
  EXPECT_NE(got.body.find(R"("page":0)"), std::string::npos) << got.body;
}

// On the wire the parts of a message may come in any order, and a message in pieces.
TEST_F(TranscodedAnswerTest, AFieldInPiecesIsPrintedOnce) {
  const auto piece = [](const char* text) { return FromText<Echo>(text).SerializeAsString(); };
  const std::string pieces = piece(R"(request { id: "7" book { tags: "a" tags: "b" } })") +
                             piece(R"(method: "Get")") + piece(R"(request { page: 3 book { tags: "c" } })") +
                             piece(R"(method: "Last")");
  EXPECT_EQ(Get("/v1/books/7", Frame(pieces), kOk).body,
            R"({"request":{"id":"7","book":{"tags":["a","b","c"]},"page":3},"method":"Last"})");
}

// As objects they would be many times as large as the bytes that they come in.
TEST_F(TranscodedAnswerTest, AMessageInVeryManyPiecesIsOneMessage) {
  std::string pieces;
  for (int i = 0; i < 200'000; ++i) pieces += std::string("\x0a\x00", 2);  // the request, again and again
  EXPECT_EQ(Get("/v1/books/7", Frame(pieces), kOk).body, R"({"request":{}})");
}

// With its defaults printed an answer is built as a whole, and each field of each message counts.
TEST_F(TranscodedAnswerTest, DefaultsOfVeryManyMessagesAreRefused) {
  config::TranscodingOptions options;
  const auto status = [&](int editors) {
    std::string book;
    for (int i = 0; i < editors; ++i) book += std::string("\x6a\x00", 2);
    return Get("/v1/books/7/editors", Frame(book), kOk, "", options).status;
  };
  EXPECT_EQ(status(126'000), 200);
  options.print_defaults = true;
  EXPECT_EQ(status(1'000), 200);
  EXPECT_EQ(status(126'000), 500);
}

TEST_F(TranscodedAnswerTest, AValueThatIsNoneIsNull) {
  EXPECT_EQ(Get("/v1/books/7/remark", Frame(""), kOk).body, "null");
}

// Other writers than protobuf's own leave out what has its default value there.
TEST_F(TranscodedAnswerTest, AnEntryOfAMapMayLeaveOutItsValue) {
  const std::string entry("\x0a\x0a\x1a\x08\x5a\x06\x0a\x04\x61\x62\x63\x64",
                          12);  // request.book.stock["abcd"]
  EXPECT_EQ(Get("/v1/books/7", Frame(entry), kOk).body, R"({"request":{"book":{"stock":{"abcd":0}}}})");
}

TEST_F(TranscodedAnswerTest, WhitespaceIsAMatterOfOptions) {
  config::TranscodingOptions options;
  options.add_whitespace = true;
  EXPECT_EQ(
      Get("/v1/books/7", Frame(FromText<Echo>("method: 'x'").SerializeAsString()), kOk, "", options).body,
      "{\n \"method\": \"x\"\n}\n");
}

// What the server said of its bytes does not hold for the JSON.
TEST_F(TranscodedAnswerTest, HeadsAreThoseOfTheJson) {
  using Kind = http::ContentLength::Kind;
  for (const bool stream : {false, true}) {
    FilterDrive drive = Drive("GET", stream ? "/v1/books" : "/v1/books/7");
    drive.Request("", 0);
    drive.response.status = 200;
    drive.response.headers.Add("content-type", "application/grpc");
    drive.response.headers.Add("grpc-encoding", "gzip");
    drive.response.headers.Add("grpc-accept-encoding", "gzip");
    drive.response.content = {Kind::kSized, 5};
    drive.response.declared_length = 5;
    drive.trailers.Add("grpc-status", "0");
    drive.Respond(Frame(""), 0, 0);
    EXPECT_EQ(drive.received, stream ? "[{}]" : "{}");
    EXPECT_EQ(drive.response.content.kind, stream ? Kind::kUnsized : Kind::kSized);
    EXPECT_EQ(drive.response.content.bytes, stream ? 0u : 2u);
    EXPECT_EQ(drive.response.declared_length, stream ? std::nullopt : std::optional<uint64_t>(2));
    EXPECT_EQ(drive.ResponseField("grpc-encoding"), "(none)");
    EXPECT_EQ(drive.ResponseField("grpc-accept-encoding"), "(none)");
    EXPECT_EQ(drive.ResponseField("grpc-status"), stream ? "(none)" : "0");
  }
}

TEST_F(TranscodedAnswerTest, ErrorsStandInTheHeadToo) {
  FilterDrive drive = Drive("GET", "/v1/books/7");
  drive.Request("", 0);
  drive.Response(
      200, {{"content-type", "application/grpc"}}, "", 0,
      {{"grpc-status", "9"}, {"grpc-message", "no %C3%A9%0A"}, {"grpc-status-details-bin", "CAk"}});
  EXPECT_EQ(drive.ResponseField("grpc-status"), "9");
  EXPECT_EQ(drive.ResponseField("grpc-message"), "no %C3%A9%0A");
  EXPECT_EQ(drive.ResponseField("grpc-status-details-bin"), "(none)");
  // Of an answer of trailers alone they stand there already.
  drive.Response(
      200, {{"content-type", "application/grpc"}, {"grpc-status", "9"}, {"grpc-status-details-bin", "CAk"}},
      "", 0);
  EXPECT_EQ(drive.ResponseField("grpc-status-details-bin"), "(none)");
}

TEST_F(TranscodedAnswerTest, JsonMayNotGrowWithoutEnd) {
  config::TranscodingOptions options;
  options.print_defaults = true;
  options.max_response_bytes = 1000;
  Book book;
  for (int i = 0; i < 300; ++i) *book.add_tags() = "\x01";  // six characters each, and their quotes
  EXPECT_EQ(Get("/v1/books/7/tags", Frame(book.SerializeAsString()), kOk, "", options).status, 200);
  Echo echo;
  Book* deep = echo.mutable_request()->mutable_book();
  for (int i = 0; i < 25; ++i) deep = deep->mutable_sequel();
  options.max_response_bytes = 100;
  const Answer got = Get("/v1/books/7", Frame(echo.SerializeAsString()), kOk, "", options);
  EXPECT_EQ(got.status, 500) << got.body;
}

TEST_F(TranscodedAnswerTest, OneFieldOfIt) {
  const auto book = FromText<Book>(R"(title: "a \"b\"" pages: 3 tags: "x" tags: "y" author { name: "N" })");
  const std::string frame = Frame(book.SerializeAsString());
  EXPECT_EQ(Get("PATCH /v1/books/7", frame, kOk).body, R"("a \"b\"")");
  EXPECT_EQ(Get("/v1/books/7/tags", frame, kOk).body, R"(["x","y"])");
  EXPECT_EQ(Get("/v1/books/7/author", frame, kOk).body, R"({"name":"N"})");
  EXPECT_EQ(Get("PATCH /v1/books/7", Frame(""), kOk).body, "\"\"");
  EXPECT_EQ(Get("/v1/books/7/tags", Frame(""), kOk).body, "[]");
  EXPECT_EQ(Get("/v1/books/7/author", Frame(""), kOk).body, "{}");
}

TEST_F(TranscodedAnswerTest, AFieldThatIsNotSetHasItsDefault) {
  auto& file = *set_.mutable_file(set_.file_size() - 1);
  auto& rule =
      *file.mutable_service(0)->mutable_method(4)->mutable_options()->MutableExtension(google::api::http);
  ASSERT_EQ(file.service(0).method(4).name(), "Tags");
  config::TranscodingOptions ints;
  ints.print_enums_as_ints = true;
  for (const auto& [field, json] :
       std::vector<std::pair<std::string, std::string>>{{"title", "\"\""},
                                                        {"cover", "\"\""},
                                                        {"pages", "\"0\""},
                                                        {"in_print", "false"},
                                                        {"price", "0"},
                                                        {"tags", "[]"},
                                                        {"stock", "{}"},
                                                        {"author", "{}"},
                                                        {"rating", "0"},
                                                        {"binding", "\"BINDING_UNSPECIFIED\""}}) {
    rule.set_response_body(field);
    EXPECT_EQ(Get("/v1/books/7/tags", Frame(""), kOk).body, json) << field;
    EXPECT_EQ(Get("/v1/books/7/tags", Frame(""), kOk, "", ints).body, field == "binding" ? "0" : json)
        << field;
  }
}

TEST_F(TranscodedAnswerTest, ErrorsHaveTheirHttpStatus) {
  config::TranscodingOptions options;
  options.convert_status = true;
  const std::vector<filter::Field> error = {{"grpc-status", "5"}, {"grpc-message", "no %22such%22 thing"}};
  Answer got = Get("/v1/books/7", "", error, "", options);
  EXPECT_EQ(got.status, 404);
  EXPECT_EQ(got.type, "application/json");
  EXPECT_EQ(got.body, R"({"code":5,"message":"no \"such\" thing"})");
  got = Get("/v1/books/7", "", error);
  EXPECT_EQ(got.status, 404);
  EXPECT_EQ(got.type, "(none)");
  EXPECT_EQ(got.body, "");
  EXPECT_EQ(
      Get("/v1/books/7", "", {{"grpc-status", "2"}, {"grpc-message", "a%ff%c3%a9%ed%a0%80"}}, "", options)
          .body,
      "{\"code\":2,\"message\":\"a\uFFFD\xc3\xa9\uFFFD\uFFFD\uFFFD\"}");
  // What is no UTF-8 (`?` here), each byte of it: overlong, surrogates, too high, cut off.
  for (const auto& [sent, told] :
       std::vector<std::pair<std::string, std::string>>{{"%c1%bf", "??"},
                                                        {"%c2%80", "\\u0080"},
                                                        {"%e0%9f%bf", "???"},
                                                        {"%e0%a0%80", "\xe0\xa0\x80"},
                                                        {"%ed%9f%bf", "\xed\x9f\xbf"},
                                                        {"%ed%a0%80", "???"},
                                                        {"%ee%80%80", "\xee\x80\x80"},
                                                        {"%f0%8f%bf%bf", "????"},
                                                        {"%f0%90%80%80", "\xf0\x90\x80\x80"},
                                                        {"%f4%8f%bf%bf", "\xf4\x8f\xbf\xbf"},
                                                        {"%f4%90%80%80", "????"},
                                                        {"%f5%80%80%80", "????"},
                                                        {"%e2%82", "??"},
                                                        {"%e2%82a", "??a"},
                                                        {"%80", "?"}}) {
    std::string text;
    for (const char c : told) text += c == '?' ? "\uFFFD" : std::string(1, c);
    EXPECT_EQ(Get("/v1/books/7", "", {{"grpc-status", "2"}, {"grpc-message", sent}}, "", options).body,
              R"({"code":2,"message":")" + text + "\"}")
        << sent;
  }
  // Without a status, or with something else than one message.
  EXPECT_EQ(Get("/v1/books/7", Frame(""), {}, "", options).status, 500);
  EXPECT_EQ(Get("/v1/books/7", Frame("") + Frame(""), kOk, "", options).status, 500);
  EXPECT_EQ(Get("/v1/books/7", Frame("").substr(0, 3), kOk, "", options).status, 500);
  EXPECT_EQ(Get("/v1/books/7", Frame("", 1), kOk, "", options).status, 500);
  // An answer made here keeps the status that it has without gRPC.
  got = Get("/v1/books/7", "", {{"grpc-status", "8"}}, "", options, 413);
  EXPECT_EQ(got.status, 413);
}

TEST_F(TranscodedAnswerTest, DetailsAreShownWhereTheirTypesAreKnown) {
  config::TranscodingOptions options;
  options.convert_status = true;
  google::rpc::Status status;
  status.set_code(9);
  status.set_message("told");
  status.add_details()->PackFrom(FromText<Book>(R"(title: "T")"));
  const auto details = [](const google::rpc::Status& of) {
    filter::Base64Encoder encoder;
    std::string text;
    encoder.Feed(of.SerializeAsString(), text);
    encoder.Flush(text);
    while (text.ends_with('=')) text.pop_back();
    return text;
  };
  const auto get = [&](const std::string& bin) {
    return Get("/v1/books/7", "",
               {{"grpc-status", "9"}, {"grpc-message", "plain"}, {"grpc-status-details-bin", bin}}, "",
               options);
  };
  EXPECT_EQ(
      get(details(status)).body,
      R"({"code":9,"message":"told","details":[{"@type":"type.googleapis.com/pillion.testing.v1.Book","title":"T"}]})");
  EXPECT_EQ(get(details(status)).status, 400);
  google::rpc::Status pieces = status;
  pieces.mutable_details(0)->set_value(FromText<Book>(R"(tags: "a" pages: 1)").SerializeAsString() +
                                       FromText<Book>(R"(tags: "b")").SerializeAsString());
  EXPECT_NE(get(details(pieces)).body.find(R"("tags":["a","b"])"), std::string::npos)
      << get(details(pieces)).body;
  // Each length modulo 3 is padded otherwise.
  for (const char* text : {"t", "to", "tol"}) {
    google::rpc::Status bare;
    bare.set_code(9);
    bare.set_message(text);
    EXPECT_EQ(get(details(bare)).body, R"({"code":9,"message":")" + std::string(text) + "\"}");
  }
  google::rpc::Status other = status;
  other.set_code(10);  // not what it is said to be about
  EXPECT_EQ(get(details(other)).body, R"({"code":9,"message":"plain"})");
  status.mutable_details(0)->set_type_url("type.googleapis.com/no.Such");
  EXPECT_EQ(get(details(status)).body, R"({"code":9,"message":"plain"})");
  EXPECT_EQ(get("!!!").body, R"({"code":9,"message":"plain"})");
}

TEST_F(TranscodedAnswerTest, StreamsAreArraysLinesOrEvents) {
  const std::string one = Frame(FromText<Book>(R"(title: "a")").SerializeAsString());
  const std::string two = Frame(FromText<Book>(R"(title: "b\nc")").SerializeAsString());
  Answer got = Get("/v1/books", one + two, kOk);
  EXPECT_EQ(got.type, "application/json");
  EXPECT_EQ(got.body, R"([{"title":"a"},{"title":"b\nc"}])");
  EXPECT_EQ(Get("/v1/books", "", kOk).body, "[]");
  config::TranscodingOptions lines;
  lines.newline_delimited = true;
  lines.add_whitespace = true;  // not within lines
  got = Get("/v1/books", one + two, kOk, "", lines);
  EXPECT_EQ(got.type, "application/x-ndjson");
  EXPECT_EQ(got.body, "{\"title\":\"a\"}\n{\"title\":\"b\\nc\"}\n");
  got = Get("/v1/books", one, kOk, "text/html, application/x-ndjson;q=0.5");
  EXPECT_EQ(got.body, "{\"title\":\"a\"}\n");
  EXPECT_EQ(Get("/v1/books", one, kOk, "application/X-NDJSON, text/html").body, "{\"title\":\"a\"}\n");
  EXPECT_EQ(Get("/v1/books", one, kOk, "text/event-stream", lines).body, "data: {\"title\":\"a\"}\n\n");
  got = Get("/v1/books", one + two, kOk, "text/event-stream");
  EXPECT_EQ(got.type, "text/event-stream");
  EXPECT_EQ(got.body, "data: {\"title\":\"a\"}\n\ndata: {\"title\":\"b\\nc\"}\n\n");
}

TEST_F(TranscodedAnswerTest, ErrorsInTheMiddleOfAStreamAreToldInIt) {
  const std::string one = Frame(FromText<Book>(R"(title: "a")").SerializeAsString());
  const std::vector<filter::Field> error = {{"grpc-status", "14"}, {"grpc-message", "gone"}};
  const std::string status = R"({"code":14,"message":"gone"})";
  EXPECT_EQ(Get("/v1/books", one, error).body, R"([{"title":"a"},{"error":)" + status + "}]");
  EXPECT_EQ(Get("/v1/books", one, error, "application/x-ndjson").body,
            "{\"title\":\"a\"}\n{\"error\":" + status + "}\n");
  EXPECT_EQ(Get("/v1/books", one, error, "text/event-stream").body,
            "data: {\"title\":\"a\"}\n\nevent: error\ndata: " + status + "\n\n");
  EXPECT_TRUE(Get("/v1/books", one + one.substr(0, 4), kOk).body == "BROKEN");
  EXPECT_TRUE(Get("/v1/books", Frame("x", 1), kOk).body == "BROKEN");
}

TEST_F(TranscodedAnswerTest, AStreamThatNeverBeganHasTheStatusOfItsError) {
  FilterDrive drive = Drive("GET", "/v1/books");
  drive.Request("", 0);
  drive.Response(200, {{"content-type", "application/grpc"}, {"grpc-status", "7"}}, "", 0);
  EXPECT_EQ(drive.response.status, 403);
}

TEST_F(TranscodedAnswerTest, AStreamWithAStatusInItsHeadHasNoMessages) {
  const std::vector<filter::Field> ok = {{"content-type", "application/grpc"}, {"grpc-status", "0"}};
  for (const auto& [accept, type, body] :
       std::vector<std::array<std::string, 3>>{{"text/html", "application/json", "[]"},
                                               {"application/x-ndjson", "application/x-ndjson", ""},
                                               {"text/event-stream", "text/event-stream", ""}}) {
    FilterDrive drive = Drive("GET", "/v1/books");
    drive.head.headers.Add("accept", accept);
    drive.Request("", 0);
    drive.Response(200, ok, "", 0);
    EXPECT_EQ(drive.response.status, 200);
    EXPECT_EQ(drive.ResponseField("content-type"), type);
    EXPECT_EQ(drive.received, body);
  }
  FilterDrive drive = Drive("GET", "/v1/books");
  drive.Request("", 0);
  drive.Response(200, {{"content-type", "application/grpc"}, {"grpc-status", "7"}}, "", 0, {{"x-more", "1"}});
  EXPECT_EQ(drive.response.status, 403) << "whatever follows";
  drive.Response(200, {{"content-type", "application/grpc"}}, "", 0);
  EXPECT_EQ(drive.response.status, 500) << "over, and no status";
}

TEST_F(TranscodedAnswerTest, AnAnswerThatWasBrokenOffLeavesNothingToTheNext) {
  FilterDrive drive = Drive("GET", "/v1/books");
  drive.Request("", 0);
  EXPECT_EQ(drive.FirstOfAnswer(Frame("")), "[{}");
  drive.Response(200, {{"content-type", "application/grpc"}}, Frame(""), 0, kOk);
  EXPECT_EQ(drive.received, "[{}]");
}

TEST_F(TranscodedAnswerTest, EachAnswerLeavesWhenItIsThere) {
  FilterDrive drive = Drive("GET", "/v1/books");
  drive.head.headers.Add("accept", "text/event-stream");
  drive.Request("", 0);
  EXPECT_EQ(drive.FirstOfAnswer(Frame(FromText<Book>(R"(title: "a")").SerializeAsString())),
            "data: {\"title\":\"a\"}\n\n");
}

TEST_F(TranscodedAnswerTest, WhatIsNotGrpcPasses) {
  FilterDrive drive = Drive("GET", "/v1/books/7");
  drive.Request("", 0);
  drive.Response(502, {{"content-type", "text/html"}}, "<html>", 2);
  EXPECT_EQ(drive.response.status, 502);
  EXPECT_EQ(drive.received, "<html>");
}

// Seeded: noise neither crashes it nor depends on how it is cut.
TEST_F(TranscodedAnswerTest, NothingDependsOnTheFragments) {
  Random random(17);
  const Library library = Build({});
  for (int round = 0; round < 200; ++round) {
    std::string json = round % 2 == 0 ? "[" : "";
    for (uint64_t n = random.Next() % 30; n > 0; --n) {
      const char* const pieces[] = {"{\"page\":1}", ",", "]", "{",  "}", "\"",
                                    "page",         ":", "1", "\n", "[", "\\"};
      json += pieces[random.Next() % 12];
    }
    FilterDrive whole = Drive("POST", "/v1/chat", library);
    whole.Request(json, 0);
    FilterDrive cut = Drive("POST", "/v1/chat", library);
    cut.Request(json, 1 + random.Next() % 5);
    EXPECT_EQ(whole.passage, cut.passage) << json;
    if (whole.passage == Passage::kFlows) EXPECT_EQ(whole.sent, cut.sent);
    std::string frames;
    for (uint64_t n = random.Next() % 4; n > 0; --n) {
      std::string message;
      for (uint64_t b = random.Next() % 6; b > 0; --b) message += static_cast<char>(random.Next());
      frames += Frame(message);
    }
    if (whole.passage == Passage::kAnswered) continue;
    whole.Response(200, {{"content-type", "application/grpc"}}, frames, 0, kOk);
    cut.Response(200, {{"content-type", "application/grpc"}}, frames, 1 + random.Next() % 5, kOk);
    EXPECT_EQ(whole.passage, cut.passage);
    if (whole.passage == Passage::kFlows) EXPECT_EQ(whole.received, cut.received);
  }
}

}  // namespace
}  // namespace pillion::filters
