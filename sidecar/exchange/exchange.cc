#include "sidecar/exchange/exchange.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "sidecar/base/mutant.h"
#include "sidecar/base/text.h"
#include "sidecar/exchange/answers.h"
#include "sidecar/exchange/http_policy.h"
#include "sidecar/exchange/origin_header.h"
#include "sidecar/exchange/peer_outcome.h"
#include "sidecar/exchange/token_fields.h"
#include "sidecar/exchange/websocket.h"
#include "sidecar/filter/grpc.h"
#include "sidecar/http/scan.h"
#include "sidecar/idempotency/problem.h"

namespace pillion::exchange {
namespace {

// Calls use(element) for each element of all fields of that name.
template <typename Use>
void ForEachElement(const http::HeaderList& headers, http::Known known, Use use) {
  if (!headers.Has(known)) return;
  for (size_t i = 0; i < headers.size(); ++i) {
    if (headers[i].known == known) ForEachListElement(headers[i].value, use);
  }
}

// The protocols an HTTP/1.1 client asks to switch to; "" when it asks for none that we carry. h2c is not one,
// wherever it stands in the list: we speak HTTP/2 by prior knowledge, and two hops of it cannot be switched
// end to end. An app that took it up would answer requests that no route of ours has seen. What is no
// protocol's name is none either, and could not be sent as one by HTTP/2.
std::string AskedUpgrade(const http::RequestHead& head) {
  if (head.version != http::Version::kHttp11 || !head.headers.Has(http::Known::kUpgrade)) return {};
  bool named = false;
  ForEachElement(head.headers, http::Known::kConnection,
                 [&](std::string_view e) { named = named || EqualsIgnoreCase(e, "upgrade"); });
  std::string asked;
  if (!named) return asked;
  ForEachElement(head.headers, http::Known::kUpgrade, [&](std::string_view protocol) {
    if (EqualsIgnoreCase(protocol.substr(0, 3), "h2c") || !http::IsProtocol(protocol)) return;
    if (!asked.empty()) asked += ", ";
    asked += protocol;
  });
  return asked;
}

// x-pillion-deadline: milliseconds, at most nine digits. nullopt: none.
std::optional<time::Duration> ParseDeadline(std::string_view text) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.size() > 9 || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return std::chrono::milliseconds(value);
}

constexpr std::string_view kTooManyOptions = "the Connection field names too many options";

}  // namespace

using telemetry::Event;

// A waiting request, its bodies and heads apart.
static_assert(sizeof(Exchange) + sizeof(Attempt) <= 1200);

Exchange::Exchange(Environment& env, LocalRef<ListenerScope> listener,
                   std::unique_ptr<stream::ClientStream> client)
    : env_(env),
      listener_(std::move(listener)),
      routes_(listener_->routes),
      client_(std::move(client)),
      timer_(this),
      last_activity_(env.turn.now()) {
  client_->set_owner(this);
  env_.alive.PushBack(this);
  ++(listener_->config->direction == config::Direction::kInbound ? env_.active_inbound
                                                                 : env_.active_outbound);
}

Exchange::~Exchange() {
  EndRetry();
  LeaveDoorbell();
  --(listener_->config->direction == config::Direction::kInbound ? env_.active_inbound
                                                                 : env_.active_outbound);
}

stream::Progress Exchange::Run() {
  if (filter_state_.chain != nullptr) filter_state_.chain->BeginTurn();
  Next next = CheckTimers();
  bool moved = true;
  while (next != Next::kDone && moved) {
    next = Advance();
    moved = false;
    if (next == Next::kDone) break;
    moved = PumpRequest();
    if (mirrors_ != nullptr && attempt_ != nullptr && attempt_->request_finished) {
      mirrors_->Finish();
      mirrors_.reset();
    }
    moved = PumpResponse() || moved;
    if (moved) last_activity_ = env_.turn.now();
  }
  if (next == Next::kDone) return stream::Progress::kDone;
  ArmTimer();
  return stream::Progress::kIdle;
}

