#include "sidecar/exchange/attempt.h"

#include <algorithm>
#include <string>

#include "sidecar/base/mutant.h"
#include "sidecar/exchange/dialled_address.h"
#include "sidecar/exchange/hash_policy.h"
#include "sidecar/exchange/origin_header.h"
#include "sidecar/exchange/peer_outcome.h"
#include "sidecar/exchange/token_fields.h"
#include "sidecar/filter/chain.h"
#include "sidecar/filter/grpc.h"
#include "sidecar/net/proxy_protocol.h"

namespace pillion::exchange {

using telemetry::Event;
using upstream::Circuit;

namespace {

constexpr uint32_t kUnknownStatus = 2;  // google.rpc.Code

}  // namespace

Attempt::Attempt(AttemptOrder order, uint32_t number, const Leads* leads, const SliceQueue& replay)
    : number_(number), order_(order), leads_(leads), ticket_(&order.owner), started_(order.env.turn.now()) {
  pending.AppendShared(replay);
  ++order_.cluster.active_attempts;
}

Attempt::~Attempt() {
  WaitNoMore();
  EndRetry();
  if (counted_) order_.cluster.circuits()->GiveBack(Circuit::kRequests, order_.route.priority);
  --order_.cluster.active_attempts;
  if (endpoint_) --endpoint_->active_attempts;
}

// The table. Each step sets the next one itself and answers kMore, or waits.
Next Attempt::Advance() {
  Next next = Next::kMore;
  while (next == Next::kMore) {
    switch (step_) {
      case Step::kPick:
        next = Pick();
        break;
      case Step::kAcquire:
        next = Acquire();
        break;
      case Step::kSendHead:
        next = SendHead();
        break;
      case Step::kAwaitHead:
        next = AwaitHead();
        break;
      case Step::kRelay:
        next = Relay();
        break;
      case Step::kEnded:
        return Next::kDone;
    }
  }
  return next;
}

// A session comes before the balancer. Where its endpoint cannot be used, or has been tried in vain, the next
// one is chosen as if there were none, unless there must be.
upstream::EndpointState* Attempt::ChooseEndpoint() {
  upstream::ClusterState& cluster = order_.cluster;
  if (const net::Address* const only = order_.client.only_endpoint()) return cluster.Find(*only);
  if (leads_ != nullptr && leads_->pinned)
    return cluster.Has(*leads_->pinned) ? leads_->pinned.get() : nullptr;
  upstream::PickQuery query{.tried = leads_ == nullptr ? upstream::Tried() : upstream::Tried(leads_->tried),
                            .now = order_.env.turn.now(),
                            .random = order_.env.random};
  if (number_ > 1 && order_.route.retry) query.avoided = order_.route.retry->avoided;
  if (leads_ != nullptr && leads_->session && leads_->session->endpoint) {
    upstream::EndpointState* const own = cluster.FindSticky(*leads_->session->endpoint, query, order_.labels);
    const bool in_vain = own != nullptr && (own->Unreachable(query.now) || Has(query.tried, *own));
    if (leads_->session->strict() || (own != nullptr && !in_vain)) {
      if (own == nullptr) return nullptr;
      own->Chosen(query.now);
      order_.events.Note(Event::kSessionKept, own->address().port(), query.now);
      return own;
    }
  }
  if (!order_.route.hash_policy.empty() && cluster.config().balancer.hashes())
    query.hash = HashOfRequest(order_.route.hash_policy, head(), order_.client);
  return cluster.Pick(query, order_.labels);
}

Next Attempt::Pick() {
  counted_ = order_.cluster.circuits()->Take(Circuit::kRequests, order_.route.priority);
  if (!counted_) {
    return End({ErrorKind::kOverflow, Side::kLocal, Outcome::kNotSent,
                "as many requests are under way to the cluster as its circuit allows"});
  }
  if (const auto& original = order_.cluster.config().original_destination) {
    const Dialled dialled = DialledAddress(*original, order_.client);
    if (dialled.error) return End(dialled.error);
    endpoint_ =
        LocalRef<upstream::EndpointState>(order_.cluster.AtDialled(dialled.address, order_.env.turn.now()));
    if (!endpoint_) return End(upstream::kTooManyDialled);
  } else {
    endpoint_ = LocalRef<upstream::EndpointState>(ChooseEndpoint());
  }
  if (!endpoint_) {
    return End({ErrorKind::kNoEndpoint, Side::kLocal, Outcome::kNotSent,
                MustKeepSession() ? "the endpoint of the request's session gets no requests"
                                  : "the cluster has no usable endpoint"});
  }
  ++endpoint_->active_attempts;
  // A configuration that goes in a circle would go round until nothing is left.
  if (endpoint_->address().port() == order_.listener.config->port &&
      endpoint_->address() == order_.client.own()) {
    return End({ErrorKind::kLoop, Side::kLocal, Outcome::kNotSent,
                "the endpoint is the listener that the request came in by"});
  }
  order_.events.Note(Event::kPicked, endpoint_->address().port(), order_.env.turn.now());
  step_ = Step::kAcquire;
  return Next::kMore;
}

bool Attempt::WantsHttp2() const {
  if (http1_only_ || OpensRaw() || order_.cluster.config().proxy_protocol) return false;
  // An Extended CONNECT asks for one protocol; an app may be offered several, and in other requests than GET.
  const http::RequestHead& head = this->head();
  if (head.upgrade.find(',') != std::string::npos) return false;
  if (!head.upgrade.empty() &&
      (head.method != http::Method::kGet || head.content.kind != http::ContentLength::Kind::kNone)) {
    return false;
  }
  if (order_.cluster.config().protocol == config::UpstreamProtocol::kHttp2) return true;
  return endpoint_->pillion_sidecar() && order_.listener.config->direction == config::Direction::kOutbound;
}

Next Attempt::Acquire() {
  if (!asked_) {
    asked_ = true;
    ticket_.raw = OpensRaw();
    ticket_.again = number_ > 1;
    const config::Cluster& cluster = endpoint_->cluster();
    if (cluster.proxy_protocol) {
      std::string header;
      net::AppendProxyHeader(*cluster.proxy_protocol, order_.client.peer(), order_.client.local(), header);
      ticket_.introduction = std::make_unique<const std::string>(std::move(header));
    }
    ticket_.priority = order_.route.priority;
    order_.env.source.Acquire(*endpoint_, WantsHttp2(), ticket_);
    if (!ticket_.settled()) {
      order_.events.Note(Event::kWaitedForStream, 0, order_.env.turn.now());
      pending_ = order_.cluster.circuits()->Take(Circuit::kPending, order_.route.priority);
      if (!pending_) {
        ticket_.Unlink();
        return End({ErrorKind::kOverflow, Side::kLocal, Outcome::kNotSent,
                    "as many requests wait for the cluster as its circuit allows"});
      }
      endpoint_->BeginWait(order_.env.turn.now());
    }
  }
  if (!ticket_.settled()) return Next::kWait;
  WaitNoMore();
  if (ticket_.error) {
    LearnOf(ticket_.error.kind);
    return End(ticket_.error);
  }
  stream_ = std::move(ticket_.stream);
  stream_->set_owner(&order_.owner);
  reused_ = stream_->reused();
  if (!reused_) endpoint_->Reached(order_.env.turn.now());
  order_.events.Note(Event::kAcquired, reused_ ? 1 : 0, order_.env.turn.now());
  step_ = Step::kSendHead;
  return Next::kMore;
}

bool Attempt::RequestHasNoMore() const {
  const stream::Inbox& in = order_.client.in();
  if (filter::Chain* const chain = order_.filter_state.chain.get()) {
    return chain->request_over() && chain->request_out().empty() && in.trailers.empty() && pending.empty();
  }
  return in.ended && in.content.empty() && !in.trailers_present && pending.empty();
}

bool Attempt::IsStamped() const {
  return order_.filter_state.token != nullptr && order_.filter_state.token->stamped;
}

// What one sidecar says to another alone.
void Attempt::SayOwnFields(http::RequestHead& head) {
  head.headers.Remove(http::Known::kPillionOrigin);
  upgraded_ = to_sidecar_ && head.version != http::Version::kHttp2;
  if (upgraded_) {
    head.headers.Add(http::Known::kPillionOrigin, DescribeOrigin(head));
  } else if (to_sidecar_) {
    head.headers.Add(http::Known::kPillionOrigin, kHttp2Origin);
  }
  // Behind the description, which is of the app's own fields.
  if (!IsStamped()) return;
  WriteTokenFields(*order_.filter_state.token, number_, head.headers);
  if (Mutated(Mutant::kAcrossPolicyVersions) && !stream_->hello()->hello.domains.empty())
    head.headers.Set(http::Known::kPillionDomain,
                     idempotency::ToHex(stream_->hello()->hello.domains.front().id));
}

Next Attempt::SendHead() {
  if (stream_->in().error) return End(stream_->in().error);
  http::RequestHead& head = this->head();
  if (!head.upgrade.empty()) {
    switch (stream_->takes_upgrade()) {
      case stream::UpstreamStream::TakesUpgrade::kUnknown:
        return Next::kWait;
      case stream::UpstreamStream::TakesUpgrade::kNo:
        return FallBackToHttp1({ErrorKind::kUpgradeRefused, Side::kUpstream, Outcome::kNotSent,
                                "the upstream takes no Extended CONNECT"});
      case stream::UpstreamStream::TakesUpgrade::kYes:
        break;
    }
  }
  to_sidecar_ = stream_->wire_version() == http::Version::kHttp2 && endpoint_->pillion_sidecar() &&
                order_.listener.config->direction == config::Direction::kOutbound;
  if (order_.filter_state.token != nullptr) {
    if (const Next next = StampToken(); next != Next::kMore) return next;
  }
  const bool http2 = stream_->wire_version() == http::Version::kHttp2;
  for (size_t i = 0; i < order_.env.filters.always; ++i) {
    http::ResponseHead unused;
    SliceQueue no_body;
    order_.env.filters.all[i].filter->OnAttemptHead({order_.listener.config->http, nullptr, head,
                                                     order_.filter_state, order_.env.random, unused,
                                                     no_body});
  }
  if (order_.deadline != time::MonotonicTime()) TellDeadline();
  span_ = order_.filter_state.trace.attempt;
  SayOwnFields(head);
  // Chunked content that is empty stays chunked: the app must see what was sent.
  using Kind = http::ContentLength::Kind;
  const bool end = (order_.tunnel && head.content.kind == Kind::kNone) ||
                   (RequestHasNoMore() && head.content.kind != Kind::kUnsized);
  // HTTP/2 has no request without an authority (RFC 9113 section 8.3.1): HTTP/1.0 and an empty Host get the
  // endpoint's name for this leg; a sidecar there takes it off again.
  const bool had_authority = head.has_authority;
  const bool nameless = http2 && head.authority.empty();
  if (nameless) {
    head.authority = endpoint_->address().ToString();
    head.has_authority = true;
  }
  bool sent = true;
  if (OpensRaw()) {
    stream_->OpenRaw();
  } else {
    sent = stream_->SendRequest(head, end);
  }
  if (nameless) {
    head.authority.clear();
    head.has_authority = had_authority;
  }
  head.headers.Remove(http::Known::kPillionOrigin);
  if (IsStamped()) RemoveTokenFields(head.headers);
  if (!sent) {
    return FallBackToHttp1({ErrorKind::kHeadTooLarge, Side::kClient, Outcome::kNotSent,
                            "the head is too large for the upstream"});
  }
  request_finished = end;
  head_sent_ = true;
  head_sent_at_ = order_.env.turn.now();
  if (upgraded_) order_.events.Note(Event::kUpgraded, 0, head_sent_at_);
  order_.events.Note(Event::kHeadSent, number_, head_sent_at_);
  step_ = Step::kAwaitHead;
  return Next::kMore;
}

namespace {
// What a seeded fault takes for a hello.
const idempotency::Hello::Domain* AssumedDomain() {
  static const idempotency::Hello::Domain assumed;
  return &assumed;
}
}  // namespace

// A token goes only to a process that has said that it makes sure of it; all attempts that carry it go there,
// or, where records are shared, to others that have said so, and once one has gone without, or may have run
// elsewhere, there is none.
Next Attempt::StampToken() {
  filter::TokenState& token = *order_.filter_state.token;
  if (token.policy == nullptr || token.policy->passes_through()) return Next::kMore;
  token.stamped = false;
  token.verdict.reset();
  if (token.exposed) return Next::kMore;
  const idempotency::HeardHello* const heard = stream_->hello();
  if (heard == nullptr) return Next::kWait;
  // Who is not told that we are a sidecar takes no token from us.
  const idempotency::Hello::Domain* domain = to_sidecar_ ? heard->hello.Find(token.policy->domain) : nullptr;
  if (Mutated(Mutant::kAcrossPolicyVersions) && domain == nullptr && !heard->hello.domains.empty())
    domain = heard->hello.domains.data();
  const bool of_another =
      heard->hello.incarnation != token.process && !token.policy->shared && !token.policy->runs_unknown_again;
  const bool unknown = domain == nullptr && !Mutated(Mutant::kLaterToWhoeverThereIs);
  if (token.may_run && (unknown || (of_another && !Mutated(Mutant::kIncarnationNotCompared)))) {
    return End({ErrorKind::kNoEndpoint, Side::kLocal, Outcome::kNotSent,
                "what may have run the request, and knows of it, is gone"});
  }
  if (domain == nullptr && Mutated(Mutant::kStampWithoutHello)) domain = AssumedDomain();
  if (domain == nullptr) {
    token.exposed = true;
    return Next::kMore;
  }
  if (!token.process) {
    token.process = heard->hello.incarnation;
    if (!token.key) {
      const idempotency::DomainTime clock = heard->Clock(*domain, order_.env.turn.now());
      token.minted = idempotency::Token::Mint(clock, order_.env.random);
    }
  }
  token.stamped = true;
  token.last = token.key;
  if (token.minted) token.last = token.minted->array();
  order_.events.Note(Event::kStamped, number_, order_.env.turn.now());
  return Next::kMore;
}

void Attempt::TellDeadline() {
  const time::Duration left = std::max(order_.deadline - order_.env.turn.now(), time::Duration{0});
  if (order_.grpc) {
    head().headers.Set(http::Known::kGrpcTimeout, filter::FormatGrpcTimeout(left));
    if (!head().headers.Has(http::Known::kPillionDeadline)) return;
  }
  head().headers.Set(http::Known::kPillionDeadline, std::to_string(left / std::chrono::milliseconds(1)));
}

void Attempt::LearnOf(ErrorKind kind) {
  if (kind == ErrorKind::kConnectFailed || kind == ErrorKind::kConnectTimeout) {
    endpoint_->CouldNotConnect(order_.env.turn.now());
  } else if (kind == ErrorKind::kNone) {
    endpoint_->Reached(order_.env.turn.now());
  }
}

void Attempt::WaitNoMore() {
  if (!pending_) return;
  pending_ = false;
  endpoint_->EndWait();
  order_.cluster.circuits()->GiveBack(Circuit::kPending, order_.route.priority);
}

void Attempt::EndRetry() {
  if (!is_retry_) return;
  is_retry_ = false;
  order_.cluster.circuits()->GiveBack(Circuit::kRetries, order_.route.priority);
}

void Attempt::SetHedged(bool too_slow) {
  hedged_ = true;
  if (too_slow) NoteFailure(kPerTryTimeout);
}

void Attempt::NoteResult(upstream::AttemptResult result, Outcome outcome) {
  if (noted_ || !endpoint_) return;
  noted_ = true;
  const time::MonotonicTime now = order_.env.turn.now();
  order_.cluster.Note(*endpoint_, result, now, order_.env.random);
  if (outcome != Outcome::kNotSent)
    order_.cluster.retry_budget.OnAttempt(now, result != upstream::AttemptResult::kGood);
}

// A connection that had gone stale, which is when the request provably was not taken, says nothing of its
// endpoint, nor does what the client has done.
void Attempt::NoteFailure(const RequestError& error) {
  const bool stale =
      reused_ && error.kind == ErrorKind::kClosed && error.outcome == Outcome::kNotSent && !answered_;
  if (!endpoint_ || error.side != Side::kUpstream || stale) return;
  NoteResult(upstream::AttemptResult::kLocalFailure, error.outcome);
  NoteLatency(true);
}

// A bad answer is one as soon as it has begun; a good one when it is complete.
void Attempt::NoteAnswer() {
  const http::ResponseHead& head = stream_->response();
  uint16_t status = head.status;
  if (order_.grpc) {
    if (const auto text = head.headers.Find(http::Known::kGrpcStatus))
      status = filter::HttpStatusOfGrpc(filter::ParseGrpcStatus(*text).value_or(kUnknownStatus));
  }
  NoteLatency(status >= 500);
  const Outcome outcome = is_told_ ? error_.outcome : Outcome::kAnswered;
  if (status == 502 || status == 503 || status == 504) {
    NoteResult(upstream::AttemptResult::kGatewayError, outcome);
  } else if (status >= 500) {
    NoteResult(upstream::AttemptResult::kServerError, outcome);
  }
}

void Attempt::NoteEnd() {
  using Result = upstream::AttemptResult;
  if (noted_ || !endpoint_) return;
  if (order_.grpc) {
    if (const auto text = stream_->in().trailers.Find(http::Known::kGrpcStatus)) {
      const uint16_t status =
          filter::HttpStatusOfGrpc(filter::ParseGrpcStatus(*text).value_or(kUnknownStatus));
      if (status >= 500) {
        const Result result = status == 500 ? Result::kServerError : Result::kGatewayError;
        return NoteResult(result, Outcome::kAnswered);
      }
    }
  }
  NoteResult(Result::kGood, Outcome::kAnswered);
}

void Attempt::NoteLatency(bool failed) {
  const config::Balancer& balancer = endpoint_->cluster().balancer;
  if (balancer.kind != config::Balancer::Kind::kPeakEwma) return;
  const time::MonotonicTime now = order_.env.turn.now();
  endpoint_->latency.Observe(now - (head_sent_ ? head_sent_at_ : started_), failed, now, balancer.decay);
}

// The far sidecar speaks HTTP/1.1 too, with other limits; another HTTP/2 upstream need not.
Next Attempt::FallBackToHttp1(const RequestError& otherwise) {
  if (stream_->wire_version() != http::Version::kHttp2 ||
      order_.cluster.config().protocol == config::UpstreamProtocol::kHttp2) {
    return End(otherwise);
  }
  http1_only_ = true;
  asked_ = false;
  stream_.reset();
  step_ = Step::kAcquire;
  return Next::kMore;
}

Next Attempt::AwaitHead() {
  if (stream_->in().head) {
    answered_ = true;
    if (upgraded_ && order_.tunnel) RestoreStatus(stream_->response());
    if (TellsOutcome(stream_->response().headers)) {
      const bool own = order_.listener.config->direction == config::Direction::kInbound;
      error_ = TakeOutcome(stream_->response(), to_sidecar_ ? Answerer::kSidecar
                                                : own       ? Answerer::kOwnApp
                                                            : Answerer::kOther);
      is_told_ = static_cast<bool>(error_);
    }
    if (to_sidecar_ && order_.filter_state.token != nullptr) {
      const auto text = stream_->response().headers.Find(http::Known::kPillionDedup);
      auto verdict = text ? idempotency::ParseVerdict(*text) : std::nullopt;
      if (Mutated(Mutant::kVerdictFromStatus) && stream_->response().status == 503)
        verdict = idempotency::Verdict::kNotExecuted;
      order_.filter_state.token->verdict = verdict;
      if (verdict)
        order_.events.Note(Event::kTokenVerdict, static_cast<uint32_t>(*verdict), order_.env.turn.now());
    }
    LearnOf(error_.kind);
    NoteAnswer();
    order_.events.Note(Event::kHeadReceived, stream_->response().status, order_.env.turn.now());
    step_ = Step::kRelay;
    return Next::kMore;
  }
  if (stream_->in().error) return End(stream_->in().error);
  return Next::kWait;
}

Next Attempt::Relay() {
  const stream::Inbox& in = stream_->in();
  if (in.error) return End(in.error);
  // Also while content waits: what is sent on to its end is not looked at again, and filters take trailers.
  if (in.ended) NoteEnd();
  if (in.ended && in.content.empty()) {
    step_ = Step::kEnded;
    return Next::kDone;
  }
  return Next::kWait;
}

Next Attempt::End(const RequestError& error) {
  error_ = error;
  is_told_ = false;
  NoteFailure(error);
  order_.events.Note(Event::kAttemptFailed, static_cast<uint32_t>(error.kind), order_.env.turn.now());
  step_ = Step::kEnded;
  return Next::kDone;
}

Outcome Attempt::outcome() const {
  if (error_) return error_.outcome;
  if (has_head()) return Outcome::kAnswered;
  return head_sent_ ? Outcome::kAmbiguous : Outcome::kNotSent;
}

size_t Attempt::HeldBytes() const {
  if (stream_ == nullptr) return pending.bytes();
  return pending.bytes() + stream_->in().content.bytes() + stream_->Unsent() +
         WeighHead(stream_->response().headers, 0) + WeighHead(stream_->in().trailers, 0);
}

void Attempt::Fail(const RequestError& error) {
  if (stream_ != nullptr) stream_->Reset(error);
  ticket_.Unlink();
  End(error);
}

}  // namespace pillion::exchange
