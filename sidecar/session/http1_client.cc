#include "sidecar/session/http1_client.h"

#include <algorithm>
#include <utility>

#include "sidecar/base/recycled.h"

namespace pillion::session {
namespace {

constexpr int kReadsPerRun = 4;
// Input of later, pipelined requests that is held while one is served. Attack: pipelining without reading.
constexpr size_t kMaxPipelinedBytes = size_t{64} * 1024;
// Written and not yet taken by the kernel, per connection.
constexpr size_t kMaxUnsentBytes = size_t{64} * 1024;
// How long the client may take to close after our last answer has left.
constexpr auto kLinger = std::chrono::seconds(1);

}  // namespace

// What ten thousand idle keep-alive clients cost (DESIGN.md section 2); the socket comes on top.
static_assert(sizeof(Http1ClientSession) <= 400);

class Http1ClientSession::Exchanged final : public stream::ClientStream, public Recycled<Exchanged> {
 public:
  explicit Exchanged(Http1ClientSession& session, time::MonotonicTime started)
      : session_(&session), peer_(session.wire_.socket().peer()) {
    started_ = started;
    const net::Security* security = session.wire_.socket().security();
    early_data_ = security != nullptr && security->early;
    swap(request_, session.parser_->request());
  }
  ~Exchanged() override {
    if (session_ == nullptr) return;
    swap(request_, session_->parser_->request());  // its memory serves the next request
    session_->StreamGone(finished_ && !aborted_);
  }
  void ReleaseCredit(size_t) override {
    if (session_ != nullptr) session_->turn_.Wake(*session_);
  }
  size_t SendRoom() const override {
    if (session_ == nullptr || !head_sent_ || finished_) return 0;
    return Unsent() >= kMaxUnsentBytes ? 0 : kMaxUnsentBytes - Unsent();
  }
  size_t SendContent(SliceQueue& from) override;
  void Finish() override;
  void FinishWithTrailers(const http::HeaderList& trailers) override;
  void Reset(const RequestError&) override {
    aborted_ = true;
    if (session_ != nullptr) session_->Abort();
  }
  size_t Unsent() const override { return session_ == nullptr ? 0 : session_->wire_.out().bytes(); }
  http::Version wire_version() const override { return http::Version::kHttp11; }
  const net::Address& peer() const override { return peer_; }
  net::Address local() const override {
    return session_ == nullptr ? net::Address() : session_->wire_.socket().local();
  }
  net::Address direct_peer() const override {
    return session_ == nullptr ? net::Address() : session_->wire_.socket().direct_peer();
  }
  net::Address own() const override {
    return session_ == nullptr ? net::Address() : session_->wire_.socket().own();
  }
  const net::Security* security() const override {
    return session_ == nullptr ? nullptr : session_->wire_.socket().security();
  }
  void SendInformational(const http::ResponseHead& head) override;
  bool SendResponse(http::ResponseHead& head, bool end) override;
  void EndEarly() override {
    if (session_ != nullptr) session_->last_request_ = true;
  }

  Http1ClientSession* session_;
  http::Method method_ = http::Method::kGet;
  bool request_complete_ = false;
  bool http10_ = false;
  bool keep_alive_ = true;

