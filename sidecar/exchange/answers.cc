#include "sidecar/exchange/answers.h"

#include <iterator>

#include "sidecar/filter/grpc.h"

namespace pillion::exchange {
namespace {

struct Row {
  ErrorKind kind;
  Answer answer;
  Answer of_upstream = {};  // when it is the upstream's doing; status 0: the same
};

constexpr Row kRows[] = {
    {ErrorKind::kNone, {200, 0, "", ""}},
    {ErrorKind::kMalformed,
     {400, 13, "DPE", "malformed request\n", true},
     {502, 14, "UPE", "upstream sent a malformed response\n"}},
    {ErrorKind::kPathRefused, {400, 13, "DPE", "malformed request\n", true}},
    {ErrorKind::kHeadTooLarge,
     {431, 8, "DPE", "request head too large\n", true},
     {502, 14, "UPE", "upstream response head too large\n"}},
    {ErrorKind::kTargetTooLong, {414, 13, "DPE", "request target too long\n", true}},
    {ErrorKind::kBodyTooLarge,
     {413, 8, "DPE", "request body too large\n", true},
     {502, 8, "UPE", "upstream response body too large\n"}},
    {ErrorKind::kUnsupportedVersion,
     {505, 13, "DPE", "HTTP version not supported\n", true},
     {502, 14, "UPE", "upstream HTTP version not supported\n"}},
    {ErrorKind::kExpectation, {417, 12, "DPE", "expectation failed\n", true}},
    {ErrorKind::kHttp10, {426, 12, "DPE", "HTTP/1.0 is not taken here\n", true}},
    {ErrorKind::kPressure, {503, 8, "OM", "overloaded\n", true}},
    {ErrorKind::kNotImplemented,
     {501, 12, "DPE", "not implemented\n", true},
     {502, 14, "UPE", "upstream transfer coding not supported\n"}},
    {ErrorKind::kConnectRefused, {405, 12, "NR", "CONNECT is not offered here\n", true}},
    {ErrorKind::kUpgradeRefused,
     {403, 7, "", "this upgrade is not allowed\n"},
     {502, 14, "UPE", "upstream does not switch protocols\n"}},
    {ErrorKind::kNoRoute, {404, 12, "NR", "no route\n"}},
    {ErrorKind::kNoCluster, {503, 14, "NC", "unknown cluster\n"}},
    {ErrorKind::kNoEndpoint, {503, 14, "UH", "no healthy endpoint\n"}},
    {ErrorKind::kLoop, {508, 13, "LOOP", "the endpoint is this listener\n"}},
    {ErrorKind::kConnectFailed, {503, 14, "UF", "upstream connect failed\n"}},
    {ErrorKind::kConnectTimeout, {503, 14, "UF", "upstream connect timed out\n"}},
    {ErrorKind::kOverflow, {503, 14, "UO", "overloaded\n", false, true}},
    {ErrorKind::kReset, {499, 1, "DC", ""}, {502, 14, "UR", "upstream reset the request\n"}},
    {ErrorKind::kClosed, {499, 1, "DC", ""}, {502, 14, "UC", "upstream closed the connection\n"}},
    {ErrorKind::kTimeout, {504, 4, "UT", "upstream request timed out\n"}},
    {ErrorKind::kDeadline, {408, 4, "DT", "the request's deadline is over\n"}},
    {ErrorKind::kPerTryTimeout, {504, 4, "UT", "upstream attempt timed out\n"}},
    {ErrorKind::kIdleTimeout,
     {408, 4, "SI", "request idle for too long\n", true},
     {504, 4, "SI", "stream idle for too long\n"}},
    {ErrorKind::kHeadTimeout, {408, 4, "DPE", "request took too long\n", true}},
    // RFC 8470 section 5.2; the connection stays, for the request to be repeated on it.
    {ErrorKind::kTooEarly, {425, 14, "TE", "too early\n"}},
    {ErrorKind::kClientGone, {499, 1, "DC", ""}},
    {ErrorKind::kPeerRefused, {503, 14, "UR", "upstream refused the request\n"}},
    {ErrorKind::kDraining, {503, 14, "UO", "shutting down\n", true}},
    {ErrorKind::kFault, {503, 14, "FI", "fault filter abort\n"}},
    // A status that few send the request again for by themselves: that would be another one, and run again.
    {ErrorKind::kOutcomeUnknown, {500, 2, "UR", "the request may have run, or not\n"}},
    {ErrorKind::kRateLimited, {429, 14, "RL", "local_rate_limited\n"}},
    {ErrorKind::kAccessDenied, {403, 7, "", "RBAC: access denied"}},
    {ErrorKind::kInternal, {500, 13, "LR", "internal error\n", true}},
};

constexpr bool InOrderOfKinds() {
  for (size_t i = 0; i < std::size(kRows); ++i) {
    if (static_cast<size_t>(kRows[i].kind) != i) return false;
  }
  return std::size(kRows) == kErrorKinds;
}
static_assert(InOrderOfKinds());

}  // namespace

Answer AnswerFor(const RequestError& error) {
  const Row& row = kRows[static_cast<size_t>(error.kind)];
  return error.side == Side::kUpstream && row.of_upstream.status != 0 ? row.of_upstream : row.answer;
}

http::ResponseHead MakeAnswer(const Answer& answer) {
  http::ResponseHead head;
  head.status = answer.status;
  head.content = {http::ContentLength::Kind::kSized, answer.text.size()};
  if (!answer.text.empty()) head.headers.Add(http::Known::kContentType, "text/plain");
  head.keep_alive = !answer.close;
  // RFC 9110 sections 15.5.22 and 15.5.6: what would be taken instead. Of an unknown resource that is
  // nothing.
  if (answer.status == 426) head.upgrade = "HTTP/1.1";
  if (answer.status == 405) head.headers.Add("allow", "");
  if (answer.overloaded) head.headers.Add("x-envoy-overloaded", "true");
  return head;
}

http::ResponseHead MakeGrpcAnswer(const Answer& answer, const http::RequestHead& request) {
  http::ResponseHead head;
  head.status = 200;
  const auto own = request.headers.Find(http::Known::kContentType);
  head.headers.Add(http::Known::kContentType,
                   own && http::IsGrpcContentType(*own) ? *own : "application/grpc");
  head.headers.Add(http::Known::kGrpcStatus, std::to_string(answer.grpc_status));
  std::string_view text = answer.text;
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (!text.empty()) head.headers.Add(http::Known::kGrpcMessage, filter::EncodeGrpcMessage(text));
  if (answer.overloaded) head.headers.Add("x-envoy-overloaded", "true");
  head.keep_alive = !answer.close;
  return head;
}

}  // namespace pillion::exchange