// The table. Each step sets the next one itself and answers kMore, or waits.
Next Exchange::Advance() {
  Next next = Next::kMore;
  while (next == Next::kMore) {
    switch (step_) {
      case Step::kReceiveHead:
        next = ReceiveHead();
        break;
      case Step::kMatchRoute:
        next = MatchRoute();
        break;
      case Step::kRequestFilters:
        next = RequestFilters();
        break;
      case Step::kAttempt:
        next = DriveAttempt();
        break;
      case Step::kResponseFilters:
        next = ResponseFilters();
        break;
      case Step::kFinish:
        next = Finish();
        break;
    }
  }
  return next;
}

Next Exchange::ReceiveHead() {
  http::RequestHead& head = client_->request();
  Note(Event::kReceived, static_cast<uint32_t>(head.version));
  grpc_ = http::IsGrpc(head.headers);
  if (client_->in().error) return AnswerLocally(std::exchange(client_->in().error, {}));
  if (!StripHead()) {
    return AnswerLocally({ErrorKind::kMalformed, Side::kClient, Outcome::kNotSent, kTooManyOptions});
  }
  if (env_.pressure != nullptr && env_.pressure->level() != Pressure::kNone) {
    env_.stats.worker.shed_requests.Add();
    return AnswerLocally({ErrorKind::kPressure, Side::kLocal, Outcome::kNotSent, "memory is short"});
  }
  if (client_->early_data()) {
    if (!http::IsSafe(head.method) || tunnel_) {
      return AnswerLocally({ErrorKind::kTooEarly, Side::kClient, Outcome::kNotSent,
                            "early data with a request that may not be replayed"});
    }
    head.headers.Remove("early-data");
    head.headers.Add("early-data", "1");  // RFC 8470 section 5.1: whoever runs it decides
  }
  const config::HttpPolicy& policy = listener_->config->http.policy;
  const RequestVerdict verdict =
      ApplyToRequest(policy, {client_->peer(), client_->security(), from_peer_}, head);
  if (verdict.error) return AnswerLocally(verdict.error);
  if (verdict.redirect) return Redirect(head);
  if (verdict.send_continue) {
    http::ResponseHead proceed;
    proceed.status = 100;
    client_->SendInformational(proceed);
  }
  step_ = Step::kMatchRoute;
  return Next::kMore;
}

// What belongs to the hop before us, or to sidecars only, goes no further. False: it cannot be told apart.
bool Exchange::StripHead() {
  http::RequestHead& head = client_->request();
  const config::HttpOptions& options = listener_->config->http;
  filter_state_.token = TakeTokenFields(head.headers);
  if (const auto origin = head.headers.Find(http::Known::kPillionOrigin)) {
    const std::string description(*origin);
    head.headers.Remove(http::Known::kPillionOrigin);
    if (options.accept_peer_headers && head.version == http::Version::kHttp2) {
      from_peer_ = RestoreOrigin(description, head);
      by_sidecar_ = from_peer_ || description == kHttp2Origin;
    }
  }
  if (!by_sidecar_) filter_state_.token.reset();
  if (head.upgrade.empty()) head.upgrade = AskedUpgrade(head);
  tunnel_ = !head.upgrade.empty() || head.method == http::Method::kConnect;
  explain_ = options.allow_explain && head.headers.Find(http::Known::kPillionExplain) == "1";
  return http::RemoveHopByHop(head.headers);
}

RequestError Exchange::PrepareTunnel() {
  http::RequestHead& head = client_->request();
  const std::string_view type =
      head.method == http::Method::kConnect ? std::string_view("CONNECT") : std::string_view(head.upgrade);
  if (!config::AllowsUpgrade(listener_->config->http, *route_, type)) {
    return {ErrorKind::kUpgradeRefused, Side::kClient, Outcome::kNotSent,
            "neither the listener nor the route allows this upgrade"};
  }
  if (NeedsWebSocketKey(head)) {
    made_key_ = true;
    head.headers.Add(kWebSocketKey, MakeWebSocketKey(env_.random));
  }
  return {};
}

