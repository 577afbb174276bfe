#include "sidecar/session/http2_upstream.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "sidecar/base/check.h"
#include "sidecar/base/recycled.h"
#include "sidecar/session/pool.h"

namespace pillion::session {
namespace {

constexpr size_t kMaxInformational = 8;
// A peer that refuses a stream beside fewer is overloaded, not full: a sidecar has room for four heads of any
// size that it takes.
constexpr size_t kFewStreams = 4;
constexpr auto kSilentPeerTimeout = std::chrono::seconds(30);
constexpr std::string_view kNoSettings = "the upstream sent no HTTP/2 SETTINGS within connect_timeout";

http2::Limits LimitsOf(const config::Cluster& cluster) {
  http2::Limits limits;
  limits.stream_window_bytes = cluster.stream_window_bytes;
  limits.max_fields += kFieldsOfSidecars;
  // Whoever asks for one, others share the connection.
  limits.frames_of_a_large_head = limits.frames_per_stream;
  return limits;
}

}  // namespace

class Http2UpstreamSession::Exchanged final : public Http2StreamOf<stream::UpstreamStream>,
                                              public ListNode<OpenedTag>,
                                              public Recycled<Exchanged> {
 public:
  Exchanged(Http2UpstreamSession& session, bool reused)
      : Http2StreamOf(session, 0), session_(session), memory_(session.parts_.memory), reused_(reused) {
    memory_.responses.Lend(response_);
  }
  ~Exchanged() override {
    memory_.responses.TakeBack(response_);
    if (link_.session == nullptr || head_sent_) return;
    --session_.opened_count_;
    link_.session = nullptr;
    session_.turn_.Wake(session_);
  }
  TakesUpgrade takes_upgrade() const override {
    if (link_.session == nullptr) return TakesUpgrade::kYes;  // its end is told by another way
    if (!session_.codec().settled()) return TakesUpgrade::kUnknown;
    return session_.codec().takes_extended_connect() ? TakesUpgrade::kYes : TakesUpgrade::kNo;
  }
  const idempotency::HeardHello* hello() const override {
    if (link_.session == nullptr) return &idempotency::kNothingHeard;
    return session_.told_hello_ ? &session_.heard_ : nullptr;
  }
  void OpenRaw() override { PILLION_CHECK(false); }  // HTTP/1 only
  bool SendRequest(const http::RequestHead& head, bool end) override {
    if (link_.session == nullptr) return true;
    if (session_.codec_.StreamRoom() == 0) return Withdraw();
    bool too_large = false;
    asked_upgrade_ = head.upgrade;
    const bool tunnel = !head.upgrade.empty() || head.method == http::Method::kConnect;
    // A chunked message without content stays one: its end is told apart from its head.
    const bool end_later = end && !tunnel && head.content.kind == http::ContentLength::Kind::kUnsized;
    end = end && !tunnel;  // our side stays open for what the tunnel will carry
    const http2::StreamId id = session_.codec().SubmitRequest(head, end && !end_later, &too_large);
    if (too_large) return false;
    if (id == 0) return Withdraw();
    ListNode<OpenedTag>::Unlink();
    --session_.opened_count_;
    link_.id = id;
    head_sent_ = true;
    started_ = session_.turn_.now();
    session_.Add(id, {this, &link_, &owner_});
    session_.Dirty();
    finished_ = end && !end_later;
    if (end_later) Finish();
    return true;
  }
  void FinishWithTrailers(const http::HeaderList& trailers) override {
    if (link_.session == nullptr || finished_) return;
    finished_ = true;
    session_.Dirty();
    if (session_.SendTrailers(link_.id, trailers) || in_.ended) return;
    in_.error = {ErrorKind::kHeadTooLarge, Side::kClient, Outcome::kAmbiguous,
                 "the trailers are too large for the next hop"};
    if (owner_ != nullptr) session_.turn_.Wake(*owner_);
  }
  bool TakeInformational(http::ResponseHead& head) override {
    if (informational_.empty()) return false;
    head = std::move(informational_.front());
    informational_.erase(informational_.begin());
    return true;
  }
  bool reused() const override { return reused_; }

 private:
  friend class Http2UpstreamSession;
  // The connection has stopped taking streams since it was picked.
  bool Withdraw() {
    ListNode<OpenedTag>::Unlink();
    --session_.opened_count_;
    session_.turn_.Wake(session_);
    link_.session = nullptr;
    in_.error = {ErrorKind::kPeerRefused, Side::kUpstream, Outcome::kNotSent,
                 "the connection takes no more streams"};
    return true;
  }
  Http2UpstreamSession& session_;  // only while link_.session is set
  WorkerMemory& memory_;
  std::vector<http::ResponseHead> informational_;
  std::string asked_upgrade_;
  bool reused_;
};

Http2UpstreamSession::Http2UpstreamSession(UpstreamParts& parts, Http2Pool& pool,
                                           std::shared_ptr<const config::Cluster> cluster,
                                           upstream::ConnectionHold hold)
    : Http2Session(parts.turn, parts.memory.scratch, parts.stats, http2::Role::kClient, LimitsOf(*cluster)),
      parts_(parts),
      pool_(&pool),
      cluster_(std::move(cluster)),
      hold_(std::move(hold)),
      timer_(this),
      meter_(parts.turn.now()),
      since_(parts.turn.now()) {}

Http2UpstreamSession::~Http2UpstreamSession() {
  if (wire_.attached()) stats_.upstream_connections_closed.Add();
  hold_ = {};  // for the next one, which the pool may make at once
  if (pool_ != nullptr) pool_->Leave(*this);
  DetachAll("the upstream connection ended");
  while (Exchanged* stream = opened_.PopFront()) {
    stream->link_.session = nullptr;
    stream->in_.error = {ErrorKind::kClosed, Side::kUpstream, Outcome::kNotSent,
                         "the upstream connection ended"};
    if (stream->owner_ != nullptr) turn_.Wake(*stream->owner_);
  }
}

bool Http2UpstreamSession::Dial(const net::Address& to, ConnectFailure& failure) {
  auto socket = session::Dial(parts_.dial(), {*cluster_, to, Speaks::kHttp2, ""}, *this, failure);
  if (socket == nullptr) return false;
  // A peer that speaks HTTP/2 always reads: its streams have windows of their own.
  socket->GiveUpSilentPeerAfter(cluster_->silent_peer_timeout.value_or(kSilentPeerTimeout));
  stats_.upstream_connections_http2.Add();
  wire_.Attach(std::move(socket));
  ArmTimer();
  return true;
}

void Http2UpstreamSession::OnReady(bool readable, bool writable) {
  wire_.Mark(readable, writable);
  if (writable && state_ != State::kConnecting && HasUnsent()) turn_.MarkDirty(*this);
  turn_.Wake(*this);
}

stream::Progress Http2UpstreamSession::Run() {
  if (state_ == State::kConnecting) FinishConnect();
  if (state_ == State::kOpen || state_ == State::kLeaving) {
    if (!ReadAll()) {
      WriteAll();  // a GOAWAY that says why, if the socket takes it
      Die("the upstream connection ended");
    } else if (!KeepAlive(cluster_->keep_alive)) {
      Die("the upstream did not answer a PING");
    }
  }
  wire_.KeepRest();
  const bool settled = codec_.settled() && !std::exchange(told_settled_, codec_.settled());
  const bool hello = HasHello() && !std::exchange(told_hello_, HasHello());
  if (settled || hello) TellOpened();
  if (state_ == State::kOpen) {
    const time::MonotonicTime now = turn_.now();
    if (!streams_.empty() || opened_count_ > 0) since_ = now;
    const uint32_t limit = cluster_->max_requests_per_connection;
    if (codec_.draining() || (limit != 0 && requests_ >= limit)) {
      Leave();
    } else if (cluster_->idle_timeout.count() > 0 && now >= since_ + cluster_->idle_timeout) {
      LeaveIdle();
    } else if (pool_ != nullptr) {
      pool_->Room(*this);
      if (state_ == State::kOpen && codec_.worn() && open_streams() == 0) LeaveIdle();
    }
  }
  if (Settling() && turn_.now() >= settle_by_) GiveUpSettling();
  if (state_ == State::kLeaving) FinishLeaving();
  if (state_ == State::kDead) return stream::Progress::kDone;
  ArmTimer();
  return stream::Progress::kIdle;
}

void Http2UpstreamSession::FinishConnect() {
  const bool late = turn_.now() >= since_ + cluster_->connect_timeout;
  ConnectFailure failure;
  const Connected connected =
      session::FinishConnect(parts_.dial(), wire_.socket(), Speaks::kHttp2, late, failure);
  if (connected == Connected::kWait) return;
  if (connected == Connected::kNo) {
    hold_ = {};
    if (pool_ != nullptr) std::exchange(pool_, nullptr)->ConnectFailed(*this, failure);
    state_ = State::kDead;
    return;
  }
  state_ = State::kOpen;
  since_ = turn_.now();
  settle_by_ = since_ + cluster_->connect_timeout;
  Dirty();
}

// It accepts connections and does not speak HTTP/2 on them. Those who wait would wait for ever.
void Http2UpstreamSession::GiveUpSettling() {
  stats_.upstream_connect_timeouts.Add();
  hold_ = {};
  if (pool_ != nullptr)
    std::exchange(pool_, nullptr)->ConnectFailed(*this, {ErrorKind::kConnectTimeout, kNoSettings});
  Die(kNoSettings);
}

// It has as long as for its SETTINGS: a peer that does not acknowledge ours says nothing either.
bool Http2UpstreamSession::HasHello() const {
  return codec_.note_settled() || (state_ != State::kConnecting && turn_.now() >= settle_by_);
}

void Http2UpstreamSession::OnNote() {
  heard_ = {idempotency::DecodeHello(codec_.note()).value_or(idempotency::Hello()), turn_.now()};
}

// Those who wait to hear whether the peer takes their upgrade, or for its hello.
void Http2UpstreamSession::TellOpened() {
  for (Exchanged* stream = opened_.front(); stream != nullptr; stream = opened_.Next(stream)) {
    if (stream->owner_ != nullptr) turn_.Wake(*stream->owner_);
  }
}

uint32_t Http2UpstreamSession::StreamRoom() {
  if (state_ != State::kOpen || codec_.draining()) return 0;
  const uint32_t limit = cluster_->max_requests_per_connection;
  if (limit != 0 && requests_ >= limit) return 0;
  const auto open = static_cast<uint32_t>(streams_.size()) + opened_count_;
  // More would be refused by a peer that takes few (RFC 9113 section 5.1.2), each for a connection more.
  if (!codec_.settled()) return open == 0 ? 1 : 0;
  uint32_t room = codec_.StreamRoom();
  if (room == 0) {
    Refill();
    room = codec_.StreamRoom();
  }
  const uint32_t learnt = pool_ == nullptr ? UINT32_MAX : pool_->takes();
  const uint32_t most = std::min(cluster_->max_concurrent_streams, learnt);
  if (open >= most || room <= opened_count_) return 0;
  return std::min(room - opened_count_, most - open);
}

std::unique_ptr<stream::UpstreamStream> Http2UpstreamSession::Open() {
  ++opened_count_;
  ++requests_;
  auto stream = std::make_unique<Exchanged>(*this, used_);
  opened_.PushBack(stream.get());
  used_ = true;
  return stream;
}

void Http2UpstreamSession::OnHead(const http2::Event& event) {
  const auto found = streams_.find(event.stream);
  if (found == streams_.end()) return;
  auto& stream = static_cast<Exchanged&>(*found->second.stream);
  http::ResponseHead& head = codec_.response(event);
  if (event.error != ErrorKind::kNone) {
    stream.in().error = {event.error, Side::kUpstream, Outcome::kAnswered, "the response head is too large"};
  } else if (head.status / 100 == 1) {
    if (stream.informational_.size() < kMaxInformational) stream.informational_.push_back(head);
  } else {
    swap(stream.response_, head);
    stream.in().head = true;
    if (!stream.asked_upgrade_.empty() && stream.response_.status / 100 == 2) {  // RFC 8441 section 5
      stream.response_.status = 101;
      stream.response_.upgrade = stream.asked_upgrade_;
    }
  }
  if (stream.owner_ != nullptr) turn_.Wake(*stream.owner_);
}

void Http2UpstreamSession::OnGoAway() { Leave(); }

// A peer may take fewer streams than it has said, for what it has to hold of them: more wait, or go by
// another connection. It had those that are older than the one it refused; the newer ones may still be
// refused, and who asks again meanwhile must not be sent the same way. Where it refuses beside few, another
// would not help. That it has taken one is proved by its answer only: a connection that breaks ends all that
// it has.
void Http2UpstreamSession::OnStreamOver(const stream::Stream& stream, const http2::Event& event) {
  if (pool_ == nullptr) return;
  if (!event.refused) {
    if (static_cast<const Exchanged&>(stream).in_.head) pool_->StreamEnded();
  } else if (streams_.size() <= pool_->takes()) {  // else it is known
    const auto older =
        std::ranges::count_if(streams_, [&](const auto& other) { return other.first < event.stream; });
    if (static_cast<size_t>(older) >= kFewStreams) pool_->StreamRefused(static_cast<uint32_t>(older));
  }
}

void Http2UpstreamSession::Leave() {
  if (state_ != State::kOpen) return;
  state_ = State::kLeaving;
  if (pool_ != nullptr) std::exchange(pool_, nullptr)->Leave(*this);
  turn_.Wake(*this);
}

void Http2UpstreamSession::LeaveIdle() {
  codec_.GoAway(true, http2::ErrorCode::kNoError);
  Leave();
}

// Its last streams are over for their exchanges; what they sent, and a GOAWAY, still leaves. A tunnel's last
// bytes may have to wait for the peer's window.
void Http2UpstreamSession::FinishLeaving() {
  if (!streams_.empty() || opened_count_ > 0) {
    since_ = turn_.now();
    return;
  }
  const uint64_t written = wire_.written();
  const bool over = !WriteAll() || (codec_.open_streams() == 0 && !HasUnsent());
  if (wire_.written() != written) since_ = turn_.now();
  if (over || turn_.now() >= since_ + kLastBytesTimeout) state_ = State::kDead;
}

void Http2UpstreamSession::Orphan() {
  ListNode<PoolTag>::Unlink();
  pool_ = nullptr;
  if (state_ == State::kOpen) state_ = State::kLeaving;
  if (state_ == State::kConnecting) state_ = State::kDead;
  turn_.Wake(*this);
}

void Http2UpstreamSession::Die(std::string_view detail) {
  state_ = State::kDead;
  if (pool_ != nullptr) std::exchange(pool_, nullptr)->Leave(*this);
  DetachAll(detail);
}

void Http2UpstreamSession::Flush() {
  if (state_ == State::kDead || state_ == State::kConnecting) return;
  const size_t open_before = codec_.open_streams();
  if (!WriteAll()) {
    // What the peer sent before it closed is read first.
    wire_.Mark(true, false);
    turn_.Wake(*this);
    return;
  }
  meter_.SetBlocked(!wire_.out().empty(), turn_.now());
  if (streams_.empty() && wire_.out().empty()) wire_.out().Clear();  // an idle connection holds no buffer
  // What has just left, a reset or a last byte, may have made room for who waits.
  const bool room = pool_ != nullptr && codec_.open_streams() < open_before;
  if (room || (state_ == State::kLeaving && streams_.empty())) turn_.Wake(*this);
}

void Http2UpstreamSession::ArmTimer() {
  const bool leaving = state_ == State::kLeaving;
  const time::Duration wait = state_ == State::kConnecting ? cluster_->connect_timeout
                              : leaving                    ? time::Duration(kLastBytesTimeout)
                                                           : cluster_->idle_timeout;
  auto due = time::MonotonicTime::max();
  if (Settling()) {
    due = settle_by_;
  } else if (wait.count() != 0 && !(leaving && (!streams_.empty() || opened_count_ > 0))) {
    due = since_ + wait;
  }
  if (state_ != State::kConnecting) due = std::min(due, KeepAliveDue(cluster_->keep_alive));
  const bool awaits_hello = !told_hello_ && (state_ == State::kOpen || opened_count_ > 0);
  if (awaits_hello && state_ != State::kConnecting) due = std::min(due, settle_by_);
  if (due == time::MonotonicTime::max()) return;
  if (!timer_.armed() || due < timer_.deadline()) turn_.Arm(timer_, due);
}

}  // namespace pillion::session
