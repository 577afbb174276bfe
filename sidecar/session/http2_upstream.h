// A connection of ours to an HTTP/2 endpoint: the requests of many clients share it, and nothing that one of
// them does may reach the others (DESIGN.md section 4).
#ifndef PILLION_SIDECAR_SESSION_HTTP2_UPSTREAM_H_
#define PILLION_SIDECAR_SESSION_HTTP2_UPSTREAM_H_

#include <memory>

#include "sidecar/base/intrusive_list.h"
#include "sidecar/config/cluster.h"
#include "sidecar/session/dial.h"
#include "sidecar/session/http2_session.h"
#include "sidecar/session/link_meter.h"
#include "sidecar/session/upstream_parts.h"
#include "sidecar/upstream/circuits.h"

namespace pillion::session {

class Http2Pool;
struct PoolTag;
struct OpenedTag;

class Http2UpstreamSession final : public stream::Runnable,
                                   public stream::Flushable,
                                   public net::Observer,
                                   public ListNode<PoolTag>,
                                   public Http2Session {
 public:
  Http2UpstreamSession(UpstreamParts& parts, Http2Pool& pool, std::shared_ptr<const config::Cluster> cluster,
                       upstream::ConnectionHold hold);
  ~Http2UpstreamSession() override;
  // False: it cannot begin; delete it.
  bool Dial(const net::Address& to, ConnectFailure& failure);

  void OnReady(bool readable, bool writable) override;
  stream::Progress Run() override;
  void Flush() override;

  // More streams may soon be possible: it is not connected, or the peer has not said yet how many it takes.
  bool connecting() const {
    return state_ == State::kConnecting || (state_ == State::kOpen && !codec_.settled());
  }
  // Streams that may be opened now; 0 before the connection is there, one until the peer's SETTINGS are.
  uint32_t StreamRoom();
  // It carries all it can: other streams are better off on another.
  bool Full() { return meter_.Full(received_ + wire_.written(), turn_.now()); }
  size_t open_streams() const { return streams_.size() + opened_count_; }
  // It is proved: what is taken before the peer's SETTINGS are here does not count, nor what waits to be
  // sent.
  bool takes_streams() const { return !connecting() && (codec_.StreamRoom() > 0 || !streams_.empty()); }
  std::unique_ptr<stream::UpstreamStream> Open();
  void Orphan();

 private:
  class Exchanged;
  // kLeaving: takes no more streams; ends with the last.
  enum class State : uint8_t { kConnecting, kOpen, kLeaving, kDead };
  void OnHead(const http2::Event& event) override;
  void OnGoAway() override;
  void OnNote() override;
  void OnStreamOver(const stream::Stream& stream, const http2::Event& event) override;
  stream::Runnable& AsRunnable() override { return *this; }
  stream::Flushable& AsFlushable() override { return *this; }
  void FinishConnect();
  // Connected, and the peer's SETTINGS are not here, which must come by settle_by_.
  bool Settling() const { return !codec_.settled() && (state_ == State::kOpen || state_ == State::kLeaving); }
  void GiveUpSettling();
  void TellOpened();
  // What the peer may say of itself is here, or it says nothing.
  bool HasHello() const;
  void FinishLeaving();
  void Die(std::string_view detail);
  void Leave();
  void LeaveIdle();
  void ArmTimer();

  UpstreamParts& parts_;
  Http2Pool* pool_;
  std::shared_ptr<const config::Cluster> cluster_;
  upstream::ConnectionHold hold_;
  stream::Timer timer_;
  LinkMeter meter_;
  State state_ = State::kConnecting;
  time::MonotonicTime since_;
  time::MonotonicTime settle_by_{};             // the peer's SETTINGS must be here
  IntrusiveList<Exchanged, OpenedTag> opened_;  // streams handed out whose head has not been submitted
  uint32_t opened_count_ = 0;
  uint32_t requests_ = 0;  // ever opened
  bool used_ = false;
  bool told_settled_ = false;
  bool told_hello_ = false;
  idempotency::HeardHello heard_;
};

}  // namespace pillion::session

#endif  // PILLION_SIDECAR_SESSION_HTTP2_UPSTREAM_H_
