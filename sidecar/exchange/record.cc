// What is left of an exchange: counters, the log record, the explanation.
#include <algorithm>
#include <string>

#include "sidecar/exchange/answers.h"
#include "sidecar/exchange/exchange.h"
#include "sidecar/filter/client_address.h"
#include "sidecar/idempotency/digest.h"

namespace pillion::exchange {

namespace {

// Of the last attempt's, at the client's side.
std::string TokenHash(const filter::TokenState& token) {
  const auto& one = token.policy == nullptr ? token.taken : token.last;
  return one ? idempotency::HashForPeople(*one) : "";
}

void LogToken(const filter::TokenState& token, telemetry::RequestRecord& record) {
  record.token = TokenHash(token);
  if (token.policy != nullptr) return;
  if (token.verdict) record.verdict = idempotency::ToString(*token.verdict);
  record.linked_trace = token.linked_trace;
  record.linked_span = token.linked_span;
}

}  // namespace

void Exchange::Remember(const Attempt& attempt, std::string_view why) {
  target_->stats.outcomes[static_cast<size_t>(attempt.outcome())].Add();
  const filter::TokenState* const token = filter_state_.token.get();
  const bool stamped = token != nullptr && token->stamped;
  if (stamped) {
    target_->stats.token_attempts.Add();
    if (token->verdict) target_->stats.token_verdicts[static_cast<size_t>(*token->verdict)].Add();
  }
  if (!filter_state_.trace.sampled && !listener_->config->http.access_log) return;
  telemetry::AttemptRecord record;
  record.span = attempt.span();
  record.started = env_.turn.Wall(attempt.started());
  record.ended = env_.turn.wall();
  if (attempt.endpoint() != nullptr) record.endpoint = attempt.endpoint()->address().ToString();
  if (attempt.stream() != nullptr) {
    record.protocol = http::ToString(attempt.stream()->wire_version());
    if (attempt.has_head()) record.status = attempt.stream()->response().status;
  }
  const RequestError error = attempt.error() ? attempt.error() : attempt.told();
  record.error = error.detail;
  if (!error) record.error = why;
  record.outcome = attempt.outcome();
  record.reused_connection = attempt.reused();
  if (stamped) record.token = TokenHash(*token);
  if (stamped && token->verdict) record.verdict = idempotency::ToString(*token->verdict);
  if (past_attempts_ == nullptr) past_attempts_ = std::make_unique<std::vector<telemetry::AttemptRecord>>();
  past_attempts_->push_back(std::move(record));
}

void Exchange::Count() {
  telemetry::RouteStats& stats = target_ != nullptr ? target_->stats : listener_->unrouted;
  if (target_ == nullptr) stats.started.Add();
  stats.finished.Add();
  stats.CountCode(status_ != 0 ? status_ : AnswerFor(error_).status);
  const filter::TokenState* const token = filter_state_.token.get();
  if (token != nullptr && token->policy == nullptr && token->verdict)
    stats.token_verdicts[static_cast<size_t>(*token->verdict)].Add();
  if (error_ && !listener_->of_side_calls) env_.stats.worker.RequestFailed(error_);
  stats.request_duration.Record(env_.turn.now() - client_->started());
  stats.request_bytes.Add(client_->in().content_bytes);
  stats.response_bytes.Add(response_bytes_);
  if (filter_state_.trace.sampled || listener_->config->http.access_log) Log();
}

void Exchange::Log() {
  const http::RequestHead& head = client_->request();
  telemetry::RequestRecord record;
  record.reporting = {listener_->config, &listener_->config->http};
  record.started = env_.turn.Wall(client_->started());
  record.duration = env_.turn.now() - client_->started();
  record.method = head.method_text;
  record.authority = head.authority;
  record.path = path_rewritten_ ? head.headers.Find(kOriginalPath).value_or(head.path) : head.path;
  record.protocol = http::ToString(head.version);
  if (route_ != nullptr) record.route = route_->name;
  if (cluster_) record.cluster = cluster_->name();
  record.client = filter::ClientAddress(listener_->config->http.policy, client_->peer(), head.headers);
  if (const auto agent = head.headers.Find(http::Known::kUserAgent)) record.user_agent = *agent;
  if (const auto id = head.headers.Find(http::Known::kRequestId)) record.request_id = *id;
  record.status = status_;
  if (waited_) record.flags = "DI";
  if (error_) {
    if (waited_) record.flags += ',';
    record.flags += AnswerFor(error_).flag;
    if (paid_retries() > 0 && route_->retry && paid_retries() >= route_->retry->max_retries)
      record.flags += ",URX";
    record.detail = error_.detail;
  }
  record.request_bytes = client_->in().content_bytes;
  record.response_bytes = response_bytes_;
  if (past_attempts_ != nullptr) record.attempts = std::move(*past_attempts_);
  record.no_retry = no_retry_;
  if (cluster_ && (attempts_ > 1 || no_retry_ != NoRetry::kNone))
    record.retry_budget = static_cast<int32_t>(cluster_->retry_budget.level());
  if (filter_state_.token != nullptr) LogToken(*filter_state_.token, record);
  record.sampled = filter_state_.trace.sampled;
  record.trace = filter_state_.trace.trace;
  record.server_span = filter_state_.trace.server_span;
  record.parent_span = filter_state_.trace.parent;
  if (const auto state = head.headers.Find(http::Known::kTracestate)) record.trace_state = *state;
  if (!env_.records.Add(std::move(record))) env_.stats.worker.log_records_dropped.Add();
}

// One line: what was decided, then the steps with microseconds since the start.
std::string Exchange::Explain() const {
  std::string text = "listener=" + listener_->config->name;
  text += "; route=" + (route_ != nullptr ? route_->name : std::string("none"));
  text += "; cluster=" + (cluster_ ? cluster_->name() : std::string("none"));
  if (attempt_ != nullptr && attempt_->endpoint() != nullptr)
    text += "; endpoint=" + attempt_->endpoint()->address().ToString();
  text += "; attempts=" + std::to_string(attempts_);
  if (no_retry_ != NoRetry::kNone) {
    text += "; not_retried=";
    text += ToString(no_retry_);
  }
  if (const filter::TokenState* const token = filter_state_.token.get(); token != nullptr) {
    const std::string hash = TokenHash(*token);
    if (!hash.empty()) text += "; token=" + hash;
    if (!hash.empty() && token->verdict.has_value()) {
      text += "; verdict=";
      text += idempotency::ToString(*token->verdict);
    }
  }
  if (cluster_ && (attempts_ > 1 || no_retry_ != NoRetry::kNone))
    text += "; retry_budget=" + std::to_string(static_cast<int32_t>(cluster_->retry_budget.level()));
  if (error_) {
    text += "; error=";
    text += ToString(error_.kind);
    text += "; side=";
    text += ToString(error_.side);
    text += "; outcome=";
    text += ToString(error_.outcome);
    text += "; reason=\"";
    text += error_.detail;
    text += '"';
  }
  text += "; steps=";
  for (size_t i = 0; i < events_.size(); ++i) {
    const telemetry::EventRing::Record& event = events_[i];
    if (i > 0) text += ',';
    text += ToString(event.event);
    text += ':';
    text += std::to_string(event.detail);
    text += '@';
    text +=
        std::to_string(std::max<int64_t>(0, (event.at - client_->started()) / std::chrono::microseconds(1)));
  }
  return text;
}

}  // namespace pillion::exchange
