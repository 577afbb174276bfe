// The life of one request in this sidecar: the first of the two step tables (the second is attempt.h).
//
//   ReceiveHead -> MatchRoute -> RequestFilters -> Attempt -> ResponseFilters -> Finish
//                       |              |              |
//                       +--------------+--------------+--> a local answer goes through ResponseFilters too
//
//   ReceiveHead      what is ours alone is taken off the head: hop-by-hop fields, internal headers
//   MatchRoute       (head, routes) -> route, cluster
//   RequestFilters   in filter::MakeFilters()'s order; a filter may hold the head until its body is here, let
//                    it wait for a time, refuse it, or have the route matched again
//   Attempt          drives attempts; Judge decides on each one's end: deliver, retry, give up
//   ResponseFilters  the head goes to the client, when no filter holds it
//   Finish           both bodies flow to their ends; counts, logs
//
// The two pumps are no steps: they run whenever both ends have room. Only step functions change the step.
// Owner: the turn (a Runnable). One worker.
#ifndef PILLION_SIDECAR_EXCHANGE_EXCHANGE_H_
#define PILLION_SIDECAR_EXCHANGE_EXCHANGE_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/base/recycled.h"
#include "sidecar/exchange/answers.h"
#include "sidecar/exchange/attempt.h"
#include "sidecar/exchange/environment.h"
#include "sidecar/exchange/mirror.h"
#include "sidecar/filter/chain.h"
#include "sidecar/stream/exchange_factory.h"
#include "sidecar/stream/holder.h"
#include "sidecar/stream/stream.h"
#include "sidecar/telemetry/events.h"
#include "sidecar/upstream/retry_judgement.h"

namespace pillion::exchange {

// Request body held for a retry; beyond it the first attempt goes on and retries end. Attack: memory by
// uploads.
inline constexpr size_t kMaxReplayBytes = size_t{64} * 1024;

// What a client asked for, when the upstream is asked for another path.
inline constexpr std::string_view kOriginalPath = "x-envoy-original-path";

// What a request's filters may find.
inline constexpr RequestError kNotUnderstood = {ErrorKind::kMalformed, Side::kClient, Outcome::kNotSent,
                                                "a filter cannot read the request"};
inline constexpr RequestError kTooLargeToHold = {ErrorKind::kBodyTooLarge, Side::kClient, Outcome::kNotSent,
                                                 "a filter had to hold more of the request than it may"};

class Exchange final : public stream::Holder, public ListNode<AliveTag>, public Recycled<Exchange> {
 public:
  enum class Step : uint8_t {
    kReceiveHead,
    kMatchRoute,
    kRequestFilters,
    kAttempt,
    kResponseFilters,
    kFinish
  };

  Exchange(Environment& env, LocalRef<ListenerScope> listener, std::unique_ptr<stream::ClientStream> client);
  ~Exchange() override;

  stream::Progress Run() override;
  Step step() const { return step_; }
  // Bodies, and heads and trailers that are large: what their senders' sessions, the filters and the
  // receivers' sessions hold.
  size_t HeldBytes() const override;
  // The request is answered with an error or, when its answer has begun, broken off.
  void GiveUp(const RequestError& why) override;