Next Exchange::MatchRoute() {
  if (target_ != nullptr) target_->stats.started.Subtract();  // matched again: it counts for the new route
  target_ = nullptr;
  cluster_.Reset();
  error_ = {};
  const route::RouteIndex& index = routes_->index();
  // Drawn once: what matched by a share matches again.
  if (index.has_shares() && share_draw_ == 0) share_draw_ = static_cast<uint32_t>(env_.random.Next());
  const route::Match match = index.Find(client_->request(), uint64_t{share_draw_} << 32);
  if (match.route == nullptr) {
    route_ = nullptr;
    if (client_->request().method == http::Method::kConnect) {
      return AnswerLocally(
          {ErrorKind::kConnectRefused, Side::kClient, Outcome::kNotSent, "no route is for CONNECT"});
    }
    return Unrouted({ErrorKind::kNoRoute, Side::kLocal, Outcome::kNotSent,
                     match.virtual_host == nullptr ? "no virtual host for this authority"
                                                   : "no route of the virtual host matches"});
  }
  route_ = match.route;
  Note(Event::kRouted, static_cast<uint32_t>(match.route - match.virtual_host->routes.data()));
  target_ = &routes_->Choose(match, env_.random);
  target_->stats.started.Add();
  if (target_->cluster == nullptr) {
    step_ = Step::kRequestFilters;
    return Next::kMore;
  }
  cluster_ = LocalRef<upstream::ClusterState>(env_.clusters.Find(*target_->cluster));
  if (!cluster_) {
    return Unrouted(
        {ErrorKind::kNoCluster, Side::kLocal, Outcome::kNotSent, "the route's cluster is not known"});
  }
  step_ = Step::kRequestFilters;
  return Next::kMore;
}

Next Exchange::Unrouted(const RequestError& error) {
  if (listener_->config->http.filters == nullptr) return AnswerLocally(error);
  error_ = error;
  step_ = Step::kRequestFilters;
  return Next::kMore;
}

filter::RequestView Exchange::FilterView(const filter::Caller* caller) {
  return {listener_->config->http,
          route_,
          client_->request(),
          filter_state_,
          env_.random,
          local_head_,
          local_body_,
          caller,
          target_ == nullptr ? nullptr : target_->filters};
}

std::optional<time::MonotonicTime> Exchange::GoesOnUntil() const {
  if (filter_state_.chain == nullptr || env_.aborted) return std::nullopt;
  return filter_state_.chain->goes_on_until();
}

bool Exchange::ClientLost() {
  if (!client_->in().error) return false;
  if (!GoesOnUntil() || client_->in().error.kind == ErrorKind::kPressure) return true;
  if (filter_state_.chain->TellClientGone())
    Note(Event::kClientGone, static_cast<uint32_t>(client_->in().error.kind));
  return false;
}

Next Exchange::RequestFilters() {
  if (filter_state_.chain != nullptr && filter_state_.chain->request_held()) {
    const Next next = DriveHeldRequest();
    if (next == Next::kWait || step_ != Step::kRequestFilters) return next;
  }
  if (filter_state_.wait != nullptr) {
    if (client_->in().error) return AnswerLocally(std::exchange(client_->in().error, {}));
    if (filter_state_.wait->until > env_.turn.now()) return Next::kWait;
  }
  const bool configured = listener_->config->http.filters != nullptr;
  filter::Refusal refusal;
  std::optional<filter::StickySession> session;
  std::optional<filter::Caller> caller;
  std::optional<filter::Ends> ends;
  if (configured) {
    if (listener_->config->http.access_judged != config::AccessJudged::kNowhere)
      ends.emplace(filter::Ends{client_->local(), client_->direct_peer()});
    caller.emplace(filter::Caller{env_.turn.now(), env_.turn.wall(), env_.stats.worker, client_->peer(),
                                  client_->security(), refusal, session, ends ? &*ends : nullptr});
  }
  filter::RequestView view = FilterView(configured ? &*caller : nullptr);
  while (next_filter_ < listener_->filters.size()) {
    const filter::Decision decision = listener_->filters[next_filter_++]->OnRequestHead(view);
    if (session) {
      leads_ = std::make_unique<Leads>();
      leads_->session = std::exchange(session, std::nullopt);
      FollowSession();
      if (target_ != nullptr) view.of_cluster = target_->filters;
    }
    if (tunnel_ && filter_state_.chain != nullptr) {
      if (const RequestError error = KeepFromTunnel(*filter_state_.chain)) return AnswerLocally(error);
    }
    if (decision == filter::Decision::kWait) {
      --next_filter_;
      waited_ = true;
      const time::Duration wait = filter_state_.wait->until - env_.turn.now();
      Note(Event::kDelayed, static_cast<uint32_t>(wait / std::chrono::milliseconds(1)));
      return Next::kWait;
    }
    filter_state_.wait.reset();
    switch (decision) {
      case filter::Decision::kContinue:
      case filter::Decision::kYield:
      case filter::Decision::kWait:
        break;
      case filter::Decision::kRefuse:
        return Refuse(refusal);
      case filter::Decision::kHold:
        filter_state_.chain->HoldRequest();
        Continue();
        return Next::kMore;
      case filter::Decision::kRespond:
        return AnswerFromFilter();
      case filter::Decision::kReset:
        return AnswerLocally(kNotUnderstood);
      case filter::Decision::kRematch:
        step_ = Step::kMatchRoute;
        return Next::kMore;
    }
  }
  return LeaveFilters();
}

