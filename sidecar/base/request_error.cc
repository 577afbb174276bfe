#include "sidecar/base/request_error.h"

namespace pillion {

std::string_view ToString(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kNone:
      return "none";
    case ErrorKind::kMalformed:
      return "malformed";
    case ErrorKind::kPathRefused:
      return "path_refused";
    case ErrorKind::kHeadTooLarge:
      return "head_too_large";
    case ErrorKind::kTargetTooLong:
      return "target_too_long";
    case ErrorKind::kBodyTooLarge:
      return "body_too_large";
    case ErrorKind::kUnsupportedVersion:
      return "unsupported_version";
    case ErrorKind::kExpectation:
      return "expectation";
    case ErrorKind::kHttp10:
      return "http10";
    case ErrorKind::kPressure:
      return "pressure";
    case ErrorKind::kNotImplemented:
      return "not_implemented";
    case ErrorKind::kUpgradeRefused:
      return "upgrade_refused";
    case ErrorKind::kConnectRefused:
      return "connect_method_refused";
    case ErrorKind::kNoRoute:
      return "no_route";
    case ErrorKind::kNoCluster:
      return "no_cluster";
    case ErrorKind::kNoEndpoint:
      return "no_endpoint";
    case ErrorKind::kLoop:
      return "loop";
    case ErrorKind::kConnectFailed:
      return "connect_failed";
    case ErrorKind::kConnectTimeout:
      return "connect_timeout";
    case ErrorKind::kOverflow:
      return "overflow";
    case ErrorKind::kReset:
      return "reset";
    case ErrorKind::kClosed:
      return "closed";
    case ErrorKind::kTimeout:
      return "timeout";
    case ErrorKind::kDeadline:
      return "deadline";
    case ErrorKind::kPerTryTimeout:
      return "per_try_timeout";
    case ErrorKind::kIdleTimeout:
      return "idle_timeout";
    case ErrorKind::kHeadTimeout:
      return "head_timeout";
    case ErrorKind::kTooEarly:
      return "too_early";
    case ErrorKind::kClientGone:
      return "client_gone";
    case ErrorKind::kPeerRefused:
      return "peer_refused";
    case ErrorKind::kDraining:
      return "draining";
    case ErrorKind::kFault:
      return "fault";
    case ErrorKind::kRateLimited:
      return "rate_limited";
    case ErrorKind::kInternal:
      return "internal";
  }
  return "unknown";
}

std::string_view ToString(Outcome outcome) {
  switch (outcome) {
    case Outcome::kNotSent:
      return "not_sent";
    case Outcome::kRefused:
      return "refused";
    case Outcome::kAmbiguous:
      return "ambiguous";
    case Outcome::kAnswered:
      return "answered";
  }
  return "unknown";
}

std::string_view ToString(Side side) {
  switch (side) {
    case Side::kClient:
      return "client";
    case Side::kUpstream:
      return "upstream";
    case Side::kLocal:
      return "local";
  }
  return "unknown";
}

}  // namespace pillion
