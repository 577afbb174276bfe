#include "sidecar/upstream/retry_judgement.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "absl/time/time.h"
#include "sidecar/base/random.h"
#include "sidecar/base/text.h"

namespace pillion::upstream {
namespace {

// Seconds that are not too many to be counted in nanoseconds.
constexpr int64_t kMost = 4'000'000'000;

// A whole number of at most so much; one that is negative is one too.
std::optional<int64_t> ReadNumber(std::optional<std::string_view> text) {
  int64_t value = 0;
  if (!text) return std::nullopt;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size()) return std::nullopt;
  return std::clamp(value, -kMost, kMost);
}

// From now to a date as RFC 9110 section 5.6.7 has it; 0 when it is over. The two older forms are not read.
std::optional<int64_t> SecondsUntil(std::string_view date, std::chrono::seconds unix_now) {
  constexpr size_t kBytes = std::string_view("Sun, 06 Nov 1994 08:49:37 GMT").size();
  absl::Time time;
  std::string error;
  if (date.size() != kBytes) return std::nullopt;  // the parser has words of its own, for times without end
  if (!absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", ToAbsl(date), &time, &error)) return std::nullopt;
  return std::clamp<int64_t>(absl::ToUnixSeconds(time) - unix_now.count(), 0, kMost);
}

bool WantsStatus(const config::RetryPolicy& policy, const AttemptFacts& facts) {
  // Who limits rates is not asked again for whatever other reason (Envoy).
  if (facts.rate_limited) return (policy.on & config::kRetryRateLimited) != 0;
  const uint16_t status = facts.status;
  if ((policy.on & config::kRetry5xx) != 0 && status >= 500) return true;
  if ((policy.on & config::kRetryGatewayError) != 0 && status >= 502 && status <= 504) return true;
  if ((policy.on & config::kRetryRetriable4xx) != 0 && status == 409) return true;
  if ((policy.on & config::kRetryStatusCodes) != 0 &&
      std::find(policy.status_codes.begin(), policy.status_codes.end(), status) !=
          policy.status_codes.end()) {
    return true;
  }
  if ((policy.on & config::kRetryHeaders) != 0 && facts.headers_match) return true;
  if (!facts.grpc_status) return false;
  switch (*facts.grpc_status) {
    case 1:
      return (policy.on & config::kRetryGrpcCancelled) != 0;
    case 4:
      return (policy.on & config::kRetryGrpcDeadlineExceeded) != 0;
    case 8:
      return (policy.on & config::kRetryGrpcResourceExhausted) != 0;
    case 13:
      return (policy.on & config::kRetryGrpcInternal) != 0;
    case 14:
      return (policy.on & config::kRetryGrpcUnavailable) != 0;
    default:
      return false;
  }
}

bool WantsError(const config::RetryPolicy& policy, const RequestError& error) {
  if ((policy.on & (config::kRetry5xx | config::kRetryGatewayError | config::kRetryReset)) != 0) return true;
  switch (error.kind) {
    case ErrorKind::kConnectFailed:
    case ErrorKind::kConnectTimeout:
      return (policy.on & config::kRetryConnectFailure) != 0;
    case ErrorKind::kPeerRefused:
      return (policy.on & config::kRetryRefusedStream) != 0;
    default:
      return (policy.on & config::kRetryResetBeforeRequest) != 0 && error.outcome == Outcome::kNotSent;
  }
}

bool NotProcessed(const AttemptFacts& facts) {
  return facts.error && !facts.answered &&
         (facts.error.outcome == Outcome::kNotSent || facts.error.outcome == Outcome::kRefused);
}

bool SafeToRunAgain(const AttemptFacts& facts, const config::RetryPolicy& policy) {
  return NotProcessed(facts) || http::IsIdempotent(facts.method) || facts.idempotent_method ||
         policy.non_idempotent;
}

// Of a request with a token: whoever runs it runs it once, so that what matters is only what is known of it.
// Nothing is concluded from what the app has answered, whatever policy says of statuses.
Judgement JudgeToken(const AttemptFacts& facts, const config::RetryPolicy& policy) {
  using idempotency::Meaning;
  bool again = false;
  if (facts.verdict) {
    const bool again_by_policy = *facts.verdict == idempotency::Verdict::kUnknown && facts.runs_unknown_again;
    const Meaning meaning = MeaningOf(*facts.verdict, !facts.may_run);
    if (meaning == Meaning::kStop && !again_by_policy) return {Verdict::kDeliver, NoRetry::kToken};
    // None of ours runs: it is another request of the app's, which may have meant to ask just this.
    const bool of_another = facts.has_key && !facts.may_run && meaning == Meaning::kAmbiguous;
    if (of_another) return {Verdict::kDeliver, NoRetry::kToken};
    again = again_by_policy || meaning == Meaning::kNotRun || meaning == Meaning::kAmbiguous;
  } else if (facts.error) {
    if (facts.error.side == Side::kClient) return {Verdict::kDeliver, NoRetry::kCannotBeSent};
    if (facts.answered) return {Verdict::kDeliver, NoRetry::kToken};
    if (facts.error.side == Side::kLocal) return {Verdict::kDeliver, NoRetry::kToken};
    again = true;
  } else {
    again = facts.status >= 502 && facts.status <= 504;  // somebody between has answered
  }
  if (!again) return {};
  // A sidecar says when to ask again by habit; who has paid for a retry need not wait that long.
  if (!facts.verdict && facts.told_wait.kind == ToldWait::Kind::kNever)
    return {Verdict::kDeliver, NoRetry::kToldToWait};
  if (facts.paid_retries >= policy.max_retries) return {Verdict::kDeliver, NoRetry::kUsedUp};
  return {Verdict::kRetryPolicy};
}

// As if the whole request were still there.
Judgement JudgeWithBody(const AttemptFacts& facts, const config::RetryPolicy* policy) {
  const bool kept_out = NotProcessed(facts) && !facts.may_run;  // as any other request
  if (facts.stamped && policy != nullptr && !kept_out) return JudgeToken(facts, *policy);
  // The only endpoint is down, or its sidecar has tried in vain: at once it would be again. Waiting a while
  // is for a policy to want.
  const bool hopeless =
      !facts.other_endpoints && (facts.told || facts.error.kind == ErrorKind::kConnectFailed ||
                                 facts.error.kind == ErrorKind::kConnectTimeout);
  // The upstream can do no such thing.
  if (facts.error.kind == ErrorKind::kUpgradeRefused) return {Verdict::kDeliver, NoRetry::kCannotBeSent};
  const bool safe = NotProcessed(facts) && facts.error.side == Side::kUpstream;
  if (safe && facts.safe_retries < kMaxSafeRetries && facts.error.kind != ErrorKind::kOverflow && !hopeless) {
    // A connection that could not be made is one of these: another endpoint may be up, and nothing has run.
    const bool refused = facts.error.kind == ErrorKind::kPeerRefused;
    const bool stale = facts.error.kind == ErrorKind::kClosed && facts.reused_connection;
    const bool free = !facts.told && (refused || stale) && facts.safe_retries == 0;
    return {free ? Verdict::kRetryFree : Verdict::kRetrySafe};
  }
  if (policy == nullptr) {
    if (!facts.error) return {};
    if (!safe) return {Verdict::kDeliver, NoRetry::kNoPolicy};
    return {Verdict::kDeliver, hopeless ? NoRetry::kNoOtherEndpoint : NoRetry::kUsedUp};
  }
  if (facts.error.side == Side::kClient) return {Verdict::kDeliver, NoRetry::kCannotBeSent};
  const bool wanted = (facts.error && WantsError(*policy, facts.error)) || WantsStatus(*policy, facts);
  if (!wanted) return {Verdict::kDeliver, facts.error ? NoRetry::kNoCondition : NoRetry::kNone};
  if (!facts.request_matches) return {Verdict::kDeliver, NoRetry::kRequestHeaders};
  if (facts.told_wait.kind == ToldWait::Kind::kNever) return {Verdict::kDeliver, NoRetry::kToldToWait};
  if (facts.paid_retries >= policy->max_retries) return {Verdict::kDeliver, NoRetry::kUsedUp};
  if (!SafeToRunAgain(facts, *policy)) return {Verdict::kDeliver, NoRetry::kCouldRunTwice};
  return {Verdict::kRetryPolicy};
}

}  // namespace

Judgement JudgeAttempt(const AttemptFacts& facts, const config::RetryPolicy* policy) {
  const Judgement judgement = JudgeWithBody(facts, policy);
  if (judgement.verdict == Verdict::kDeliver || facts.body_replayable) return judgement;
  return {Verdict::kDeliver, NoRetry::kBody};
}

NoRetry JudgeHedge(const AttemptFacts& facts, const config::RetryPolicy& policy) {
  if (!facts.request_matches) return NoRetry::kRequestHeaders;
  if (facts.paid_retries >= policy.max_retries) return NoRetry::kUsedUp;
  if (!SafeToRunAgain(facts, policy)) return NoRetry::kCouldRunTwice;
  if (!facts.body_replayable) return NoRetry::kBody;
  if (!facts.other_endpoints) return NoRetry::kNoOtherEndpoint;
  return NoRetry::kNone;
}

ToldWait ReadToldWait(const config::RetryPolicy& policy, const http::HeaderList& fields, bool grpc,
                      std::chrono::seconds unix_now, uint64_t random) {
  using Kind = ToldWait::Kind;
  for (const config::RetryPolicy::ResetHeader& header : policy.reset_headers) {
    const std::optional<int64_t> value = ReadNumber(fields.Find(header.name));
    if (!value) continue;
    const std::chrono::seconds wait(*value - (header.timestamp ? unix_now.count() : 0));
    if (wait > policy.reset_max || wait.count() < 0) continue;
    const auto half = static_cast<uint64_t>(std::chrono::nanoseconds(wait).count() / 2);
    return {Kind::kWait, wait + std::chrono::nanoseconds(Below(random, half + 1))};
  }
  if (const auto text = fields.Find("grpc-retry-pushback-ms"); text && grpc) {
    // What is none stops retries as well (A6).
    const std::chrono::milliseconds wait(ReadNumber(text).value_or(-1));
    return wait.count() < 0 || wait > policy.reset_max ? ToldWait{Kind::kNever} : ToldWait{Kind::kWait, wait};
  }
  const auto after = fields.Find("retry-after");
  std::optional<int64_t> seconds = ReadNumber(after);
  if (after && !seconds) seconds = SecondsUntil(*after, unix_now);
  if (!seconds || *seconds < 0) return {};
  const std::chrono::seconds wait(*seconds);
  return wait > policy.backoff_max ? ToldWait{Kind::kNever} : ToldWait{Kind::kWait, wait};
}

std::chrono::nanoseconds Backoff(const config::RetryPolicy& policy, uint32_t retry, uint64_t random) {
  const uint64_t steps = (uint64_t{1} << std::min<uint32_t>(retry, 20)) - 1;
  const int64_t cap = policy.backoff_max.count();
  const int64_t base = policy.backoff_base.count();
  if (base <= 0) return {};
  const int64_t span =
      steps > static_cast<uint64_t>(cap / base) ? cap : std::min(cap, base * static_cast<int64_t>(steps));
  if (span <= 0) return {};
  return std::chrono::nanoseconds(static_cast<int64_t>(random % static_cast<uint64_t>(span)));
}

}  // namespace pillion::upstream