// All filters are through with the head.
Next Exchange::LeaveFilters() {
  if (tunnel_) tunnel_hooks_ = std::move(filter_state_.chain);
  if (filter_state_.chain != nullptr) {
    Continue();
    grpc_ = grpc_ || http::IsGrpc(client_->request().headers);
  }
  if (error_) return AnswerLocally(error_);
  if (route_->answers()) return AnswerByRoute();
  if (tunnel_) {
    if (const RequestError error = PrepareTunnel()) return AnswerLocally(error);
  }
  SetDeadline();
  if (deadline_ != time::MonotonicTime() && env_.turn.now() >= deadline_)
    return AnswerLocally({ErrorKind::kDeadline, Side::kLocal, Outcome::kNotSent, "it came too late"});
  if (const RequestError error = ApplyRoute()) return AnswerLocally(error);
  if (route_->mirrors != nullptr && env_.mirrors != nullptr && !tunnel_)
    mirrors_ = env_.mirrors->Start(*route_->mirrors, client_->request());
  step_ = Step::kAttempt;
  // What is here already goes through first: whether more follows decides on the framing of the head, and
  // what cannot be read needs no attempt. DriveAttempt looks at what comes of it.
  if (filter_state_.chain != nullptr) RefillFromFilters();
  return Next::kMore;
}

// A tunnel's bytes are no content. Where a filter would change content, the request is an ordinary one, as if
// its client had not asked for more (RFC 9110 section 7.8: Upgrade may be ignored); where that cannot be, it
// is refused.
RequestError Exchange::KeepFromTunnel(const filter::Chain& chain) {
  if (chain.only_response_head()) return {};
  http::RequestHead& head = client_->request();
  if (head.method == http::Method::kConnect || client_->wire_version() == http::Version::kHttp2) {
    return {ErrorKind::kUpgradeRefused, Side::kClient, Outcome::kNotSent,
            "a filter of the listener would change the tunnel's bytes"};
  }
  head.upgrade.clear();
  tunnel_ = false;
  return {};
}

// A client that waits for leave to send its body (RFC 9110 section 10.1.1) gets it here: what a filter makes
// of the request, and holds of it, is not what the server would be asked about.
void Exchange::Continue() {
  http::RequestHead& head = client_->request();
  const auto expect = head.headers.Find(http::Known::kExpect);
  if (!expect || !EqualsIgnoreCase(*expect, "100-continue")) return;
  head.headers.Remove(http::Known::kExpect);
  http::ResponseHead go_on;
  go_on.status = 100;
  if (head.version != http::Version::kHttp10) client_->SendInformational(go_on);
}

// The body comes in and goes through the hooks; no attempt is made yet.
Next Exchange::DriveHeldRequest() {
  if (client_->in().error) return AnswerLocally(std::exchange(client_->in().error, {}));
  filter::Passage passage = FilterRequest();
  if (passage == filter::Passage::kHeld && Awaited() != nullptr && !Awaited()->waiter) {
    EnterDoorbell();
    if (Awaited()->waiter) passage = FilterRequest();
  }
  if (passage == filter::Passage::kHeld) return Next::kWait;
  LeaveDoorbell();
  switch (passage) {
    case filter::Passage::kFlows:
      return Next::kMore;
    case filter::Passage::kHeld:
      break;
    case filter::Passage::kAnswered:
      return AnswerFromFilter();
    case filter::Passage::kBroken:
      return AnswerLocally(kNotUnderstood);
    case filter::Passage::kTooLarge:
      return AnswerLocally(kTooLargeToHold);
    case filter::Passage::kRematch:
      step_ = Step::kMatchRoute;
      return Next::kMore;
  }
  return Next::kWait;
}