 private:
  friend class Http1ClientSession;
  net::Address peer_;
  BodyMode mode_ = BodyMode::kNone;
  uint64_t remaining_ = 0;
  bool head_sent_ = false;
  bool finished_ = false;
  bool aborted_ = false;
};

Http1ClientSession::Http1ClientSession(ClientSessionParts parts, std::string_view early)
    : turn_(parts.turn),
      memory_(parts.memory),
      stats_(parts.stats),
      factory_(parts.factory),
      config_(std::move(parts.config)),
      wire_(parts.memory.scratch, parts.stats.client_wires),
      limits_{.max_head_bytes = config_->http.max_request_head_bytes, .max_fields = config_->http.max_fields},
      timer_(this),
      since_(turn_.now()),
      born_(since_) {
  wire_.Attach(std::move(parts.socket));
  wire_.Prepend(early);
  wire_.Mark(true, true);
}

Http1ClientSession::~Http1ClientSession() {
  stats_.client_connections_closed.Add();
  if (stream_ == nullptr) return;
  stream_->session_ = nullptr;
  if (!stream_->in_.error)
    stream_->in_.error = {ErrorKind::kClosed, Side::kClient, Outcome::kAmbiguous,
                          "the client's connection ended"};
  WakeOwner();
}

void Http1ClientSession::WakeOwner() {
  if (stream_ != nullptr && stream_->owner_ != nullptr) turn_.Wake(*stream_->owner_);
}

void Http1ClientSession::OnReady(bool readable, bool writable) {
  wire_.Mark(readable, writable);
  told_ = told_ || readable;
  if (writable && !wire_.out().empty()) turn_.MarkDirty(*this);
  turn_.Wake(*this);
}

stream::Progress Http1ClientSession::Run() {
  CheckTimer();
  if (state_ != State::kDead) Read();
  // Where nothing is read, because the client has closed its half or nobody takes what it sends, only this
  // tells that it is gone.
  if (std::exchange(told_, false) && (input_ended_ || wire_.readable()) && state_ != State::kDead &&
      wire_.IsReset()) {
    Die();
  }
  // What the client had sent before it was told to go is answered.
  if (draining_ && state_ == State::kIdle && wire_.input().empty() && !wire_.readable()) CloseAfterFlush();
  wire_.KeepRest();
  if (state_ == State::kDead) return stream::Progress::kDone;
  ArmTimer();
  return stream::Progress::kIdle;
}

void Http1ClientSession::Read() {
  for (int reads = 0; reads < kReadsPerRun; ++reads) {
    if (!Parse() || state_ == State::kDead) return;
    if (input_ended_) {
      // What was pipelined before the end is served; a part of a head will not become one.
      if (state_ == State::kHead) {
        stats_.client_protocol_errors.Add();
        CloseAfterFlush();
      }
      return;
    }
    switch (wire_.Fill()) {
      case Wire::Filled::kBytes:
        break;
      case Wire::Filled::kBlocked:
        return;
      case Wire::Filled::kEnd:
        OnInputEnd();
        return;
      case Wire::Filled::kReset:
        Die();
        return;
    }
  }
  turn_.WakeNextTurn(*this);  // a busy client must not keep the others waiting
}

bool Http1ClientSession::Parse() {
  time::MonotonicTime resting_since = since_;
  // Also without input inside a message: its end may be an event that takes no byte.
  while (!wire_.input().empty() || (state_ == State::kActive && !stream_->request_complete_)) {
    switch (state_) {
      case State::kDead:
        return false;
      case State::kLingering:
        wire_.Consume(wire_.input().size());
        return true;
      case State::kTunnel:
        if (stream_ == nullptr || stream_->in_.content.bytes() >= config_->stream_buffer_bytes) return false;
        stream_->in_.content_bytes += wire_.input().size();
        stream_->in_.content.Append(wire_.Share(wire_.input()));
        wire_.Consume(wire_.input().size());
        stream_->in_.ended = input_ended_;
        WakeOwner();
        return true;
      case State::kActive:
        if (stream_->request_complete_) return wire_.input().size() < kMaxPipelinedBytes;
        if (stream_->in_.content.bytes() >= config_->stream_buffer_bytes) return false;
        break;
      case State::kIdle:
        if (last_request_) {
          wire_.Consume(wire_.input().size());
          return true;
        }
        state_ = State::kHead;
        resting_since = std::exchange(since_, turn_.now());
        parser_ = memory_.parsers.Lend(http1::Role::kRequests, limits_);
        parser_->GoOnAfter(std::exchange(empty_lines_, 0));
        break;
      case State::kHead:
        break;
    }
    const http1::Parser::Step step = parser_->Next(wire_.input());
    const bool more = Take(step);
    if (state_ == State::kHead && wire_.input().empty()) Rest(resting_since);
    if (!more) return step.event == http1::Parser::Event::kNeedMore;
  }
  return true;
}

// Empty lines are all that came: they begin no request (RFC 9112 section 2.2), and the client rests on.
void Http1ClientSession::Rest(time::MonotonicTime since) {
  state_ = State::kIdle;
  since_ = since;
  empty_lines_ = static_cast<uint8_t>(parser_->empty_lines());
  memory_.parsers.TakeBack(std::move(parser_));
}

// False: stop parsing for now.
bool Http1ClientSession::Take(const http1::Parser::Step& step) {
  switch (step.event) {
    case http1::Parser::Event::kNeedMore:
      wire_.Consume(step.consumed);
      return false;
    case http1::Parser::Event::kHead:
      BeginStream();
      wire_.Consume(step.consumed);
      return true;
    case http1::Parser::Event::kContent:
      stream_->in_.content_bytes += step.content.size();
      stream_->in_.content.Append(wire_.Share(step.content));
      wire_.Consume(step.consumed);
      WakeOwner();
      return true;
    case http1::Parser::Event::kEnd:
      wire_.Consume(step.consumed);
      stream_->request_complete_ = true;
      stream_->in_.ended = true;
      if (!parser_->trailers().empty()) {
        stream_->in_.trailers_present = true;
        swap(stream_->in_.trailers, parser_->trailers());
      }
      WakeOwner();
      return true;
    case http1::Parser::Event::kError: {
      stats_.client_protocol_errors.Add();
      if (parser_->error().kind == ErrorKind::kHeadTooLarge) stats_.client_heads_too_large.Add();
      last_request_ = true;
      if (stream_ == nullptr) BeginStream();
      stream_->request_complete_ = true;  // nothing after it can be understood
      stream_->in_.error = {parser_->error().kind, Side::kClient, Outcome::kNotSent, parser_->error().detail};
      wire_.Consume(wire_.input().size());
      WakeOwner();
      return false;
    }
  }
  return false;
}

void Http1ClientSession::BeginStream() {
  state_ = State::kActive;
  const uint32_t limit = config_->http.max_requests_per_connection;
  if (++requests_ == limit && limit != 0) last_request_ = true;
  auto stream = std::make_unique<Exchanged>(*this, since_);
  stream_ = stream.get();
  const http::RequestHead& head = stream_->request();
  stream_->in_.head = true;
  stream_->method_ = head.method;
  stream_->http10_ = head.version == http::Version::kHttp10;
  stream_->keep_alive_ = head.keep_alive;
  factory_.Begin(std::move(stream));
}

void Http1ClientSession::OnInputEnd() {
  input_ended_ = true;
  if (state_ != State::kActive) last_request_ = true;
  switch (state_) {
    case State::kIdle:
    case State::kLingering:
      // It may still read the rest of its answer; then Flush ends the connection.
      if (wire_.out().empty() && wire_.socket().Flush()) {
        Die();
      } else if (state_ == State::kIdle) {
        CloseAfterFlush();
      }
      return;
    case State::kHead:
      stats_.client_protocol_errors.Add();
      Die();
      return;
    case State::kTunnel:
      if (stream_ != nullptr) stream_->in_.ended = wire_.input().empty();
      WakeOwner();
      return;
    case State::kActive:
      // A client that has sent its request may close its side and still read the answer.
      if (stream_->request_complete_) return;
      last_request_ = true;
      stream_->in_.error = {ErrorKind::kClosed, Side::kClient, Outcome::kAmbiguous,
                            "the client left in the middle of its request"};
      WakeOwner();
      return;
    case State::kDead:
      return;
  }
}

void Http1ClientSession::Exchanged::SendInformational(const http::ResponseHead& head) {
  if (session_ == nullptr || http10_) return;
  // A 1xx may be left out (RFC 9110 section 15.2). Attack: an upstream that sends nothing else to a client
  // that does not read.
  if (session_->wire_.out().bytes() >= kMaxUnsentBytes) return;
  std::string& text = session_->memory_.text;
  http1::AppendResponseHead(head, {}, text);
  session_->wire_.out().AppendCopy(text);
  text.clear();
  session_->turn_.MarkDirty(*session_);
}

bool Http1ClientSession::Exchanged::SendResponse(http::ResponseHead& head, bool end) {
  if (session_ == nullptr) return true;
  using Kind = http::ContentLength::Kind;
  const bool tunnel = head.status == 101 || (method_ == http::Method::kConnect && head.status / 100 == 2);
  const bool no_content = http::ResponseHasNoContent(method_, head.status);
  http1::WriteOptions options;
  options.version = head.version == http::Version::kHttp10 ? http::Version::kHttp10 : http::Version::kHttp11;
  http::ContentLength& content = head.content;
  if (no_content || tunnel) content = {};  // RFC 9112 section 6.3, rules 1 and 2
  if (!no_content && !tunnel && end && content.kind != Kind::kSized) content = {Kind::kSized, 0};
  if (content.kind == Kind::kUnsized || content.kind == Kind::kUntilClose) {
    const bool chunks = !http10_ && options.version == http::Version::kHttp11;
    content.kind = chunks ? Kind::kUnsized : Kind::kUntilClose;
  }
  if (session_->input_ended_ && session_->wire_.input().empty()) session_->last_request_ = true;
  const bool close = !tunnel && (session_->draining_ || session_->last_request_ || !keep_alive_ ||
                                 !head.keep_alive || content.kind == Kind::kUntilClose);
  if (close) session_->last_request_ = true;
  options.close = close;
  options.keep_alive = !close && !tunnel && (http10_ || options.version == http::Version::kHttp10);
  std::string& text = session_->memory_.text;
  http1::AppendResponseHead(head, options, text);
  session_->wire_.out().AppendCopy(text);
  text.clear();
  session_->turn_.MarkDirty(*session_);
  head_sent_ = true;
  if (tunnel) {
    mode_ = BodyMode::kUntilClose;
    session_->state_ = State::kTunnel;
    session_->last_request_ = true;
    in_.ended = session_->input_ended_ && session_->wire_.input().empty();
    session_->turn_.Wake(*session_);  // bytes after the request head are the tunnel's first
    return true;
  }
  mode_ = no_content                          ? BodyMode::kNone
          : content.kind == Kind::kSized      ? BodyMode::kSized
          : content.kind == Kind::kUnsized    ? BodyMode::kChunked
          : content.kind == Kind::kUntilClose ? BodyMode::kUntilClose
                                              : BodyMode::kNone;
  remaining_ = content.bytes;
  if (end) finished_ = true;
  return true;
}

size_t Http1ClientSession::Exchanged::SendContent(SliceQueue& from) {
  const size_t room = std::min(SendRoom(), from.bytes());
  if (room == 0) return 0;
  SliceQueue& out = session_->wire_.out();
  session_->turn_.MarkDirty(*session_);
  switch (mode_) {
    case BodyMode::kNone:
      from.Consume(room);
      return room;  // a HEAD answer's body, if somebody sent one
    case BodyMode::kSized: {
      // More than was declared is dropped: the client would take it for the next response.
      const size_t fits = static_cast<size_t>(std::min<uint64_t>(room, remaining_));
      out.MoveFrom(from, fits);
      remaining_ -= fits;
      if (fits < room) from.Consume(room - fits);
      return room;
    }
    case BodyMode::kChunked: {
      std::string line;
      http1::AppendChunkSize(room, line);
      out.AppendCopy(line);
      out.MoveFrom(from, room);
      out.Append(Slice::Static("\r\n"));
      return room;
    }
    case BodyMode::kUntilClose:
      return out.MoveFrom(from, room);
  }
  return 0;
}

void Http1ClientSession::Exchanged::Finish() { FinishWithTrailers({}); }

void Http1ClientSession::Exchanged::FinishWithTrailers(const http::HeaderList& trailers) {
  if (session_ == nullptr || finished_) return;
  finished_ = true;
  if (mode_ == BodyMode::kSized && remaining_ > 0) {
    aborted_ = true;  // shorter than declared: the connection's end tells the client
    session_->last_request_ = true;
    return;
  }
  if (mode_ == BodyMode::kChunked) {
    std::string text;
    http1::AppendLastChunk(trailers, http1::Spelling::kAsHeld, text);
    session_->wire_.out().AppendCopy(text);
  }
  if (session_->state_ == State::kTunnel) session_->turn_.Wake(*session_);
  session_->turn_.MarkDirty(*session_);
}

void Http1ClientSession::StreamGone(bool response_finished) {
  stream_ = nullptr;
  if (state_ == State::kDead) return;
  if (!response_finished) {
    Die();
    return;
  }
  since_ = turn_.now();
  if (input_ended_ && wire_.input().empty()) last_request_ = true;
  if (last_request_ || draining_ || !parser_->idle()) {
    CloseAfterFlush();
    return;
  }
  state_ = State::kIdle;
  memory_.parsers.TakeBack(std::move(parser_));
  ArmTimer();
  if (!wire_.input().empty() || wire_.readable()) turn_.Wake(*this);
}

void Http1ClientSession::CloseAfterFlush() {
  state_ = State::kLingering;
  since_ = turn_.now();
  turn_.MarkDirty(*this);
  turn_.Wake(*this);
}

void Http1ClientSession::Flush() {
  if (state_ == State::kDead) return;
  const bool was_full = wire_.out().bytes() >= kMaxUnsentBytes;
  const uint64_t written = wire_.written();
  const Wire::Flushed flushed = wire_.Flush();
  if (state_ == State::kLingering && wire_.written() != written) since_ = turn_.now();
  switch (flushed) {
    case Wire::Flushed::kBroken:
      Die();
      return;
    case Wire::Flushed::kBlocked:
      break;
    case Wire::Flushed::kAll:
      if (state_ == State::kIdle) wire_.out().Clear();  // an idle connection holds no buffer
      if (state_ == State::kLingering ||
          (state_ == State::kTunnel && stream_ != nullptr && stream_->finished_)) {
        wire_.socket().ShutdownWrite();
        if (state_ == State::kLingering && input_ended_ && wire_.socket().Flush()) Die();
        ArmTimer();
      }
      break;
  }
  if (was_full && wire_.out().bytes() < kMaxUnsentBytes) WakeOwner();
}

void Http1ClientSession::Die() {
  state_ = State::kDead;
  turn_.Wake(*this);
}

void Http1ClientSession::Drain() {
  draining_ = true;
  if (state_ != State::kIdle) return;
  wire_.Mark(true, false);  // a request may have come that the loop has not told of yet: Run looks
  turn_.Wake(*this);
}

void Http1ClientSession::Abort() {
  // Content that ends with its connection: a clean end would make a short message look whole.
  const bool cut = stream_ != nullptr && stream_->mode_ == BodyMode::kUntilClose && !stream_->finished_;
  if (cut || !wire_.out().empty()) wire_.socket().ResetOnClose();
  Die();
}

size_t Http1ClientSession::HeldBytes() const {
  return wire_.HeldInput() + (stream_ == nullptr ? wire_.out().bytes() : 0);
}

// Where a request is being served only the input is let go of: if the request is complete, with the end of
// the connection behind it (RFC 9112 section 9.3.2: whoever pipelines asks again), else its error. What
// follows a request for a tunnel may be the tunnel's beginning.
void Http1ClientSession::GiveUp(const RequestError& why) {
  if (state_ == State::kDead) return;
  stats_.shed_streams.Add();
  if (stream_ == nullptr) {
    Abort();
    return;
  }
  wire_.Consume(wire_.input().size());
  wire_.KeepRest();
  last_request_ = true;
  const http::RequestHead& head = stream_->request();
  const bool tunnel =
      state_ == State::kTunnel || head.method == http::Method::kConnect || !head.upgrade.empty();
  if (stream_->request_complete_ && !tunnel) return;
  stream_->request_complete_ = true;
  if (!stream_->in_.error) stream_->in_.error = why;
  WakeOwner();
}

void Http1ClientSession::CheckTimer() {
  const time::MonotonicTime now = turn_.now();
  const config::HttpOptions& http = config_->http;
  if (state_ == State::kIdle && http.idle_timeout.count() > 0 && now >= since_ + http.idle_timeout) {
    stats_.client_idle.Add();
    CloseAfterFlush();
  }
  const time::Duration longest = http.max_connection_duration;
  if (!draining_ && longest.count() > 0 && now >= born_ + longest) {
    stats_.client_expired.Add();
    Drain();
  }
  const time::Duration linger = LingerTimeout();
  if (state_ == State::kLingering && linger.count() > 0 && now >= since_ + linger) {
    if (!wire_.out().empty()) stats_.client_slow_reads.Add();
    Abort();
  }
  const time::Duration head_timeout = HeadTimeout(http);
  if (state_ != State::kHead || head_timeout.count() == 0 || now < since_ + head_timeout) return;
  stats_.client_slow_heads.Add();
  last_request_ = true;
  BeginStream();
  stream_->request_complete_ = true;
  stream_->in_.error = {ErrorKind::kHeadTimeout, Side::kClient, Outcome::kNotSent,
                        "the head was not complete within its time-out"};
}

// From the last byte that left: while the answer is still on its way a slow client is given the time of an
// idle stream.
time::Duration Http1ClientSession::LingerTimeout() const {
  if (wire_.out().empty()) return kLinger;
  return FlushTimeout(config_->http);
}

void Http1ClientSession::ArmTimer() {
  time::Duration wait{0};
  if (state_ == State::kIdle) wait = config_->http.idle_timeout;
  if (state_ == State::kHead) wait = HeadTimeout(config_->http);
  if (state_ == State::kLingering) wait = LingerTimeout();
  auto due = wait.count() == 0 ? time::MonotonicTime::max() : since_ + wait;
  const time::Duration longest = config_->http.max_connection_duration;
  if (longest.count() > 0 && !draining_) due = std::min(due, born_ + longest);
  if (due == time::MonotonicTime::max()) return;
  // Moved only to an earlier time: a keep-alive connection is not re-armed on each request.
  if (!timer_.armed() || due < timer_.deadline()) turn_.Arm(timer_, due);
}

}  // namespace pillion::session
