#include "sidecar/filters/grpc_http1_bridge/grpc_http1_bridge.h"

#include <gtest/gtest.h>

#include "sidecar/base/random.h"
#include "sidecar/filter/filter_drive.h"
#include "sidecar/filter/grpc_frames.h"

namespace pillion::filters {
namespace {

using filter::FilterDrive;
using filter::Passage;

std::string Frame(const std::string& message, uint8_t flags = 0) {
  return filter::FrameHeadText(flags, message.size()) + message;
}

class BridgeTest : public ::testing::Test {
 protected:
  FilterDrive Drive(const std::string& type, config::GrpcHttp1Bridge options = {}) {
    FilterDrive drive(filter_, config::FilterKind::kGrpcHttp1Bridge, options);
    drive.head.headers.Add("content-type", type);
    return drive;
  }
  GrpcHttp1Bridge filter_;
};

TEST_F(BridgeTest, AnAnswerIsOneHeadAndOneBody) {
  for (const size_t piece : filter::kPieceSizes) {
    FilterDrive drive = Drive("application/grpc");
    drive.Request(Frame("question"), piece);
    EXPECT_EQ(drive.sent, Frame("question"));
    EXPECT_EQ(drive.RequestField("te"), "trailers");
    drive.Response(200, {{"content-type", "application/grpc"}, {"x-initial", "1"}}, Frame("answer"), piece,
                   {{"grpc-status", "0"}, {"x-trailing", "2"}});
    EXPECT_EQ(drive.passage, Passage::kFlows);
    EXPECT_EQ(drive.response.status, 200);
    EXPECT_EQ(drive.received, Frame("answer")) << piece;
    EXPECT_EQ(drive.response.content.bytes, Frame("answer").size());
    EXPECT_EQ(drive.response.declared_length, Frame("answer").size());
    EXPECT_EQ(drive.ResponseField("x-initial"), "1");
    EXPECT_EQ(drive.ResponseField("grpc-status"), "0");
    EXPECT_EQ(drive.ResponseField("x-trailing"), "2");
    EXPECT_TRUE(drive.trailers.empty());
  }
}

TEST_F(BridgeTest, TheHeadWaitsForTheTrailers) {
  FilterDrive drive = Drive("application/grpc");
  drive.Request(Frame(""), 0);
  http::ResponseHead head;
  head.headers.Add("content-type", "application/grpc");
  http::HeaderList trailers;
  EXPECT_EQ(drive.state.chain->BeginResponse({head, false, 0}), Passage::kHeld);
  SliceQueue content;
  content.AppendCopy(Frame("answer"));
  EXPECT_EQ(drive.state.chain->FeedResponse(content, false, trailers, head), Passage::kHeld);
  trailers.Add("grpc-status", "9");
  EXPECT_EQ(drive.state.chain->FeedResponse(content, true, trailers, head), Passage::kFlows);
  EXPECT_EQ(head.status, 503);
}

TEST_F(BridgeTest, FramedRequestsKeepTypeLengthAndQuery) {
  FilterDrive drive = Drive("application/grpc+proto", {.upgrade_protobuf = true, .ignore_query = true});
  drive.head.path = "/test.Echo/Unary?key=1";
  drive.head.content = {http::ContentLength::Kind::kSized, 13};
  drive.Request(Frame("question"), 0);
  EXPECT_EQ(drive.RequestField("content-type"), "application/grpc+proto");
  EXPECT_EQ(drive.head.content.kind, http::ContentLength::Kind::kSized);
  EXPECT_EQ(drive.head.path, "/test.Echo/Unary?key=1");
}

TEST_F(BridgeTest, AnErrorIs503) {
  FilterDrive drive = Drive("application/grpc");
  drive.Request(Frame(""), 0);
  drive.Response(200, {{"content-type", "application/grpc"}}, "", 0,
                 {{"grpc-status", "5"}, {"grpc-message", "no"}});
  EXPECT_EQ(drive.response.status, 503);
  EXPECT_EQ(drive.ResponseField("grpc-status"), "5");
  EXPECT_EQ(drive.ResponseField("grpc-message"), "no");
  drive.Response(200, {{"content-type", "application/grpc"}, {"grpc-status", "7"}}, "", 0);
  EXPECT_EQ(drive.response.status, 503);
  EXPECT_EQ(drive.ResponseField("grpc-status"), "7");
  drive.Response(200, {{"content-type", "application/grpc"}}, Frame("cut off"), 0);
  EXPECT_EQ(drive.response.status, 503);
  EXPECT_EQ(drive.ResponseField("grpc-status"), "2");
  EXPECT_EQ(drive.received, Frame("cut off"));
}

TEST_F(BridgeTest, WhatIsAnsweredHereKeepsItsStatus) {
  FilterDrive drive = Drive("application/grpc");
  drive.Request(Frame(""), 0);
  drive.Response(200, {{"content-type", "application/grpc"}, {"grpc-status", "4"}}, "", 0, {}, 504);
  EXPECT_EQ(drive.response.status, 504);
  drive.Response(400, {{"content-type", "text/plain"}}, "bad", 0, {}, 400);
  EXPECT_EQ(drive.response.status, 400);
  EXPECT_EQ(drive.received, "bad");
}

TEST_F(BridgeTest, BareMessagesAreFramedAndUnframed) {
  for (const size_t piece : filter::kPieceSizes) {
    FilterDrive drive = Drive("application/x-protobuf", {.upgrade_protobuf = true, .ignore_query = true});
    drive.head.path = "/test.Echo/Unary?key=1";
    drive.head.content = {http::ContentLength::Kind::kSized, 8};
    drive.Request("question", piece);
    EXPECT_EQ(drive.sent, Frame("question")) << piece;
    EXPECT_EQ(drive.head.path, "/test.Echo/Unary");
    EXPECT_EQ(drive.head.content.kind, http::ContentLength::Kind::kUnsized);
    EXPECT_EQ(drive.RequestField("content-type"), "application/grpc");
    drive.Response(200, {{"content-type", "application/grpc"}}, Frame("answer"), piece,
                   {{"grpc-status", "0"}});
    EXPECT_EQ(drive.received, "answer") << piece;
    EXPECT_EQ(drive.response.content.bytes, 6u);
    EXPECT_EQ(drive.ResponseField("content-type"), "application/x-protobuf");
  }
}

TEST_F(BridgeTest, AnAnswerThatCannotBeUnframedIsAnError) {
  for (const std::string& body : {std::string(), Frame("x") + Frame("y"), Frame("x", 1),
                                  std::string("\0\0", 2), Frame("abc").substr(0, 7)}) {
    FilterDrive drive = Drive("application/x-protobuf", {.upgrade_protobuf = true});
    drive.head.path = "/test.Echo/Unary?key=1";
    drive.Request("", 0);
    EXPECT_EQ(drive.head.path, "/test.Echo/Unary?key=1");
    EXPECT_EQ(drive.sent, Frame(""));
    drive.Response(200, {{"content-type", "application/grpc"}}, body, 0, {{"grpc-status", "0"}});
    EXPECT_EQ(drive.response.status, 503);
    EXPECT_EQ(drive.ResponseField("grpc-status"), "13");
    EXPECT_EQ(drive.ResponseField("content-type"), "application/x-protobuf");
    EXPECT_EQ(drive.received, "");
  }
}

TEST_F(BridgeTest, OthersPass) {
  FilterDrive http2 = Drive("application/grpc");
  http2.head.version = http::Version::kHttp2;
  http2.Request("", 0);
  EXPECT_EQ(http2.state.chain, nullptr);
  FilterDrive bare = Drive("application/x-protobuf");
  bare.Request("x", 0);
  EXPECT_EQ(bare.state.chain, nullptr);
  FilterDrive html = Drive("text/html");
  html.Request("x", 0);
  EXPECT_EQ(html.state.chain, nullptr);
}

TEST_F(BridgeTest, AnAnswerOfMoreThanMayBeHeldIsTooLarge) {
  FilterDrive drive = Drive("application/grpc");
  drive.Request(Frame(""), 0);
  drive.Response(200, {{"content-type", "application/grpc"}},
                 std::string(filter::kMaxHeldBytes + 200000, 'x'), 0, {{"grpc-status", "0"}});
  EXPECT_EQ(drive.passage, Passage::kTooLarge);
  FilterDrive bare = Drive("application/x-protobuf", {.upgrade_protobuf = true});
  bare.Request(std::string(filter::kMaxHeldBytes + 200000, 'x'), 0);
  EXPECT_EQ(bare.passage, Passage::kTooLarge);
}

TEST_F(BridgeTest, NothingDependsOnTheFragments) {
  Random random(3);
  for (int round = 0; round < 300; ++round) {
    std::string bytes;
    for (uint64_t n = random.Next() % 60; n > 0; --n) bytes += static_cast<char>(random.Next());
    for (int time = 0; time < 3; ++time) {
      FilterDrive drive = Drive("application/x-protobuf", {.upgrade_protobuf = true});
      drive.Request(bytes, 1 + random.Next() % 9);
      EXPECT_EQ(drive.sent, Frame(bytes));
      drive.Response(200, {{"content-type", "application/grpc"}}, drive.sent, 1 + random.Next() % 9,
                     {{"grpc-status", "0"}});
      EXPECT_EQ(drive.received, bytes);
    }
  }
}

}  // namespace
}  // namespace pillion::filters
