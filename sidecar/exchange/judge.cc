// What the end of an attempt, or a timer, means for its exchange.
#include <algorithm>
#include <charconv>
#include <functional>
#include <utility>
#include <vector>

#include "sidecar/exchange/answers.h"
#include "sidecar/exchange/exchange.h"

namespace pillion::exchange {

using telemetry::Event;

namespace {

// What is no reason to give a request up: a small head, or all that it holds together.
constexpr size_t kSmallBytes = 1024;

size_t WeighHead(const http::HeaderList& fields, size_t target) {
  const size_t bytes = fields.held_bytes() + target;
  return bytes > kSmallBytes ? bytes : 0;
}

bool MayHaveRun(const upstream::AttemptFacts& facts) {
  return !facts.error || facts.answered ||
         (facts.error.outcome != Outcome::kNotSent && facts.error.outcome != Outcome::kRefused);
}

}  // namespace

void Exchange::StartAttempt() {
  if (++attempts_ == 1) cluster_->retry_budget.OnRequest(env_.turn.now());
  target_->stats.attempts.Add();
  attempt_ =
      std::make_unique<Attempt>(AttemptOrder{env_, *listener_, *cluster_, client_->request(), filter_state_,
                                             grpc_deadline_ ? deadline_ : time::MonotonicTime(), events_,
                                             *this, *client_, tunnel_, route_->ends_connect},
                                attempts_, avoid_.get(), replay_);
}

Next Exchange::Judge() {
  upstream::AttemptFacts facts;
  facts.method = client_->request().method;
  facts.told = !attempt_->error() && attempt_->told();
  facts.error = facts.told ? attempt_->told() : attempt_->error();
  facts.answered = attempt_->has_head() && !facts.told;
  facts.body_replayable = replayable_;
  facts.reused_connection = attempt_->reused();
  facts.other_endpoints = cluster_->endpoints().size() > 1;
  facts.policy_retries = policy_retries();
  facts.safe_retries = safe_retries_;
  if (!attempt_->error()) {
    const http::ResponseHead& head = attempt_->stream()->response();
    facts.status = head.status;
    if (const auto grpc = head.headers.Find(http::Known::kGrpcStatus); grpc && grpc_) {
      uint32_t value = 0;
      if (std::from_chars(grpc->data(), grpc->data() + grpc->size(), value).ec == std::errc())
        facts.grpc_status = value;
    }
  }
  target_->stats.attempt_duration.Record(env_.turn.now() - attempt_->started());
  const config::RetryPolicy* policy = route_->retry ? &*route_->retry : nullptr;
  const upstream::Judgement judgement = upstream::JudgeAttempt(facts, policy);
  upstream::Verdict verdict = judgement.verdict;
  NoRetry reason = judgement.reason;
  // Free of charge is one retry alone: it makes good what was lost before the request came.
  const bool paid = verdict == upstream::Verdict::kRetrySafe || verdict == upstream::Verdict::kRetryPolicy;
  if (paid && !cluster_->retry_budget.Spend(env_.turn.now())) {
    verdict = upstream::Verdict::kDeliver;
    reason = NoRetry::kBudget;
  }
  switch (verdict) {
    case upstream::Verdict::kDeliver:
      GiveUpRetrying(reason);
      break;
    case upstream::Verdict::kRetryFree:
    case upstream::Verdict::kRetrySafe:
    case upstream::Verdict::kRetryPolicy:
      may_have_run_ = may_have_run_ || MayHaveRun(facts);
      return Retry(verdict);
  }
  if (!attempt_->error() && facts.status == 101 && client_->request().upgrade.empty()) {
    attempt_->Fail(
        {ErrorKind::kMalformed, Side::kUpstream, Outcome::kAnswered, "101 without having been asked"});
  }
  if (const RequestError error = attempt_->error())
    return TellsReset() ? BreakOff(error) : AnswerLocally(error);
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
  return attempt_->stream() != nullptr && attempt_->error().kind == ErrorKind::kReset &&
         attempt_->stream()->in().reset_code != 0 && client_->wire_version() == http::Version::kHttp2 &&
         !from_peer_ && filter_state_.chain == nullptr;
}

// The next attempt starts when the step is taken again: at once, or when the back-off is over.
Next Exchange::Retry(upstream::Verdict verdict) {
  RememberAttempt();
  // A stale connection says nothing of its endpoint.
  const bool stale =
      verdict == upstream::Verdict::kRetryFree && attempt_->error().kind != ErrorKind::kPeerRefused;
  if (stale) env_.stats.worker.stale_reuse.Add();
  avoid_ = LocalRef<upstream::EndpointState>(stale ? nullptr : attempt_->endpoint());
  attempt_.reset();
  target_->stats.retries.Add();
  Note(Event::kRetry, attempts_ + 1);
  if (verdict != upstream::Verdict::kRetryPolicy || !route_->retry) {
    ++safe_retries_;
    return Next::kMore;
  }
  const auto wait = upstream::Backoff(*route_->retry, attempts_ - safe_retries_, env_.random.Next());
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
  if (request_ended_ != time::MonotonicTime() && over(request_ended_, RouteTimeout()))
    return {ErrorKind::kTimeout, Side::kUpstream, outcome, "the route's time-out"};
  if (deadline_ != time::MonotonicTime() && now >= deadline_)
    return {ErrorKind::kDeadline, Side::kUpstream, outcome, "the deadline of the request or its route"};
  if (!(tunnel_ && head_delivered_) && !ClientSideOver() && over(client_->started(), http.request_timeout))
    return {ErrorKind::kHeadTimeout, Side::kClient, outcome, "the request took longer than request_timeout"};
  if (over(client_->started(), http.max_stream_duration))
    return {ErrorKind::kHeadTimeout, Side::kClient, outcome,
            "the stream took longer than max_stream_duration"};
  if (!over(last_activity_, IdleTimeout())) return {};
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
  if (step_ != Step::kAttempt || attempt_ == nullptr || !attempt_->head_sent() || attempt_->has_head() ||
      !route_->retry)
    return Next::kMore;
  const auto per_try = route_->retry->per_try_timeout;
  const time::MonotonicTime from = std::max(attempt_->head_sent_at(), request_ended_);
  if (per_try.count() > 0 && request_ended_ != time::MonotonicTime() && now >= from + per_try) {
    Note(Event::kTimeout, static_cast<uint32_t>(ErrorKind::kPerTryTimeout));
    attempt_->Fail({ErrorKind::kPerTryTimeout, Side::kUpstream, Outcome::kAmbiguous, "per-try time-out"});
  }
  return Next::kMore;
}

// It is over for a reason of its own: no attempt follows.
Next Exchange::End(const RequestError& why) {
  if (attempt_ != nullptr) attempt_->Fail(why);
  if (attempt_ == nullptr && step_ == Step::kFinish)
    client_->in().error = why;  // a local answer nobody reads
  if (step_ == Step::kFinish) return Next::kMore;
  if (attempt_ != nullptr && step_ == Step::kAttempt)
    target_->stats.attempt_duration.Record(env_.turn.now() - attempt_->started());
  return AnswerLocally(why);
}

void Exchange::GiveUp(const RequestError& why) {
  if (step_ == Step::kReceiveHead) return;  // it holds nothing yet, and will run
  if (client_->in().error) return;          // it is about to end anyway
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
    bytes += attempt_->pending.bytes();
    if (stream::UpstreamStream* const upstream = attempt_->stream()) {
      bytes += upstream->in().content.bytes() + upstream->Unsent() +
               WeighHead(upstream->response().headers, 0) + WeighHead(upstream->in().trailers, 0);
    }
  }
  return bytes > kSmallBytes ? bytes : 0;
}

