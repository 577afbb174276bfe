#include "sidecar/base/request_error.h"

#include <algorithm>
#include <array>

namespace pillion {
namespace {

using KindNames = std::array<std::string_view, kErrorKinds>;

constexpr KindNames kKindNames = [] {
  KindNames names;
  const auto name = [&](ErrorKind kind, std::string_view text) { names[static_cast<size_t>(kind)] = text; };
  name(ErrorKind::kNone, "none");
  name(ErrorKind::kMalformed, "malformed");
  name(ErrorKind::kPathRefused, "path_refused");
  name(ErrorKind::kHeadTooLarge, "head_too_large");
  name(ErrorKind::kTargetTooLong, "target_too_long");
  name(ErrorKind::kBodyTooLarge, "body_too_large");
  name(ErrorKind::kUnsupportedVersion, "unsupported_version");
  name(ErrorKind::kExpectation, "expectation");
  name(ErrorKind::kHttp10, "http10");
  name(ErrorKind::kPressure, "pressure");
  name(ErrorKind::kNotImplemented, "not_implemented");
  name(ErrorKind::kUpgradeRefused, "upgrade_refused");
  name(ErrorKind::kConnectRefused, "connect_method_refused");
  name(ErrorKind::kNoRoute, "no_route");
  name(ErrorKind::kNoCluster, "no_cluster");
  name(ErrorKind::kNoEndpoint, "no_endpoint");
  name(ErrorKind::kLoop, "loop");
  name(ErrorKind::kConnectFailed, "connect_failed");
  name(ErrorKind::kConnectTimeout, "connect_timeout");
  name(ErrorKind::kOverflow, "overflow");
  name(ErrorKind::kReset, "reset");
  name(ErrorKind::kClosed, "closed");
  name(ErrorKind::kTimeout, "timeout");
  name(ErrorKind::kDeadline, "deadline");
  name(ErrorKind::kPerTryTimeout, "per_try_timeout");
  name(ErrorKind::kIdleTimeout, "idle_timeout");
  name(ErrorKind::kHeadTimeout, "head_timeout");
  name(ErrorKind::kTooEarly, "too_early");
  name(ErrorKind::kClientGone, "client_gone");
  name(ErrorKind::kPeerRefused, "peer_refused");
  name(ErrorKind::kDraining, "draining");
  name(ErrorKind::kFault, "fault");
  name(ErrorKind::kOutcomeUnknown, "outcome_unknown");
  name(ErrorKind::kRateLimited, "rate_limited");
  name(ErrorKind::kAccessDenied, "access_denied");
  name(ErrorKind::kInternal, "internal");
  return names;
}();

static_assert(std::none_of(kKindNames.begin(), kKindNames.end(), [](auto name) { return name.empty(); }),
              "an ErrorKind without its name");

}  // namespace

std::string_view ToString(ErrorKind kind) { return kKindNames[static_cast<size_t>(kind)]; }

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