// How long this exchange may take at all: the least of what its route allows and what the request itself
// says, which counts from its start.
void Exchange::SetDeadline() {
  std::optional<time::Duration> limit;
  if (route_->max_duration.count() > 0) limit = route_->max_duration;
  const http::HeaderList& fields = client_->request().headers;
  const auto lower = [&limit](std::optional<time::Duration> asked) {
    if (asked) limit = std::min(limit.value_or(*asked), *asked);
  };
  const auto text = grpc_ ? fields.Find(http::Known::kGrpcTimeout) : std::nullopt;
  const std::optional<time::Duration> asked = text ? filter::ParseGrpcTimeout(*text) : std::nullopt;
  if (asked && route_->grpc_timeout_max) {  // it takes the place of max_duration, as in Envoy
    const time::Duration cap = *route_->grpc_timeout_max;
    limit = cap.count() > 0 ? std::min(*asked, cap) : *asked;
    *limit -= std::min(*limit, route_->grpc_timeout_offset);
  } else {
    lower(asked);
  }
  if (const auto left = fields.Find(http::Known::kPillionDeadline)) lower(ParseDeadline(*left));
  if (limit) deadline_ = client_->started() + *limit;
}

Next Exchange::DriveAttempt() {
  // Answered once, and no reason to break that answer off: only an error that comes after it is.
  if (ClientLost()) return AnswerLocally(std::exchange(client_->in().error, {}));
  if (filter_state_.chain != nullptr && filter_state_.chain->request_answered()) return AnswerFromFilter();
  if (rivals_ != nullptr && RivalHasAnswered()) {
    PassInformational();
    return Judge();
  }
  if (attempt_ == nullptr) {
    if (retry_at_ > env_.turn.now()) return Next::kWait;
    retry_at_ = {};
    StartAttempt();
  }
  const Next next = attempt_->Advance();
  PassInformational();
  if (attempt_->has_head() || next == Next::kDone) return Judge();
  return Next::kWait;
}

Next Exchange::ResponseFilters() {
  http::ResponseHead& head = local_answer_ ? local_head_ : attempt_->stream()->response();
  filter::Chain* const chain = filter_state_.chain.get();
  if (chain == nullptr || !chain->response_begun()) {
    if (!StripResponse(head)) {
      attempt_->Fail({ErrorKind::kMalformed, Side::kUpstream, Outcome::kAnswered, kTooManyOptions});
      return AnswerLocally(attempt_->error());
    }
    EditResponse(head);
  }
  if (chain != nullptr) {
    if (const auto next = HeadThroughFilters(head)) return *next;
  }
  if (tunnel_hooks_ != nullptr)
    tunnel_hooks_->BeginResponse(
        {head, false, local_answer_ ? local_status_ : uint16_t{0}, local_answer_ ? error_ : RequestError()});
  const bool opens = !local_answer_ && http::OpensTunnel(client_->request(), head.status);
  if (tunnel_ && !local_answer_) {
    if (const RequestError error = SettleTunnel(head, opens)) return AnswerLocally(error);
    tunnel_ = opens;  // what was not granted goes on as any other
  }
  DescribeResponse(head);
  const bool end = !opens && ResponseHasNoMore(head);
  // What is left of the request is for nobody. Said with the head, or the client would send another one into
  // the connection's end.
  const bool for_nobody = local_answer_ || (!opens && attempt_->stream()->in().stopped);
  if (for_nobody && !client_->in().ended && !ClientSideOver()) client_->EndEarly();
  if (!client_->SendResponse(head, end)) {
    if (local_answer_)
      return Abandon({ErrorKind::kHeadTooLarge, Side::kLocal, Outcome::kAnswered, "answer too large"});
    attempt_->Fail({ErrorKind::kHeadTooLarge, Side::kUpstream, Outcome::kAnswered,
                    "response head too large for the client"});
    return AnswerLocally(attempt_->error());
  }
  if (opens) attempt_->request_finished = false;  // the tunnel's bytes follow the head
  status_ = head.status;
  head_delivered_ = true;
  response_finished_ = end;
  replay_.Clear();
  leads_.reset();
  Note(Event::kDelivered, status_);
  step_ = Step::kFinish;
  return Next::kMore;
}