 private:
  // exchange.cc: the table and its steps.
  Next Advance();
  Next ReceiveHead();
  Next MatchRoute();
  Next RequestFilters();
  Next LeaveFilters();
  Next DriveHeldRequest();
  Next DriveAttempt();
  Next ResponseFilters();
  Next Finish();
  // judge.cc: what an attempt's end, or a timer, means.
  Next Judge();
  // Decides on what the judgement wants: a deadline, the budget or a circuit may stand against it.
  upstream::Judgement MayRetry(upstream::Judgement judgement, time::Duration wait);
  // Whether another attempt may be paid for; kNone: it is.
  NoRetry PayRetry();
  void StartAttempt();
  Next Retry(upstream::Verdict verdict, time::Duration wait);
  upstream::AttemptFacts Describe(const Attempt& attempt);
  void DescribeAnswer(const Attempt& attempt, upstream::AttemptFacts& facts);
  bool PolicyTakesRequest() const;
  const config::RetryPolicy* RetryTerms() const;
  void KeepToken(bool may_run);
  // Than the one that the attempt was at.
  bool HasOtherEndpoints(const Attempt& attempt) const;
  std::optional<time::Duration> TimeLeft() const;
  time::MonotonicTime ToldDeadline() const;
  time::Duration WaitBeforeRetry(upstream::Verdict verdict, const upstream::ToldWait& told);
  // Since when no byte of the attempt has moved; max: that does not count now.
  time::MonotonicTime IdleSince() const;
  bool IsIdle(time::MonotonicTime now) const;
  void GiveUpRetrying(NoRetry reason);
  void EndRetry();
  Next CheckTimers();
  void CheckAttempts(time::MonotonicTime now);
  RequestError FindLate() const;
  Next End(const RequestError& why);
  void ArmTimer();
  // hedge.cc: attempts beside each other.
  // When another may be made beside the one that is under way, or would be refused; max: not at all.
  time::MonotonicTime HedgeDue() const;
  void Hedge();
  bool MayHedgeElsewhere() const;
  // True: one of those a later one was made beside has answered well, and is the attempt now.
  bool RivalHasAnswered();
  // The attempt has failed for good; true: it is one of the others now.
  bool FallBackToRival();
  // Of all attempts that are under way, their ends are noted.
  void DropAttempts();
  void DropRivals();
  // When an attempt of which nothing has come yet has had its time; max: it has as long as it takes.
  time::MonotonicTime PerTryDue(const Attempt& attempt) const;
  // pumps.cc: the bodies. True when something moved.
  bool PumpRequest();
  bool PumpResponse();
  bool RefillFromFilters();
  bool PumpFilteredResponse();
  // Through the filters' body hooks, as far as it goes.
  filter::Passage FilterRequest();
  filter::Passage FilterResponse();
  void PassInformational();
  // record.cc: what is left of it.
  void Count();
  void Log();
  std::string Explain() const;
  // `why`: it ends without an error of its own; "": it does not, or for its client's sake.
  void Remember(const Attempt& attempt, std::string_view why = {});

  RequestError ForTheWhole(RequestError error) const;
  RequestError AsOfToken(RequestError error) const;
  // Answers instead of an upstream; the reason is kept for explain, log and metrics.
  Next AnswerLocally(const RequestError& error);
  Next AnswerAs(const RequestError& error, const Answer& answer);
  // The same, as the filter that refuses says.
  Next Refuse(const filter::Refusal& refusal);
  // route_action.cc: what the route makes of messages.
  Next AnswerByRoute();
  // The request's head becomes the upstream's.
  RequestError ApplyRoute();
  // To the one of its route's clusters where the request's session is, if it has one.
  void FollowSession();
  void EditResponse(http::ResponseHead& head);
  // A filter has filled in local_head_ and local_body_.
  Next AnswerFromFilter();
  // Nothing serves it, so far: filters may still change that, or answer.
  Next Unrouted(const RequestError& error);
  Next Redirect(const http::RequestHead& head);
  // Too late for a status: the client sees a broken message, never a short one.
  Next BreakOff(const RequestError& error);
  // The client cannot be told any more.
  Next Abandon(const RequestError& error);
  bool ClientSideOver() const;
  // The route's, where there is one: a local answer may have none.
  time::Duration RouteTimeout() const;
  time::Duration IdleTimeout() const;
  [[nodiscard]] bool StripHead();
  uint32_t paid_retries() const {
    const uint32_t unpaid = free_retry_ ? 2 : 1;
    return attempts_ > unpaid ? attempts_ - unpaid : 0;
  }
  bool TellsReset() const;
  RequestError KeepFromTunnel(const filter::Chain& chain);
  // Of a request for a tunnel, once its route is known. No error: it is allowed, and prepared.
  RequestError PrepareTunnel();
  [[nodiscard]] bool StripResponse(http::ResponseHead& head);
  // None: the head may go. It may be gone, and another in its place, when there is one.
  std::optional<Next> HeadThroughFilters(http::ResponseHead& head);
  bool ResponseHasNoMore(const http::ResponseHead& head);
  RequestError SettleTunnel(http::ResponseHead& head, bool opens);
  void DescribeResponse(http::ResponseHead& head);
  filter::RequestView FilterView(const filter::Caller* caller = nullptr);
  // A filter's wait for another request begins, or is over.
  void EnterDoorbell();
  void LeaveDoorbell();
  // Null: no filter waits so.
  filter::Await* Awaited() const {
    return filter_state_.token == nullptr ? nullptr : filter_state_.token->await.get();
  }
  // Until when what is under way goes on for a filter's sake, whether its client is there or not; nullopt: it
  // does not.
  std::optional<time::MonotonicTime> GoesOnUntil() const;
  // The client is gone, and there is no more to do.
  bool ClientLost();
  void SetDeadline();
  void Continue();
  void TakeOrigin(http::ResponseHead& head);
  void Note(telemetry::Event event, uint32_t detail) { events_.Note(event, detail, env_.turn.now()); }

