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
  drive.Request(Frame("a") + Frame("b"), 3);
  EXPECT_EQ(drive.sent, Frame("a") + Frame("b"));
  drive.Response(200, {{"content-type", "application/x-protobuf"}}, Frame("c"), 2);
  EXPECT_EQ(drive.received, Frame("c"));
  EXPECT_EQ(drive.Trailer("grpc-status"), "0");
}

TEST_F(ReverseBridgeTest, AKnownLengthNeedNotBeHeld) {
  FilterDrive drive = Drive(true, "x-size");
  drive.Request(Frame(""), 0);
  http::ResponseHead head;
  head.headers.Add("content-type", "application/x-protobuf");
  head.headers.Add("x-size", "6");
  head.content = {Kind::kUnsized, 0};
  http::HeaderList none;
  drive.state.chain->BeginResponse({head, false, 0});
  SliceQueue content;
  content.AppendCopy("ans");
  drive.state.chain->FeedResponse(content, false, none, head);
  EXPECT_EQ(drive.state.chain->response_out().ToString(), filter::FrameHeadText(0, 6) + "ans");
  content.AppendCopy("werrr");
  EXPECT_EQ(drive.state.chain->FeedResponse(content, true, none, head), Passage::kBroken);
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
  };
  for (const Case& one : cases) {
    for (const size_t piece : filter::kPieceSizes) {
      FilterDrive drive = Drive(true);
      drive.Request(Frame("x"), 0);
      drive.Response(one.status, {{"content-type", one.type}}, "body", piece);
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
