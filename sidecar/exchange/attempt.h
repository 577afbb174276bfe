// One try of an exchange at one endpoint: the second of the two step tables (the first is exchange.h).
//
//   Pick -> Acquire -> SendHead -> AwaitHead -> Relay -> Ended(outcome)
//
//   Pick        an endpoint, by the balancer; none -> Ended
//   Acquire     a stream to it; waits for a connection; failed -> Ended(NotSent)
//   SendHead    the request head; a head too large for HTTP/2 goes back to Acquire for HTTP/1.1
//   AwaitHead   waits for the response head (1xx are kept for the exchange); the request body flows meanwhile
//   Relay       the response body flows; waits for its end
//   Ended       answered, or `error` says how it failed and whether it may have run
//
// Owned by its exchange, which is the Runnable that is woken. Destroying an attempt abandons it (RST_STREAM,
// or the HTTP/1 connection closes).
#ifndef PILLION_SIDECAR_EXCHANGE_ATTEMPT_H_
#define PILLION_SIDECAR_EXCHANGE_ATTEMPT_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "sidecar/base/local_ref.h"
#include "sidecar/base/recycled.h"
#include "sidecar/base/request_error.h"
#include "sidecar/base/slice.h"
#include "sidecar/exchange/environment.h"
#include "sidecar/filter/sticky_session.h"
#include "sidecar/stream/stream.h"
#include "sidecar/telemetry/events.h"
#include "sidecar/upstream/cluster_state.h"

namespace pillion::exchange {

// An attempt whose answer has not begun in time.
inline constexpr RequestError kPerTryTimeout = {ErrorKind::kPerTryTimeout, Side::kUpstream,
                                                Outcome::kAmbiguous, "per-try time-out"};

// What is no reason to give a request up: a small head, or all that it holds together.
inline constexpr size_t kSmallBytes = 1024;

// What the fields of a head, and its target of so many bytes, hold; 0: it is small.
inline size_t WeighHead(const http::HeaderList& fields, size_t target) {
  const size_t bytes = fields.held_bytes() + target;
  return bytes > kSmallBytes ? bytes : 0;
}

// What a step answers.
enum class Next : uint8_t {
  kMore,  // the step is over, go on with the one it has set
  kWait,  // something must happen first; who is waited for wakes the exchange
  kDone,  // the table has been walked to its end
};

// What bears on which endpoints a request may go to, beside its cluster and route.
struct Leads {
  upstream::TriedEndpoints tried;                // by its earlier attempts
  LocalRef<upstream::EndpointState> pinned;      // the only one that may be asked; null: any
  std::optional<filter::StickySession> session;  // of requests that belong to one, or begin one
};

// What an attempt needs of its exchange; outlives it.
struct AttemptOrder {
  Environment& env;
  const ListenerScope& listener;
  upstream::ClusterState& cluster;
  const config::Route& route;
  const config::LabelMatch* labels;  // that its endpoint must have; null: none
  filter::RequestState& filter_state;
  time::MonotonicTime deadline;  // what the upstream is told is left until; zero: nothing
  telemetry::EventRing& events;
  stream::Runnable& owner;
  stream::ClientStream& client;  // whose request it is
  bool grpc;                     // in which way the deadline is told
  bool tunnel;                   // Upgrade or CONNECT: what follows the head is sent when it was granted
};

class Attempt final : public Recycled<Attempt> {
 public:
  enum class Step : uint8_t { kPick, kAcquire, kSendHead, kAwaitHead, kRelay, kEnded };
  // `number` counts from 1. `leads`: null: none. `replay`: what is already known of the request body.
  Attempt(AttemptOrder order, uint32_t number, const Leads* leads, const SliceQueue& replay);
  ~Attempt();
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  // Walks the table as far as it goes. kDone in kEnded.
  Next Advance();
  // Ends the attempt with an error of ours (a time-out).
  void Fail(const RequestError& error);
  // It is a retry, counted in the cluster's circuit: until EndRetry, or until it is destroyed.
  void CountAsRetry() { is_retry_ = true; }
  void EndRetry();
  // It has been decided, once, whether another attempt is made beside it. `too_slow`: its endpoint is judged
  // as if it had failed.
  void SetHedged(bool too_slow);
  bool hedged() const { return hedged_; }
  // None ever is: its own time-out is what ends it.
  void SetAlone() { alone_ = true; }
  bool alone() const { return alone_; }

