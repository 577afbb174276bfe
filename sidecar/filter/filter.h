// The filter contract. Filters answer with decisions and never call back (STYLE.md R4). A filter object is
// const and shared by all requests of a worker; what it remembers of one request is its Transform, made only
// for requests that it applies to.
//
// Legal sequence for one request:
//
//   OnRequestHead (of each filter, in the order of order.cc; again of one that waits) -> OnAttemptHead (each
//   attempt)
//   per Transform, in that order:     OnRequestBody* -> OnRequestTrailers          once, not per attempt
//   per Transform, the other way:     OnResponseHead -> OnResponseBody* -> OnResponseTrailers
//   the end: the Transform is destroyed
//
// A response begins anew with OnResponseHead when what came first broke while its head was held: it is then
// an answer made here. An answer made here passes the response hooks like any other.
#ifndef PILLION_SIDECAR_FILTER_FILTER_H_
#define PILLION_SIDECAR_FILTER_FILTER_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/base/recycled.h"
#include "sidecar/base/request_error.h"
#include "sidecar/base/slice.h"
#include "sidecar/config/filters.h"
#include "sidecar/config/listener.h"
#include "sidecar/config/tokens.h"
#include "sidecar/filter/sticky_session.h"
#include "sidecar/http/head.h"
#include "sidecar/idempotency/bell.h"
#include "sidecar/idempotency/token.h"
#include "sidecar/idempotency/verdict.h"
#include "sidecar/net/address.h"
#include "sidecar/net/security.h"
#include "sidecar/telemetry/request_record.h"
#include "sidecar/telemetry/stats.h"
#include "sidecar/time/clock.h"

namespace pillion::filter {

class Chain;

// Of a request that nothing goes on with before that time. It lives until the filter that made it, which
// finds it when it is called again, has answered something else than kWait, or the request is over.
class Wait {
 public:
  // `counter` counts those that wait.
  Wait(time::MonotonicTime end, std::shared_ptr<std::atomic<uint32_t>> counter)
      : until(end), counter_(std::move(counter)) {
    counter_->fetch_add(1, std::memory_order_relaxed);
  }
  ~Wait() { counter_->fetch_sub(1, std::memory_order_relaxed); }
  Wait(const Wait&) = delete;
  Wait& operator=(const Wait&) = delete;

  const time::MonotonicTime until;

