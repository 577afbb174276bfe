// The upstream connections of one worker: a pool per endpoint and protocol, hung on the endpoint's state.
//
//   Acquire -> a free connection -> granted now
//           -> none: the ticket waits, a connection is dialled -> granted when it is free, or failed with it
//
// HTTP/1: a connection per request under way, the most recently used first (the others may age and close).
// One that began with an introduction serves those alone who want the same.
// HTTP/2: streams fill one connection up to the peer's limit before the next is dialled, or until it carries
// all it can (link_meter.h): then up to kMaxForBandwidth share the work. Who waits gets the first stream
// there is, of whichever connection. Failed dials are repeated after pauses that grow; who waits for
// connect_timeout while they fail is failed, and at once where one fails and there is no other connection.
//
// Where the cluster asks for warm connections, each request also sees to it that there is room for more than
// are under way: idle connections of HTTP/1, streams of HTTP/2. A failure of such a dial is nobody's.
#ifndef PILLION_SIDECAR_SESSION_POOL_H_
#define PILLION_SIDECAR_SESSION_POOL_H_

#include <algorithm>
#include <memory>

#include "sidecar/session/http1_upstream.h"
#include "sidecar/session/http2_upstream.h"
#include "sidecar/session/upstream_parts.h"
#include "sidecar/stream/upstream_source.h"
#include "sidecar/upstream/endpoint_state.h"

namespace pillion::session {

// Connections of one worker to one endpoint, and requests waiting for one. Attack: an upstream that never
// answers, or allows no streams.
inline constexpr size_t kMaxConnectionsPerEndpoint = 1024;
inline constexpr size_t kMaxWaitingPerEndpoint = 4096;
// HTTP/2 connections of one worker to one endpoint, where none has run out of streams.
inline constexpr size_t kMaxForBandwidth = 4;
inline constexpr auto kForBandwidthEvery = std::chrono::seconds(1);
// HTTP/1 connections that are made with one request beside those that it needs
// (Cluster::preconnect_permille).
inline constexpr int kMaxWarmedAtOnce = 3;
// From the beginning of an HTTP/2 dial that leads to no stream to the next; then twice as long. Attack: an
// endpoint that refuses, or takes connections and no streams, while requests wait.
inline constexpr auto kFirstRedialPause = std::chrono::milliseconds(100);
inline constexpr auto kLongestRedialPause = std::chrono::seconds(2);
// How often who waits at a limit of connections looks whether there is room: other workers' count there, too,
// and nobody tells of theirs.
inline constexpr auto kRoomEvery = std::chrono::milliseconds(100);

// Requests that wait for a connection to one endpoint, in their order. They leave by themselves, so they are
// counted only when there may be too many.
class WaitingList {
 public:
  stream::Ticket* front() const { return tickets_.front(); }
  stream::Ticket* Next(stream::Ticket* ticket) const { return tickets_.Next(ticket); }
  bool empty() const { return tickets_.empty(); }
  void PushFront(stream::Ticket& ticket) {
    tickets_.PushFront(&ticket);
    ++at_most_;
  }
  void PushBack(stream::Ticket& ticket) {
    tickets_.PushBack(&ticket);
    ++at_most_;
  }
  // More than so many; exact.
  bool MoreThan(size_t count) {
    if (at_most_ <= count) return false;
    at_most_ = 0;
    for (stream::Ticket* ticket = front(); ticket != nullptr; ticket = Next(ticket)) ++at_most_;
    return at_most_ > count;
  }
  bool Full() { return MoreThan(kMaxWaitingPerEndpoint - 1); }
  // Exact.
  size_t Count() {
    MoreThan(0);
    return at_most_;
  }

 private:
  IntrusiveList<stream::Ticket, stream::TicketTag> tickets_;
  size_t at_most_ = 0;
};

// A peer that ends its idle connections after some time is not told from one that is late with it by less.
inline constexpr auto kShortestPeerIdle = std::chrono::milliseconds(500);

// Deleted by the endpoint's state, not by the turn.
class Http1Pool final : public upstream::EndpointPool, public stream::Runnable {
 public:
  Http1Pool(UpstreamParts& parts, upstream::EndpointState& endpoint)
      : parts_(parts), endpoint_(endpoint), timer_(this) {}
  ~Http1Pool() override;
  void Acquire(stream::Ticket& ticket);
  size_t connections() const override { return count_; }
  // What the timer was set for.
  stream::Progress Run() override;

