#include "sidecar/exchange/answers.h"

#include "sidecar/filter/grpc.h"

namespace pillion::exchange {

Answer AnswerFor(const RequestError& error) {
  const bool upstream = error.side == Side::kUpstream;
  switch (error.kind) {
    case ErrorKind::kNone:
      return {200, 0, "", ""};
    case ErrorKind::kMalformed:
      if (upstream) return {502, 14, "UPE", "upstream sent a malformed response\n"};
      return {400, 13, "DPE", "malformed request\n", true};
    case ErrorKind::kHeadTooLarge:
      if (upstream) return {502, 14, "UPE", "upstream response head too large\n"};
      return {431, 8, "DPE", "request head too large\n", true};
    case ErrorKind::kTargetTooLong:
      return {414, 13, "DPE", "request target too long\n", true};
    case ErrorKind::kBodyTooLarge:
      if (upstream) return {502, 8, "UPE", "upstream response body too large\n"};
      return {413, 8, "DPE", "request body too large\n", true};
    case ErrorKind::kUnsupportedVersion:
      if (upstream) return {502, 14, "UPE", "upstream HTTP version not supported\n"};
      return {505, 13, "DPE", "HTTP version not supported\n", true};
    case ErrorKind::kExpectation:
      return {417, 12, "DPE", "expectation failed\n", true};
    case ErrorKind::kHttp10:
      return {426, 12, "DPE", "HTTP/1.0 is not taken here\n", true};
    case ErrorKind::kPressure:
      return {503, 8, "OM", "overloaded\n", true};
    case ErrorKind::kNotImplemented:
      if (upstream) return {502, 14, "UPE", "upstream transfer coding not supported\n"};
      return {501, 12, "DPE", "not implemented\n", true};
    case ErrorKind::kConnectRefused:
      return {405, 12, "NR", "CONNECT is not offered here\n", true};
    case ErrorKind::kUpgradeRefused:
      if (upstream) return {502, 14, "UPE", "upstream does not switch protocols\n"};
      return {403, 7, "", "this upgrade is not allowed\n"};
    case ErrorKind::kNoRoute:
      return {404, 12, "NR", "no route\n"};
    case ErrorKind::kNoCluster:
      return {503, 14, "NC", "unknown cluster\n"};
    case ErrorKind::kNoEndpoint:
      return {503, 14, "UH", "no healthy endpoint\n"};
    case ErrorKind::kConnectFailed:
      return {503, 14, "UF", "upstream connect failed\n"};
    case ErrorKind::kConnectTimeout:
      return {503, 14, "UF", "upstream connect timed out\n"};
    case ErrorKind::kOverflow:
      return {503, 14, "UO", "overloaded\n"};
    case ErrorKind::kReset:
      if (upstream) return {502, 14, "UR", "upstream reset the request\n"};
      return {499, 1, "DC", ""};
    case ErrorKind::kClosed:
      if (upstream) return {502, 14, "UC", "upstream closed the connection\n"};
      return {499, 1, "DC", ""};
    case ErrorKind::kTimeout:
      return {504, 4, "UT", "upstream request timed out\n"};
    case ErrorKind::kDeadline:
      return {408, 4, "DT", "the request's deadline is over\n"};
    case ErrorKind::kPerTryTimeout:
      return {504, 4, "UT", "upstream attempt timed out\n"};
    case ErrorKind::kIdleTimeout:
      if (upstream) return {504, 4, "SI", "stream idle for too long\n"};
      return {408, 4, "SI", "request idle for too long\n", true};
    case ErrorKind::kHeadTimeout:
      return {408, 4, "DPE", "request took too long\n", true};
    case ErrorKind::kTooEarly:  // RFC 8470 section 5.2; the connection stays, for the request to be repeated
                                // on it
      return {425, 14, "TE", "too early\n"};
    case ErrorKind::kClientGone:
      return {499, 1, "DC", ""};
    case ErrorKind::kPeerRefused:
      return {503, 14, "UR", "upstream refused the request\n"};
    case ErrorKind::kDraining:
      return {503, 14, "UO", "shutting down\n", true};
    case ErrorKind::kInternal:
      return {500, 13, "LR", "internal error\n", true};
  }
  return {500, 13, "LR", "internal error\n", true};
}

http::ResponseHead MakeAnswer(const Answer& answer) {
  http::ResponseHead head;
  head.status = answer.status;
  head.content = {http::ContentLength::Kind::kSized, answer.text.size()};
  if (!answer.text.empty()) head.headers.Add(http::Known::kContentType, "text/plain");
  head.keep_alive = !answer.close;
  return head;
}

http::ResponseHead MakeGrpcAnswer(const Answer& answer, const http::RequestHead& request) {
  http::ResponseHead head;
  head.status = 200;
  const auto own = request.headers.Find(http::Known::kContentType);
  head.headers.Add(http::Known::kContentType,
                   own && filter::IsGrpcContentType(*own) ? *own : "application/grpc");
  head.headers.Add(http::Known::kGrpcStatus, std::to_string(answer.grpc_status));
  std::string_view text = answer.text;
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (!text.empty()) head.headers.Add(http::Known::kGrpcMessage, filter::EncodeGrpcMessage(text));
  head.keep_alive = !answer.close;
  return head;
}

bool IsGrpc(const http::RequestHead& head) {
  const auto type = head.headers.Find(http::Known::kContentType);
  return type && filter::IsGrpcContentType(*type);
}

}  // namespace pillion::exchange
