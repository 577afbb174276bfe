#include "sidecar/filters/grpc_web/grpc_web.h"

#include <gtest/gtest.h>

#include "sidecar/base/random.h"
#include "sidecar/filter/base64.h"
#include "sidecar/filter/filter_drive.h"
#include "sidecar/filter/grpc_frames.h"

namespace pillion::filters {
namespace {

using filter::FilterDrive;
using filter::Passage;

std::string Frame(const std::string& message, uint8_t flags = 0) {
  return filter::FrameHeadText(flags, message.size()) + message;
}

std::string Base64(std::string_view bytes) {
  filter::Base64Encoder encoder;
  std::string text;
  encoder.Feed(bytes, text);
  encoder.Flush(text);
  return text;
}

std::string Plain(std::string_view text) {
  filter::Base64Decoder decoder;
  std::string bytes;
  EXPECT_TRUE(decoder.Feed(text, bytes) && decoder.complete()) << text;
  return bytes;
}

class GrpcWebTest : public ::testing::Test {
 protected:
  FilterDrive Drive(const std::string& type, const std::string& accept = "") {
    FilterDrive drive(filter_, config::FilterKind::kGrpcWeb, config::Present{});
    drive.head.headers.Add("content-type", type);
    drive.head.headers.Add("x-grpc-web", "1");
    if (!accept.empty()) drive.head.headers.Add("accept", accept);
    return drive;
  }
  GrpcWeb filter_;
};

TEST_F(GrpcWebTest, RequestsBecomeGrpc) {
  struct Case {
    std::string type;
    std::string grpc_type;
    std::string body;
  };
  const std::string bytes = Frame("hello") + Frame(std::string("\0\xff", 2));
  const Case cases[] = {
      {"application/grpc-web", "application/grpc", bytes},
      {"application/grpc-web+proto", "application/grpc+proto", bytes},
      {"application/grpc-web+thrift", "application/grpc+thrift", bytes},
      {"application/grpc-web;charset=utf-8", "application/grpc;charset=utf-8", bytes},
      {"application/grpc-web-text", "application/grpc", Base64(bytes)},
      {"Application/gRPC-Web-Text+proto", "application/grpc+proto", Base64(bytes)},
      // Each message padded by itself.
      {"application/grpc-web-text", "application/grpc",
       Base64(bytes.substr(0, 1)) + Base64(bytes.substr(1, 9)) + Base64(bytes.substr(10))},
  };
  for (const Case& one : cases) {
    for (const size_t piece : filter::kPieceSizes) {
      FilterDrive drive = Drive(one.type);
      drive.Request(one.body, piece);
      EXPECT_EQ(drive.passage, Passage::kFlows) << one.type;
      EXPECT_EQ(drive.sent, bytes) << one.type << " in pieces of " << piece;
      EXPECT_EQ(drive.RequestField("content-type"), one.grpc_type);
      EXPECT_EQ(drive.RequestField("te"), "trailers");
      EXPECT_EQ(drive.RequestField("x-grpc-web"), "1");
    }
  }
}

TEST_F(GrpcWebTest, WhatIsNotGrpcWebPasses) {
  for (const char* type : {"application/grpc", "application/json", "application/grpc-webx", "text/plain",
                           "application/grpc-web-textual"}) {
    FilterDrive drive = Drive(type);
    drive.Request("body", 0);
    EXPECT_EQ(drive.state.chain, nullptr) << type;
    EXPECT_EQ(drive.RequestField("content-type"), type);
  }
}

TEST_F(GrpcWebTest, ALengthIsKeptOnlyWhereTheBytesAre) {
  using Kind = http::ContentLength::Kind;
  FilterDrive binary = Drive("application/grpc-web");
  binary.head.content = {Kind::kSized, 10};
  binary.Request(Frame("hello"), 0);
  EXPECT_EQ(binary.head.content.kind, Kind::kSized);
  FilterDrive text = Drive("application/grpc-web-text");
  text.head.content = {Kind::kSized, 16};
  text.Request(Base64(Frame("hello")), 0);
  EXPECT_EQ(text.head.content.kind, Kind::kUnsized);
  FilterDrive none = Drive("application/grpc-web-text");
  none.head.content = {Kind::kNone, 0};
  none.Request("", 0);
  EXPECT_EQ(none.head.content.kind, Kind::kNone);
}

// What was said of the upstream's answer does not hold for what the client gets.
TEST_F(GrpcWebTest, AnAnswerHasNoLengthAndNoReasonOfItsOwn) {
  using Kind = http::ContentLength::Kind;
  struct Case {
    std::string type;
    std::string body;
    std::string grpc_status;  // in the head
    Kind kind;
  };
  for (const Case& one :
       {Case{"application/grpc", Frame("x"), "", Kind::kUnsized},
        Case{"application/grpc", "", "5", Kind::kNone}, Case{"text/html", "<html>", "", Kind::kNone}}) {
    FilterDrive drive = Drive("application/grpc-web");
    drive.Request("", 0);
    drive.response.status = 200;
    drive.response.has_own_reason = true;
    drive.response.headers.Add("content-type", one.type);
    if (!one.grpc_status.empty()) drive.response.headers.Add("grpc-status", one.grpc_status);
    drive.response.content = {Kind::kSized, one.body.size()};
    drive.response.declared_length = one.body.size();
    drive.Respond(one.body, 0, 0);
    EXPECT_EQ(drive.response.content.kind, one.kind) << one.type;
    EXPECT_FALSE(drive.response.declared_length) << one.type;
    EXPECT_EQ(drive.response.has_own_reason, one.type != "text/html");
  }
}

TEST_F(GrpcWebTest, WhatIsNotBase64IsRefused) {
  for (const char* body : {"A", "AAAAA", "AA=A", "A===", "=AAA", "AA\n=", "AAA", "AA-_"}) {
    for (const size_t piece : filter::kPieceSizes) {
      FilterDrive drive = Drive("application/grpc-web-text");
      drive.Request(body, piece);
      EXPECT_EQ(drive.passage, Passage::kBroken) << body;
    }
  }
}

TEST_F(GrpcWebTest, TrailersBecomeTheLastFrame) {
  const std::string end = "grpc-status: 0\r\ngrpc-message: fine\r\nx-more: 1\r\n";
  for (const size_t piece : filter::kPieceSizes) {
    FilterDrive drive = Drive("application/grpc-web+proto");
    drive.Request("", 0);
    drive.Response(200, {{"content-type", "application/grpc"}}, Frame("a") + Frame("bc"), piece,
                   {{"grpc-status", "0"}, {"Grpc-Message", "fine"}, {"x-more", "1"}});
    EXPECT_EQ(drive.received, Frame("a") + Frame("bc") + Frame(end, 0x80)) << piece;
    EXPECT_TRUE(drive.trailers.empty());
    EXPECT_EQ(drive.response.status, 200);
    EXPECT_EQ(drive.ResponseField("content-type"), "application/grpc-web+proto");
  }
}

TEST_F(GrpcWebTest, TextAnswersArePaddedAtTheEndOfEachMessage) {
  for (const size_t piece : filter::kPieceSizes) {
    FilterDrive drive = Drive("application/grpc-web-text");
    drive.Request("", 0);
    drive.Response(200, {{"content-type", "application/grpc+proto"}}, Frame("a") + Frame("") + Frame("defg"),
                   piece, {{"grpc-status", "0"}});
    EXPECT_EQ(drive.received, Base64(Frame("a")) + Base64(Frame("")) + Base64(Frame("defg")) +
                                  Base64(Frame("grpc-status: 0\r\n", 0x80)))
        << piece;
    EXPECT_EQ(drive.ResponseField("content-type"), "application/grpc-web-text+proto");
  }
}

// Each byte of the length counts.
TEST_F(GrpcWebTest, ALongMessageIsNotPaddedBeforeItsEnd) {
  for (const size_t size : {size_t{0x102}, size_t{0x10002}, size_t{0x1000002}}) {
    FilterDrive drive = Drive("application/grpc-web-text");
    drive.Request("", 0);
    const std::string begun = filter::FrameHeadText(0, size) + "abcd";
    EXPECT_EQ(drive.FirstOfAnswer(begun), Base64(begun)) << size;
  }
}

TEST_F(GrpcWebTest, AnAnswerThatWasBrokenOffLeavesNothingToTheNext) {
  for (size_t size = 1; size < Frame("abc").size(); ++size) {
    FilterDrive drive = Drive("application/grpc-web-text");
    drive.Request("", 0);
    drive.FirstOfAnswer(Frame("abc").substr(0, size));
    drive.Response(200, {{"content-type", "application/grpc"}}, Frame("x"), 0, {{"grpc-status", "0"}});
    EXPECT_EQ(drive.received, Base64(Frame("x")) + Base64(Frame("grpc-status: 0\r\n", 0x80))) << size;
  }
}

TEST_F(GrpcWebTest, AMessageLeavesWhenItIsThere) {
  FilterDrive drive = Drive("application/grpc-web-text");
  drive.Request("", 0);
  EXPECT_EQ(drive.FirstOfAnswer(Frame("ab")), Base64(Frame("ab")));
}

TEST_F(GrpcWebTest, TheClientSaysWhichKindItWants) {
  struct Case {
    std::string type;
    std::string accept;
    std::string answer;
  };
  const Case cases[] = {
      {"application/grpc-web", "", "application/grpc-web+proto"},
      {"application/grpc-web", "*/*", "application/grpc-web+proto"},
      {"application/grpc-web", "application/grpc-web-text", "application/grpc-web-text+proto"},
      {"application/grpc-web-text", "", "application/grpc-web-text+proto"},
      {"application/grpc-web-text", "application/grpc-web-text+proto", "application/grpc-web-text+proto"},
      {"application/grpc-web-text", "application/grpc-web+proto", "application/grpc-web+proto"},
      {"application/grpc-web", "application/grpc-web-text, application/grpc-web",
       "application/grpc-web-text+proto"},
      {"application/grpc-web-text", "text/html, application/grpc-web, application/grpc-web-text",
       "application/grpc-web+proto"},
  };
  for (const Case& one : cases) {
    FilterDrive drive = Drive(one.type, one.accept);
    drive.Request("", 0);
    EXPECT_EQ(drive.RequestField("accept"), "(none)");
    drive.Response(200, {{"content-type", "application/grpc"}}, Frame("x"), 0, {{"grpc-status", "0"}});
    EXPECT_EQ(drive.ResponseField("content-type"), one.answer) << one.type << ' ' << one.accept;
  }
}

TEST_F(GrpcWebTest, TheServersKindOfMessageIsTold) {
  for (const auto& [type, answer] : std::vector<std::pair<std::string, std::string>>{
           {"application/grpc+thrift", "application/grpc-web+thrift"},
           {"application/grpc;charset=utf-8", "application/grpc-web+proto;charset=utf-8"}}) {
    FilterDrive drive = Drive("application/grpc-web");
    drive.Request("", 0);
    drive.Response(200, {{"content-type", type}}, Frame("x"), 0, {{"grpc-status", "0"}});
    EXPECT_EQ(drive.ResponseField("content-type"), answer);
  }
}

TEST_F(GrpcWebTest, TrailersBehindAStatusInTheHeadAreAFrame) {
  FilterDrive drive = Drive("application/grpc-web");
  drive.Request("", 0);
  drive.Response(200, {{"content-type", "application/grpc"}, {"grpc-status", "5"}}, "", 0, {{"x-more", "1"}});
  EXPECT_EQ(drive.received, Frame("x-more: 1\r\n", 0x80));
  EXPECT_EQ(drive.ResponseField("grpc-status"), "5");
}

TEST_F(GrpcWebTest, AnswersOfTrailersAloneStayOne) {
  FilterDrive drive = Drive("application/grpc-web-text");
  drive.Request("", 0);
  drive.Response(200, {{"content-type", "application/grpc"}, {"grpc-status", "5"}, {"grpc-message", "no"}},
                 "", 0);
  EXPECT_EQ(drive.received, "");
  EXPECT_EQ(drive.ResponseField("grpc-status"), "5");
  EXPECT_EQ(drive.ResponseField("grpc-message"), "no");
  EXPECT_EQ(drive.ResponseField("content-type"), "application/grpc-web-text+proto");
}

TEST_F(GrpcWebTest, AMessageThatIsCutOffArrivesAsFarAsItWent) {
  for (const std::string& cut : {Frame("abc").substr(0, 4), Frame("abc").substr(0, 6)}) {
    FilterDrive drive = Drive("application/grpc-web-text");
    drive.Request("", 0);
    drive.Response(200, {{"content-type", "application/grpc"}, {"grpc-status", "0"}}, cut, 0);
    EXPECT_EQ(drive.received, Base64(cut));
  }
}

TEST_F(GrpcWebTest, WhatIsNoGrpcAnswerBecomesAStatus) {
  struct Case {
    uint16_t status;
    uint16_t local;
    std::string type;
    std::string code;
    std::string message;
  };
  for (const Case& one : {Case{404, 0, "text/html", "12", "HTTP status 404"},
                          Case{404, 0, "application/grpc", "12", "HTTP status 404"},
                          Case{503, 503, "text/html", "14", "HTTP status 503"},
                          Case{200, 503, "text/html", "14", "HTTP status 503"},
                          Case{200, 0, "text/html", "2", "HTTP status 200"},
                          Case{400, 400, "text/html", "13", "HTTP status 400"}}) {
    FilterDrive drive = Drive("application/grpc-web");
    drive.Request("", 0);
    drive.Response(one.status, {{"content-type", one.type}}, "<html>", 3, {{"x-trailer", "1"}}, one.local);
    EXPECT_EQ(drive.response.status, 200);
    EXPECT_EQ(drive.received, "");
    EXPECT_TRUE(drive.trailers.empty());
    EXPECT_EQ(drive.ResponseField("grpc-status"), one.code) << one.status;
    EXPECT_EQ(drive.ResponseField("grpc-message"), one.message) << one.status;
    EXPECT_EQ(drive.ResponseField("content-type"), "application/grpc-web+proto");
  }
  FilterDrive told = Drive("application/grpc-web");
  told.Request("", 0);
  told.Response(404, {{"grpc-status", "5"}, {"grpc-message", "no"}}, "", 0);
  EXPECT_EQ(told.ResponseField("grpc-status"), "5");
  EXPECT_EQ(told.ResponseField("grpc-message"), "no");
}

TEST_F(GrpcWebTest, AnAnswerWithoutAStatusGetsOne) {
  FilterDrive drive = Drive("application/grpc-web");
  drive.Request("", 0);
  drive.Response(200, {{"content-type", "application/grpc"}}, Frame("x"), 0);
  EXPECT_EQ(drive.received, Frame("x") + Frame("grpc-status: 2\r\n", 0x80));
}

// Seeded: whatever comes, cut in whatever way, the same comes out, and text says what binary says.
TEST_F(GrpcWebTest, NothingDependsOnTheFragments) {
  Random random(7);
  for (int round = 0; round < 300; ++round) {
    std::string bytes;
    for (uint64_t frames = random.Next() % 5; frames > 0; --frames) {
      std::string message;
      for (uint64_t n = random.Next() % 40; n > 0; --n) message += static_cast<char>(random.Next());
      bytes += Frame(message);
    }
    const bool garbage = random.Next() % 4 == 0;
    for (uint64_t n = garbage ? random.Next() % 60 : 0; n > 0; --n) bytes += static_cast<char>(random.Next());
    std::string first;
    for (int time = 0; time < 3; ++time) {
      const size_t piece = time == 0 ? 0 : 1 + random.Next() % 20;
      FilterDrive drive = Drive("application/grpc-web-text");
      drive.Request(Base64(bytes), piece);
      EXPECT_EQ(drive.sent, bytes);
      drive.Response(200, {{"content-type", "application/grpc"}}, bytes, piece, {{"grpc-status", "0"}});
      const std::string all = Plain(drive.received);
      EXPECT_EQ(all.substr(0, bytes.size()), bytes) << round;
      EXPECT_EQ(all.substr(bytes.size()), Frame("grpc-status: 0\r\n", 0x80));
      if (!garbage && time == 0) first = drive.received;
      if (!garbage) EXPECT_EQ(drive.received, first);
    }
    std::string noise;
    for (uint64_t n = random.Next() % 50; n > 0; --n) noise += "ABCD=+/ 12\n"[random.Next() % 11];
    FilterDrive whole = Drive("application/grpc-web-text");
    whole.Request(noise, 0);
    FilterDrive cut = Drive("application/grpc-web-text");
    cut.Request(noise, 1 + random.Next() % 5);
    EXPECT_EQ(whole.passage, cut.passage) << noise;
  }
}

}  // namespace
}  // namespace pillion::filters
