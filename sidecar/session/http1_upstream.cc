#include "sidecar/session/http1_upstream.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "sidecar/base/recycled.h"
#include "sidecar/base/text.h"
#include "sidecar/session/pool.h"

namespace pillion::session {
namespace {
constexpr int kReadsPerRun = 4;
constexpr size_t kMaxUnsentBytes = size_t{64} * 1024;
constexpr time::Duration kIntroducedIdleTimeout = std::chrono::seconds(1);
// 1xx responses kept for an exchange that has not run yet. Attack: an upstream that sends nothing else.
constexpr size_t kMaxInformational = 8;

// Keep-Alive: timeout=SECONDS, max=... (RFC 2068 section 19.7.1). More than a day is as good as nothing.
std::optional<time::Duration> KeepAliveTimeout(const http::HeaderList& fields) {
  if (!fields.Has(http::Known::kKeepAlive)) return std::nullopt;
  constexpr std::string_view kName = "timeout=";
  constexpr uint32_t kMost = 86400;
  std::optional<time::Duration> timeout;
  ForEachListElement(fields.Find(http::Known::kKeepAlive).value_or(""), [&](std::string_view element) {
    if (!EqualsIgnoreCase(element.substr(0, kName.size()), kName)) return;
    element.remove_prefix(kName.size());
    uint32_t seconds = 0;
    const auto [end, error] = std::from_chars(element.begin(), element.end(), seconds);
    if (error == std::errc() && end == element.end() && seconds > 0 && seconds <= kMost)
      timeout = std::chrono::seconds(seconds);
  });
  return timeout;
}

}  // namespace

static_assert(sizeof(Http1UpstreamSession) <= 400);  // an idle pooled connection holds no more

class Http1UpstreamSession::Exchanged final : public stream::UpstreamStream, public Recycled<Exchanged> {
 public:
  explicit Exchanged(Http1UpstreamSession& session)
      : session_(&session), peer_(session.wire_.socket().peer()), reused_(session.MayBeStale()) {
    swap(response_, session.parser_->response());
  }
  ~Exchanged() override {
    if (session_ == nullptr) return;
    swap(response_, session_->parser_->response());
    session_->StreamGone(in_.ended && request_finished_ && !in_.error);
  }
  void ReleaseCredit(size_t) override {
    if (session_ != nullptr) session_->parts_.turn.Wake(*session_);
  }
  size_t SendRoom() const override {
    if (session_ == nullptr || request_finished_ || mode_ == BodyMode::kNone) return 0;
    return Unsent() >= kMaxUnsentBytes ? 0 : kMaxUnsentBytes - Unsent();
  }
  size_t SendContent(SliceQueue& from) override;
  void Finish() override { FinishWithTrailers({}); }
  void FinishWithTrailers(const http::HeaderList& trailers) override;
  void Reset(const RequestError&) override {
    if (session_ != nullptr) session_->BreakOff();
  }
  size_t Unsent() const override { return session_ == nullptr ? 0 : session_->wire_.out().bytes(); }
  http::Version wire_version() const override { return http::Version::kHttp11; }
  const net::Address& peer() const override { return peer_; }
  bool SendRequest(const http::RequestHead& head, bool end) override;
  bool TakeInformational(http::ResponseHead& head) override {
    if (informational_.empty()) return false;
    head = std::move(informational_.front());
    informational_.erase(informational_.begin());
    return true;
  }
  bool reused() const override { return reused_; }
  TakesUpgrade takes_upgrade() const override { return TakesUpgrade::kYes; }
  void OpenRaw() override;

  Http1UpstreamSession* session_;