  // Called by its sessions.
  void Connected() { --connecting_; }
  // One of them serves a request, or a tunnel, from now on; or no more.
  void Opened() { ++active_; }
  void StreamOver() { --active_; }
  // The peer has ended a connection that was idle for so long. Twice, and not at the same moment, as when it
  // ends, this is what it does with all of them.
  void ClosedIdle(time::Duration idle);
  // It says that it will, after so long (Keep-Alive: timeout=...).
  void ToldIdle(time::Duration idle) { peer_idle_ = std::min(peer_idle_, idle); }
  // How long a connection may be idle and still be used: by then a request could meet its end.
  time::Duration idle_limit() const {
    return peer_idle_ - std::min<time::Duration>(peer_idle_ / 2, std::chrono::seconds(1));
  }
  void Free(Http1UpstreamSession& session);
  void ConnectFailed(Http1UpstreamSession& session, const ConnectFailure& failure);
  void Gone(bool connecting);

 private:
  void Serve(stream::Ticket& ticket);
  // False: as many connections as there may be are there.
  bool DialFor(stream::Ticket& ticket);
  void DialForWaiting();
  bool Dial(const std::string* introduction, upstream::ConnectionHold hold, ConnectFailure& failure);
  bool Warms() const { return endpoint_.cluster().preconnect_permille > 1000; }
  void Warm(size_t priority);
  upstream::ConnectionHold RoomFor(const stream::Ticket& ticket);
  UpstreamParts& parts_;
  upstream::EndpointState& endpoint_;
  IntrusiveList<Http1UpstreamSession, IdleTag> idle_;
  IntrusiveList<Http1UpstreamSession, AllTag> all_;
  WaitingList waiting_;
  stream::Timer timer_;
  size_t count_ = 0;
  size_t connecting_ = 0;  // of them
  size_t active_ = 0;      // of them
  time::Duration peer_idle_ = time::Duration::max();
  time::Duration seen_idle_{};  // the last time that one ended
  time::MonotonicTime seen_at_{};
};

// Deleted by the endpoint's state, not by the turn.
class Http2Pool final : public upstream::EndpointPool, public stream::Runnable {
 public:
  Http2Pool(UpstreamParts& parts, upstream::EndpointState& endpoint)
      : parts_(parts), endpoint_(endpoint), timer_(this) {}
  ~Http2Pool() override;
  void Acquire(stream::Ticket& ticket);
  size_t connections() const override { return count_; }
  // What the timer was set for.
  stream::Progress Run() override;

  // Called by its sessions: there is room for streams; it cannot be reached; it takes no more streams; it is
  // gone.
  void Room(Http2UpstreamSession& session);
  void ConnectFailed(Http2UpstreamSession& session, const ConnectFailure& failure);
  void Leave(Http2UpstreamSession& session);
  // A stream was refused beside so many on its connection; one that was answered has ended.
  void StreamRefused(uint32_t beside) {
    takes_ = std::min(takes_, beside);
    ended_ = 0;
  }
  void StreamEnded() {
    if (takes_ == UINT32_MAX || ++ended_ < takes_) return;
    ended_ = 0;
    ++takes_;
  }
  // Streams at once that a connection takes, as refusals have shown; after each such number it may be one
  // more.
  uint32_t takes() const { return takes_; }

 private:
  bool Connecting();
  void Dial(size_t priority);
  void DialForBandwidth(bool connecting);
  void Warm(size_t priority);
  void DialForWaiting();
  void NoteFailure(const ConnectFailure& failure);
  void OnFailure(const ConnectFailure& failure);
  void FailWaiting(const ConnectFailure& failure);
  void FailOverdue();
  time::MonotonicTime Overdue(const stream::Ticket& ticket) const;
  UpstreamParts& parts_;
  upstream::EndpointState& endpoint_;
  IntrusiveList<Http2UpstreamSession, PoolTag> sessions_;
  WaitingList waiting_;
  stream::Timer timer_;
  time::MonotonicTime next_for_bandwidth_{};
  time::MonotonicTime next_dial_{};
  time::Duration redial_pause_ = kFirstRedialPause;
  time::MonotonicTime failing_since_ = time::MonotonicTime::max();  // max: the last dial led to streams
  ConnectFailure last_failure_;
  const Http2UpstreamSession* untried_ = nullptr;  // the last one dialled, until it takes streams
  uint32_t takes_ = UINT32_MAX;
  uint32_t ended_ = 0;
  size_t count_ = 0;
};

class UpstreamPools final : public stream::UpstreamSource {
 public:
  explicit UpstreamPools(UpstreamParts parts) : parts_(parts) {}
  void Acquire(upstream::EndpointState& endpoint, bool http2, stream::Ticket& ticket) override;

 private:
  UpstreamParts parts_;
};

}  // namespace pillion::session

#endif  // PILLION_SIDECAR_SESSION_POOL_H_