// One timer for all deadlines. It is moved only to an earlier time: most requests end long before, and a
// deadline that moved back is found by CheckTimers.
void Exchange::ArmTimer() {
  if (request_ended_ == time::MonotonicTime() && ClientSideOver()) request_ended_ = env_.turn.now();
  auto due = time::MonotonicTime::max();
  const auto sooner = [&due](time::MonotonicTime from, time::Duration wait) {
    if (wait.count() > 0) due = std::min(due, from + wait);
  };
  if (retry_at_ != time::MonotonicTime()) due = retry_at_;
  if (request_ended_ != time::MonotonicTime()) {
    sooner(request_ended_, RouteTimeout());
    if (attempt_ != nullptr && attempt_->head_sent() && !attempt_->has_head() && route_->retry) {
      sooner(std::max(attempt_->head_sent_at(), request_ended_), route_->retry->per_try_timeout);
    }
  } else {
    sooner(client_->started(), listener_->config->http.request_timeout);
  }
  sooner(client_->started(), listener_->config->http.max_stream_duration);
  sooner(last_activity_, IdleTimeout());
  if (deadline_ != time::MonotonicTime()) due = std::min(due, deadline_);
  if (due != time::MonotonicTime::max() && (!timer_.armed() || due < timer_.deadline()))
    env_.turn.Arm(timer_, due);
}

}  // namespace pillion::exchange
