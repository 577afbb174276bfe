#include "sidecar/session/pool.h"

namespace pillion::session {
namespace {

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
  Http1UpstreamSession* session = ticket.raw ? nullptr : idle_.front();
  while (session != nullptr) {
    Http1UpstreamSession* const next = idle_.Next(session);
    if (!session->usable()) {
      session->ListNode<IdleTag>::Unlink();  // something came on it: it is looked at this turn and comes
                                             // back, or dies
    } else if (Fits(*session, ticket)) {
      ticket.stream = session->Open(false);
      return;
    }
    session = next;
  }
  DialFor(ticket);
}

// Connections that began with the introduction of a client who does not come back would stay for long.
bool Http1Pool::MakeRoomFor(const stream::Ticket& ticket) {
  if (count_ < kMaxConnectionsPerEndpoint) return true;
  if (ticket.introduction == nullptr || idle_.empty()) return false;
  Http1UpstreamSession& oldest = *idle_.back();
  oldest.Orphan();
  --count_;
  return true;
}

void Http1Pool::DialFor(stream::Ticket& ticket) {
  if (!MakeRoomFor(ticket)) {
    ticket.error = {ErrorKind::kOverflow, Side::kLocal, Outcome::kNotSent,
                    "too many connections to the endpoint"};
    return;
  }
  auto session = std::make_unique<Http1UpstreamSession>(
      parts_, *this, std::shared_ptr<const config::Cluster>(endpoint_.shared_cluster()));
  ++count_;
  ConnectFailure failure;
  if (!session->Dial(endpoint_.address(), ticket.introduction.get(), failure)) {
    ticket.error = {failure.kind, Side::kUpstream, Outcome::kNotSent, failure.detail};
    return;
  }
  all_.PushBack(session.release());  // from here it belongs to the turn
  waiting_.PushBack(&ticket);
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
  stream::Ticket* ticket = waiting_.front();
  while (ticket != nullptr && !Fits(session, *ticket)) ticket = waiting_.Next(ticket);
  if (ticket != nullptr) Fail(parts_.turn, *ticket, failure);
}

void Http1Pool::Gone(Http1UpstreamSession&) { --count_; }

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
      return;
    }
    if (full == nullptr || session->open_streams() < full->open_streams()) full = session;
  }
  if (full != nullptr) {
    ticket.stream = full->Open();
    DialForBandwidth(connecting);
    return;
  }
  if (WaitingIsFull()) {
    ticket.error = {ErrorKind::kOverflow, Side::kLocal, Outcome::kNotSent,
                    "too many requests wait for the endpoint"};
    return;
  }
  // At the limit of connections one waits for the streams that end.
  ConnectFailure failure;
  if (!connecting && count_ < kMaxConnectionsPerEndpoint && !Dial(failure)) {
    ticket.error = {failure.kind, Side::kUpstream, Outcome::kNotSent, failure.detail};
    return;
  }
  waiting_.PushBack(&ticket);
  ++waiting_at_most_;
}

// Tickets leave by themselves, so they are counted only when there may be too many.
bool Http2Pool::WaitingIsFull() {
  if (waiting_at_most_ < kMaxWaitingPerEndpoint) return false;
  waiting_at_most_ = 0;
  for (stream::Ticket* ticket = waiting_.front(); ticket != nullptr; ticket = waiting_.Next(ticket))
    ++waiting_at_most_;
  return waiting_at_most_ >= kMaxWaitingPerEndpoint;
}

bool Http2Pool::Dial(ConnectFailure& failure) {
  auto session = std::make_unique<Http2UpstreamSession>(parts_, *this, endpoint_.shared_cluster());
  if (!session->Dial(endpoint_.address(), failure))
    return false;  // not one of ours yet: nobody hears of its end
  ++count_;
  sessions_.PushBack(session.release());  // from here it belongs to the turn
  return true;
}

void Http2Pool::Room(Http2UpstreamSession& session) {
  while (stream::Ticket* ticket = waiting_.front()) {
    if (session.StreamRoom() == 0) break;
    Grant(parts_.turn, *ticket, session.Open());
  }
  if (waiting_.empty() || session.connecting()) return;
  for (Http2UpstreamSession* other = sessions_.front(); other != nullptr; other = sessions_.Next(other)) {
    if (other->connecting()) return;
  }
  ConnectFailure ignored;  // those who wait are served by the streams that end
  if (count_ < kMaxConnectionsPerEndpoint) Dial(ignored);
}

// For those who come later; a failure is nobody's.
void Http2Pool::DialForBandwidth(bool connecting) {
  const time::MonotonicTime now = parts_.turn.now();
  if (connecting || count_ >= kMaxForBandwidth || now < next_for_bandwidth_) return;
  next_for_bandwidth_ = now + kForBandwidthEvery;
  ConnectFailure ignored;
  Dial(ignored);
}

void Http2Pool::ConnectFailed(Http2UpstreamSession& session, const ConnectFailure& failure) {
  // Where there is another, those who wait are served by the streams that end there. Else first: Leave dials
  // again for those who still wait.
  const bool only = sessions_.front() == &session && sessions_.Next(&session) == nullptr;
  if (only || sessions_.empty()) FailWaiting(failure);
  Leave(session);
}

void Http2Pool::Leave(Http2UpstreamSession& session) {
  if (!session.ListNode<PoolTag>::linked()) return;
  session.ListNode<PoolTag>::Unlink();
  --count_;
  ConnectFailure failure;
  if (sessions_.empty() && !waiting_.empty() && !Dial(failure)) FailWaiting(failure);
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
