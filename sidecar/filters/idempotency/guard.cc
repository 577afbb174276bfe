#include "sidecar/filters/idempotency/guard.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "sidecar/base/mutant.h"
#include "sidecar/base/text.h"
#include "sidecar/filters/idempotency/app_keys.h"
#include "sidecar/idempotency/local_table.h"

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

Guard::Guard(const config::TokenDomain& domain, GuardTools& tools, filter::TokenState& told,
             const Tokened& request)
    : domain_(domain), tools_(tools), told_(told), request_(request) {}

Guard::~Guard() {
  if (detached_ && !Mutated(Mutant::kDetachedForEver)) store_->detached().End();
  LeaveStore();
}

idempotency::Store* Guard::FindStore() const {
  if (domain_.store == nullptr) return (request_.minted ? *domain_.holder : *domain_.keys.holder).table.get();
  const auto found = tools_.stores.find(request_.minted ? domain_.id : domain_.keys.records);
  return found == tools_.stores.end() ? nullptr : found->second;
}

void Guard::LeaveStore() {
  idempotency::Store* const store = std::exchange(store_, nullptr);
  if (store == nullptr || (Mutated(Mutant::kLeaveForgotten) && state_ == State::kGathers)) return;
  store->Leave(held_);
}

void Guard::Say(Verdict verdict, http::HeaderList& headers) {
  told_.verdict = verdict;
  headers.Set(http::Known::kPillionDedup, ToString(verdict));
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
  claim.key = {told_.taken.value_or(std::array<uint8_t, 16>()), request_.caller};
  if (Mutated(Mutant::kKeyIgnoresToken)) claim.key.token = {};
  if (!fingerprint_) {
    const SliceQueue nothing;
    const bool whole = request_.minted || domain_.compares_key_contents;
    fingerprint_ = idempotency::Fingerprint(body.head, whole ? body.in : nothing);
  }
  claim.fingerprint = *fingerprint_;
  if (domain_.keeps_answers) claim.most_answer_bytes = domain_.max_response_bytes;
  claim.now = Now(body.request);
  claim.minted = request_.minted;
  claim.conflict = domain_.conflict;
  const bool later = told_.first.has_value();
  // A key never runs without a record.
  claim.only_if_known = later && request_.minted.has_value() && domain_.store != nullptr &&
                        domain_.store->runs_when_down && !Mutated(Mutant::kBypassClaimsLater);
  claim.runs_again = domain_.runs_unknown_again;
  claim.of_another_incarnation =
      request_.of_another_incarnation && domain_.store == nullptr && !claim.runs_again;
  return claim;
}

Decision Guard::Claim(const filter::RequestBodyView& body) {
  const filter::Caller& caller = *body.request.caller;
  if (caller.now >= request_.deadline) return Tell(body, {TokenProblem::kTooLate});
  if (store_ == nullptr) store_ = FindStore();
  if (store_ == nullptr) return TellDown(body);
  idempotency::Claim claim = MakeClaim(body);
  std::unique_ptr<filter::Await>& await = told_.await;
  const bool may_wait = await != nullptr && await->waiter && caller.now < await->until;
  if (may_wait) claim.waiter = await->waiter;
  const idempotency::ClaimAnswer answer = store_->Claim(held_, claim);
  switch (answer.kind) {
    case Kind::kClaimed:
      return Run(body, claim.now);
    case Kind::kReplay:
      return Replay(body, answer);
    case Kind::kTombstone:
      return Tell(body, {TokenProblem::kNotKept, answer.status});
    case Kind::kWaits:
      return Decision::kHold;
    case Kind::kInFlight:
      return Wait(body, WaitsFor::kAnother);
    case Kind::kAsks:
      return Wait(body, WaitsFor::kAnswer);
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
    case Kind::kDoubt:
      return Tell(body, {TokenProblem::kDoubt});
    case Kind::kDown:
      return TellDown(body);
    case Kind::kRefused:
      return Tell(body, {TokenProblem::kStoreDown});
  }
  return Decision::kReset;
}