 private:
  friend class Http1UpstreamSession;
  net::Address peer_;
  std::vector<http::ResponseHead> informational_;
  BodyMode mode_ = BodyMode::kNone;
  uint64_t remaining_ = 0;
  bool reused_;
  bool request_finished_ = false;
  bool reusable_ = false;  // the peer will take another request on this connection
  bool connect_ = false;   // a 2xx opens a tunnel
  bool tunnel_asked_ = false;
};

Http1UpstreamSession::Http1UpstreamSession(UpstreamParts& parts, Http1Pool& pool,
                                           std::shared_ptr<const config::Cluster> cluster,
                                           upstream::ConnectionHold hold)
    : parts_(parts),
      pool_(&pool),
      cluster_(std::move(cluster)),
      hold_(std::move(hold)),
      wire_(parts.memory.scratch, parts.stats.upstream_wires),
      timer_(this),
      since_(parts.turn.now()) {}

Http1UpstreamSession::~Http1UpstreamSession() {
  if (wire_.attached()) parts_.stats.upstream_connections_closed.Add();
  hold_ = {};  // for the next one, which the pool may make at once
  if (pool_ != nullptr && wire_.attached()) pool_->Gone(state_ == State::kConnecting);
  if (stream_ == nullptr) return;
  if (pool_ != nullptr) pool_->StreamOver();
  stream_->session_ = nullptr;
  stream_->in_.stopped = true;
  const bool tunnel = stream_->mode_ == BodyMode::kRaw;  // both directions are needed to its end
  if (!stream_->in_.error && (tunnel || !stream_->in_.ended)) {
    stream_->in_.error = {ErrorKind::kClosed, Side::kUpstream, Outcome::kAmbiguous,
                          "the connection was given up"};
  }
  WakeOwner();
}

bool Http1UpstreamSession::Dial(const net::Address& to, const std::string* introduction,
                                ConnectFailure& failure) {
  DialOrder order{*cluster_, to, Speaks::kHttp1, ""};
  if (introduction != nullptr) {
    order.introduction = *introduction;
    introduction_ = std::make_unique<const std::string>(*introduction);
  }
  auto socket = session::Dial(parts_.dial(), std::move(order), *this, failure);
  if (socket == nullptr) return false;
  parts_.stats.upstream_connections_http1.Add();
  local_peer_ = to.loopback();
  wire_.Attach(std::move(socket));
  ArmTimer();
  return true;
}

void Http1UpstreamSession::WakeOwner() {
  if (stream_ != nullptr && stream_->owner_ != nullptr) parts_.turn.Wake(*stream_->owner_);
}

void Http1UpstreamSession::OnReady(bool readable, bool writable) {
  wire_.Mark(readable, writable);
  if (writable && !wire_.out().empty()) parts_.turn.MarkDirty(*this);
  parts_.turn.Wake(*this);
}

stream::Progress Http1UpstreamSession::Run() {
  const time::MonotonicTime now = parts_.turn.now();
  if (state_ == State::kConnecting) FinishConnect();
  if (state_ == State::kIdle && IdleTimeout().count() > 0 && now >= since_ + IdleTimeout()) Die();
  if (state_ == State::kClosing && now >= since_ + kLastBytesTimeout) {
    wire_.socket().ResetOnClose();  // what has not left is missing
    Die();
  }
  if (state_ != State::kConnecting && state_ != State::kClosing && state_ != State::kDead) Read();
  wire_.KeepRest();
  if (state_ == State::kDead) return stream::Progress::kDone;
  // A false alarm had taken it out of the idle list.
  if (state_ == State::kIdle && pool_ != nullptr && !ListNode<IdleTag>::linked()) pool_->Free(*this);
  ArmTimer();
  return stream::Progress::kIdle;
}

void Http1UpstreamSession::FinishConnect() {
  const bool late = parts_.turn.now() >= since_ + cluster_->connect_timeout;
  ConnectFailure failure;
  const Connected connected =
      session::FinishConnect(parts_.dial(), wire_.socket(), Speaks::kHttp1, late, failure);
  if (connected == Connected::kWait) return;
  if (connected == Connected::kNo) {
    if (pool_ != nullptr) pool_->ConnectFailed(*this, failure);
    Die();
    return;
  }
  state_ = State::kIdle;
  since_ = parts_.turn.now();
  if (pool_ != nullptr) pool_->Connected();
  if (pool_ == nullptr) {
    Die();
  } else {
    pool_->Free(*this);
  }
}

std::unique_ptr<stream::UpstreamStream> Http1UpstreamSession::Open(bool raw) {
  ListNode<IdleTag>::Unlink();
  state_ = raw ? State::kTunnel : State::kActive;
  ++requests_;
  parser_ = parts_.memory.parsers.Lend(http1::Role::kResponses, limits_);
  if (raw) parser_->ReadRaw();
  written_before_ = wire_.written();
  auto stream = std::make_unique<Exchanged>(*this);
  stream_ = stream.get();
  pool_->Opened();
  return stream;
}

bool Http1UpstreamSession::Exchanged::SendRequest(const http::RequestHead& head, bool end) {
  if (session_ == nullptr) return true;
  http1::WriteOptions options;
  options.version = head.version == http::Version::kHttp10 ? http::Version::kHttp10 : http::Version::kHttp11;
  options.keep_alive = options.version == http::Version::kHttp10;
  // An HTTP/2 request without content has no way to say so; an HTTP/1 server may refuse a POST that does not
  // (411; RFC 9110 section 8.6).
  const bool mostly_with_content = head.method == http::Method::kPost || head.method == http::Method::kPut ||
                                   head.method == http::Method::kPatch;
  options.say_empty = mostly_with_content && head.version == http::Version::kHttp2;
  session_->parser_->ExpectResponseTo(head.method);
  connect_ = head.method == http::Method::kConnect;
  tunnel_asked_ = connect_ || !head.upgrade.empty();
  using Kind = http::ContentLength::Kind;
  std::string& text = session_->parts_.memory.text;
  http1::AppendRequestHead(head, options, text);
  session_->wire_.out().AppendCopy(text);
  text.clear();
  session_->parts_.turn.MarkDirty(*session_);
  mode_ = head.content.kind == Kind::kSized     ? BodyMode::kSized
          : head.content.kind == Kind::kUnsized ? BodyMode::kChunked
                                                : BodyMode::kNone;
  remaining_ = head.content.bytes;
  request_finished_ = end;
  return true;
}

void Http1UpstreamSession::Exchanged::OpenRaw() {
  if (session_ == nullptr) return;
  response_.status = 200;
  response_.content.kind = http::ContentLength::Kind::kUntilClose;
  in_.head = true;
  mode_ = BodyMode::kRaw;
  tunnel_asked_ = true;
}

size_t Http1UpstreamSession::Exchanged::SendContent(SliceQueue& from) {
  const size_t room = std::min(SendRoom(), from.bytes());
  if (room == 0) return 0;
  SliceQueue& out = session_->wire_.out();
  session_->parts_.turn.MarkDirty(*session_);
  if (mode_ == BodyMode::kRaw) return out.MoveFrom(from, room);
  if (mode_ == BodyMode::kSized) {
    const size_t fits = static_cast<size_t>(std::min<uint64_t>(room, remaining_));
    out.MoveFrom(from, fits);
    remaining_ -= fits;
    if (fits < room) from.Consume(room - fits);
    return room;
  }
  std::string line;
  http1::AppendChunkSize(room, line);
  out.AppendCopy(line);
  out.MoveFrom(from, room);
  out.Append(Slice::Static("\r\n"));
  return room;
}

void Http1UpstreamSession::Exchanged::FinishWithTrailers(const http::HeaderList& trailers) {
  if (session_ == nullptr || request_finished_) return;
  request_finished_ = true;
  if (mode_ == BodyMode::kRaw) session_->parts_.turn.Wake(*session_);
  if (mode_ == BodyMode::kChunked) {
    std::string text;
    http1::AppendLastChunk(trailers, http1::Spelling::kAsHeld, text);
    session_->wire_.out().AppendCopy(text);
  }
  if (mode_ == BodyMode::kSized && remaining_ > 0) session_->Die();  // cannot be completed any more
  session_->parts_.turn.MarkDirty(*session_);
}

void Http1UpstreamSession::Read() {
  for (int reads = 0; reads < kReadsPerRun; ++reads) {
    if (!Parse() || state_ == State::kDead) return;
    switch (wire_.Fill()) {
      case Wire::Filled::kBytes:
        break;
      case Wire::Filled::kBlocked:
        // A write failed and nothing is left to read: the request cannot be completed any more.
        if (wire_.broken()) OnReset();
        return;
      case Wire::Filled::kEnd:
        OnInputEnd();
        return;
      case Wire::Filled::kReset:
        OnReset();
        return;
    }
  }
  parts_.turn.WakeNextTurn(*this);  // as a busy client
}

bool Http1UpstreamSession::Parse() {
  // Also without input inside a message: its end may be an event that takes no byte.
  while (!wire_.input().empty() || (state_ == State::kActive && !stream_->in_.ended)) {
    if (state_ == State::kIdle || (state_ == State::kActive && stream_->in_.ended)) {
      parts_.stats.upstream_protocol_errors.Add();  // bytes that nobody asked for
      Die();
      return false;
    }
    if (state_ == State::kDead || stream_ == nullptr) return false;
    if (stream_->in_.content.bytes() >= cluster_->stream_window_bytes) return false;
    const http1::Parser::Step step = parser_->Next(wire_.input());
    if (!Take(step)) return step.event == http1::Parser::Event::kNeedMore;
  }
  return true;
}

bool Http1UpstreamSession::Take(const http1::Parser::Step& step) {
  switch (step.event) {
    case http1::Parser::Event::kNeedMore:
      wire_.Consume(step.consumed);
      return false;
    case http1::Parser::Event::kHead: {
      wire_.Consume(step.consumed);
      http::ResponseHead& head = parser_->response();
      if (head.status / 100 == 1 && head.status != 101) {
        if (stream_->informational_.size() < kMaxInformational) stream_->informational_.push_back(head);
        WakeOwner();
        return true;
      }
      swap(stream_->response_, head);
      stream_->in_.head = true;
      stream_->reusable_ = stream_->response_.keep_alive;
      if (pool_ != nullptr) {
        if (const auto timeout = KeepAliveTimeout(stream_->response_.headers)) pool_->ToldIdle(*timeout);
      }
      if (stream_->response_.status == 101 || (stream_->connect_ && stream_->response_.status / 100 == 2)) {
        state_ = State::kTunnel;
        stream_->mode_ = BodyMode::kRaw;
        stream_->request_finished_ = false;
      }
      WakeOwner();
      return true;
    }
    case http1::Parser::Event::kContent:
      stream_->in_.content_bytes += step.content.size();
      stream_->in_.content.Append(wire_.Share(step.content));
      wire_.Consume(step.consumed);
      WakeOwner();
      return true;
    case http1::Parser::Event::kEnd:
      wire_.Consume(step.consumed);
      if (!stream_->in_.head) return true;  // the end of a 1xx
      stream_->in_.ended = true;
      stream_->in_.stopped = !stream_->reusable_;
      if (!parser_->trailers().empty()) {
        stream_->in_.trailers_present = true;
        swap(stream_->in_.trailers, parser_->trailers());
      }
      WakeOwner();
      return true;
    case http1::Parser::Event::kError:
      parts_.stats.upstream_protocol_errors.Add();
      stream_->in_.error = {parser_->error().kind, Side::kUpstream, Outcome::kAmbiguous,
                            parser_->error().detail};
      WakeOwner();
      Die();
      return false;
  }
  return false;
}

bool Http1UpstreamSession::LooksAlive() {
  constexpr auto kLong = std::chrono::seconds(1);
  if (!usable() || parts_.turn.now() - since_ < kLong) return usable();
  wire_.Mark(true, false);
  Read();
  wire_.KeepRest();
  return usable();
}

void Http1UpstreamSession::OnInputEnd() {
  // Seen again on each readiness; the other direction goes on.
  if (state_ == State::kTunnel && stream_ != nullptr && stream_->in_.ended) return;
  if (stream_ == nullptr || stream_->in_.ended) {
    if (state_ == State::kIdle && requests_ > 0 && pool_ != nullptr)
      pool_->ClosedIdle(parts_.turn.now() - since_);
    Die();
    return;
  }
  const http1::Parser::Step step = parser_->Finish();
  if (step.event == http1::Parser::Event::kEnd) {
    stream_->in_.ended = true;
    stream_->in_.stopped = state_ != State::kTunnel;
    stream_->reusable_ = false;
    WakeOwner();  // ends when the exchange lets go
    return;
  }
  Fail(ErrorKind::kClosed, "the upstream closed the connection before its answer was complete", true);
}

void Http1UpstreamSession::OnReset() {
  if (stream_ == nullptr || (stream_->in_.ended && state_ != State::kTunnel)) {
    Die();
    return;
  }
  Fail(ErrorKind::kClosed, "the upstream reset the connection", false);
}

void Http1UpstreamSession::Fail(ErrorKind kind, std::string_view detail, bool end_of_stream) {
  if (stream_ != nullptr && !stream_->in_.error) {
    stream_->in_.error = {kind, Side::kUpstream, OutcomeNow(end_of_stream), detail};
    WakeOwner();
  }
  Die();
}

// DESIGN.md section 6: nothing written, or towards our own kernel an end-of-stream (never a reset) with no
// byte of this request acknowledged. bytes_acked counts the SYN. A reset that a write has met looks like an
// end of stream to the next read: the kernel reports an error once.
Outcome Http1UpstreamSession::OutcomeNow(bool end_of_stream) {
  if (stream_->in_.head) return Outcome::kAmbiguous;
  if (wire_.written() == written_before_)
    return wire_.socket().MayHaveSent() ? Outcome::kAmbiguous : Outcome::kNotSent;
  if (!end_of_stream || wire_.broken() || !local_peer_) return Outcome::kAmbiguous;
  const auto acked = wire_.socket().AckedBytes();
  return acked && *acked <= written_before_ + 1 ? Outcome::kNotSent : Outcome::kAmbiguous;
}

void Http1UpstreamSession::StreamGone(bool exchange_finished) {
  const uint32_t limit = cluster_->max_requests_per_connection;
  const bool keep = (limit == 0 || requests_ < limit) && exchange_finished && stream_->reusable_ &&
                    parser_->idle() && state_ == State::kActive;
  if (!exchange_finished) BreakOff();
  stream_ = nullptr;
  if (pool_ != nullptr) pool_->StreamOver();
  if (state_ == State::kDead) return;
  if (exchange_finished && state_ == State::kTunnel && !wire_.out().empty()) {
    state_ = State::kClosing;  // the tunnel's last bytes have not left yet
    since_ = parts_.turn.now();
    ArmTimer();
    return;
  }
  if (!keep || pool_ == nullptr) {
    Die();
    return;
  }
  state_ = State::kIdle;
  since_ = parts_.turn.now();
  parts_.memory.parsers.TakeBack(std::move(parser_));
  ArmTimer();
  pool_->Free(*this);
}

void Http1UpstreamSession::Flush() {
  if (state_ == State::kDead || state_ == State::kConnecting) return;
  const bool was_full = wire_.out().bytes() >= kMaxUnsentBytes;
  const uint64_t written = wire_.written();
  const Wire::Flushed flushed = wire_.Flush();
  if (state_ == State::kClosing && wire_.written() != written) since_ = parts_.turn.now();
  switch (flushed) {
    case Wire::Flushed::kBroken:
      if (state_ == State::kTunnel && stream_ != nullptr && stream_->in_.ended) {  // nothing is left to read
        Fail(ErrorKind::kClosed, "the upstream closed the tunnel", false);
        return;
      }
      if (state_ == State::kClosing) {  // there was nothing left but to send
        Die();
        return;
      }
      // The peer may have answered before it closed: what it sent is read first.
      wire_.Mark(true, false);
      parts_.turn.Wake(*this);
      return;
    case Wire::Flushed::kBlocked:
      break;
    case Wire::Flushed::kAll:
      if (state_ == State::kTunnel && stream_ != nullptr && stream_->request_finished_)
        wire_.socket().ShutdownWrite();
      if (state_ == State::kIdle) wire_.out().Clear();
      if (state_ == State::kClosing) Die();
      break;
  }
  if (was_full && wire_.out().bytes() < kMaxUnsentBytes) WakeOwner();
}

void Http1UpstreamSession::Orphan() {
  pool_ = nullptr;
  ListNode<AllTag>::Unlink();
  ListNode<IdleTag>::Unlink();
  if (stream_ != nullptr || state_ == State::kClosing) return;  // a tunnel's last bytes still leave
  hold_ = {};
  Die();
}

// A tunnel's clean end would tell the app that its client has said all it had to say; the app may have opened
// it already.
void Http1UpstreamSession::BreakOff() {
  if (state_ == State::kDead) return;
  if (stream_ != nullptr && stream_->tunnel_asked_) wire_.socket().ResetOnClose();
  Die();
}

void Http1UpstreamSession::Die() {
  state_ = State::kDead;
  ListNode<IdleTag>::Unlink();
  parts_.turn.Wake(*this);
}

// One that was made for a client serves nobody else, and has a place at the app.
time::Duration Http1UpstreamSession::IdleTimeout() const {
  time::Duration limit = cluster_->idle_timeout;
  if (pool_ != nullptr && pool_->idle_limit() < time::Duration::max() / 2)
    limit = limit.count() == 0 ? pool_->idle_limit() : std::min(limit, pool_->idle_limit());
  if (introduction_ == nullptr) return limit;
  return limit.count() == 0 ? kIntroducedIdleTimeout : std::min(limit, kIntroducedIdleTimeout);
}

void Http1UpstreamSession::ArmTimer() {
  time::Duration wait{0};
  if (state_ == State::kConnecting) wait = cluster_->connect_timeout;
  if (state_ == State::kClosing) wait = kLastBytesTimeout;
  if (state_ == State::kIdle) wait = IdleTimeout();
  if (wait.count() == 0) return;
  const time::MonotonicTime due = since_ + wait;
  if (!timer_.armed() || due < timer_.deadline()) parts_.turn.Arm(timer_, due);
}

}  // namespace pillion::session