 private:
  const std::shared_ptr<std::atomic<uint32_t>> counter_;
};

// Of a request, or an answer, whose head is held until something has happened elsewhere, at another worker or
// at a store, but no longer than that. A body or trailer hook sets it (of an answer OnResponseHead may too),
// and is called again at once, with a waiter to be rung; then whenever it was rung, or the time has come.
// Meanwhile it gets no more content of an answer. It is no wait any more when the hook has answered something
// else than kHold.
struct Await {
  time::MonotonicTime until;
  std::optional<idempotency::Waiter> waiter;
};

// Of a request that has a token, or may get one.
struct TokenState : Recycled<TokenState> {
  // Of the service's side: what a sidecar has said of it in the head, which it was taken off.
  enum class Says : uint8_t { kNothing, kToken, kAppKey, kNonsense };
  Says says = Says::kNothing;
  idempotency::DomainId domain = 0;               // 0: it named none
  std::optional<idempotency::Incarnation> first;  // its first attempt went to; nullopt: it is the first
  std::unique_ptr<Await> await;                   // null: nothing is waited for
  std::optional<std::array<uint8_t, 16>> taken;   // the token's bytes, or its key's
  telemetry::TraceId
      linked_trace{};  // of the execution whose answer it is told; all zero: its own, or unknown
  telemetry::SpanId linked_span{};
  // What the sidecar of the service says of it: of the request, on that side; of the present attempt, on the
  // other.
  std::optional<idempotency::Verdict> verdict;
  // Of the client's side. Null policy: it is not.
  const config::TokenPolicy* policy = nullptr;
  std::optional<std::array<uint8_t, 16>>
      key;  // the bytes of the app's, which stands for a token; none: it has none
  std::optional<idempotency::Token> minted;     // where there is no key
  std::optional<std::array<uint8_t, 16>> last;  // of what an attempt has carried; for people
  std::optional<idempotency::Incarnation>
      process;           // that attempts with it go to; none: the next one chooses, with a new token
  bool exposed = false;  // an attempt has gone without a token: none of the others has one
  bool stamped = false;  // the present attempt carries it
  bool may_run = false;  // one before it did, and may have run
};

// What the filters of one request remember; one member per filter that needs it for every request.
struct RequestState {
  RequestState();
  RequestState(RequestState&& other) noexcept;
  ~RequestState();
  struct Trace {
    bool active = false;  // the listener traces and the request has a place in a trace
    bool sampled = false;
    telemetry::TraceId trace{};
    telemetry::SpanId server_span{};
    telemetry::SpanId parent{};   // all zero: this is the root
    telemetry::SpanId attempt{};  // of the attempt whose head goes out now
  } trace;
  std::unique_ptr<Wait> wait;         // null: nothing is waited for
  std::unique_ptr<TokenState> token;  // null: it has none
  std::unique_ptr<Chain> chain;       // null: no filter has more to do than look at the request head
};

enum class Decision : uint8_t {
  kContinue,  // from a body hook that had held: the head may go
  kYield,     // from a body hook that does not hold: it has done its share, and goes on in the next turn
  kHold,      // the head waits, and the filters after this one with it, until a body hook says otherwise
  kRespond,   // request side: the answer has been filled in, no attempt is made (or it is given up)
  kReset,     // the message cannot be understood: 400 or 502 while there is time, else a broken message
  kRematch,   // request side: the head has changed; MatchRoute again, then the filters after this one
  kWait,      // OnRequestHead: has set state.wait, and is called again when that time has come
  kRefuse,    // OnRequestHead: has filled in the refusal; the answer is made of it
};

// Why a policy refuses a request, and what its client is told.
struct Refusal {
  RequestError error;
  uint16_t status = 0;  // HTTP; a gRPC client is told the other
  uint8_t grpc_status = 0;
  http::HeaderList fields;  // that the answer has besides
};

// Of the client's connection. Unset: it is gone.
struct Ends {
  net::Address local;        // where the client wanted to go
  net::Address direct_peer;  // whatever a proxy before us has said
};

// What OnRequestHead finds beside the request.
struct Caller {
  time::MonotonicTime now;
  time::WallTime wall;
  telemetry::WorkerStats& stats;
  const net::Address& peer;
  const net::Security* security;          // of TLS that ended here; null: there was none
  Refusal& refusal;                       // kRefuse
  std::optional<StickySession>& session;  // where requests of its kind have one, with or without an endpoint
  const Ends* ends = nullptr;             // null: the listener judges no access
};

struct RequestView {
  const config::HttpOptions& options;
  const config::Route* route;  // null: none matches
  http::RequestHead& head;
  RequestState& state;
  Random& random;
  http::ResponseHead& response;  // kRespond: what is sent,
  SliceQueue& response_body;     // and its content
  // Null but in OnRequestHead, of filters that not every request passes.
  const Caller* caller = nullptr;
  // What the cluster that the request goes to says beside its route (config::OptionsOf); null: nothing.
  const std::vector<config::FilterEntry>* of_cluster = nullptr;
};

// Content on its way through one Transform. It takes from the front of `in` what it can use; what it leaves
// comes again, with more behind it. What is left may grow to the transform's limit (HeldLimits); beyond it
// the request gets 413, a response becomes 502.
struct BodyView {
  SliceQueue& in;
  SliceQueue& out;
  // No more work once `out` holds so many bytes; a single piece may exceed it. Where work is not measured by
  // what comes out, a hook has a limit of its own and answers kYield.
  size_t budget;
  bool end;  // nothing comes behind `in`; told when `in` is within the limit
};

struct RequestBodyView : BodyView {
  const RequestView& request;    // with its caller, where OnRequestHead had one
  http::RequestHead& head;       // can be changed while it is held
  http::ResponseHead& response;  // kRespond, as above
  SliceQueue& response_body;
};

struct ResponseHeadView {
  http::ResponseHead& head;
  bool end;               // no content and no trailers follow
  uint16_t local_status;  // not 0: made here; the HTTP status of what it says, also when `head` is gRPC
  // Of the request's attempts, all of them, where that is what it tells of: made here of it, or told by a
  // sidecar, or by our own app. kNone: an app has answered, a filter, or a route.
  RequestError failure = {};
};

struct ResponseBodyView : BodyView {
  http::ResponseHead& head;  // can be changed while it is held
};

// One filter's work on one request, after the request head. Without I/O; the defaults let everything pass.
class Transform {
 public:
  virtual ~Transform() = default;
  virtual Decision OnRequestBody(const RequestBodyView& body);
  // The content is over; `trailers` may be empty, may be changed. What is left in body.in is dropped.
  virtual Decision OnRequestTrailers(const RequestBodyView& body, http::HeaderList& trailers);
  virtual Decision OnResponseHead(const ResponseHeadView& response);
  virtual Decision OnResponseBody(const ResponseBodyView& body);
  virtual Decision OnResponseTrailers(const ResponseBodyView& body, http::HeaderList& trailers);
  // What is under way goes on until then though the client may be gone; the client's own time-outs do not
  // count. nullopt: it does not.
  virtual std::optional<time::MonotonicTime> goes_on_until() const { return std::nullopt; }
  // The client is gone, and it does.
  // True: it did not know.
  virtual bool OnClientGone() { return false; }
  // Bytes of the peers' that it keeps to itself, those in body.in and body.out not among them.
  virtual size_t HeldBytes() const { return 0; }
  // It has no other hook than OnResponseHead, and never holds: then it may see the heads of a tunnel too,
  // whose bytes are no content.
  virtual bool only_response_head() const { return false; }
};

class Filter {
 public:
  virtual ~Filter() = default;
  // May add a Transform to request.state.chain (AddTransform in chain.h).
  virtual Decision OnRequestHead(const RequestView& request) const = 0;
  // The head of an attempt is about to be sent; may change it for this attempt.
  virtual void OnAttemptHead(const RequestView&) const {}
};

// In the order in which they run; the first `always` of them see every request, the others those of listeners
// that have a filter of their kind.
struct FilterList {
  struct Entry {
    std::optional<config::FilterKind> kind;  // none: it sees every request
    std::unique_ptr<const Filter> filter;
  };
  std::vector<Entry> all;
  size_t always = 0;
};
// Those that requests of such a listener pass. They live as long as the list.
std::vector<const Filter*> FiltersOf(const FilterList& list, const config::HttpOptions& http);

}  // namespace pillion::filter

#endif  // PILLION_SIDECAR_FILTER_FILTER_H_