  Step step() const { return step_; }
  uint32_t number() const { return number_; }
  bool has_head() const { return step_ == Step::kRelay || (step_ == Step::kEnded && answered_); }
  RequestError error() const { return is_told_ ? RequestError() : error_; }
  // Null before kSendHead and after a failure.
  stream::UpstreamStream* stream() const { return stream_.get(); }
  upstream::EndpointState* endpoint() const { return endpoint_.get(); }
  bool upgraded() const { return upgraded_; }
  // What the answer that came says of another's attempt, or of the app's own (peer_outcome.h). kNone:
  // nothing.
  RequestError told() const { return is_told_ ? error_ : RequestError(); }
  // Nothing has come of it yet, not even what has not been looked at.
  bool AwaitsAnswer() const {
    const bool here = stream_ != nullptr && (stream_->in().head || stream_->in().error);
    return !here && !has_head() && !error_;
  }
  // As far as it has come.
  Outcome outcome() const;
  // Of its request and its answer, as Holder::HeldBytes.
  size_t HeldBytes() const;
  bool reused() const { return reused_; }
  bool head_sent() const { return head_sent_; }
  time::MonotonicTime started() const { return started_; }
  time::MonotonicTime head_sent_at() const { return head_sent_at_; }
  const telemetry::SpanId& span() const { return span_; }

  // The request body still to be sent to this endpoint.
  SliceQueue pending;
  bool request_finished = false;

 private:
  // Small ones together: a waiting request's size counts (exchange.cc).
  Step step_ = Step::kPick;
  bool asked_ : 1 = false;       // the ticket is with the source
  bool http1_only_ : 1 = false;  // the head did not fit HTTP/2's limits
  bool upgraded_ : 1 = false;
  bool reused_ : 1 = false;
  bool head_sent_ : 1 = false;
  bool answered_ : 1 = false;
  bool to_sidecar_ : 1 = false;  // and it was told that we are one
  bool is_told_ : 1 = false;     // error_
  bool counted_ : 1 = false;     // among the requests of the cluster's circuits
  bool pending_ : 1 = false;     // among those that wait
  bool noted_ : 1 = false;       // what its end says of the endpoint
  bool is_retry_ : 1 = false;    // in the cluster's circuit
  bool hedged_ : 1 = false;
  bool alone_ : 1 = false;
  uint32_t number_;

  Next Pick();
  upstream::EndpointState* ChooseEndpoint();
  bool MustKeepSession() const { return leads_ != nullptr && leads_->session && leads_->session->strict(); }
  Next Acquire();
  Next SendHead();
  Next StampToken();
  bool IsStamped() const;
  void SayOwnFields(http::RequestHead& head);
  Next AwaitHead();
  Next Relay();
  Next End(const RequestError& error);
  // Whether the app behind the endpoint can be reached.
  void LearnOf(ErrorKind kind);
  // How the endpoint did, for balancing, outlier detection and the retry budget; the first that is noted
  // counts.
  void NoteResult(upstream::AttemptResult result, Outcome outcome);
  void NoteFailure(const RequestError& error);
  void NoteAnswer();
  void NoteEnd();
  void NoteLatency(bool failed);
  void WaitNoMore();
  void TellDeadline();
  http::RequestHead& head() const { return order_.client.request(); }
  bool WantsHttp2() const;
  bool OpensRaw() const { return order_.route.ends_connect && head().method == http::Method::kConnect; }
  Next FallBackToHttp1(const RequestError& otherwise);
  bool RequestHasNoMore() const;

  AttemptOrder order_;
  const Leads* leads_;
  LocalRef<upstream::EndpointState> endpoint_;
  stream::Ticket ticket_;
  std::unique_ptr<stream::UpstreamStream> stream_;
  RequestError error_;
  time::MonotonicTime started_;
  time::MonotonicTime head_sent_at_{};
  telemetry::SpanId span_{};
};

}  // namespace pillion::exchange

#endif  // PILLION_SIDECAR_EXCHANGE_ATTEMPT_H_
