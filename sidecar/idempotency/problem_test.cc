#include "sidecar/idempotency/problem.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "sidecar/filter/base64.h"
#include "sidecar/filter/grpc.h"

namespace pillion::idempotency {
namespace {

struct Case {
  TokenProblem problem;
  std::string name;
  uint16_t status;
  uint32_t grpc_status;
  std::string verdict;
  std::string retry_after;
};

// specs/idempotency.md 2.15.
const Case kCases[] = {
    {TokenProblem::kNoToken, "bad-token", 400, 3, "bad-token", "(none)"},
    {TokenProblem::kFromTheFuture, "future-token", 400, 3, "bad-token", "(none)"},
    {TokenProblem::kExpired, "expired", 412, 9, "expired", "(none)"},
    {TokenProblem::kOtherRequest, "mismatch", 422, 3, "mismatch", "(none)"},
    {TokenProblem::kInFlight, "in-flight", 409, 10, "in-flight", "1"},
    {TokenProblem::kNotKept, "executed-not-retained", 409, 9, "tombstone", "(none)"},
    {TokenProblem::kUnknown, "outcome-unknown", 500, 2, "unknown", "(none)"},
    {TokenProblem::kOtherDomain, "other-domain", 503, 14, "not-executed", "0"},
    {TokenProblem::kNoRoom, "full", 503, 8, "not-executed", "1"},
    {TokenProblem::kQuota, "quota", 503, 8, "not-executed", "1"},
    {TokenProblem::kTooLarge, "too-large", 413, 8, "not-executed", "(none)"},
    {TokenProblem::kTooLate, "deadline", 504, 4, "not-executed", "(none)"},
    {TokenProblem::kNoKey, "key-required", 400, 3, "bad-token", "(none)"},
    {TokenProblem::kBadKey, "bad-key", 400, 3, "bad-token", "(none)"},
    {TokenProblem::kKeysElsewhere, "keys-elsewhere", 503, 14, "not-executed", "5"},
    {TokenProblem::kStoreDown, "store-down", 503, 14, "not-executed", "1"},
    {TokenProblem::kDoubt, "records-lost", 503, 14, "doubt", "5"},
    {TokenProblem::kNoUser, "user-required", 401, 16, "bad-token", "(none)"},
    {TokenProblem::kBadUser, "bad-user", 401, 16, "bad-token", "(none)"},
    {TokenProblem::kUsersUnknown, "users-unknown", 503, 14, "not-executed", "5"},
};
static_assert(std::size(kCases) == kTokenProblems);

// The value of a string or number member, as it stands there; "(none)".
std::string Member(const std::string& json, const std::string& name) {
  const size_t at = json.find('"' + name + "\":");
  if (at == std::string::npos) return "(none)";
  const size_t from = at + name.size() + 3;
  const bool quoted = json[from] == '"';
  const size_t to = json.find_first_of(quoted ? "\"" : ",}", from + 1);
  return quoted ? json.substr(from + 1, to - from - 1) : json.substr(from, to - from);
}

std::string Field(const http::ResponseHead& head, std::string_view name) {
  return std::string(head.headers.Find(name).value_or("(none)"));
}

google::rpc::Status StatusOf(const http::ResponseHead& head) {
  google::rpc::Status status;
  const std::string text = Field(head, "grpc-status-details-bin");
  EXPECT_EQ(text.find('='), std::string::npos) << "binary fields are sent without padding";
  const auto bytes = filter::DecodeBinaryField(text);
  EXPECT_TRUE(bytes && status.ParseFromString(*bytes)) << text;
  return status;
}

google::rpc::ErrorInfo InfoOf(const google::rpc::Status& status) {
  google::rpc::ErrorInfo info;
  EXPECT_EQ(status.details_size(), 1);
  EXPECT_EQ(status.details(0).type_url(), "type.googleapis.com/google.rpc.ErrorInfo");
  EXPECT_TRUE(status.details(0).UnpackTo(&info));
  return info;
}

TEST(ProblemTest, OverHttpEachIsProblemDetails) {
  std::set<std::string> titles;
  for (const Case& one : kCases) {
    SCOPED_TRACE(one.name);
    http::ResponseHead head;
    head.headers.Add("x", "of another answer");
    SliceQueue body;
    body.AppendCopy("of another answer");
    EXPECT_EQ(ToString(FillAnswer({one.problem}, "", head, body)), one.verdict);
    const std::string json = body.ToString();
    EXPECT_EQ(head.status, one.status);
    EXPECT_EQ(Field(head, "content-type"), "application/problem+json");
    EXPECT_EQ(Field(head, "pillion-dedup"), one.verdict);
    EXPECT_EQ(Field(head, "retry-after"), one.retry_after);
    EXPECT_EQ(Field(head, "x"), "(none)");
    EXPECT_EQ(head.content.bytes, json.size());
    EXPECT_TRUE(json.starts_with('{') && json.ends_with("}\n")) << json;
    EXPECT_EQ(Member(json, "type"), "urn:pillion:idempotency:" + one.name);
    EXPECT_EQ(Member(json, "status"), std::to_string(one.status));
    EXPECT_EQ(Member(json, "verdict"), one.verdict);
    EXPECT_EQ(Member(json, "original_status"), "(none)");
    EXPECT_GT(Member(json, "detail").size(), 10u);
    EXPECT_TRUE(titles.insert(Member(json, "title")).second) << "another problem has this title";
  }
}

TEST(ProblemTest, OverGrpcEachIsAStatusWithAnErrorInfo) {
  for (const Case& one : kCases) {
    SCOPED_TRACE(one.name);
    http::ResponseHead head;
    SliceQueue body;
    body.AppendCopy("of another answer");
    FillAnswer({one.problem}, "application/grpc+proto", head, body);
    EXPECT_TRUE(body.empty());
    EXPECT_EQ(head.status, 200);
    EXPECT_EQ(Field(head, "content-type"), "application/grpc+proto");
    EXPECT_EQ(Field(head, "grpc-status"), std::to_string(one.grpc_status));
    EXPECT_EQ(Field(head, "grpc-retry-pushback-ms"),
              one.retry_after == "(none)" ? "(none)" : one.retry_after + "000");
    const google::rpc::Status status = StatusOf(head);
    EXPECT_EQ(static_cast<uint32_t>(status.code()), one.grpc_status);
    EXPECT_EQ(status.message(), filter::DecodeGrpcMessage(Field(head, "grpc-message")));
    EXPECT_FALSE(status.message().empty());
    const google::rpc::ErrorInfo info = InfoOf(status);
    EXPECT_EQ(info.domain(), "pillion");
    EXPECT_EQ(info.metadata().at("verdict"), one.verdict);
    EXPECT_FALSE(info.metadata().contains("original_status"));
    // google.rpc.ErrorInfo asks for [A-Z][A-Z0-9_]+[A-Z0-9]; it is the name of the problem's type.
    std::string reason = one.name;
    for (char& c : reason) c = c == '-' ? '_' : static_cast<char>(c - 32);
    EXPECT_EQ(info.reason(), reason);
  }
}

TEST(ProblemTest, WhoIsNotKnownIsToldHowAndWhy) {
  http::ResponseHead head;
  SliceQueue body;
  FillAnswer({TokenProblem::kNoUser}, "", head, body);
  EXPECT_EQ(Field(head, "www-authenticate"), "Bearer");
  const TokenAnswer bad = {.problem = TokenProblem::kBadUser, .why = "it has expired"};
  FillAnswer(bad, "", head, body);
  EXPECT_EQ(Field(head, "www-authenticate"), "Bearer error=\"invalid_token\"");
  EXPECT_EQ(Member(body.ToString(), "detail"), "The request was not run. Why: it has expired.");
  FillAnswer(bad, "application/grpc", head, body);
  EXPECT_EQ(InfoOf(StatusOf(head)).metadata().at("detail"), "The request was not run. Why: it has expired.");
  EXPECT_EQ(Field(head, "www-authenticate"), "(none)");
  FillAnswer({TokenProblem::kNoKey}, "", head, body);
  EXPECT_EQ(Field(head, "www-authenticate"), "(none)");
}

TEST(ProblemTest, WhatHasRunIsToldWithTheStatusThatItHad) {
  http::ResponseHead head;
  SliceQueue body;
  FillAnswer({TokenProblem::kNotKept, 201}, "", head, body);
  EXPECT_EQ(Member(body.ToString(), "original_status"), "201");
  EXPECT_EQ(Member(body.ToString(), "status"), "409");
  FillAnswer({TokenProblem::kNotKept, 201}, "application/grpc", head, body);
  EXPECT_EQ(InfoOf(StatusOf(head)).metadata().at("original_status"), "201");
}

TEST(ProblemTest, PolicySaysTheStatusOfWhatNobodyKnows) {
  http::ResponseHead head;
  SliceQueue body;
  FillAnswer({TokenProblem::kUnknown, 0, 504}, "", head, body);
  EXPECT_EQ(head.status, 504);
  EXPECT_EQ(Member(body.ToString(), "status"), "504");
  FillAnswer({TokenProblem::kExpired, 0, 504}, "", head, body);
  EXPECT_EQ(head.status, 412) << "of that alone";
}

TEST(ProblemTest, TheSameProblemIsTheSameBytes) {
  http::ResponseHead first;
  SliceQueue body;
  FillAnswer({TokenProblem::kNotKept, 201}, "application/grpc", first, body);
  for (int i = 0; i < 16; ++i) {
    http::ResponseHead again;
    FillAnswer({TokenProblem::kNotKept, 201}, "application/grpc", again, body);
    ASSERT_EQ(Field(again, "grpc-status-details-bin"), Field(first, "grpc-status-details-bin"));
  }
}

}  // namespace
}  // namespace pillion::idempotency