bool Exchange::ResponseHasNoMore(const http::ResponseHead& head) {
  using Kind = http::ContentLength::Kind;
  if (filter::Chain* const chain = filter_state_.chain.get()) {
    const http::HeaderList& trailers =
        local_answer_ ? chain->local_trailers : attempt_->stream()->in().trailers;
    return chain->response_over() && chain->response_out().empty() && trailers.empty() &&
           (local_answer_ || head.content.kind != Kind::kUnsized);
  }
  if (local_answer_) return local_body_.empty();
  const stream::Inbox& in = attempt_->stream()->in();
  return in.ended && in.content.empty() && !in.trailers_present && head.content.kind != Kind::kUnsized;
}

// What a sidecar said of its app's HTTP/1 response is taken off and restored; from anybody else only taken
// off.
void Exchange::TakeOrigin(http::ResponseHead& head) {
  const auto origin = head.headers.Find(http::Known::kPillionOrigin);
  if (!origin) return;
  const std::string description(*origin);
  head.headers.Remove(http::Known::kPillionOrigin);
  // A malformed description from a peer only loses the letter case.
  if (attempt_->upgraded() && !RestoreOrigin(description, head))
    env_.stats.worker.upstream_protocol_errors.Add();
}

// What the hop behind us, or another sidecar, has said to us alone. False, as above.
bool Exchange::StripResponse(http::ResponseHead& head) {
  if (local_answer_) {
    if (http::ResponseHasNoContent(client_->request().method, head.status)) local_body_.Clear();
    return true;
  }
  head.headers.RemoveAny({http::Known::kPillionDedup, http::Known::kPillionOther});
  TakeOrigin(head);
  // Which of the protocols that were asked for the app has chosen (RFC 9110 section 7.8).
  if (head.status == 101 && head.upgrade.empty())
    head.upgrade = head.headers.Find(http::Known::kUpgrade).value_or(client_->request().upgrade);
  head.keep_alive = true;  // the upstream connection's end is not the client connection's
  return http::RemoveHopByHop(head.headers);
}

// The answer to a request for a tunnel. No error: it may go to the client.
RequestError Exchange::SettleTunnel(http::ResponseHead& head, bool opens) {
  const http::RequestHead& request = client_->request();
  if (opens) {
    if (made_key_) {
      head.headers.Remove(kWebSocketAccept);
    } else if (NeedsWebSocketAccept(request, head)) {
      head.headers.Add(kWebSocketAccept, WebSocketAccept(request.headers.Find(kWebSocketKey).value_or("")));
    }
    return {};
  }
  // On HTTP/2 a 2xx would grant what the app has not (RFC 8441 section 5). A sidecar that asked is told what
  // the app's own status was.
  if (head.status / 100 != 2 || client_->wire_version() != http::Version::kHttp2 || from_peer_) return {};
  return {ErrorKind::kUpgradeRefused, Side::kUpstream, Outcome::kAnswered,
          "the app answered without switching protocols"};
}

void Exchange::DescribeResponse(http::ResponseHead& head) {
  ApplyToResponse(listener_->config->http.policy, !local_answer_, head);
  if (from_peer_) {
    head.headers.Set(http::Known::kPillionOrigin, DescribeOrigin(head, !client_->request().upgrade.empty()));
    if (!client_->request().upgrade.empty() && head.status / 100 == 2) head.status = kNotSwitched;
  }
  if (by_sidecar_) {
    const RequestError failure = ForTheWhole(local_answer_ ? error_ : attempt_->told());
    if (const std::string outcome = DescribeOutcome(failure); !outcome.empty())
      head.headers.Set(http::Known::kPillionOutcome, outcome);
  }
  if (!by_sidecar_) head.headers.Remove(http::Known::kPillionDedup);  // a filter's, for sidecars alone
  if (explain_) head.headers.Set(http::Known::kPillionExplain, Explain());
}

