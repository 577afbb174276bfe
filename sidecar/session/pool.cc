#include "sidecar/session/pool.h"

#include <algorithm>

namespace pillion::session {
namespace {

constexpr std::string_view kNoStreams = "the upstream takes connections and no streams";

void Fail(stream::Turn& turn, stream::Ticket& ticket, const ConnectFailure& failure) {
  ticket.Unlink();
  ticket.error = {failure.kind, Side::kUpstream, Outcome::kNotSent, failure.detail};
  turn.Wake(*ticket.owner());
}

void Grant(stream::Turn& turn, stream::Ticket& ticket, std::unique_ptr<stream::UpstreamStream> stream) {
  ticket.Unlink();
  ticket.stream = std::move(stream);
  turn.Wake(*ticket.owner());
}

// A connection that was made for another is no good for it.
bool NeedsItsOwn(const stream::Ticket& ticket) { return ticket.raw || ticket.introduction != nullptr; }

// Whether that connection may serve that wish.
bool Fits(const Http1UpstreamSession& session, const stream::Ticket& ticket) {
  if (ticket.raw && session.used()) return false;
  const std::string* const made_for = session.introduction();
  const std::string* const wanted = ticket.introduction.get();
  return made_for == nullptr || wanted == nullptr ? made_for == wanted : *made_for == *wanted;
}

}  // namespace

Http1Pool::~Http1Pool() {
  while (stream::Ticket* ticket = waiting_.front())
    Fail(parts_.turn, *ticket, {ErrorKind::kConnectFailed, "the endpoint was removed"});
  while (Http1UpstreamSession* session = all_.front()) session->Orphan();
}

void Http1Pool::Acquire(stream::Ticket& ticket) {
  Serve(ticket);
  if (Warms() && !ticket.error) Warm(ticket.priority);
}

void Http1Pool::Serve(stream::Ticket& ticket) {
  Http1UpstreamSession* session = ticket.raw ? nullptr : idle_.front();
  while (session != nullptr) {
    Http1UpstreamSession* const next = idle_.Next(session);
    if (!session->LooksAlive()) {
      session->ListNode<IdleTag>::Unlink();  // something came on it: it is looked at this turn and comes
                                             // back, or dies
    } else if (Fits(*session, ticket)) {
      ticket.stream = session->Open(false);
      return;
    }
    session = next;
  }
  if (waiting_.Full()) {
    ticket.error = {ErrorKind::kOverflow, Side::kLocal, Outcome::kNotSent,
                    "too many requests wait for the endpoint"};
    return;
  }
  waiting_.PushBack(ticket);
  if (DialFor(ticket)) return;
  if (!NeedsItsOwn(ticket)) {  // it waits for one to be free
    if (!timer_.armed()) parts_.turn.Arm(timer_, parts_.turn.now() + kRoomEvery);
    return;
  }
  ticket.Unlink();
  ticket.error = {ErrorKind::kOverflow, Side::kLocal, Outcome::kNotSent,
                  "too many connections to the endpoint"};
}

// Empty: there is none. One that serves nobody may have to make way: those that began with the introduction
// of a client who does not come back would stay for long, and a used one is no good for bytes alone.
upstream::ConnectionHold Http1Pool::RoomFor(const stream::Ticket& ticket) {
  for (;;) {
    if (count_ < kMaxConnectionsPerEndpoint) {
      auto hold = endpoint_.TakeConnection(ticket.priority, count_ == 0);
      if (hold) return hold;
    }
    if (idle_.empty() || !NeedsItsOwn(ticket)) return {};
    Http1UpstreamSession& oldest = *idle_.back();
    oldest.Orphan();
    --count_;
  }
}

bool Http1Pool::DialFor(stream::Ticket& ticket) {
  upstream::ConnectionHold hold = RoomFor(ticket);
  if (!hold) return false;
  ConnectFailure failure;
  if (!Dial(ticket.introduction.get(), std::move(hold), failure)) Fail(parts_.turn, ticket, failure);
  return true;
}

bool Http1Pool::Dial(const std::string* introduction, upstream::ConnectionHold hold,
                     ConnectFailure& failure) {
  auto session = std::make_unique<Http1UpstreamSession>(
      parts_, *this, std::shared_ptr<const config::Cluster>(endpoint_.shared_cluster()), std::move(hold));
  if (!session->Dial(endpoint_.address(), introduction, failure)) return false;
  ++count_;
  ++connecting_;
  all_.PushBack(session.release());  // from here it belongs to the turn
  return true;
}

// Not while the endpoint cannot be reached: each request would dial it several times.
void Http1Pool::Warm(size_t priority) {
  if (endpoint_.Paused(parts_.turn.now()) || count_ >= kMaxConnectionsPerEndpoint) return;
  if (waiting_.MoreThan(connecting_)) return;  // what is needed comes first
  const uint64_t streams = active_ + waiting_.Count();
  const uint64_t wanted = streams * endpoint_.cluster().preconnect_permille;
  for (int dials = 0; dials < kMaxWarmedAtOnce; ++dials) {
    if (wanted <= uint64_t{count_} * 1000 || count_ >= kMaxConnectionsPerEndpoint) return;
    if (!endpoint_.HasSpareConnection(priority)) return;
    auto hold = endpoint_.TakeConnection(priority, false);
    ConnectFailure failure;
    if (!hold || !Dial(nullptr, std::move(hold), failure)) return;
  }
}

void Http1Pool::Free(Http1UpstreamSession& session) {
  stream::Ticket* ticket = waiting_.front();
  while (ticket != nullptr && !Fits(session, *ticket)) ticket = waiting_.Next(ticket);
  if (ticket != nullptr) {
    Grant(parts_.turn, *ticket, session.Open(ticket->raw));
  } else {
    idle_.PushFront(&session);
  }
}

void Http1Pool::ConnectFailed(Http1UpstreamSession& session, const ConnectFailure& failure) {
  --connecting_;
  stream::Ticket* ticket = waiting_.front();
  while (ticket != nullptr && !Fits(session, *ticket)) ticket = waiting_.Next(ticket);
  if (ticket == nullptr) return;
  // Where there are more than were needed, others are still on their way.
  if (Warms() && !NeedsItsOwn(*ticket) && !waiting_.MoreThan(connecting_)) return;
  Fail(parts_.turn, *ticket, failure);
}

void Http1Pool::ClosedIdle(time::Duration idle) {
  constexpr auto kOneMoment = std::chrono::seconds(1);
  const time::MonotonicTime now = parts_.turn.now();
  if (idle < kShortestPeerIdle || now - seen_at_ < kOneMoment) return;
  const time::Duration difference = idle > seen_idle_ ? idle - seen_idle_ : seen_idle_ - idle;
  if (difference <= seen_idle_ / 10) peer_idle_ = std::min(peer_idle_, idle);
  seen_idle_ = idle;
  seen_at_ = now;
}

// Who waited for one to be free, because there were as many as may be, has no connection on its way.
void Http1Pool::Gone(bool connecting) {
  --count_;
  if (connecting) --connecting_;
  DialForWaiting();
}

void Http1Pool::DialForWaiting() {
  while (waiting_.MoreThan(connecting_)) {
    stream::Ticket* ticket = waiting_.front();
    while (ticket != nullptr && NeedsItsOwn(*ticket)) ticket = waiting_.Next(ticket);
    if (ticket == nullptr) return;
    if (DialFor(*ticket)) continue;
    parts_.turn.Arm(timer_, parts_.turn.now() + kRoomEvery);
    return;
  }
}

stream::Progress Http1Pool::Run() {
  DialForWaiting();
  return stream::Progress::kIdle;
}

Http2Pool::~Http2Pool() {
  FailWaiting({ErrorKind::kConnectFailed, "the endpoint was removed"});
  while (Http2UpstreamSession* session = sessions_.front()) session->Orphan();
}

void Http2Pool::Acquire(stream::Ticket& ticket) {
  bool connecting = false;
  Http2UpstreamSession* full = nullptr;  // of those the one with the fewest streams
  for (Http2UpstreamSession* session = sessions_.front(); session != nullptr;
       session = sessions_.Next(session)) {
    connecting = connecting || session->connecting();
    if (session->StreamRoom() == 0) continue;
    if (!session->Full()) {
      ticket.stream = session->Open();
      Warm(ticket.priority);
      return;
    }
    if (full == nullptr || session->open_streams() < full->open_streams()) full = session;
  }
  if (full != nullptr) {
    ticket.stream = full->Open();
    DialForBandwidth(connecting);
    Warm(ticket.priority);
    return;
  }
  if (waiting_.Full()) {
    ticket.error = {ErrorKind::kOverflow, Side::kLocal, Outcome::kNotSent,
                    "too many requests wait for the endpoint"};
    return;
  }
  if (sessions_.empty() && waiting_.empty()) next_dial_ = {};  // without a connection each who comes may ask
  ticket.waits_since = std::chrono::ceil<decltype(ticket.waits_since)>(parts_.turn.now().time_since_epoch());
  if (ticket.again && !waiting_.empty()) {
    ticket.waits_since = waiting_.front()->waits_since;  // the first is the one that is overdue first
    waiting_.PushFront(ticket);
  } else {
    waiting_.PushBack(ticket);
  }
  DialForWaiting();
}

bool Http2Pool::Connecting() {
  for (Http2UpstreamSession* session = sessions_.front(); session != nullptr;
       session = sessions_.Next(session)) {
    if (session->connecting()) return true;
  }
  return false;
}

void Http2Pool::Dial(size_t priority) {
  auto hold = endpoint_.TakeConnection(priority, count_ == 0);
  if (!hold) {
    next_dial_ = parts_.turn.now() + kFirstRedialPause;  // others may have left by then
    return;
  }
  if (untried_ != nullptr) NoteFailure({ErrorKind::kConnectFailed, kNoStreams});  // the peer allows none
  next_dial_ = parts_.turn.now() + redial_pause_;
  redial_pause_ = std::min<time::Duration>(2 * redial_pause_, kLongestRedialPause);
  auto session =
      std::make_unique<Http2UpstreamSession>(parts_, *this, endpoint_.shared_cluster(), std::move(hold));
  ConnectFailure failure;
  if (!session->Dial(endpoint_.address(), failure)) {
    OnFailure(failure);  // not one of ours yet: nobody hears of its end
    return;
  }
  ++count_;
  untried_ = session.get();
  sessions_.PushBack(session.release());  // from here it belongs to the turn
}

void Http2Pool::Room(Http2UpstreamSession& session) {
  while (stream::Ticket* ticket = waiting_.front()) {
    if (session.StreamRoom() == 0) break;
    Grant(parts_.turn, *ticket, session.Open());
  }
  if (&session == untried_ && session.takes_streams()) {
    untried_ = nullptr;
    next_dial_ = {};
    redial_pause_ = kFirstRedialPause;
    failing_since_ = time::MonotonicTime::max();
  }
  DialForWaiting();
}

// For those who come later; a failure is nobody's.
void Http2Pool::DialForBandwidth(bool connecting) {
  const time::MonotonicTime now = parts_.turn.now();
  if (connecting || count_ >= kMaxForBandwidth || now < next_for_bandwidth_) return;
  next_for_bandwidth_ = now + kForBandwidthEvery;
  Dial(0);
}

// For those who come later, as above. One that is on its way may have room for all of them.
void Http2Pool::Warm(size_t priority) {
  const uint64_t permille = endpoint_.cluster().preconnect_permille;
  if (permille <= 1000 || count_ >= kMaxConnectionsPerEndpoint || parts_.turn.now() < next_dial_) return;
  if (!endpoint_.HasSpareConnection(priority)) return;
  uint64_t streams = 0;
  uint64_t room = 0;
  for (Http2UpstreamSession* session = sessions_.front(); session != nullptr;
       session = sessions_.Next(session)) {
    if (session->connecting()) return;
    streams += session->open_streams();
    room += session->StreamRoom();
  }
  if (streams * permille > (streams + room) * 1000) Dial(priority);
}

// Where it may not be yet, and at the limit of connections, they wait for the streams that end.
void Http2Pool::DialForWaiting() {
  if (waiting_.empty()) return;
  const time::MonotonicTime now = parts_.turn.now();
  auto due = time::MonotonicTime::max();
  if (count_ < kMaxConnectionsPerEndpoint && !Connecting()) {
    if (now >= next_dial_) Dial(waiting_.front()->priority);
    if (waiting_.empty()) return;
    due = next_dial_;
  }
  due = std::min(due, Overdue(*waiting_.front()));
  if (due != time::MonotonicTime::max() && (!timer_.armed() || due < timer_.deadline()))
    parts_.turn.Arm(timer_, due);
}

stream::Progress Http2Pool::Run() {
  FailOverdue();
  DialForWaiting();
  return stream::Progress::kIdle;
}

void Http2Pool::ConnectFailed(Http2UpstreamSession& session, const ConnectFailure& failure) {
  if (&session == untried_) untried_ = nullptr;
  session.ListNode<PoolTag>::Unlink();
  --count_;
  OnFailure(failure);
  DialForWaiting();
}

void Http2Pool::Leave(Http2UpstreamSession& session) {
  if (!session.ListNode<PoolTag>::linked()) return;
  session.ListNode<PoolTag>::Unlink();
  --count_;
  if (&session == untried_) {
    untried_ = nullptr;
    // The endpoint can be reached: also without another connection those who wait go on waiting.
    NoteFailure({ErrorKind::kConnectFailed, kNoStreams});
  }
  DialForWaiting();
}

void Http2Pool::NoteFailure(const ConnectFailure& failure) {
  if (failing_since_ == time::MonotonicTime::max()) failing_since_ = parts_.turn.now();
  last_failure_ = failure;
}

// Where there is a connection, those who wait may still be served by the streams that end there.
void Http2Pool::OnFailure(const ConnectFailure& failure) {
  NoteFailure(failure);
  if (sessions_.empty()) FailWaiting(failure);
}

time::MonotonicTime Http2Pool::Overdue(const stream::Ticket& ticket) const {
  if (failing_since_ == time::MonotonicTime::max()) return failing_since_;
  return std::max(time::MonotonicTime(ticket.waits_since), failing_since_) +
         endpoint_.cluster().connect_timeout;
}

// The first has waited longest.
void Http2Pool::FailOverdue() {
  while (stream::Ticket* ticket = waiting_.front()) {
    if (parts_.turn.now() < Overdue(*ticket)) return;
    Fail(parts_.turn, *ticket, last_failure_);
  }
}

void Http2Pool::FailWaiting(const ConnectFailure& failure) {
  while (stream::Ticket* ticket = waiting_.front()) Fail(parts_.turn, *ticket, failure);
}

void UpstreamPools::Acquire(upstream::EndpointState& endpoint, bool http2, stream::Ticket& ticket) {
  if (http2) {
    if (endpoint.http2_pool == nullptr) endpoint.http2_pool = std::make_unique<Http2Pool>(parts_, endpoint);
    static_cast<Http2Pool&>(*endpoint.http2_pool).Acquire(ticket);
    return;
  }
  if (endpoint.http1_pool == nullptr) endpoint.http1_pool = std::make_unique<Http1Pool>(parts_, endpoint);
  static_cast<Http1Pool&>(*endpoint.http1_pool).Acquire(ticket);
}

}  // namespace pillion::session
