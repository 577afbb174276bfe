// Attempts beside each other (Dean and Barroso, "The Tail at Scale", CACM 2013: hedged requests): one whose
// answer does not begin is left to go on, and another endpoint is asked as well.
//
// `attempt_` is the latest; what it fails of is judged as ever. `rivals_` are those before it, each with its
// request sent to the end: they wait for their heads, and nothing more is done with them. The first good
// answer makes its attempt `attempt_`, and ends all others.
#include <algorithm>
#include <utility>
#include <vector>

#include "sidecar/exchange/exchange.h"

namespace pillion::exchange {

using telemetry::Event;

namespace {

constexpr std::string_view kBeaten = "another attempt has answered first";

}  // namespace

time::MonotonicTime Exchange::PerTryDue(const Attempt& attempt) const {
  constexpr auto kNever = time::MonotonicTime::max();
  if (request_ended_ == time::MonotonicTime() || !route_->retry) return kNever;
  const bool hedges = route_->retry->hedge.on_per_try_timeout && attempt.request_finished;
  if (hedges && !attempt.alone()) return kNever;  // HedgeDue
  const bool waits = attempt.head_sent() && attempt.AwaitsAnswer();
  const time::Duration per_try = route_->retry->per_try_timeout;
  return waits && per_try.count() > 0 ? std::max(attempt.head_sent_at(), request_ended_) + per_try : kNever;
}

time::MonotonicTime Exchange::HedgeDue() const {
  constexpr auto kNever = time::MonotonicTime::max();
  if (attempt_ == nullptr || local_answer_ || !route_->retry || step_ != Step::kAttempt) return kNever;
  if (filter_state_.token != nullptr && filter_state_.token->policy != nullptr) return kNever;  // 6.1.8
  const config::RetryPolicy::Hedge& hedge = route_->retry->hedge;
  if (hedge == config::RetryPolicy::Hedge() || tunnel_ || request_ended_ == time::MonotonicTime())
    return kNever;
  // What is not sent to the end would have to be sent on beside the next.
  const bool waits = attempt_->request_finished && attempt_->AwaitsAnswer();
  if (!waits || attempt_->hedged()) return kNever;
  auto wait = time::Duration::max();
  if (hedge.on_per_try_timeout && route_->retry->per_try_timeout.count() > 0)
    wait = route_->retry->per_try_timeout;
  if (hedge.quantile > 0) {
    const time::Duration usual = target_->stats.recent_attempts.Quantile(hedge.quantile);
    if (usual.count() > 0) wait = std::min(wait, std::max(usual, hedge.at_least));
  }
  if (wait == time::Duration::max()) return kNever;
  return std::max(attempt_->head_sent_at(), request_ended_) + wait;
}

// Another than all that were asked, and than a session's own: who moves a session loses what it is for.
bool Exchange::MayHedgeElsewhere() const {
  if (leads_ == nullptr) return true;  // as JudgeHedge says
  const std::optional<filter::StickySession>& session = leads_->session;
  if (session && session->endpoint) return false;
  return leads_->tried.size() + 1 < cluster_->eligible();
}

void Exchange::Hedge() {
  const std::optional<config::RetryPolicy>& retry = route_->retry;
  if (!retry) return;
  const config::RetryPolicy& policy = *retry;
  const time::MonotonicTime now = env_.turn.now();
  const bool too_slow = policy.hedge.on_per_try_timeout && policy.per_try_timeout.count() > 0 &&
                        now >= std::max(attempt_->head_sent_at(), request_ended_) + policy.per_try_timeout;
  attempt_->SetHedged(too_slow);
  NoRetry reason = upstream::JudgeHedge(Describe(*attempt_), policy);
  // An app that knows its keys may refuse one that it is busy with, and that would be the first answer.
  const filter::TokenState* const token = filter_state_.token.get();
  if (reason == NoRetry::kNone && token != nullptr && token->policy != nullptr &&
      token->policy->passes_through())
    reason = NoRetry::kCouldRunTwice;
  if (reason == NoRetry::kNone && !MayHedgeElsewhere()) reason = NoRetry::kNoOtherEndpoint;
  if (reason == NoRetry::kNone && upstream::TooLate(TimeLeft(), {}, target_->stats.recent_attempts.Median()))
    reason = NoRetry::kDeadline;
  if (reason == NoRetry::kNone) reason = PayRetry();
  if (reason != NoRetry::kNone) {
    Note(Event::kNotHedged, static_cast<uint32_t>(reason));
    // The policy's time-out is that of requests that are never hedged.
    const bool never = reason == NoRetry::kRequestHeaders || reason == NoRetry::kCouldRunTwice ||
                       reason == NoRetry::kBody ||
                       (reason == NoRetry::kNoOtherEndpoint && rivals_ == nullptr);
    if (never) attempt_->SetAlone();
    return;
  }
  may_have_run_ = true;
  if (leads_ == nullptr) leads_ = std::make_unique<Leads>();
  leads_->tried.emplace_back(attempt_->endpoint());
  if (rivals_ == nullptr) rivals_ = std::make_unique<std::vector<std::unique_ptr<Attempt>>>();
  rivals_->push_back(std::move(attempt_));
  target_->stats.hedges.Add();
  Note(Event::kHedge, attempts_ + 1u);
  StartAttempt();
}

// Timers of attempts whose answers have not begun. Those that fail are found when they are advanced.
void Exchange::CheckAttempts(time::MonotonicTime now) {
  if (HedgeDue() <= now) Hedge();
  const auto check = [&](Attempt& attempt) {
    if (PerTryDue(attempt) > now) return;
    Note(Event::kTimeout, static_cast<uint32_t>(ErrorKind::kPerTryTimeout));
    attempt.Fail(kPerTryTimeout);
  };
  if (attempt_ != nullptr) check(*attempt_);
  if (rivals_ != nullptr) {
    for (const auto& rival : *rivals_) check(*rival);
  }
}

bool Exchange::RivalHasAnswered() {
  for (auto rival = rivals_->begin(); rival != rivals_->end();) {
    const bool ended = (*rival)->Advance() == Next::kDone;
    if (!ended && !(*rival)->has_head()) {
      ++rival;
      continue;
    }
    const upstream::AttemptFacts facts = Describe(**rival);
    const config::RetryPolicy* const policy = route_->retry ? &*route_->retry : nullptr;
    const upstream::Judgement judgement = upstream::JudgeAttempt(facts, policy);
    const bool good = !facts.error && judgement.verdict == upstream::Verdict::kDeliver &&
                      judgement.reason == NoRetry::kNone;
    std::unique_ptr<Attempt> over = std::move(*rival);
    rival = rivals_->erase(rival);
    if (!good) {
      target_->stats.AttemptTook(env_.turn.now() - over->started());
      Remember(*over);
      continue;
    }
    const bool latest_waits = attempt_ != nullptr && attempt_->AwaitsAnswer();
    if (latest_waits) Remember(*attempt_, kBeaten);
    if (latest_waits) attempt_.reset();
    if (rival != rivals_->begin()) target_->stats.hedges_won.Add();
    DropRivals();
    DropAttempts();
    attempt_ = std::move(over);
    retry_at_ = {};
    EndRetry();
    return true;
  }
  if (rivals_->empty()) rivals_.reset();
  return false;
}

bool Exchange::FallBackToRival() {
  if (rivals_ == nullptr) return false;
  Remember(*attempt_);
  attempt_ = std::move(rivals_->back());
  rivals_->pop_back();
  if (rivals_->empty()) rivals_.reset();
  return true;
}

void Exchange::DropAttempts() {
  if (attempt_ != nullptr) Remember(*attempt_);
  attempt_.reset();
  if (rivals_ == nullptr) return;
  for (const auto& rival : *rivals_) Remember(*rival);
  rivals_.reset();
}

// An answer is delivered, and theirs are not waited for.
void Exchange::DropRivals() {
  if (rivals_ == nullptr) return;
  for (const auto& rival : *rivals_) Remember(*rival, kBeaten);
  rivals_.reset();
}

}  // namespace pillion::exchange