Decision Guard::Run(const filter::RequestBodyView& body, DomainTime now) {
  if (store_->detached().now() >= domain_.max_detached && !Mutated(Mutant::kDetachedLimitIgnored)) {
    store_->Release(held_);
    store_->detached().NoteTooMany();
    return Tell(body, {TokenProblem::kNoRoom});
  }
  state_ = State::kRuns;
  execution_.at = now;
  if (body.request.state.trace.sampled) {
    execution_.trace = body.request.state.trace.trace;
    execution_.span = body.request.state.trace.server_span;
  }
  until_ = body.request.caller->now + domain_.terms.max_execution;
  grpc_ = GrpcTypeOf(body.head.headers);
  body.out.MoveFrom(body.in, SIZE_MAX);
  return Decision::kContinue;
}

// Policy may let run what the store cannot be asked about, unprotected. Whoever has said that it was the
// first attempt does not send it again; of a later one, or of what an app names, nobody knows that.
Decision Guard::TellDown(const filter::RequestBodyView& body) {
  const bool runs = domain_.store != nullptr && domain_.store->runs_when_down;
  const bool later = told_.first && !Mutated(Mutant::kBypassRunsLater);
  if (!runs || !request_.minted || later) return Tell(body, {TokenProblem::kStoreDown});
  LeaveStore();
  state_ = State::kBypass;
  body.out.MoveFrom(body.in, SIZE_MAX);
  return Decision::kContinue;
}

// The first time the exchange is asked for a waiter; with one, there were too many, or it has been long
// enough.
Decision Guard::Wait(const filter::RequestBodyView& body, WaitsFor what) {
  std::unique_ptr<filter::Await>& await = told_.await;
  const time::MonotonicTime now = body.request.caller->now;
  if (await != nullptr && !await->waiter && now < await->until) return Decision::kHold;
  const time::MonotonicTime until =
      std::min<time::MonotonicTime>(now + kLongestWait, request_.deadline - kTimeToTell);
  store_asks_ = store_asks_ || what == WaitsFor::kAnswer;
  const bool late = await != nullptr || until <= now;
  if (what == WaitsFor::kAnother && (late || domain_.conflict)) return Tell(body, {TokenProblem::kInFlight});
  if (late) return Tell(body, {TokenProblem::kTooLate});
  waits_since_ = now;
  await = std::make_unique<filter::Await>(filter::Await{until, std::nullopt});
  return Decision::kHold;
}

Decision Guard::Tell(const filter::RequestBodyView& body, const TokenAnswer& answer) {
  LeaveStore();
  state_ = State::kOver;
  told_.verdict = FillAnswer(answer, GrpcTypeOf(body.head.headers), body.response, body.response_body);
  return Decision::kRespond;
}

Decision Guard::Replay(const filter::RequestBodyView& body, const idempotency::ClaimAnswer& answer) {
  state_ = State::kOver;
  replay_ = answer.answer;
  LeaveStore();
  const bool waited = store_asks_ ? answer.waited : waits_since_.has_value();
  told_.verdict = waited ? Verdict::kCoalesced : Verdict::kReplayed;
  told_.linked_trace = replay_.execution().trace;
  told_.linked_span = replay_.execution().span;
  const filter::Caller& caller = *body.request.caller;
  if (waited) {
    caller.stats.token_waits.Record(caller.now - waits_since_.value_or(caller.now));
  } else {
    caller.stats.token_replay_ages.Record(Now(body.request) - replay_.execution().at);
  }
  FillReplay(replay_, *told_.verdict, Now(body.request), answer.execution, body.response, body.response_body);
  if (!request_.minted) FinishKeyedReplay(domain_.keys, body.response.headers, caller.stats);
  return Decision::kRespond;
}

std::optional<time::MonotonicTime> Guard::goes_on_until() const {
  if (Mutated(Mutant::kClientGoneCancels)) return std::nullopt;
  if (state_ == State::kEnds) return time::MonotonicTime::max();  // the store has a time-out of its own
  return state_ == State::kRuns ? std::optional(until_) : std::nullopt;
}