// A request for a tunnel is over with its head; what comes is of the tunnel, once it is open.
bool Exchange::ClientSideOver() const {
  const bool bare = client_->request().content.kind == http::ContentLength::Kind::kNone;
  if (tunnel_ && bare && !head_delivered_) return true;
  return client_->in().ended && client_->in().content.empty();
}

Next Exchange::Finish() {
  const bool tunnel_open = tunnel_ && !local_answer_ && attempt_ != nullptr && !attempt_->request_finished;
  if (client_->in().error && (!response_finished_ || tunnel_open)) return Abandon(client_->in().error);
  if (!local_answer_ && attempt_ != nullptr && !response_finished_) {
    if (attempt_->Advance() == Next::kDone && attempt_->error()) return BreakOff(attempt_->error());
  }
  if (tunnel_open) {
    if (attempt_->error()) return BreakOff(attempt_->error());  // a time-out, after one side has ended
    const stream::Inbox& in = attempt_->stream()->in();
    if (in.error) return BreakOff(in.error);
    if (in.stopped && response_finished_) {
      return BreakOff({ErrorKind::kReset, Side::kUpstream, Outcome::kAnswered,
                       "the upstream takes no more of the tunnel"});
    }
  }
  if (!response_finished_ || tunnel_open) return Next::kWait;
  // The answer is complete. An app that answers early may still read: the upload ends when it says so.
  const bool upload_wanted = !local_answer_ && !attempt_->request_finished && !attempt_->error() &&
                             !attempt_->stream()->in().stopped && !client_->in().error;
  if (upload_wanted) return Next::kWait;
  if (SliceQueue& left = client_->in().content; client_->in().ended && !left.empty())
    left.Clear();  // all of it is here, and nobody takes it
  if (!ClientSideOver()) client_->EndEarly();
  if (attempt_ != nullptr) Remember(*attempt_);
  Note(Event::kEnded, 0);
  Count();
  return Next::kDone;
}

// What is proven of the last attempt holds for the request only when it holds for all of them.
RequestError Exchange::ForTheWhole(RequestError error) const {
  if (may_have_run_ && (error.outcome == Outcome::kNotSent || error.outcome == Outcome::kRefused))
    error.outcome = Outcome::kAmbiguous;
  return error;
}

// What may have run is told as such where the request had a token: whoever sent it again would send another
// one.
RequestError Exchange::AsOfToken(RequestError error) const {
  const filter::TokenState* const token = filter_state_.token.get();
  if (token == nullptr || token->policy == nullptr || error.side == Side::kClient) return error;
  if (!token->stamped && !token->may_run) return error;
  if (Mutated(Mutant::kUnknownToldAsError)) return error;
  if (ForTheWhole(error).outcome == Outcome::kAmbiguous) {
    error.kind = ErrorKind::kOutcomeUnknown;
    error.outcome = Outcome::kAmbiguous;
  }
  return error;
}

Next Exchange::AnswerLocally(const RequestError& what) {
  const RequestError error = AsOfToken(what);
  Answer answer = AnswerFor(error);
  if (error.kind == ErrorKind::kNoCluster && route_ != nullptr) answer.status = route_->no_cluster_status;
  return AnswerAs(error, answer);
}

Next Exchange::Refuse(const filter::Refusal& refusal) {
  Answer answer = AnswerFor(refusal.error);
  answer.status = refusal.status;
  answer.grpc_status = refusal.grpc_status;
  if (http::ResponseHasNoContent(http::Method::kGet, answer.status)) answer.text = {};
  const Next next = AnswerAs(refusal.error, answer);
  if (answer.text.empty()) local_head_.content = {};
  for (size_t i = 0; i < refusal.fields.size(); ++i)
    local_head_.headers.Add(refusal.fields[i].name, refusal.fields[i].value);
  return next;
}

