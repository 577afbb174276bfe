#include "sidecar/filters/grpc_http1_reverse_bridge/grpc_http1_reverse_bridge.h"

#include <gtest/gtest.h>

#include "sidecar/base/random.h"
#include "sidecar/filter/filter_drive.h"
#include "sidecar/filter/grpc_frames.h"

namespace pillion::filters {
namespace {

using filter::FilterDrive;
using filter::Passage;
using Kind = http::ContentLength::Kind;

std::string Frame(const std::string& message, uint8_t flags = 0) {
  return filter::FrameHeadText(flags, message.size()) + message;
}

class ReverseBridgeTest : public ::testing::Test {
 protected:
  FilterDrive Drive(bool withhold, const std::string& size_header = "",
                    const std::string& type = "application/grpc+proto") {
    config::GrpcHttp1ReverseBridge options{"application/x-protobuf", withhold, size_header};
    FilterDrive drive(filter_, config::FilterKind::kGrpcHttp1ReverseBridge, options);
    drive.head.headers.Add("content-type", type);
    drive.head.headers.Add("te", "trailers");
    return drive;
  }
  GrpcHttp1ReverseBridge filter_;
};

TEST_F(ReverseBridgeTest, TheServerSeesPlainMessages) {
  for (const size_t piece : filter::kPieceSizes) {
    FilterDrive drive = Drive(true);
    drive.head.content = {Kind::kSized, 13};
    drive.Request(Frame("question"), piece);
    EXPECT_EQ(drive.sent, "question") << piece;
    EXPECT_EQ(drive.head.content.bytes, 8u);
    EXPECT_EQ(drive.RequestField("content-type"), "application/x-protobuf");
    EXPECT_EQ(drive.RequestField("accept"), "application/x-protobuf");
    EXPECT_EQ(drive.RequestField("te"), "(none)");
    drive.Response(200, {{"content-type", "application/x-protobuf; v=1"}}, "answer", piece);
    EXPECT_EQ(drive.received, Frame("answer")) << piece;
    EXPECT_EQ(drive.ResponseField("content-type"), "application/grpc+proto");
    EXPECT_EQ(drive.response.status, 200);
    EXPECT_EQ(drive.Trailer("grpc-status"), "0");
  }
}

TEST_F(ReverseBridgeTest, FramesStayWhenTheyAreWanted) {
  FilterDrive drive = Drive(false);
  drive.head.content = {Kind::kSized, 12};
  drive.request_trailers.Add("x-more", "1");
  drive.Request(Frame("a") + Frame("b"), 3);
  EXPECT_EQ(drive.head.content.bytes, 12u);
  EXPECT_TRUE(drive.request_trailers.empty());
  EXPECT_EQ(drive.sent, Frame("a") + Frame("b"));
  drive.Response(200, {{"content-type", "application/x-protobuf"}}, Frame("c"), 2);
  EXPECT_EQ(drive.received, Frame("c"));
  EXPECT_EQ(drive.Trailer("grpc-status"), "0");
}

TEST_F(ReverseBridgeTest, TheLengthOfTheRequestIsThatOfItsMessage) {
  for (const auto& [length, content] : std::vector<std::pair<uint64_t, http::ContentLength>>{
           {6, {Kind::kSized, 1}}, {5, {Kind::kSized, 0}}, {4, {Kind::kUnsized, 0}}}) {
    FilterDrive drive = Drive(true);
    drive.head.content = {Kind::kSized, length};
    drive.Request(Frame("x"), 0);
    EXPECT_EQ(drive.head.content.kind, content.kind) << length;
    EXPECT_EQ(drive.head.content.bytes, content.bytes) << length;
  }
}

TEST_F(ReverseBridgeTest, TheLengthOfTheAnswerIsNotThatOfTheServers) {
  for (const auto& [type, kind] : std::vector<std::pair<std::string, Kind>>{
           {"application/x-protobuf", Kind::kUnsized}, {"text/html", Kind::kNone}}) {
    FilterDrive drive = Drive(true);
    drive.Request(Frame(""), 0);
    drive.response.status = 200;
    drive.response.headers.Add("content-type", type);
    drive.response.content = {Kind::kSized, 6};
    drive.response.declared_length = 6;
    drive.Respond("answer", 0, 0);
    EXPECT_EQ(drive.response.content.kind, kind) << type;
    EXPECT_FALSE(drive.response.declared_length) << type;
  }
}

// What has left of an answer before `rest` and the end came, what in all, and how it went.
struct Begun {
  std::string left;
  std::string all;
  Passage rest;
};

class ReverseBridgeLengthTest : public ReverseBridgeTest {
 protected:
  Begun Begin(http::ContentLength content, const std::string& x_size, const std::string& rest) {
    FilterDrive drive = Drive(true, "x-size");
    drive.Request(Frame(""), 0);
    http::ResponseHead head;
    head.headers.Add("content-type", "application/x-protobuf");
    if (!x_size.empty()) head.headers.Add("x-size", x_size);
    head.content = content;
    http::HeaderList none;
    filter::Chain& chain = *drive.state.chain;
    chain.BeginResponse({head, false, 0});
    SliceQueue bytes;
    bytes.AppendCopy("ans");
    chain.FeedResponse(bytes, false, none, head);
    Begun begun{chain.response_out().ToString(), "", Passage::kFlows};
    bytes.AppendCopy(rest);
    begun.rest = chain.FeedResponse(bytes, true, none, head);
    begun.all = chain.response_out().ToString();
    return begun;
  }
};

TEST_F(ReverseBridgeLengthTest, OnlyAnUnknownOneMakesTheAnswerWait) {
  const std::string left = filter::FrameHeadText(0, 6) + "ans";
  EXPECT_EQ(Begin({Kind::kSized, 6}, "", "wer").left, left);
  EXPECT_EQ(Begin({Kind::kSized, 6}, "7", "wer").left, left) << "the framing has the last word";
  EXPECT_EQ(Begin({Kind::kUnsized, 0}, "6", "wer").left, left);
  for (const char* unknown : {"", "x", "6x", "-6", "99999999999"})
    EXPECT_EQ(Begin({Kind::kUnsized, 0}, unknown, "wer").left, "") << unknown;
}

TEST_F(ReverseBridgeLengthTest, OneThatLiesBreaksTheAnswer) {
  EXPECT_EQ(Begin({Kind::kUnsized, 0}, "6", "wer").rest, Passage::kFlows);
  EXPECT_EQ(Begin({Kind::kUnsized, 0}, "6", "wer").all, Frame("answer"));
  EXPECT_EQ(Begin({Kind::kUnsized, 0}, "6", "we").rest, Passage::kBroken);
  EXPECT_EQ(Begin({Kind::kUnsized, 0}, "6", "werr").rest, Passage::kBroken);
}

TEST_F(ReverseBridgeTest, AnEmptyAnswerIsAnEmptyMessage) {
  FilterDrive drive = Drive(true);
  drive.Request(Frame(""), 0);
  drive.Response(200, {{"content-type", "application/x-protobuf"}}, "", 0);
  EXPECT_EQ(drive.received, Frame(""));
  EXPECT_EQ(drive.Trailer("grpc-status"), "0");
}

TEST_F(ReverseBridgeTest, TheHttpStatusBecomesTheGrpcStatus) {
  struct Case {
    uint16_t status;
    std::string type;
    std::string in_head;
    std::string in_trailers;
  };
  const Case cases[] = {
      {404, "application/x-protobuf", "(none)", "12"},
      {503, "application/x-protobuf", "(none)", "14"},
      {404, "text/html", "12", "(none)"},
      {200, "text/html", "2", "(none)"},
      {401, "text/plain", "16", "(none)"},
      {200, "application/grpc", "2", "(none)"},
      {200, "", "2", "(none)"},
  };
  for (const Case& one : cases) {
    for (const size_t piece : filter::kPieceSizes) {
      FilterDrive drive = Drive(true);
      drive.Request(Frame("x"), 0);
      std::vector<filter::Field> fields;
      if (!one.type.empty()) fields.push_back({"content-type", one.type});
      drive.Response(one.status, fields, "body", piece, {{"x-more", "1"}});
      EXPECT_EQ(drive.Trailer("x-more"), "(none)");
      EXPECT_EQ(drive.response.status, 200);
      EXPECT_EQ(drive.ResponseField("grpc-status"), one.in_head) << one.status << one.type;
      EXPECT_EQ(drive.Trailer("grpc-status"), one.in_trailers) << one.status << one.type;
      EXPECT_EQ(drive.received, one.in_head == "(none)" ? Frame("body") : "");
    }
  }
}

TEST_F(ReverseBridgeTest, WhatIsNoSingleMessageIsRefused) {
  struct Case {
    std::string body;
    std::string code;
  };
  for (const Case& one : {Case{Frame("a", 1), "12"}, Case{Frame("a") + Frame("b"), "12"}, Case{"", "13"},
                          Case{Frame("abc").substr(0, 7), "13"}, Case{std::string("\0\0", 2), "13"}}) {
    for (const size_t piece : filter::kPieceSizes) {
      FilterDrive drive = Drive(true);
      drive.Request(one.body, piece);
      EXPECT_EQ(drive.passage, Passage::kAnswered);
      EXPECT_EQ(drive.local_response.status, 200);
      EXPECT_EQ(drive.LocalField("grpc-status"), one.code);
      EXPECT_EQ(drive.LocalField("content-type"), "application/grpc+proto");
    }
  }
}

TEST_F(ReverseBridgeTest, AnswersMadeHereAreGrpcAlready) {
  FilterDrive drive = Drive(true);
  drive.Request(Frame("x"), 0);
  drive.Response(200, {{"content-type", "application/grpc"}, {"grpc-status", "14"}}, "", 0, {}, 503);
  EXPECT_EQ(drive.ResponseField("grpc-status"), "14");
  EXPECT_EQ(drive.received, "");
  EXPECT_TRUE(drive.trailers.empty());
}

TEST_F(ReverseBridgeTest, OthersPass) {
  FilterDrive drive = Drive(true, "", "application/json");
  drive.Request("x", 0);
  EXPECT_EQ(drive.state.chain, nullptr);
  EXPECT_EQ(drive.RequestField("te"), "trailers");
}

TEST_F(ReverseBridgeTest, NothingDependsOnTheFragments) {
  Random random(5);
  for (int round = 0; round < 300; ++round) {
    std::string noise;
    for (uint64_t n = random.Next() % 12; n > 0; --n) noise += static_cast<char>(random.Next() % 3);
    FilterDrive whole = Drive(true);
    whole.Request(noise, 0);
    FilterDrive cut = Drive(true);
    cut.Request(noise, 1 + random.Next() % 4);
    EXPECT_EQ(whole.passage, cut.passage);
    if (whole.passage != Passage::kFlows) continue;
    EXPECT_EQ(whole.sent, cut.sent);
    whole.Response(200, {{"content-type", "application/x-protobuf"}}, noise, 0);
    cut.Response(200, {{"content-type", "application/x-protobuf"}}, noise, 1 + random.Next() % 4);
    EXPECT_EQ(whole.received, Frame(noise));
    EXPECT_EQ(cut.received, Frame(noise));
  }
}

}  // namespace
}  // namespace pillion::filters
