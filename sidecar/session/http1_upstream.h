// A connection of ours to an HTTP/1 endpoint: one request at a time.
//
//   kConnecting -> kIdle -> kActive -> kIdle | kDead          kActive -> kTunnel (after 101) -> kClosing
//   (last bytes out) -> kDead
//
// It belongs to a pool while the pool lives; without one it ends with its request. Deleted by the turn.
#ifndef PILLION_SIDECAR_SESSION_HTTP1_UPSTREAM_H_
#define PILLION_SIDECAR_SESSION_HTTP1_UPSTREAM_H_

#include <memory>

#include "sidecar/base/intrusive_list.h"
#include "sidecar/config/cluster.h"
#include "sidecar/http1/parser.h"
#include "sidecar/http1/serializer.h"
#include "sidecar/session/dial.h"
#include "sidecar/session/upstream_parts.h"
#include "sidecar/session/wire.h"
#include "sidecar/stream/stream.h"
#include "sidecar/upstream/circuits.h"

namespace pillion::session {

class Http1Pool;
struct IdleTag;
struct AllTag;

class Http1UpstreamSession final : public stream::Runnable,
                                   public stream::Flushable,
                                   public net::Observer,
                                   public ListNode<IdleTag>,
                                   public ListNode<AllTag> {
 public:
  Http1UpstreamSession(UpstreamParts& parts, Http1Pool& pool, std::shared_ptr<const config::Cluster> cluster,
                       upstream::ConnectionHold hold);
  ~Http1UpstreamSession() override;
  // False: it cannot begin; delete it. `introduction`: what it begins with; null: with nothing.
  bool Dial(const net::Address& to, const std::string* introduction, ConnectFailure& failure);
  const std::string* introduction() const { return introduction_.get(); }

  void OnReady(bool readable, bool writable) override;
  stream::Progress Run() override;
  void Flush() override;

  bool connecting() const { return state_ == State::kConnecting; }
  // It has carried a request.
  bool used() const { return requests_ > 0; }
  // Connected, free, and nothing has happened on it that was not looked at (a FIN would show as readable).
  bool usable() const { return state_ == State::kIdle && !wire_.readable(); }
  // The same; of one that was idle for long its socket is asked as well, for servers close those, and
  // readiness is as old as the turn.
  bool LooksAlive();
  // `raw`: no HTTP on it; the server may speak at once.
  std::unique_ptr<stream::UpstreamStream> Open(bool raw);
  // The pool is gone: end with the request, or now.
  void Orphan();

 private:
  class Exchanged;
  enum class State : uint8_t { kConnecting, kIdle, kActive, kTunnel, kClosing, kDead };
  enum class BodyMode : uint8_t { kNone, kSized, kChunked, kRaw };

  // Asked when it is opened: it has carried a request, or was idle before its first.
  bool MayBeStale() const { return requests_ > 1 || parts_.turn.now() > since_; }
  void FinishConnect();
  void Read();
  bool Parse();
  bool Take(const http1::Parser::Step& step);
  void OnInputEnd();
  void OnReset();
  void Fail(ErrorKind kind, std::string_view detail, bool end_of_stream);
  Outcome OutcomeNow(bool end_of_stream);
  void StreamGone(bool exchange_finished);
  void BreakOff();
  void Die();
  void ArmTimer();
  time::Duration IdleTimeout() const;
  void WakeOwner();

  UpstreamParts& parts_;
  Http1Pool* pool_;
  std::shared_ptr<const config::Cluster> cluster_;
  upstream::ConnectionHold hold_;
  std::unique_ptr<const std::string> introduction_;
  Wire wire_;
  http1::Limits limits_;
  std::unique_ptr<http1::Parser> parser_;  // while a request is under way
  State state_ = State::kConnecting;
  Exchanged* stream_ = nullptr;
  stream::Timer timer_;
  time::MonotonicTime since_;
  uint64_t written_before_ = 0;  // bytes written to the socket before this request
  uint32_t requests_ = 0;
  bool local_peer_ = false;  // its kernel is ours: acknowledged bytes prove delivery
};

}  // namespace pillion::session

#endif  // PILLION_SIDECAR_SESSION_HTTP1_UPSTREAM_H_
