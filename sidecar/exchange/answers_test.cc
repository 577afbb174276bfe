// What clients are told, row by row, and how gRPC clients are told it.
#include "sidecar/exchange/answers.h"

#include <gtest/gtest.h>

#include <set>

namespace pillion::exchange {
namespace {

using http::Known;

struct Row {
  ErrorKind kind;
  Side side;
  uint16_t status;
  uint32_t grpc_status;
};

// Codes by https://github.com/grpc/grpc/blob/master/doc/statuscodes.md: 4 for what took too long, 8 for what
// is too large or finds no memory, 12 for what nobody serves, 14 for what may be tried again.
constexpr Row kRows[] = {
    {ErrorKind::kMalformed, Side::kClient, 400, 13},
    {ErrorKind::kMalformed, Side::kUpstream, 502, 14},
    {ErrorKind::kPathRefused, Side::kClient, 400, 13},
    {ErrorKind::kHeadTooLarge, Side::kClient, 431, 8},
    {ErrorKind::kHeadTooLarge, Side::kUpstream, 502, 14},
    {ErrorKind::kTargetTooLong, Side::kClient, 414, 13},
    {ErrorKind::kBodyTooLarge, Side::kClient, 413, 8},
    {ErrorKind::kBodyTooLarge, Side::kUpstream, 502, 8},
    {ErrorKind::kUnsupportedVersion, Side::kClient, 505, 13},
    {ErrorKind::kUnsupportedVersion, Side::kUpstream, 502, 14},
    {ErrorKind::kExpectation, Side::kClient, 417, 12},
    {ErrorKind::kHttp10, Side::kClient, 426, 12},
    {ErrorKind::kPressure, Side::kLocal, 503, 8},
    {ErrorKind::kNotImplemented, Side::kClient, 501, 12},
    {ErrorKind::kNotImplemented, Side::kUpstream, 502, 14},
    {ErrorKind::kConnectRefused, Side::kClient, 405, 12},
    {ErrorKind::kUpgradeRefused, Side::kClient, 403, 7},
    {ErrorKind::kUpgradeRefused, Side::kUpstream, 502, 14},
    {ErrorKind::kNoRoute, Side::kLocal, 404, 12},
    {ErrorKind::kNoCluster, Side::kLocal, 503, 14},
    {ErrorKind::kNoEndpoint, Side::kUpstream, 503, 14},
    {ErrorKind::kLoop, Side::kLocal, 508, 13},
    {ErrorKind::kConnectFailed, Side::kUpstream, 503, 14},
    {ErrorKind::kConnectTimeout, Side::kUpstream, 503, 14},
    {ErrorKind::kOverflow, Side::kUpstream, 503, 14},
    {ErrorKind::kReset, Side::kClient, 499, 1},
    {ErrorKind::kReset, Side::kUpstream, 502, 14},
    {ErrorKind::kClosed, Side::kClient, 499, 1},
    {ErrorKind::kClosed, Side::kUpstream, 502, 14},
    {ErrorKind::kTimeout, Side::kUpstream, 504, 4},
    {ErrorKind::kDeadline, Side::kLocal, 408, 4},
    {ErrorKind::kPerTryTimeout, Side::kUpstream, 504, 4},
    {ErrorKind::kIdleTimeout, Side::kClient, 408, 4},
    {ErrorKind::kIdleTimeout, Side::kUpstream, 504, 4},
    {ErrorKind::kHeadTimeout, Side::kClient, 408, 4},
    {ErrorKind::kTooEarly, Side::kClient, 425, 14},
    {ErrorKind::kClientGone, Side::kClient, 499, 1},
    {ErrorKind::kPeerRefused, Side::kUpstream, 503, 14},
    {ErrorKind::kDraining, Side::kLocal, 503, 14},
    {ErrorKind::kFault, Side::kLocal, 503, 14},
    {ErrorKind::kOutcomeUnknown, Side::kUpstream, 500, 2},
    {ErrorKind::kRateLimited, Side::kLocal, 429, 14},
    {ErrorKind::kAccessDenied, Side::kLocal, 403, 7},
    {ErrorKind::kInternal, Side::kLocal, 500, 13},
};

TEST(Answers, EachErrorHasItsStatuses) {
  std::set<ErrorKind> seen;
  for (const Row& row : kRows) {
    seen.insert(row.kind);
    const Answer answer = AnswerFor({row.kind, row.side, Outcome::kAmbiguous, ""});
    EXPECT_EQ(answer.status, row.status) << ToString(row.kind) << ' ' << ToString(row.side);
    EXPECT_EQ(answer.grpc_status, row.grpc_status) << ToString(row.kind) << ' ' << ToString(row.side);
  }
  EXPECT_EQ(seen.size(), static_cast<size_t>(ErrorKind::kInternal)) << "all but kNone";
}

TEST(Answers, OfGrpcAreTrailersAloneAndAlways200) {
  http::RequestHead request;
  http::ResponseHead head = MakeGrpcAnswer({504, 4, "UT", "50% late\n", false}, request);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.content.kind, http::ContentLength::Kind::kNone);
  EXPECT_EQ(head.headers.Find(Known::kContentType), "application/grpc");
  EXPECT_EQ(head.headers.Find(Known::kGrpcStatus), "4");
  EXPECT_EQ(head.headers.Find(Known::kGrpcMessage), "50%25 late");
  EXPECT_TRUE(head.keep_alive);
  head = MakeGrpcAnswer({499, 1, "DC", "", true}, request);
  EXPECT_FALSE(head.headers.Has(Known::kGrpcMessage));
  EXPECT_FALSE(head.keep_alive);
}

TEST(Answers, OfGrpcHaveTheTypeOfTheRequest) {
  for (const auto& [asked, answered] : std::vector<std::pair<std::string, std::string>>{
           {"application/grpc+proto", "application/grpc+proto"},
           {"application/grpc;charset=utf-8", "application/grpc;charset=utf-8"},
           {"application/json", "application/grpc"},
           {"application/grpc-web", "application/grpc"}}) {
    http::RequestHead request;
    request.headers.Add(Known::kContentType, asked);
    EXPECT_EQ(http::IsGrpc(request.headers), asked == answered) << asked;
    EXPECT_EQ(MakeGrpcAnswer({404, 12, "NR", "no route\n"}, request).headers.Find(Known::kContentType),
              answered);
  }
}

}  // namespace
}  // namespace pillion::exchange