bool Guard::OnClientGone() {
  if (std::exchange(detached_, true)) return false;
  store_->detached().Begin();
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
  if (state_ == State::kEnds) {  // what had been answered is not told any more
    ReplaceByUnknown(response.head);
    return Decision::kContinue;
  }
  if (state_ != State::kRuns) return Decision::kContinue;
  if (IsRelease(response) || (Mutated(Mutant::kAmbiguousAsNotExecuted) && response.failure)) {
    Release();
    Say(Verdict::kNotExecuted, headers);
    return Decision::kContinue;
  }
  if (response.failure) {
    Abandon();
    ReplaceByUnknown(response.head);
    return Decision::kContinue;
  }
  answered_ = true;
  Say(Verdict::kExecuted, headers);
  // What has no end in sight is not held for it.
  const auto type = headers.Find(http::Known::kContentType);
  const bool stream = type && EqualsIgnoreCase(type->substr(0, kEventStream.size()), kEventStream);
  keeps_answer_ = domain_.keeps_answers && !stream;
  const SliceQueue nothing;
  bool saved = !keeps_answer_ && End(response.head, {});
  if (keeps_answer_ && response.end) saved = End(response.head, {&nothing, nullptr});
  return saved || Mutated(Mutant::kToldBeforeSaved) ? Decision::kContinue : Decision::kHold;
}

Decision Guard::OnResponseBody(const filter::ResponseBodyView& body) {
  if (state_ == State::kRuns && body.in.bytes() > domain_.max_response_bytes) keeps_answer_ = false;
  if (state_ == State::kRuns && keeps_answer_) return Decision::kHold;
  if ((state_ == State::kRuns || state_ == State::kEnds) && !End(body.head, {})) return Decision::kHold;
  if (state_ == State::kReplaces) {
    body.in.Clear();
    body.out.MoveFrom(instead_, SIZE_MAX);
    return Decision::kContinue;
  }
  body.out.MoveFrom(body.in, SIZE_MAX);
  return Decision::kContinue;
}

Decision Guard::OnResponseTrailers(const filter::ResponseBodyView& body, http::HeaderList& trailers) {
  if (state_ == State::kRuns || state_ == State::kEnds) {
    if (!End(body.head, {&body.in, trailers.empty() ? nullptr : &trailers})) return Decision::kHold;
    body.out.MoveFrom(state_ == State::kReplaces ? instead_ : body.in, SIZE_MAX);
  }
  if (state_ == State::kReplaces) {
    trailers.Clear();
  } else if (replay_ && !Mutated(Mutant::kTrailersNotReplayed)) {
    replay_.AddTrailersTo(trailers);
  }
  return Decision::kContinue;
}

void Guard::ReplaceByUnknown(http::ResponseHead& head) {
  told_.verdict = FillAnswer({TokenProblem::kUnknown, 0, domain_.unknown_status}, grpc_, head, instead_);
  state_ = State::kReplaces;
}

bool Guard::End(http::ResponseHead& head, Kept kept) {
  std::optional<idempotency::Ended> ended;
  if (state_ == State::kRuns) {
    std::unique_ptr<filter::Await>& await = told_.await;
    if (store_asks_ && (await == nullptr || !await->waiter)) {
      if (await == nullptr)
        await = std::make_unique<filter::Await>(filter::Await{time::MonotonicTime::max(), std::nullopt});
      return false;
    }
    std::string& written = tools_.scratch;
    written.clear();
    if (kept.content != nullptr) {
      idempotency::WriteAnswer(head.status, head.headers, IsSaved, *kept.content, kept.trailers, execution_,
                               written);
    }
    state_ = State::kEnds;
    ended = store_->Complete(held_, written, head.status, await == nullptr ? std::nullopt : await->waiter);
    if (written.capacity() > kKeptScratch) written = {};
  } else {
    ended = store_->HowEnded(held_);
  }
  if (!ended && !Mutated(Mutant::kToldBeforeStored)) return false;
  state_ = State::kOver;
  const bool fenced = ended == idempotency::Ended::kFenced;
  if (fenced && !Mutated(Mutant::kFencedToldAsExecuted)) ReplaceByUnknown(head);
  return true;
}

void Guard::Release() {
  if (state_ != State::kRuns) return;
  state_ = State::kOver;
  store_->Release(held_);
}

void Guard::Abandon() {
  if (state_ != State::kRuns) return;
  state_ = State::kOver;
  store_->Abandon(held_);
}

}  // namespace pillion::filters
