#include "sidecar/session/http2_client.h"

#include <algorithm>
#include <string>

#include "sidecar/base/recycled.h"
#include "sidecar/config/filters.h"
#include "sidecar/idempotency/hello.h"

namespace pillion::session {
namespace {
// A stream that is reset so soon after its head came was opened for nothing.
constexpr auto kEarly = std::chrono::milliseconds(100);
// A sidecar sends a head at once: so long its network may take for large ones that follow each other within
// kLargeHeadsApart. Attack: heads that do not end, or give way to the next, on a connection that has another
// request under way.
constexpr auto kLongestHonestHead = std::chrono::seconds(1);
constexpr auto kLargeHeadsApart = std::chrono::seconds(10);
// So long a burst may take that a connection has brought beside requests under way. Attack: requests whose
// heads HPACK unpacks from nothing, more on each of many connections than turns of seconds get through.
constexpr auto kLongestHonestBurst = std::chrono::seconds(1);
// Clocks of two machines drift apart: of 100 parts in a million, 60 ms meanwhile.
constexpr auto kHelloEvery = std::chrono::minutes(10);
// Streams that are counted on where their number is limited to more, or as good as not at all.
constexpr size_t kMaxOrdinaryHeads = 1024;

http2::Limits LimitsOf(const config::HttpOptions& options) {
  http2::Limits limits;
  limits.max_concurrent_streams = options.max_concurrent_streams;
  limits.stream_window_bytes = options.stream_window_bytes;
  limits.max_head_bytes = options.max_request_head_bytes;
  limits.max_fields = options.max_fields + (options.accept_peer_headers ? kFieldsOfSidecars : 0);
  // A sidecar passes on what its clients say, and many of them share its connection.
  if (options.accept_peer_headers) limits.frames_of_a_large_head = limits.frames_per_stream;
  const size_t ordinary =
      std::min<size_t>(options.max_concurrent_streams, kMaxOrdinaryHeads) * http2::kOrdinaryHeadBytes;
  limits.max_request_heads_bytes = std::max(4 * limits.max_head_bytes, ordinary);
  return limits;
}
}  // namespace

class Http2ClientSession::Exchanged final : public Http2StreamOf<stream::ClientStream>,
                                            public Recycled<Exchanged> {
 public:
  Exchanged(Http2ClientSession& session, const http2::Event& event)
      : Http2StreamOf(session, event.stream), memory_(session.memory_) {
    started_ = session.turn_.now();
    const net::Security* security = session.security();
    early_data_ = security != nullptr && security->early;
    memory_.requests.Lend(request_);
    swap(request_, session.codec().request(event));
    in_.head = true;
  }
  ~Exchanged() override { memory_.requests.TakeBack(request_); }
  void SendInformational(const http::ResponseHead& head) override {
    if (link_.session == nullptr) return;
    link_.session->codec().SubmitInformational(link_.id, head);
    link_.session->Dirty();
  }
  bool SendResponse(http::ResponseHead& head, bool end) override {
    if (link_.session == nullptr) return true;
    if (!link_.session->codec().SubmitResponse(link_.id, head, end)) return false;
    head_sent_ = true;
    finished_ = end;
    link_.session->codec().NoteAnswered();
    link_.session->Dirty();
    return true;
  }
  net::Address local() const override {
    return link_.session == nullptr ? net::Address() : link_.session->local();
  }
  net::Address direct_peer() const override {
    return link_.session == nullptr ? net::Address() : link_.session->direct_peer();
  }
  net::Address own() const override {
    return link_.session == nullptr ? net::Address() : link_.session->own();
  }
  // The rest of the upload is refused by the RST_STREAM(NO_ERROR) that follows the answer (Forget).
  void EndEarly() override {}
  Http2Link* link() { return &link_; }
  stream::Runnable* const* owner() const { return &owner_; }

 private:
  WorkerMemory& memory_;
};

Http2ClientSession::Http2ClientSession(ClientSessionParts parts, std::string_view early)
    : Http2Session(parts.turn, parts.memory.scratch, parts.stats, http2::Role::kServer,
                   LimitsOf(parts.config->http), MakeHello(parts.config->http, parts.turn.wall())),
      memory_(parts.memory),
      factory_(parts.factory),
      pressure_(parts.pressure),
      config_(std::move(parts.config)),
      timer_(this),
      since_(turn_.now()),
      born_(since_) {
  if (!codec_.note().empty()) hello_at_ = born_ + kHelloEvery;
  wire_.Attach(std::move(parts.socket));
  wire_.Prepend(early);
  wire_.Mark(true, true);
  turn_.MarkDirty(*this);
}

std::string Http2ClientSession::MakeHello(const config::HttpOptions& options, time::WallTime now) {
  const config::TokenDomains* const domains = config::TokenDomainsOf(options);
  if (!options.accept_peer_headers || domains == nullptr || domains->all.empty()) return {};
  idempotency::Hello hello;
  hello.incarnation = domains->all.front().holder->incarnation;  // they are of one process
  const auto clock = std::chrono::floor<idempotency::DomainTime>(now.time_since_epoch());
  for (const config::TokenDomain& domain : domains->all) hello.domains.push_back({domain.id, clock});
  return Encode(hello);
}

Http2ClientSession::~Http2ClientSession() {
  stats_.client_connections_closed.Add();
  DetachAll("the client's connection ended");
}

void Http2ClientSession::OnReady(bool readable, bool writable) {
  wire_.Mark(readable, writable);
  if (writable && HasUnsent()) turn_.MarkDirty(*this);
  turn_.Wake(*this);
}

stream::Progress Http2ClientSession::Run() {
  if (!input_over_) input_over_ = !ReadAll() || codec_.flood() != http2::Flood::kNone;
  if (!input_over_ && !KeepAlive(config_->http.keep_alive)) state_ = State::kDead;
  wire_.KeepRest();
  LookAtUnread();
  LookAtHalfHead();
  LookAtLargeHead();
  if (input_over_ && state_ != State::kDead) {
    if (!streams_.empty()) DetachAll("the client's connection ended");
    WriteAll();  // the GOAWAY, if the socket takes it
    state_ = State::kDead;
  }
  CheckTimer();
  if (state_ == State::kClosing && streams_.empty() && codec_.open_streams() == 0 && !HasUnsent())
    state_ = State::kDead;
  if (state_ == State::kDead) return stream::Progress::kDone;
  ArmTimer();
  return stream::Progress::kIdle;
}

void Http2ClientSession::Flush() {
  if (state_ == State::kDead) return;
  const uint64_t written = wire_.written();
  const bool alive = WriteAll();
  if (state_ == State::kClosing && wire_.written() != written) since_ = turn_.now();
  if (!alive) {
    state_ = State::kDead;
    turn_.Wake(*this);
    return;
  }
  if (streams_.empty() && wire_.out().empty()) wire_.out().Clear();  // an idle connection holds no buffer
  if (codec_.flood() != http2::Flood::kNone) turn_.Wake(*this);
  if (state_ == State::kClosing && streams_.empty()) turn_.Wake(*this);
}

// Nothing else comes behind a head that does not, so the connection ends with it.
void Http2ClientSession::LookAtHalfHead() {
  const time::MonotonicTime now = turn_.now();
  const time::Duration limit = HeadTimeout(config_->http);
  if (!codec_.mid_head() || input_over_) {
    head_since_ = time::MonotonicTime::max();
  } else if (head_since_ == time::MonotonicTime::max()) {
    head_since_ = now;
  } else if (limit.count() > 0 && now >= head_since_ + limit) {
    stats_.client_slow_heads.Add();
    codec_.GoAway(true, http2::ErrorCode::kEnhanceYourCalm);
    input_over_ = true;
  }
}

void Http2ClientSession::LookAtLargeHead() {
  const time::MonotonicTime now = turn_.now();
  if (codec_.HeldHeadBytes() == 0) {
    none_large_since_ = std::min(none_large_since_, now);
    return;
  }
  if (now - none_large_since_ >= kLargeHeadsApart) large_heads_since_ = now;
  none_large_since_ = time::MonotonicTime::max();
}

// A busy connection has some at the end of each turn, but none of it for long.
void Http2ClientSession::LookAtUnread() {
  const size_t unread = wire_.input().size();
  if (unread == 0) {
    unread_since_ = time::MonotonicTime::max();
  } else if (unread_since_ == time::MonotonicTime::max() || received_ - unread >= unread_until_) {
    unread_since_ = turn_.now();
    unread_until_ = received_;
  }
}

void Http2ClientSession::OnHead(const http2::Event& event) {
  head_since_ = time::MonotonicTime::max();
  auto stream = std::make_unique<Exchanged>(*this, event);
  Add(event.stream, {stream.get(), stream->link(), stream->owner()});
  const uint32_t limit = config_->http.max_requests_per_connection;
  if (++requests_ == limit && limit != 0) Drain();
  if (event.error != ErrorKind::kNone) {
    stats_.client_protocol_errors.Add();
    stats_.client_heads_too_large.Add();
    stream->in().error = {event.error, Side::kClient, Outcome::kNotSent, "the request head is too large"};
  }
  factory_.Begin(std::move(stream));
}

// A client that gives up before it could be answered has made us work for nothing. One that waited, or was
// answered, has not.
void Http2ClientSession::OnStreamOver(const stream::Stream& stream, const http2::Event& event) {
  const auto& over = static_cast<const Exchanged&>(stream);
  if (!event.by_peer || over.head_sent_ || turn_.now() - over.started() >= kEarly) return;
  if (!codec_.NoteEarlyReset()) turn_.Wake(*this);
}

void Http2ClientSession::Drain() {
  if (state_ != State::kServing) return;
  state_ = State::kDraining;
  since_ = turn_.now();
  codec_.GoAway(false, http2::ErrorCode::kNoError);
  Dirty();
  turn_.Wake(*this);
}

void Http2ClientSession::Abort() {
  state_ = State::kDead;
  turn_.Wake(*this);
}

void Http2ClientSession::CheckTimer() {
  const time::MonotonicTime now = turn_.now();
  if (state_ == State::kServing && now >= hello_at_) {
    hello_at_ = now + kHelloEvery;
    codec_.SendNote(MakeHello(config_->http, turn_.wall()));
    Dirty();
  }
  const time::Duration longest = config_->http.max_connection_duration;
  if (state_ == State::kServing && longest.count() > 0 && now >= born_ + longest) {
    stats_.client_expired.Add();
    Drain();
  }
  if (state_ == State::kDraining && now >= since_ + config_->http.drain_timeout) Close();
  if (state_ == State::kServing || state_ == State::kClosing) {
    if (!streams_.empty()) since_ = now;
  }
  if (state_ == State::kServing && config_->http.idle_timeout.count() > 0 &&
      now >= since_ + config_->http.idle_timeout) {
    stats_.client_idle.Add();
    Close();
  }
  // Answers whose exchanges have ended may still wait for a client that opens no window, or reads nothing.
  const time::Duration stall = FlushTimeout(config_->http);
  if (state_ == State::kClosing && stall.count() > 0 && now >= since_ + stall) {
    if (HasUnsent()) stats_.client_slow_reads.Add();
    state_ = State::kDead;
  }
}

// What nghttp2 has of a head that is refused goes only with the connection. While that serves others it has
// kLongestHonestHead to end the head.
size_t Http2ClientSession::HeldHeadBytes() const {
  if (input_over_) return 0;
  const bool refused_beside_others = !codec_.builds_head() && !streams_.empty();
  if (refused_beside_others && !AtMemorysEnd() && turn_.now() - large_heads_since_ < kLongestHonestHead)
    return 0;
  return codec_.HeldHeadBytes();
}

// More such heads than memory takes come in less: then they go at once, with their connections.
bool Http2ClientSession::AtMemorysEnd() const {
  return pressure_ != nullptr && pressure_->level() == Pressure::kRefuseConnections;
}

size_t Http2ClientSession::HeldInputBytes() const {
  if (input_over_) return 0;
  if (!streams_.empty() && !AtMemorysEnd() && turn_.now() - unread_since_ < kLongestHonestBurst) return 0;
  return wire_.HeldInput();
}

size_t Http2ClientSession::HeldBytes() const {
  size_t bytes = HeldHeadBytes() + HeldInputBytes();
  for (const http2::StreamId id : codec_.Finishing()) {
    if (!streams_.contains(id)) bytes += codec_.Unsent(id);
  }
  return bytes;
}

void Http2ClientSession::GiveUp(const RequestError& why) {
  for (const http2::StreamId id : codec_.Finishing()) {
    if (streams_.contains(id)) continue;
    stats_.shed_streams.Add();
    ResetStream(id, why, 0);
  }
  const size_t input = HeldInputBytes();
  if (HeldHeadBytes() + input == 0) return;
  stats_.shed_streams.Add();
  if (input == 0 && codec_.builds_head() && !AtMemorysEnd()) {
    codec_.RefuseHead();
    return;
  }
  codec_.GoAway(true, http2::ErrorCode::kEnhanceYourCalm);
  input_over_ = true;
  turn_.Wake(*this);
}

void Http2ClientSession::Close() {
  state_ = State::kClosing;
  since_ = turn_.now();
  codec_.GoAway(true, http2::ErrorCode::kNoError);
  Dirty();
}

void Http2ClientSession::ArmTimer() {
  const time::Duration wait = state_ == State::kDraining  ? config_->http.drain_timeout
                              : state_ == State::kClosing ? FlushTimeout(config_->http)
                                                          : config_->http.idle_timeout;
  time::MonotonicTime due = wait.count() == 0 ? time::MonotonicTime::max() : since_ + wait;
  due = std::min(due, KeepAliveDue(config_->http.keep_alive));
  const time::Duration longest = config_->http.max_connection_duration;
  if (state_ == State::kServing && longest.count() > 0) due = std::min(due, born_ + longest);
  const time::Duration head = HeadTimeout(config_->http);
  if (head_since_ != time::MonotonicTime::max() && head.count() > 0) due = std::min(due, head_since_ + head);
  if (state_ == State::kServing) due = std::min(due, hello_at_);
  if (due == time::MonotonicTime::max()) return;
  if (!timer_.armed() || due < timer_.deadline()) turn_.Arm(timer_, due);
}

}  // namespace pillion::session
