#include "sidecar/filters/idempotency/guard.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "sidecar/base/mutant.h"
#include "sidecar/base/text.h"
#include "sidecar/filters/idempotency/app_keys.h"

namespace pillion::filters {
namespace {

using filter::Decision;
using idempotency::DomainTime;
using idempotency::Verdict;
using Kind = idempotency::ClaimAnswer::Kind;

// Who waits for another attempt waits no longer, and so much less than its own deadline, so that its client
// is told (specs/idempotency.md 2.4).
constexpr auto kLongestWait = std::chrono::seconds(10);
// Of the memory that answers are put together in.
constexpr size_t kKeptScratch = size_t{64} * 1024;
constexpr std::string_view kEventStream = "text/event-stream";
constexpr auto kTimeToTell = std::chrono::milliseconds(50);

DomainTime Now(const filter::RequestView& request) {
  return std::chrono::floor<DomainTime>(request.caller->wall.time_since_epoch());
}

}  // namespace

Guard::Guard(const config::TokenDomain& domain, std::string& scratch, filter::TokenState& told,
             const Tokened& request)
    : domain_(domain),
      scratch_(scratch),
      table_(request.minted ? domain.holder->table : domain.keys.holder->table),
      told_(told),
      request_(request) {}

Guard::~Guard() {
  StopWaiting();
  Abandon();
  if (detached_ && !Mutated(Mutant::kDetachedForEver)) table_->EndDetached();
}

void Guard::Say(Verdict verdict, http::HeaderList& headers) {
  told_.verdict = verdict;
  headers.Set(http::Known::kPillionDedup, ToString(verdict));
}

void Guard::StopWaiting() {
  if (!waiter_) return;
  table_->StopWaiting(key_, *waiter_);
  waiter_.reset();
}

Decision Guard::OnRequestBody(const filter::RequestBodyView& body) {
  if (state_ == State::kGathers) {
    if (body.in.bytes() <= domain_.max_request_bytes) return Decision::kHold;
    // Its client's sidecar knows how large it is, and does not send it again; unless it was smaller there.
    // Who has given it a key sends it again whatever became of it.
    if (request_.translated || !request_.minted) return Tell(body, {TokenProblem::kTooLarge});
    state_ = State::kBypass;
  }
  body.out.MoveFrom(body.in, SIZE_MAX);
  return Decision::kContinue;
}

Decision Guard::OnRequestTrailers(const filter::RequestBodyView& body, http::HeaderList&) {
  return state_ == State::kGathers ? Claim(body) : Decision::kContinue;
}

idempotency::Claim Guard::MakeClaim(const filter::RequestBodyView& body) {
  idempotency::Claim claim;
  key_ = {told_.taken.value_or(std::array<uint8_t, 16>()), request_.caller};
  if (Mutated(Mutant::kKeyIgnoresToken)) key_.token = {};
  claim.key = key_;
  claim.fingerprint = idempotency::Fingerprint(body.head, body.in);
  if (domain_.keeps_answers) claim.most_answer_bytes = domain_.max_response_bytes;
  claim.now = Now(body.request);
  claim.minted = request_.minted;
  claim.of_another_incarnation = request_.of_another_incarnation;
  return claim;
}

Decision Guard::Claim(const filter::RequestBodyView& body) {
  const filter::Caller& caller = *body.request.caller;
  if (caller.now >= request_.deadline) return Tell(body, {TokenProblem::kTooLate});
  idempotency::Claim claim = MakeClaim(body);
  std::unique_ptr<filter::Await>& await = body.request.state.token->await;
  StopWaiting();  // it may have been rung already
  const bool may_wait = await != nullptr && await->waiter && caller.now < await->until;
  if (may_wait) claim.waiter = await->waiter;
  const idempotency::ClaimAnswer answer = table_->Claim(claim);
  switch (answer.kind) {
    case Kind::kClaimed:
      if (table_->detached() >= domain_.max_detached && !Mutated(Mutant::kDetachedLimitIgnored)) {
        table_->Release(key_, answer.execution);
        table_->NoteTooManyDetached();
        return Tell(body, {TokenProblem::kNoRoom});
      }
      state_ = State::kRuns;
      number_ = answer.execution;
      execution_.at = claim.now;
      if (body.request.state.trace.sampled) {
        execution_.trace = body.request.state.trace.trace;
        execution_.span = body.request.state.trace.server_span;
      }
      until_ = caller.now + domain_.terms.max_execution;
      grpc_ = GrpcTypeOf(body.head.headers);
      body.out.MoveFrom(body.in, SIZE_MAX);
      return Decision::kContinue;
    case Kind::kReplay:
      return Replay(body, answer);
    case Kind::kTombstone:
      return Tell(body, {TokenProblem::kNotKept, answer.status});
    case Kind::kWaits:
      waiter_ = claim.waiter;
      return Decision::kHold;
    case Kind::kInFlight:
      return Wait(body);
    case Kind::kUnknown:
      return Tell(body, {TokenProblem::kUnknown, 0, domain_.unknown_status});
    case Kind::kMismatch:
      return Tell(body, {TokenProblem::kOtherRequest});
    case Kind::kExpired:
      return Tell(body, {TokenProblem::kExpired});
    case Kind::kBadClock:
      return Tell(body, {TokenProblem::kFromTheFuture});
    case Kind::kFull:
      return Tell(body, {TokenProblem::kNoRoom});
    case Kind::kQuota:
      return Tell(body, {TokenProblem::kQuota});
  }
  return Decision::kReset;
}

// Another attempt of the token runs. The first time the exchange is asked for a waiter; with one, there were
// too many, or it has been long enough.
Decision Guard::Wait(const filter::RequestBodyView& body) {
  std::unique_ptr<filter::Await>& await = body.request.state.token->await;
  const time::MonotonicTime now = body.request.caller->now;
  if (await != nullptr && !await->waiter && now < await->until) return Decision::kHold;
  const time::MonotonicTime until =
      std::min<time::MonotonicTime>(now + kLongestWait, request_.deadline - kTimeToTell);
  if (await != nullptr || domain_.conflict || until <= now) return Tell(body, {TokenProblem::kInFlight});
  waits_since_ = now;
  await = std::make_unique<filter::Await>(filter::Await{until, std::nullopt});
  return Decision::kHold;
}

Decision Guard::Tell(const filter::RequestBodyView& body, const TokenAnswer& answer) {
  state_ = State::kOver;
  told_.verdict = FillAnswer(answer, GrpcTypeOf(body.head.headers), body.response, body.response_body);
  return Decision::kRespond;
}

Decision Guard::Replay(const filter::RequestBodyView& body, const idempotency::ClaimAnswer& answer) {
  state_ = State::kOver;
  replay_ = answer.answer;
  told_.verdict = waits_since_ ? Verdict::kCoalesced : Verdict::kReplayed;
  told_.linked_trace = replay_.execution().trace;
  told_.linked_span = replay_.execution().span;
  const filter::Caller& caller = *body.request.caller;
  if (waits_since_) {
    caller.stats.token_waits.Record(caller.now - *waits_since_);
  } else {
    caller.stats.token_replay_ages.Record(Now(body.request) - replay_.execution().at);
  }
  FillReplay(replay_, *told_.verdict, Now(body.request), answer.execution, body.response, body.response_body);
  if (!request_.minted) FinishKeyedReplay(body.response.headers, caller.stats);
  return Decision::kRespond;
}

std::optional<time::MonotonicTime> Guard::goes_on_until() const {
  if (Mutated(Mutant::kClientGoneCancels)) return std::nullopt;
  return state_ == State::kRuns ? std::optional(until_) : std::nullopt;
}

bool Guard::OnClientGone() {
  if (std::exchange(detached_, true)) return false;
  table_->Detach();
  return true;
}

bool Guard::IsRelease(const filter::ResponseHeadView& response) const {
  const Outcome outcome = response.failure.outcome;
  const bool not_run = outcome == Outcome::kNotSent || outcome == Outcome::kRefused;
  if (response.failure) return not_run && (!answered_ || response.local_status == 0);
  const uint16_t status = response.head.status;
  if (Mutated(Mutant::kReleaseAfter5xx) && status >= 500) return true;
  return status == 425 || status == 429 || std::ranges::count(domain_.release_on, status) > 0;
}

Decision Guard::OnResponseHead(const filter::ResponseHeadView& response) {
  http::HeaderList& headers = response.head.headers;
  if (state_ == State::kBypass) Say(Verdict::kBypass, headers);
  if (state_ == State::kGathers) Say(Verdict::kNotExecuted, headers);
  if (state_ != State::kRuns) return Decision::kContinue;
  if (IsRelease(response) || (Mutated(Mutant::kAmbiguousAsNotExecuted) && response.failure)) {
    Release();
    Say(Verdict::kNotExecuted, headers);
    return Decision::kContinue;
  }
  if (response.failure) {
    Abandon();
    told_.verdict =
        FillAnswer({TokenProblem::kUnknown, 0, domain_.unknown_status}, grpc_, response.head, instead_);
    state_ = State::kReplaces;
    return Decision::kContinue;
  }
  answered_ = true;
  Say(Verdict::kExecuted, headers);
  // What has no end in sight is not held for it.
  const auto type = headers.Find(http::Known::kContentType);
  const bool stream = type && EqualsIgnoreCase(type->substr(0, kEventStream.size()), kEventStream);
  if (!domain_.keeps_answers || stream) KeepStatus(response.head.status);
  if (response.end) Save(response.head, {}, nullptr);
  if (Mutated(Mutant::kToldBeforeSaved)) return Decision::kContinue;
  return state_ == State::kRuns ? Decision::kHold : Decision::kContinue;
}

Decision Guard::OnResponseBody(const filter::ResponseBodyView& body) {
  if (state_ == State::kReplaces) {
    body.in.Clear();
    body.out.MoveFrom(instead_, SIZE_MAX);
    return Decision::kContinue;
  }
  if (state_ == State::kRuns) {
    if (body.in.bytes() <= domain_.max_response_bytes) return Decision::kHold;
    KeepStatus(body.head.status);
  }
  body.out.MoveFrom(body.in, SIZE_MAX);
  return Decision::kContinue;
}

Decision Guard::OnResponseTrailers(const filter::ResponseBodyView& body, http::HeaderList& trailers) {
  if (state_ == State::kRuns) {
    Save(body.head, body.in, trailers.empty() ? nullptr : &trailers);
    body.out.MoveFrom(body.in, SIZE_MAX);
  } else if (state_ == State::kReplaces) {
    trailers.Clear();
  } else if (replay_ && !Mutated(Mutant::kTrailersNotReplayed)) {
    replay_.AddTrailersTo(trailers);
  }
  return Decision::kContinue;
}

void Guard::Save(const http::ResponseHead& head, const SliceQueue& content,
                 const http::HeaderList* trailers) {
  if (state_ != State::kRuns) return;
  state_ = State::kOver;
  idempotency::WriteAnswer(head.status, head.headers, IsSaved, content, trailers, execution_, scratch_);
  table_->Complete(key_, number_, scratch_, head.status);
  if (scratch_.capacity() > kKeptScratch) scratch_ = {};
}

void Guard::KeepStatus(uint16_t status) {
  if (state_ != State::kRuns) return;
  state_ = State::kOver;
  table_->Complete(key_, number_, {}, status);
}

void Guard::Release() {
  if (state_ != State::kRuns) return;
  state_ = State::kOver;
  table_->Release(key_, number_);
}

void Guard::Abandon() {
  if (state_ != State::kRuns) return;
  state_ = State::kOver;
  table_->Abandon(key_, number_);
}

}  // namespace pillion::filters
