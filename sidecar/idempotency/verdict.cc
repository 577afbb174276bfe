#include "sidecar/idempotency/verdict.h"

#include "sidecar/base/text.h"

namespace pillion::idempotency {

std::string_view ToString(Verdict verdict) {
  switch (verdict) {
    case Verdict::kExecuted:
      return "executed";
    case Verdict::kReplayed:
      return "replayed";
    case Verdict::kCoalesced:
      return "coalesced";
    case Verdict::kTombstone:
      return "tombstone";
    case Verdict::kNotExecuted:
      return "not-executed";
    case Verdict::kInFlight:
      return "in-flight";
    case Verdict::kUnknown:
      return "unknown";
    case Verdict::kMismatch:
      return "mismatch";
    case Verdict::kExpired:
      return "expired";
    case Verdict::kBadToken:
      return "bad-token";
    case Verdict::kDoubt:
      return "doubt";
    case Verdict::kBypass:
      return "bypass";
  }
  return "unknown";
}

std::optional<Verdict> ParseVerdict(std::string_view value) {
  const std::string_view word = TrimOws(value.substr(0, value.find(';')));
  for (size_t i = 0; i < kVerdicts; ++i) {
    const auto verdict = static_cast<Verdict>(i);
    if (word == ToString(verdict)) return verdict;
  }
  return std::nullopt;
}

Meaning MeaningOf(Verdict verdict, bool only) {
  switch (verdict) {
    case Verdict::kExecuted:
    case Verdict::kReplayed:
    case Verdict::kCoalesced:
    case Verdict::kTombstone:
      return Meaning::kDefinitive;
    case Verdict::kNotExecuted:
      return Meaning::kNotRun;
    case Verdict::kInFlight:
      return Meaning::kAmbiguous;
    case Verdict::kUnknown:
    case Verdict::kMismatch:
    case Verdict::kExpired:
    case Verdict::kBadToken:
      return Meaning::kStop;
    case Verdict::kDoubt:
      return only ? Meaning::kNotRun : Meaning::kStop;
    case Verdict::kBypass:
      return Meaning::kUnprotected;
  }
  return Meaning::kStop;
}

}  // namespace pillion::idempotency
