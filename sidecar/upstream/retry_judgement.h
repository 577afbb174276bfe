// May this attempt be followed by another? Pure functions: facts in, verdict out (DESIGN.md section 6).
#ifndef PILLION_SIDECAR_UPSTREAM_RETRY_JUDGEMENT_H_
#define PILLION_SIDECAR_UPSTREAM_RETRY_JUDGEMENT_H_

#include <chrono>
#include <cstdint>
#include <optional>

#include "sidecar/base/no_retry.h"
#include "sidecar/base/request_error.h"
#include "sidecar/config/route_table.h"
#include "sidecar/http/head.h"
#include "sidecar/idempotency/verdict.h"

namespace pillion::upstream {

// Retries of provably unsent or refused requests that need no policy.
inline constexpr uint32_t kMaxSafeRetries = 2;

// What an answer says of when to ask again.
struct ToldWait {
  enum class Kind : uint8_t { kNothing, kWait, kNever };
  Kind kind = Kind::kNothing;
  std::chrono::nanoseconds wait{0};
};

// RFC 9110 section 10.2.3 (Retry-After: seconds, or a date), grpc-retry-pushback-ms (gRPC proposal A6), or
// the policy's own fields. kNever: not at all, or not within what the policy waits. `random` as in Backoff.
ToldWait ReadToldWait(const config::RetryPolicy& policy, const http::HeaderList& fields, bool grpc,
                      std::chrono::seconds unix_now, uint64_t random);

struct AttemptFacts {
  http::Method method = http::Method::kGet;
  // How the attempt failed; kNone when it was answered. With `told` another sidecar's attempt did, whose
  // answer `status` is.
  RequestError error;
  bool told = false;
  bool answered = false;  // a head had come before it failed: whatever the error says, it may have run
  uint16_t status = 0;
  std::optional<uint32_t> grpc_status;  // of a trailers-only answer
  bool headers_match = false;           // of the answer, as the policy's response_headers
  bool rate_limited = false;
  bool request_matches = true;     // the policy's request_headers
  bool idempotent_method = false;  // of gRPC, as the policy knows; or the app that is called knows its key
  ToldWait told_wait = {};
  // It carried a token, to a process that makes sure that it runs once (specs/idempotency.md 4.1); what that
  // said of it, if anything; and whether an attempt before it, there, may have run.
  bool stamped = false;
  std::optional<idempotency::Verdict> verdict = std::nullopt;
  bool may_run = false;
  bool runs_unknown_again = false;  // what is unknown there runs again, by policy
  bool has_key = false;             // the token is its app's key, which other requests may have too
  bool body_replayable = true;      // all that was sent of the request is still held
  bool reused_connection = false;
  bool other_endpoints = true;  // there is another than the one that failed
  uint32_t paid_retries = 0;    // made so far: all but one that was free
  uint32_t safe_retries = 0;    // likewise, those that needed no policy, the free one with them
};

enum class Verdict : uint8_t {
  kDeliver,    // pass the answer, or the error, on
  kRetryFree,  // the connection's fault: stale, or it takes no more streams; once, at once, without a charge
  kRetrySafe,  // provably not processed: no policy needed
  kRetryPolicy,  // the policy asks for it and it is safe
};

struct Judgement {
  Verdict verdict = Verdict::kDeliver;
  NoRetry reason = NoRetry::kNone;  // of kDeliver
};

// `policy` may be null, but not of an attempt that was stamped. Never kRetry* for what could run twice unless
// the method is idempotent or the policy says so.
Judgement JudgeAttempt(const AttemptFacts& facts, const config::RetryPolicy* policy);

// May another attempt be made beside one that has not answered yet, of which `facts` tells without an error?
// kNone: yes. Never for what may not run twice.
NoRetry JudgeHedge(const AttemptFacts& facts, const config::RetryPolicy& policy);

// An attempt that takes `usual` is in vain when this is left. `left` nullopt: there is no deadline.
inline bool TooLate(std::optional<std::chrono::nanoseconds> left, std::chrono::nanoseconds wait,
                    std::chrono::nanoseconds usual) {
  return left && *left < wait + usual;
}

// Back-off before retry number `retry` (1 is the first): full jitter in [0, (2^retry - 1) * base), capped
// (xds.md 1.4). `random` is uniform over all 64-bit values.
std::chrono::nanoseconds Backoff(const config::RetryPolicy& policy, uint32_t retry, uint64_t random);

}  // namespace pillion::upstream

#endif  // PILLION_SIDECAR_UPSTREAM_RETRY_JUDGEMENT_H_
