#include "sidecar/idempotency/problem.h"

#include <iterator>
#include <string>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "sidecar/base/json_writer.h"
#include "sidecar/base/serialize_in_order.h"
#include "sidecar/filter/base64.h"
#include "sidecar/filter/grpc.h"

namespace pillion::idempotency {
namespace {

struct Row {
  TokenProblem problem;
  Verdict verdict;
  uint16_t status;
  uint8_t grpc_status;
  std::string_view name;
  std::string_view title;
  std::string_view detail;            // what the client may do
  std::string_view retry_after = "";  // seconds, of those that may be asked again
};

constexpr std::string_view kForSidecars = "A sidecar sent it; the request was not run.";
constexpr std::string_view kAskAgain = "The request was not run, and may be sent again.";

// gRPC statuses: 3 INVALID_ARGUMENT, 9 FAILED_PRECONDITION, 10 ABORTED, 14 UNAVAILABLE, 2 UNKNOWN, 8
// RESOURCE_EXHAUSTED, 4 DEADLINE_EXCEEDED, 16 UNAUTHENTICATED.
constexpr Row kRows[] = {
    {TokenProblem::kNoToken, Verdict::kBadToken, 400, 3, "bad-token", "what stands for a token is none",
     kForSidecars},
    {TokenProblem::kFromTheFuture, Verdict::kBadToken, 400, 3, "future-token",
     "the token or key is of the future", "The clock that it was made by is ahead; the request was not run."},
    {TokenProblem::kExpired, Verdict::kExpired, 412, 9, "expired", "the token or key is too old",
     "Whether it has run before is not known any more; it was not run now."},
    {TokenProblem::kOtherRequest, Verdict::kMismatch, 422, 3, "mismatch",
     "another request had this token or key",
     "The same one must come with the same method, path and content; the request was not run."},
    {TokenProblem::kInFlight, Verdict::kInFlight, 409, 10, "in-flight", "the request is still running",
     "Sent again later, unchanged, it is told the answer.", "1"},
    {TokenProblem::kNotKept, Verdict::kTombstone, 409, 9, "executed-not-retained",
     "the request has run, and its answer was not kept",
     "It is not run again; original_status is what was answered."},
    {TokenProblem::kUnknown, Verdict::kUnknown, 500, 2, "outcome-unknown",
     "the request may have run, or not, and is not run again",
     "Find out what has become of it before another one takes its place."},
    {TokenProblem::kOtherDomain, Verdict::kNotExecuted, 503, 14, "other-domain",
     "the token's domain is not enforced here", kAskAgain, "0"},
    {TokenProblem::kNoRoom, Verdict::kNotExecuted, 503, 8, "full", "no room for another token", kAskAgain,
     "1"},
    {TokenProblem::kQuota, Verdict::kNotExecuted, 503, 8, "quota", "too many tokens of one caller", kAskAgain,
     "1"},
    {TokenProblem::kTooLarge, Verdict::kNotExecuted, 413, 8, "too-large",
     "the request is larger than what is held of it", "Policy says how large it may be; it was not run."},
    {TokenProblem::kTooLate, Verdict::kNotExecuted, 504, 4, "deadline", "the request's deadline was over",
     "The request was not run."},
    {TokenProblem::kNoKey, Verdict::kBadToken, 400, 3, "key-required", "the request has no idempotency key",
     "This method is run only with an Idempotency-Key."},
    {TokenProblem::kBadKey, Verdict::kBadToken, 400, 3, "bad-key", "the idempotency key is none",
     "Expected one field with 1 to 255 printable ASCII characters in quotes, or, without quotes, of letters, "
     "digits and . _ ~ : + / = -"},
    {TokenProblem::kKeysElsewhere, Verdict::kNotExecuted, 503, 14, "keys-elsewhere",
     "keys are taken by another process",
     "Keys are known to one process, and the service has several, or is about to; the request was not run, "
     "and may be sent again.",
     "5"},
    {TokenProblem::kStoreDown, Verdict::kNotExecuted, 503, 14, "store-down",
     "the records of tokens and keys cannot be reached", kAskAgain, "1"},
    {TokenProblem::kDoubt, Verdict::kDoubt, 503, 14, "records-lost",
     "records of tokens and keys may have been lost a moment ago",
     "The request was not run now. If it was sent before, find out what has become of it.", "5"},
    {TokenProblem::kNoUser, Verdict::kBadToken, 401, 16, "user-required",
     "the request does not say whose its key is",
     "A request with a key is run only with one JWT, Authorization: Bearer."},
    {TokenProblem::kBadUser, Verdict::kBadToken, 401, 16, "bad-user",
     "the JWT that says whose the key is does not count", "The request was not run."},
    {TokenProblem::kUsersUnknown, Verdict::kNotExecuted, 503, 14, "users-unknown",
     "no JWT can be verified now", kAskAgain, "5"},
};

constexpr bool InOrder() {
  for (size_t i = 0; i < std::size(kRows); ++i) {
    if (static_cast<size_t>(kRows[i].problem) != i) return false;
  }
  return std::size(kRows) == kTokenProblems;
}
static_assert(InOrder());

std::string DetailOf(const Row& row, const TokenAnswer& answer) {
  std::string detail(row.detail);
  if (!answer.why.empty()) detail.append(" Why: ").append(answer.why).append(".");
  return detail;
}

// For people and programs that speak HTTP. Names of members are of letters, digits and underscores (RFC 9457
// section 3.2).
std::string DetailsAsJson(const Row& row, uint16_t status, const TokenAnswer& answer) {
  std::string text;
  JsonWriter json(text);
  json.BeginObject();
  json.Field("type", "urn:pillion:idempotency:" + std::string(row.name));
  json.Field("title", row.title);
  json.NumberField("status", status);
  json.Field("detail", DetailOf(row, answer));
  json.Field("verdict", ToString(row.verdict));
  if (answer.ran != 0) json.NumberField("original_status", answer.ran);
  json.EndObject();
  return text + '\n';
}

// "executed-not-retained" -> "EXECUTED_NOT_RETAINED"
std::string ReasonOf(std::string_view name) {
  std::string reason(name);
  for (char& c : reason) c = c == '-' ? '_' : static_cast<char>(c - 'a' + 'A');
  return reason;
}

// For gRPC clients: grpc-status-details-bin.
std::string DetailsAsStatus(const Row& row, const TokenAnswer& answer) {
  google::rpc::ErrorInfo info;
  info.set_reason(ReasonOf(row.name));
  info.set_domain("pillion");
  auto& metadata = *info.mutable_metadata();
  metadata["verdict"] = ToString(row.verdict);
  metadata["detail"] = DetailOf(row, answer);
  if (answer.ran != 0) metadata["original_status"] = std::to_string(answer.ran);
  google::rpc::Status status;
  status.set_code(row.grpc_status);
  status.set_message(std::string(row.title));
  auto& any = *status.add_details();
  any.set_type_url("type.googleapis.com/" + google::rpc::ErrorInfo::descriptor()->full_name());
  any.set_value(SerializeInOrder(info));
  std::string text;
  filter::Base64Encoder encoder;
  encoder.Feed(SerializeInOrder(status), text);
  encoder.Flush(text);
  while (text.ends_with('=')) text.pop_back();  // "-bin" fields are sent without
  return text;
}

void FillGrpc(const Row& row, const TokenAnswer& answer, std::string_view type, http::ResponseHead& head) {
  head.headers.Add(http::Known::kContentType, type);
  head.headers.Add(http::Known::kGrpcStatus, std::to_string(row.grpc_status));
  head.headers.Add(http::Known::kGrpcMessage, filter::EncodeGrpcMessage(row.title));
  head.headers.Add("grpc-status-details-bin", DetailsAsStatus(row, answer));
  if (!row.retry_after.empty())
    head.headers.Add("grpc-retry-pushback-ms", std::string(row.retry_after) + "000");
}

}  // namespace

Verdict FillAnswer(const TokenAnswer& answer, std::string_view grpc, http::ResponseHead& head,
                   SliceQueue& body) {
  const Row& row = kRows[static_cast<size_t>(answer.problem)];
  head.Clear();
  body.Clear();
  if (!grpc.empty()) {
    FillGrpc(row, answer, grpc, head);
  } else {
    head.status = answer.problem == TokenProblem::kUnknown ? answer.unknown_status : row.status;
    const std::string text = DetailsAsJson(row, head.status, answer);
    head.headers.Add(http::Known::kContentType, "application/problem+json");
    if (!row.retry_after.empty()) head.headers.Add("retry-after", row.retry_after);
    // RFC 9110 section 15.5.2, RFC 6750 section 3.
    if (head.status == 401)
      head.headers.Add("www-authenticate", answer.why.empty() ? "Bearer" : R"(Bearer error="invalid_token")");
    head.content = {http::ContentLength::Kind::kSized, text.size()};
    body.AppendCopy(text);
  }
  head.headers.Add(http::Known::kPillionDedup, ToString(row.verdict));
  return row.verdict;
}

}  // namespace pillion::idempotency