  Environment& env_;
  LocalRef<ListenerScope> listener_;
  LocalRef<RouteScope> routes_;
  std::unique_ptr<stream::ClientStream> client_;

  LocalRef<upstream::ClusterState> cluster_;
  const config::Route* route_ = nullptr;
  const RouteScope::Target* target_ = nullptr;  // null: no route
  filter::RequestState filter_state_;
  std::unique_ptr<filter::Chain> tunnel_hooks_;  // for the answer to a request for a tunnel; null: none
  std::unique_ptr<MirrorFeed> mirrors_;          // null: none, or they have got all of the request
  std::unique_ptr<Attempt> attempt_;
  // Those that a later one was made beside, oldest first, each with its request sent; null: none.
  std::unique_ptr<std::vector<std::unique_ptr<Attempt>>> rivals_;
  std::unique_ptr<Leads> leads_;  // until there is an answer; null: none
  std::unique_ptr<std::vector<telemetry::AttemptRecord>> past_attempts_;  // only when logged or sampled

  // The request body as far as it was taken from the client, for the next attempt, when `replayable_`.
  SliceQueue replay_;

  // The answer that is made here, when `local_answer_`.
  http::ResponseHead local_head_;
  SliceQueue local_body_;
  RequestError error_;

  stream::Timer timer_;
  time::MonotonicTime request_ended_{};  // zero: not yet
  time::MonotonicTime last_activity_;
  time::MonotonicTime retry_at_{};  // zero: no back-off running
  time::MonotonicTime deadline_{};  // of the whole exchange; zero: none
  uint16_t status_ = 0;             // sent to the client
  uint16_t local_status_ = 0;       // of local_head_, as if the request were not gRPC
  uint32_t share_draw_ = 0;         // for routes that take a share of requests; 0: not drawn
  uint64_t response_bytes_ = 0;
  Step step_ = Step::kReceiveHead;
  uint8_t next_filter_ = 0;  // whose OnRequestHead comes next
  NoRetry no_retry_ = NoRetry::kNone;
  uint8_t safe_retries_ = 0;  // of the attempts; all others but the first are the policy's
  uint16_t attempts_ = 0;     // or as many as it can say
  // More than three booleans: each is one fact that several steps read; none is a state of its own. They are
  // bits: a waiting request's size counts (exchange.cc).
  bool replayable_ : 1 = true;
  bool local_answer_ : 1 = false;
  bool head_delivered_ : 1 = false;
  bool made_key_ : 1 = false;    // a WebSocket key, for an app that wants one (websocket.h)
  bool tunnel_ : 1 = false;      // asks for a tunnel, by Upgrade or CONNECT, and is not refused one
  bool by_sidecar_ : 1 = false;  // came by HTTP/2 from a sidecar
  bool from_peer_ : 1 = false;   // likewise, which described an HTTP/1 origin
  bool answered_by_route_ : 1 = false;
  bool path_rewritten_ : 1 = false;
  bool free_retry_ : 1 = false;     // has been made
  bool may_have_run_ : 1 = false;   // an attempt before this one
  bool retry_counted_ : 1 = false;  // in the cluster's circuit; until the attempt begins that it is for
  bool waited_ : 1 = false;         // because a filter wanted it
  bool grpc_ : 1 = false;
  bool explain_ : 1 = false;
  bool response_finished_ : 1 = false;
  telemetry::EventRing events_;
};

// Makes exchanges for the sessions of one listener.
class ProxyFactory final : public stream::ExchangeFactory {
 public:
  // Both outlive the factory's sessions.
  ProxyFactory(Environment& env, LocalRef<ListenerScope> listener)
      : env_(env), listener_(std::move(listener)) {}
  void Begin(std::unique_ptr<stream::ClientStream> client) override;

 private:
  Environment& env_;
  LocalRef<ListenerScope> listener_;
};

std::string_view ToString(Exchange::Step step);

}  // namespace pillion::exchange

#endif  // PILLION_SIDECAR_EXCHANGE_EXCHANGE_H_