Next Exchange::AnswerAs(const RequestError& error, const Answer& answer) {
  filter_state_.wait.reset();  // nothing is waited for any more
  LeaveDoorbell();
  retry_at_ = {};
  error_ = ForTheWhole(error);
  answered_by_route_ = false;
  Note(Event::kAnsweredHere, answer.status);
  if (error.side == Side::kClient && (error.kind == ErrorKind::kReset || error.kind == ErrorKind::kClosed ||
                                      error.kind == ErrorKind::kClientGone)) {
    return Abandon(error);
  }
  if (client_->in().stopped) return Abandon(error);  // it would wait for a reader that is gone
  DropAttempts();
  client_->AnsweredLocally();
  local_answer_ = true;
  local_status_ = answer.status;
  local_body_.Clear();
  const http::RequestHead& request = client_->request();
  if (filter_state_.chain != nullptr) {
    filter_state_.chain->ForgetResponse();
    grpc_ = grpc_ || http::IsGrpc(request.headers);  // a filter has made it so, and may hold it still
  }
  if (error.kind == ErrorKind::kOutcomeUnknown) {  // as the far sidecar would have told it
    (void)idempotency::FillAnswer({idempotency::TokenProblem::kUnknown},
                                  grpc_ ? idempotency::GrpcTypeOf(request.headers) : "", local_head_,
                                  local_body_);
    // On HTTP/1 a malformed request may be no gRPC at all: what could not be read has no content type either.
  } else if (grpc_ && (answer.status != 400 || request.version == http::Version::kHttp2)) {
    local_head_ = MakeGrpcAnswer(answer, request);
  } else {
    local_head_ = MakeAnswer(answer);
    local_body_.AppendCopy(answer.text);
  }
  step_ = Step::kResponseFilters;
  return Next::kMore;
}

Next Exchange::AnswerFromFilter() {
  error_ = {};  // that nothing would serve the request does not matter any more
  answered_by_route_ = false;
  Note(Event::kAnsweredHere, local_head_.status);
  DropAttempts();
  local_answer_ = true;
  local_status_ = local_head_.status;
  if (filter_state_.chain != nullptr) filter_state_.chain->ForgetResponse();
  step_ = Step::kResponseFilters;
  return Next::kMore;
}

// To the canonical path of its own request (RFC 9110 section 15.4.8). A gRPC client would not follow.
Next Exchange::Redirect(const http::RequestHead& head) {
  if (grpc_) {
    return AnswerLocally(
        {ErrorKind::kPathRefused, Side::kClient, Outcome::kNotSent, "an escaped slash in a path"});
  }
  Note(Event::kAnsweredHere, 307);
  local_answer_ = true;
  local_head_.status = 307;
  local_head_.content = {http::ContentLength::Kind::kSized, 0};
  // More slashes, or a backslash that is read as one, would name another host (RFC 3986 section 4.2).
  const std::string_view path = head.path;
  const size_t start = std::min(path.find_first_not_of("/\\"), path.size());
  local_head_.headers.Add("location", "/" + std::string(path.substr(start)));
  step_ = Step::kResponseFilters;
  return Next::kMore;
}

Next Exchange::BreakOff(const RequestError& error) {
  error_ = error;
  if (attempt_ != nullptr && attempt_->stream() != nullptr)
    client_->TellCode(attempt_->stream()->in().reset_code);
  client_->Reset(error_);
  if (attempt_ != nullptr) Remember(*attempt_);
  Count();
  return Next::kDone;
}

Next Exchange::Abandon(const RequestError& error) {
  error_ = error;
  Note(Event::kClientGone, static_cast<uint32_t>(error.kind));
  DropAttempts();
  client_->Reset(error);
  Count();
  return Next::kDone;
}

void ProxyFactory::Begin(std::unique_ptr<stream::ClientStream> client) {
  env_.turn.Wake(*new Exchange(env_, listener_, std::move(client)));
}

std::string_view ToString(Exchange::Step step) {
  switch (step) {
    case Exchange::Step::kReceiveHead:
      return "ReceiveHead";
    case Exchange::Step::kMatchRoute:
      return "MatchRoute";
    case Exchange::Step::kRequestFilters:
      return "RequestFilters";
    case Exchange::Step::kAttempt:
      return "Attempt";
    case Exchange::Step::kResponseFilters:
      return "ResponseFilters";
    case Exchange::Step::kFinish:
      return "Finish";
  }
  return "unknown";
}

}  // namespace pillion::exchange
