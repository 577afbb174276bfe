// The upstream connections of one worker: a pool per endpoint and protocol, hung on the endpoint's state.
//
//   Acquire -> a free connection -> granted now
//           -> none: the ticket waits, a connection is dialled -> granted when it is free, or failed with it
//
// HTTP/1: a connection per request under way, the most recently used first (the others may age and close).
// One that began with an introduction serves those alone who want the same.
// HTTP/2: streams fill one connection up to the peer's limit before the next is dialled, or until it carries
// all it can (link_meter.h): then up to kMaxForBandwidth share the work.
#ifndef PILLION_SIDECAR_SESSION_POOL_H_
#define PILLION_SIDECAR_SESSION_POOL_H_

#include <memory>

#include "sidecar/session/http1_upstream.h"
#include "sidecar/session/http2_upstream.h"
#include "sidecar/session/upstream_parts.h"
#include "sidecar/stream/upstream_source.h"
#include "sidecar/upstream/endpoint_state.h"

namespace pillion::session {

// Connections of one worker to one endpoint, and requests waiting for one (over HTTP/1 each waits for a
// connection that is being made, so the first limit is both). Attack: an upstream that never answers, or
// allows no streams.
inline constexpr size_t kMaxConnectionsPerEndpoint = 1024;
inline constexpr size_t kMaxWaitingPerEndpoint = 4096;
// HTTP/2 connections of one worker to one endpoint, where none has run out of streams.
inline constexpr size_t kMaxForBandwidth = 4;
inline constexpr auto kForBandwidthEvery = std::chrono::seconds(1);

using TicketList = IntrusiveList<stream::Ticket, stream::TicketTag>;

class Http1Pool final : public upstream::EndpointPool {
 public:
  Http1Pool(UpstreamParts& parts, upstream::EndpointState& endpoint) : parts_(parts), endpoint_(endpoint) {}
  ~Http1Pool() override;
  void Acquire(stream::Ticket& ticket);
  size_t connections() const override { return count_; }

  // Called by its sessions.
  void Free(Http1UpstreamSession& session);
  void ConnectFailed(Http1UpstreamSession& session, const ConnectFailure& failure);
  void Gone(Http1UpstreamSession& session);

 private:
  void DialFor(stream::Ticket& ticket);
  bool MakeRoomFor(const stream::Ticket& ticket);
  UpstreamParts& parts_;
  upstream::EndpointState& endpoint_;
  IntrusiveList<Http1UpstreamSession, IdleTag> idle_;
  IntrusiveList<Http1UpstreamSession, AllTag> all_;
  TicketList waiting_;
  size_t count_ = 0;
};

class Http2Pool final : public upstream::EndpointPool {
 public:
  Http2Pool(UpstreamParts& parts, upstream::EndpointState& endpoint) : parts_(parts), endpoint_(endpoint) {}
  ~Http2Pool() override;
  void Acquire(stream::Ticket& ticket);
  size_t connections() const override { return count_; }

  // Called by its sessions: there is room for streams; it cannot be reached; it takes no more streams; it is
  // gone.
  void Room(Http2UpstreamSession& session);
  void ConnectFailed(Http2UpstreamSession& session, const ConnectFailure& failure);
  void Leave(Http2UpstreamSession& session);

 private:
  bool WaitingIsFull();
  bool Dial(ConnectFailure& failure);
  void DialForBandwidth(bool connecting);
  void FailWaiting(const ConnectFailure& failure);
  UpstreamParts& parts_;
  upstream::EndpointState& endpoint_;
  IntrusiveList<Http2UpstreamSession, PoolTag> sessions_;
  TicketList waiting_;
  time::MonotonicTime next_for_bandwidth_{};
  size_t waiting_at_most_ = 0;  // how many wait, those counted too that have left by themselves
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
