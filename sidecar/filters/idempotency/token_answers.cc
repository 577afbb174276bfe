#include "sidecar/filters/idempotency/token_answers.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "sidecar/base/json_writer.h"
#include "sidecar/base/text.h"
#include "sidecar/filter/grpc.h"

namespace pillion::filters {
namespace {

using idempotency::Verdict;

struct Row {
  TokenProblem problem;
  Verdict verdict;
  uint16_t status;
  uint8_t grpc_status;
  std::string_view name;
  std::string_view title;
  std::string_view retry_after = "";  // seconds, of those that may be asked again
};

// gRPC statuses: 3 INVALID_ARGUMENT, 9 FAILED_PRECONDITION, 10 ABORTED, 14 UNAVAILABLE, 2 UNKNOWN, 8
// RESOURCE_EXHAUSTED, 4 DEADLINE_EXCEEDED.
constexpr Row kRows[] = {
    {TokenProblem::kNoToken, Verdict::kBadToken, 400, 3, "bad-token", "what stands for a token is none"},
    {TokenProblem::kFromTheFuture, Verdict::kBadToken, 400, 3, "bad-token", "the token is of the future"},
    {TokenProblem::kExpired, Verdict::kExpired, 412, 9, "expired", "the token is too old"},
    {TokenProblem::kOtherRequest, Verdict::kMismatch, 422, 3, "mismatch", "another request had this token"},
    {TokenProblem::kInFlight, Verdict::kInFlight, 409, 10, "in-flight", "the request is still running", "1"},
    {TokenProblem::kNotKept, Verdict::kTombstone, 409, 9, "executed-not-retained",
     "the request has run, and its answer was not kept"},
    {TokenProblem::kUnknown, Verdict::kUnknown, 500, 2, "outcome-unknown",
     "the request may have run, or not, and is not run again"},
    {TokenProblem::kOtherDomain, Verdict::kNotExecuted, 503, 14, "other-domain",
     "the token's domain is not enforced here", "0"},
    {TokenProblem::kNoRoom, Verdict::kNotExecuted, 503, 8, "full", "no room for another token", "1"},
    {TokenProblem::kQuota, Verdict::kNotExecuted, 503, 8, "quota", "too many tokens of one caller", "1"},
    {TokenProblem::kTooLarge, Verdict::kNotExecuted, 413, 8, "too-large",
     "the request is larger than what is held of it"},
    {TokenProblem::kTooLate, Verdict::kNotExecuted, 504, 4, "deadline", "the request's deadline was over"},
};

constexpr bool InOrder() {
  for (size_t i = 0; i < std::size(kRows); ++i) {
    if (static_cast<size_t>(kRows[i].problem) != i) return false;
  }
  return true;
}
static_assert(InOrder());

// Of the answer that is saved, not of one that tells it again; or a hop's own (specs/idempotency.md 2.12).
bool IsOfOneMessage(http::Known known, std::string_view name) {
  using http::Known;
  switch (known) {
    case Known::kConnection:
    case Known::kKeepAlive:
    case Known::kPillionDedup:
    case Known::kPillionExplain:
    case Known::kPillionNotExecuted:
    case Known::kPillionOrigin:
    case Known::kPillionOutcome:
    case Known::kProxyConnection:
    case Known::kRequestId:
    case Known::kTraceparent:
    case Known::kTracestate:
    case Known::kTransferEncoding:
    case Known::kUpgrade:
      return true;
    default:
      return known == Known::kOther &&
             (EqualsIgnoreCase(name, "server-timing") || EqualsIgnoreCase(name, "retry-after"));
  }
}

std::string ProblemText(const Row& row, uint16_t status, uint16_t ran) {
  std::string text;
  JsonWriter json(text);
  json.BeginObject();
  json.Field("type", "urn:pillion:idempotency:" + std::string(row.name));
  json.Field("title", row.title);
  json.NumberField("status", status);
  if (ran != 0) json.NumberField("original-status", ran);
  json.EndObject();
  return text + '\n';
}

}  // namespace

Verdict FillAnswer(const TokenAnswer& answer, std::string_view grpc, http::ResponseHead& head,
                   SliceQueue& body) {
  const Row& row = kRows[static_cast<size_t>(answer.problem)];
  head.Clear();
  body.Clear();
  if (!grpc.empty()) {
    head.headers.Add(http::Known::kContentType, grpc);
    head.headers.Add(http::Known::kGrpcStatus, std::to_string(row.grpc_status));
    head.headers.Add(http::Known::kGrpcMessage, filter::EncodeGrpcMessage(row.title));
    if (!row.retry_after.empty())
      head.headers.Add("grpc-retry-pushback-ms", std::string(row.retry_after) + "000");
  } else {
    head.status = answer.problem == TokenProblem::kUnknown ? answer.unknown_status : row.status;
    const std::string text = ProblemText(row, head.status, answer.ran);
    head.headers.Add(http::Known::kContentType, "application/problem+json");
    if (!row.retry_after.empty()) head.headers.Add("retry-after", row.retry_after);
    head.content = {http::ContentLength::Kind::kSized, text.size()};
    body.AppendCopy(text);
  }
  head.headers.Add(http::Known::kPillionDedup, idempotency::ToString(row.verdict));
  return row.verdict;
}

void FillReplay(const idempotency::SavedAnswer& saved, Verdict verdict, idempotency::DomainTime now,
                uint64_t execution, http::ResponseHead& head, SliceQueue& body) {
  head.Clear();
  body.Clear();
  head.status = saved.status();
  saved.AddHeadTo(head.headers);
  const int64_t age = std::max<int64_t>(0, (now - saved.execution().at).count() / 1000);
  std::string told(idempotency::ToString(verdict));
  told += ";age=" + std::to_string(age) + ";exec=\"" + std::to_string(execution) + '"';
  head.headers.Add(http::Known::kPillionDedup, told);
  using Kind = http::ContentLength::Kind;
  head.content = saved.has_trailers() ? http::ContentLength{Kind::kUnsized, 0}
                                      : http::ContentLength{Kind::kSized, saved.content().size()};
  body.AppendCopy(saved.content());
}

bool IsSaved(const http::HeaderList::Field& field) { return !IsOfOneMessage(field.known, field.name); }

}  // namespace pillion::filters
