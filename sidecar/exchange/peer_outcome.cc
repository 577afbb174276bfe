#include "sidecar/exchange/peer_outcome.h"

namespace pillion::exchange {
namespace {

using http::Known;

bool IsTold(const RequestError& error) {
  if (error.outcome == Outcome::kAnswered) return false;
  switch (error.kind) {
    case ErrorKind::kNone:
    case ErrorKind::kDeadline:        // it is over everywhere
    case ErrorKind::kUpgradeRefused:  // so would others
      return false;
    case ErrorKind::kPressure:
    case ErrorKind::kOverflow:
    case ErrorKind::kNoEndpoint:
    case ErrorKind::kNoCluster:
    case ErrorKind::kDraining:
      return true;
    default:
      return error.side == Side::kUpstream;
  }
}

bool IsError(const http::ResponseHead& head) {
  return head.status >= 400 || head.headers.Find(Known::kGrpcStatus).value_or("0") != "0";
}

// Of the outcomes that are told, in their order.
constexpr std::string_view kDetails[] = {"the far sidecar says that it was not sent",
                                         "the far sidecar says that it was refused",
                                         "the far sidecar got no answer"};

}  // namespace

std::string DescribeOutcome(const RequestError& error) {
  std::string text;
  if (!IsTold(error)) return text;
  text = ToString(error.outcome);
  return text.append(";").append(ToString(error.kind));
}

RequestError ReadOutcome(std::string_view description) {
  const size_t mark = description.find(';');
  if (mark == std::string_view::npos) return {};
  const std::string_view kind_name = description.substr(mark + 1);
  for (size_t i = 0; i < std::size(kDetails); ++i) {
    const auto outcome = static_cast<Outcome>(i);
    if (description.substr(0, mark) != ToString(outcome)) continue;
    for (size_t k = 1; k < kErrorKinds; ++k) {
      const auto kind = static_cast<ErrorKind>(k);
      if (ToString(kind) == kind_name) return {kind, Side::kUpstream, outcome, kDetails[i]};
    }
  }
  return {};
}

RequestError TakeOutcome(http::ResponseHead& head, Answerer from) {
  const http::HeaderList& headers = head.headers;
  if (!TellsOutcome(headers)) return {};
  RequestError told;
  if (from == Answerer::kSidecar && IsError(head)) {
    told = ReadOutcome(headers.Find(Known::kPillionOutcome).value_or(""));
  } else if (from == Answerer::kOwnApp && IsError(head) && headers.Find(Known::kPillionNotExecuted) == "1") {
    told = {ErrorKind::kPeerRefused, Side::kUpstream, Outcome::kRefused,
            "the app says that it has not run it"};
  }
  DropOutcome(head.headers);
  return told;
}

void DropOutcome(http::HeaderList& headers) {
  headers.Remove(Known::kPillionOutcome);
  headers.Remove(Known::kPillionNotExecuted);
}

}  // namespace pillion::exchange
