// What the end of an attempt, or a timer, means for its exchange.
#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "sidecar/base/mutant.h"
#include "sidecar/exchange/answers.h"
#include "sidecar/exchange/exchange.h"
#include "sidecar/filter/grpc.h"
#include "sidecar/route/match.h"

namespace pillion::exchange {

using telemetry::Event;

namespace {

constexpr RequestError kNobodyKnows = {ErrorKind::kOutcomeUnknown, Side::kUpstream, Outcome::kAmbiguous,
                                       "an attempt before may have run"};

// An answer from which nobody can tell what became of the request: after an attempt that may have run, each
// but those that say it; of the first one, that of somebody between who has asked and not been answered.
bool LeavesUnknown(const upstream::AttemptFacts& facts) {
  if (facts.error && !facts.told) return false;  // no answer: it is told as the error that it is
  if (facts.verdict) {
    using idempotency::Verdict;
    const idempotency::Meaning meaning = MeaningOf(*facts.verdict, !facts.may_run);
    // Of the key, whoever's request it was that has it: its app may ask again, or must not.
    if (facts.has_key && (*facts.verdict == Verdict::kInFlight || *facts.verdict == Verdict::kMismatch))
      return false;
    return facts.may_run && meaning != idempotency::Meaning::kDefinitive;
  }
  return facts.may_run || (!facts.told && facts.status >= 502 && facts.status <= 504);
}

constexpr RequestError kAttemptIdle = {ErrorKind::kPerTryTimeout, Side::kUpstream, Outcome::kAmbiguous,
                                       "no byte of the attempt for too long"};

bool MayHaveRun(const upstream::AttemptFacts& facts) {
  using idempotency::Meaning;
  if (facts.stamped && facts.verdict && MeaningOf(*facts.verdict, !facts.may_run) == Meaning::kNotRun)
    return facts.may_run;
  return !facts.error || facts.answered ||
         (facts.error.outcome != Outcome::kNotSent && facts.error.outcome != Outcome::kRefused);
}

}  // namespace

void Exchange::StartAttempt() {
  if (attempts_ < UINT16_MAX) ++attempts_;
  if (attempts_ == 1) cluster_->BeginRequest(env_.turn.now());
  target_->stats.attempts.Add();
  if (filter_state_.token != nullptr) {
    filter_state_.token->stamped = false;
    filter_state_.token->verdict.reset();
  }
  attempt_ = std::make_unique<Attempt>(
      AttemptOrder{env_, *listener_, *cluster_, *route_, target_->labels, filter_state_, ToldDeadline(),
                   events_, *this, *client_, grpc_, tunnel_},
      attempts_, leads_.get(), replay_);
  if (retry_counted_) attempt_->CountAsRetry();
  retry_counted_ = false;
}

// The deadline that the upstream is told: what is left of the request's own, or of its route's time-out where
// that is policy. Of the latter a little more than is left: it is this side that says that it is over.
time::MonotonicTime Exchange::ToldDeadline() const {
  constexpr auto kMore = std::chrono::milliseconds(20);
  if (!route_->tells_timeout || tunnel_ || !client_->in().ended) return deadline_;
  const time::MonotonicTime ended =
      request_ended_ == time::MonotonicTime() ? env_.turn.now() : request_ended_;
  const time::MonotonicTime over = ended + RouteTimeout() + kMore;
  return deadline_ == time::MonotonicTime() ? over : std::min(deadline_, over);
}

// What the policy may look at in an answer.
void Exchange::DescribeAnswer(const Attempt& attempt, upstream::AttemptFacts& facts) {
  if (attempt.error() || !attempt.has_head()) return;
  const http::ResponseHead& head = attempt.stream()->response();
  facts.status = head.status;
  // A failed call has its status in the head (trailers-only), or in trailers that have come with it.
  const stream::Inbox& in = attempt.stream()->in();
  const bool in_trailers = grpc_ && in.ended && !head.headers.Has(http::Known::kGrpcStatus) &&
                           in.trailers.Has(http::Known::kGrpcStatus);
  const http::HeaderList& fields = in_trailers ? in.trailers : head.headers;
  if (const auto grpc = fields.Find(http::Known::kGrpcStatus); grpc && grpc_)
    facts.grpc_status = filter::ParseGrpcStatus(*grpc);
  if (RetryTerms() == nullptr) return;
  const config::RetryPolicy& policy = *RetryTerms();
  const bool good = head.status < 400 && facts.grpc_status.value_or(0) == 0;
  if (good && policy.response_headers.empty() && policy.status_codes.empty()) return;
  const auto matches = [&](const config::HeaderMatch& match) { return route::Matches(match, head.headers); };
  facts.headers_match = std::ranges::any_of(policy.response_headers, matches);
  facts.rate_limited = head.headers.Find("x-envoy-ratelimited").has_value();
  const auto unix_now = std::chrono::duration_cast<std::chrono::seconds>(env_.turn.wall().time_since_epoch());
  facts.told_wait = upstream::ReadToldWait(policy, fields, grpc_, unix_now, env_.random.Next());
}

bool Exchange::PolicyTakesRequest() const {
  if (!route_->retry || route_->retry->request_headers.empty()) return true;
  return std::ranges::any_of(route_->retry->request_headers, [&](const config::HeaderMatch& match) {
    return route::Matches(match, client_->request());
  });
}

// What remains for attempts; nullopt: as long as it takes.
std::optional<time::Duration> Exchange::TimeLeft() const {
  auto due = time::MonotonicTime::max();
  if (deadline_ != time::MonotonicTime()) due = deadline_;
  if (request_ended_ != time::MonotonicTime() && RouteTimeout().count() > 0)
    due = std::min(due, request_ended_ + RouteTimeout());
  if (due == time::MonotonicTime::max()) return std::nullopt;
  return due - env_.turn.now();
}

time::Duration Exchange::WaitBeforeRetry(upstream::Verdict verdict, const upstream::ToldWait& told) {
  if (verdict != upstream::Verdict::kRetryPolicy || RetryTerms() == nullptr) return {};
  const auto backoff =
      upstream::Backoff(*RetryTerms(), static_cast<uint32_t>(attempts_ - safe_retries_), env_.random.Next());
  return told.kind == upstream::ToldWait::Kind::kWait ? std::max(backoff, told.wait) : backoff;
}

void Exchange::EndRetry() {
  if (!retry_counted_) return;
  retry_counted_ = false;
  cluster_->circuits()->GiveBack(upstream::Circuit::kRetries, route_->priority);
}

bool Exchange::HasOtherEndpoints(const Attempt& attempt) const {
  if (client_->only_endpoint() != nullptr) return false;
  if (leads_ != nullptr) {
    const std::optional<filter::StickySession>& session = leads_->session;
    if (session && session->strict()) return false;
  }
  // One that drains is not among those that are chosen: the session has led there.
  const upstream::EndpointState* const tried = attempt.endpoint();
  const bool drains = tried != nullptr && tried->config().health == config::Health::kDraining;
  return cluster_->eligible() > (drains ? 0 : 1);
}

upstream::AttemptFacts Exchange::Describe(const Attempt& attempt) {
  upstream::AttemptFacts facts;
  facts.method = client_->request().method;
  facts.told = !attempt.error() && attempt.told();
  facts.error = facts.told ? attempt.told() : attempt.error();
  facts.answered = attempt.has_head() && !facts.told;
  facts.body_replayable = replayable_;
  facts.reused_connection = attempt.reused();
  facts.other_endpoints = HasOtherEndpoints(attempt);
  facts.paid_retries = paid_retries();
  facts.safe_retries = safe_retries_;
  facts.request_matches = PolicyTakesRequest();
  const filter::TokenState* const token = filter_state_.token.get();
  if (token != nullptr && (token->stamped || token->may_run)) {
    facts.stamped = true;
    const bool doubted = token->verdict == idempotency::Verdict::kDoubt;
    facts.may_run = token->may_run && !(doubted && Mutated(Mutant::kDoubtIsNotRun));
    facts.verdict = token->verdict;
    facts.has_key = token->key.has_value();
    facts.runs_unknown_again = token->policy->runs_unknown_again;
    // What is larger is not protected at the other side.
    facts.body_replayable = replayable_ && (replay_.bytes() <= token->policy->max_request_bytes ||
                                            Mutated(Mutant::kBodyLimitIgnored));
  }
  const bool passes_through = token != nullptr && token->policy != nullptr && token->policy->passes_through();
  facts.idempotent_method =
      passes_through || (route_->retry && route_->retry->TakesAsIdempotent(client_->request().path));
  DescribeAnswer(attempt, facts);
  return facts;
}

NoRetry Exchange::PayRetry() {
  retry_counted_ = cluster_->circuits()->Take(upstream::Circuit::kRetries, route_->priority);
  if (!retry_counted_) return NoRetry::kCircuit;
  if (cluster_->retry_budget.Spend(env_.turn.now())) return NoRetry::kNone;
  EndRetry();
  return NoRetry::kBudget;
}

upstream::Judgement Exchange::MayRetry(upstream::Judgement judgement, time::Duration wait) {
  using upstream::Verdict;
  if (judgement.verdict == Verdict::kDeliver) return judgement;
  if (upstream::TooLate(TimeLeft(), wait, target_->stats.recent_attempts.Median()))
    return {Verdict::kDeliver, NoRetry::kDeadline};
  if (judgement.verdict == Verdict::kRetryFree) return judgement;
  const NoRetry unpaid = PayRetry();
  return unpaid == NoRetry::kNone ? judgement : upstream::Judgement{Verdict::kDeliver, unpaid};
}

Next Exchange::Judge() {
  attempt_->EndRetry();
  const upstream::AttemptFacts facts = Describe(*attempt_);
  target_->stats.AttemptTook(env_.turn.now() - attempt_->started());
  upstream::Judgement judgement = upstream::JudgeAttempt(facts, RetryTerms());
  if (listener_->tried_once) judgement.verdict = upstream::Verdict::kDeliver;
  const time::Duration wait = WaitBeforeRetry(judgement.verdict, facts.told_wait);
  judgement = MayRetry(judgement, wait);
  if (judgement.verdict != upstream::Verdict::kDeliver) {
    may_have_run_ = may_have_run_ || MayHaveRun(facts);
    if (facts.stamped) {
      const bool may_have_run = facts.may_run || MayHaveRun(facts);
      KeepToken(may_have_run);
      (may_have_run ? target_->stats.token_retries_ambiguous : target_->stats.token_retries_not_run).Add();
    }
    return Retry(judgement.verdict, wait);
  }
  const bool bad = facts.error || judgement.reason != NoRetry::kNone;
  if (bad && FallBackToRival()) return Next::kMore;
  GiveUpRetrying(judgement.reason);
  if (!attempt_->error() && facts.status == 101 && client_->request().upgrade.empty()) {
    attempt_->Fail(
        {ErrorKind::kMalformed, Side::kUpstream, Outcome::kAnswered, "101 without having been asked"});
  }
  if (facts.stamped && LeavesUnknown(facts)) {
    attempt_->Fail(kNobodyKnows);
    return AnswerLocally(kNobodyKnows);
  }
  if (const RequestError error = attempt_->error())
    return TellsReset() ? BreakOff(error) : AnswerLocally(error);
  if (rivals_ != nullptr) {
    target_->stats.hedges_won.Add();
    // They have taken longer, and would still.
    for (const auto& rival : *rivals_)
      target_->stats.recent_attempts.Record(env_.turn.now() - rival->started());
  }
  DropRivals();
  step_ = Step::kResponseFilters;
  return Next::kMore;
}

void Exchange::GiveUpRetrying(NoRetry reason) {
  no_retry_ = reason;
  if (reason == NoRetry::kNone) return;
  target_->stats.not_retried[static_cast<size_t>(reason)].Add();
  Note(Event::kNotRetried, static_cast<uint32_t>(reason));
}

// A client that speaks HTTP/2 hears of a reset as one, unless something between translates, or it is an
// HTTP/1 client's sidecar. That a stream was refused is not passed on: each hop would try again, and so
// multiply.
bool Exchange::TellsReset() const {
  const filter::TokenState* const token = filter_state_.token.get();
  if (token != nullptr && (token->stamped || token->may_run))
    return false;  // what is not known is told as such
  return attempt_->stream() != nullptr && attempt_->error().kind == ErrorKind::kReset &&
         attempt_->stream()->in().reset_code != 0 && client_->wire_version() == http::Version::kHttp2 &&
         !from_peer_ && filter_state_.chain == nullptr;
}

// Of the route; where it has none, of its tokens or keys; null: neither.
const config::RetryPolicy* Exchange::RetryTerms() const {
  if (route_->retry) return &*route_->retry;
  const filter::TokenState* const token = filter_state_.token.get();
  if (token == nullptr || token->policy == nullptr) return nullptr;
  const bool again = token->stamped || token->may_run || token->policy->passes_through();
  return again ? &token->policy->retry : nullptr;
}

// For the attempts to come: at the process that may have run it, or anywhere, where records are shared, or
// with another token or the key.
void Exchange::KeepToken(bool may_run) {
  filter::TokenState& token = *filter_state_.token;
  if (Mutated(Mutant::kNewTokenAfterAmbiguous)) may_run = false;
  token.may_run = may_run;
  if (!may_run) {
    token.process.reset();
    return;
  }
  if (Mutated(Mutant::kUnpinnedRetry) || token.policy->shared) return;
  if (leads_ == nullptr) leads_ = std::make_unique<Leads>();
  if (!leads_->pinned) leads_->pinned = LocalRef<upstream::EndpointState>(attempt_->endpoint());
}

// The next attempt starts when the step is taken again: at once, or when the back-off is over.
Next Exchange::Retry(upstream::Verdict verdict, time::Duration wait) {
  Remember(*attempt_);
  // A stale connection says nothing of its endpoint.
  const bool stale =
      verdict == upstream::Verdict::kRetryFree && attempt_->error().kind != ErrorKind::kPeerRefused;
  free_retry_ = free_retry_ || verdict == upstream::Verdict::kRetryFree;
  if (stale) env_.stats.worker.stale_reuse.Add();
  if (!stale && attempt_->endpoint() != nullptr) {
    if (leads_ == nullptr) leads_ = std::make_unique<Leads>();
    leads_->tried.emplace_back(attempt_->endpoint());
  }
  attempt_.reset();
  target_->stats.retries.Add();
  Note(Event::kRetry, attempts_ + 1u);
  if (verdict != upstream::Verdict::kRetryPolicy) {
    ++safe_retries_;
    return Next::kMore;
  }
  Note(Event::kBackoff, static_cast<uint32_t>(wait / std::chrono::milliseconds(1)));
  retry_at_ = env_.turn.now() + wait;
  return Next::kMore;
}

time::Duration Exchange::RouteTimeout() const {
  return route_ != nullptr && !(tunnel_ && head_delivered_) ? route_->timeout : time::Duration{0};
}

time::Duration Exchange::IdleTimeout() const {
  const time::Duration general = listener_->config->http.stream_idle_timeout;
  return route_ != nullptr ? route_->idle_timeout.value_or(general) : general;
}

// The deadline that is over, if any.
RequestError Exchange::FindLate() const {
  const time::MonotonicTime now = env_.turn.now();
  const auto outcome = attempt_ != nullptr && attempt_->head_sent() ? Outcome::kAmbiguous : Outcome::kNotSent;
  const auto over = [now](time::MonotonicTime from, time::Duration wait) {
    return wait.count() > 0 && now >= from + wait;
  };
  const config::HttpOptions& http = listener_->config->http;
  // Nobody has been asked, so nobody was too slow: 503, not 504.
  if (const auto until = GoesOnUntil()) {
    if (now < *until) return {};
    return {ErrorKind::kTimeout, Side::kUpstream, outcome, "the longest that an execution may take"};
  }
  const bool nobody_asked = attempt_ != nullptr && attempt_->step() == Attempt::Step::kAcquire &&
                            rivals_ == nullptr && !may_have_run_;
  if (request_ended_ != time::MonotonicTime() && over(request_ended_, RouteTimeout())) {
    if (nobody_asked) {
      return {ErrorKind::kConnectTimeout, Side::kUpstream, Outcome::kNotSent,
              "no connection was free within the route's time-out"};
    }
    return {ErrorKind::kTimeout, Side::kUpstream, outcome, "the route's time-out"};
  }
  if (deadline_ != time::MonotonicTime() && now >= deadline_)
    return {ErrorKind::kDeadline, Side::kUpstream, outcome, "the deadline of the request or its route"};
  if (!(tunnel_ && head_delivered_) && !ClientSideOver() && over(client_->started(), http.request_timeout))
    return {ErrorKind::kHeadTimeout, Side::kClient, outcome, "the request took longer than request_timeout"};
  if (over(client_->started(), http.max_stream_duration))
    return {ErrorKind::kHeadTimeout, Side::kClient, outcome,
            "the stream took longer than max_stream_duration"};
  if (!over(last_activity_, IdleTimeout())) return {};
  if (ClientSideOver() && nobody_asked) {
    return {ErrorKind::kConnectTimeout, Side::kUpstream, Outcome::kNotSent,
            "no connection was free within the idle time-out"};
  }
  return {ErrorKind::kIdleTimeout, ClientSideOver() ? Side::kUpstream : Side::kClient, outcome,
          "no byte for too long"};
}

// Deadlines that are over turn into the end of an attempt or of the exchange.
Next Exchange::CheckTimers() {
  if (step_ == Step::kReceiveHead) return Next::kMore;
  const time::MonotonicTime now = env_.turn.now();
  if (request_ended_ == time::MonotonicTime() && ClientSideOver()) request_ended_ = now;
  if (const RequestError late = FindLate()) {
    telemetry::WorkerStats& stats = env_.stats.worker;
    if (late.side == Side::kClient) {
      stats.client_slow_heads.Add();
    } else if (late.kind == ErrorKind::kIdleTimeout && head_delivered_ && client_->Unsent() > 0) {
      stats.client_slow_reads.Add();
    }
    Note(Event::kTimeout, static_cast<uint32_t>(late.kind));
    return End(late);
  }
  if (local_answer_ || route_ == nullptr || !route_->retry) return Next::kMore;
  const bool waits_for_head = step_ == Step::kAttempt && (attempt_ == nullptr || !attempt_->has_head());
  if (IsIdle(now)) {
    Note(Event::kTimeout, static_cast<uint32_t>(ErrorKind::kPerTryTimeout));
    if (!waits_for_head) return End(kAttemptIdle);
    attempt_->Fail(kAttemptIdle);
  } else if (waits_for_head) {
    CheckAttempts(now);
  }
  return Next::kMore;
}

// It is the attempt's from the end of the request on, and while the client is not the one who is waited for.
time::MonotonicTime Exchange::IdleSince() const {
  constexpr auto kNever = time::MonotonicTime::max();
  if (attempt_ == nullptr || !attempt_->head_sent() || local_answer_ || !route_->retry) return kNever;
  if (request_ended_ == time::MonotonicTime() || tunnel_ || response_finished_) return kNever;
  const bool client_waited_for =
      client_->Unsent() > 0 || (attempt_->stream() != nullptr && !attempt_->stream()->in().content.empty());
  if (client_waited_for) return kNever;
  return std::max({attempt_->head_sent_at(), request_ended_, last_activity_});
}

// For as long as the policy allows.
bool Exchange::IsIdle(time::MonotonicTime now) const {
  const time::MonotonicTime since = IdleSince();
  if (since == time::MonotonicTime::max() || !route_->retry) return false;
  const time::Duration idle = route_->retry->per_try_idle_timeout;
  return idle.count() > 0 && now >= since + idle;
}

// It is over for a reason of its own: no attempt follows.
Next Exchange::End(const RequestError& why) {
  if (attempt_ != nullptr) attempt_->Fail(why);
  if (attempt_ == nullptr && step_ == Step::kFinish)
    client_->in().error = why;  // a local answer nobody reads
  if (step_ == Step::kFinish) return Next::kMore;
  if (attempt_ != nullptr && step_ == Step::kAttempt)
    target_->stats.AttemptTook(env_.turn.now() - attempt_->started());
  return AnswerLocally(why);
}

void Exchange::GiveUp(const RequestError& why) {
  if (step_ == Step::kReceiveHead) return;            // it holds nothing yet, and will run
  if (client_->in().error && !GoesOnUntil()) return;  // it is about to end anyway
  env_.stats.worker.shed_streams.Add();
  client_->in().error = why;  // the steps that wait look at it first
  env_.turn.Wake(*this);
}

size_t Exchange::HeldBytes() const {
  const http::RequestHead& request = client_->request();
  size_t bytes = client_->in().content.bytes() + client_->Unsent() + replay_.bytes() + local_body_.bytes() +
                 WeighHead(request.headers, request.path.size() + request.authority.size()) +
                 WeighHead(client_->in().trailers, 0) + WeighHead(local_head_.headers, 0);
  if (filter_state_.chain != nullptr) bytes += filter_state_.chain->HeldBytes();
  if (attempt_ != nullptr) {
    bytes += attempt_->HeldBytes();
  }
  if (rivals_ != nullptr) {
    for (const auto& rival : *rivals_) bytes += rival->HeldBytes();
  }
  return bytes > kSmallBytes ? bytes : 0;
}

// One timer for all deadlines. It is moved only to an earlier time: most requests end long before, and a
// deadline that moved back is found by CheckTimers.
void Exchange::ArmTimer() {
  if (request_ended_ == time::MonotonicTime() && ClientSideOver()) request_ended_ = env_.turn.now();
  time::MonotonicTime due = HedgeDue();
  const auto sooner = [&due](time::MonotonicTime from, time::Duration wait) {
    if (wait.count() > 0) due = std::min(due, from + wait);
  };
  if (retry_at_ != time::MonotonicTime()) due = std::min(due, retry_at_);
  if (filter_state_.wait != nullptr) due = filter_state_.wait->until;
  if (const filter::Await* const await = Awaited()) due = std::min(due, await->until);
  const std::optional<time::MonotonicTime> goes_on = GoesOnUntil();
  if (goes_on) due = std::min(due, *goes_on);
  if (request_ended_ != time::MonotonicTime()) {
    if (!goes_on) sooner(request_ended_, RouteTimeout());
    if (attempt_ != nullptr) due = std::min(due, PerTryDue(*attempt_));
    if (rivals_ != nullptr) {
      for (const auto& rival : *rivals_) due = std::min(due, PerTryDue(*rival));
    }
  } else if (!goes_on) {
    sooner(client_->started(), listener_->config->http.request_timeout);
  }
  if (const time::MonotonicTime since = IdleSince(); since != time::MonotonicTime::max() && route_->retry)
    sooner(since, route_->retry->per_try_idle_timeout);
  if (!goes_on) {
    sooner(client_->started(), listener_->config->http.max_stream_duration);
    sooner(last_activity_, IdleTimeout());
    if (deadline_ != time::MonotonicTime()) due = std::min(due, deadline_);
  }
  if (due != time::MonotonicTime::max() && (!timer_.armed() || due < timer_.deadline()))
    env_.turn.Arm(timer_, due);
}

}  // namespace pillion::exchange
