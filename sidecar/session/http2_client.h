// A client's HTTP/2 connection: many requests at once.
#ifndef PILLION_SIDECAR_SESSION_HTTP2_CLIENT_H_
#define PILLION_SIDECAR_SESSION_HTTP2_CLIENT_H_

#include <string>
#include <string_view>

#include "sidecar/session/client_session.h"
#include "sidecar/session/http2_session.h"

namespace pillion::session {

class Http2ClientSession final : public ClientSession, public Http2Session {
 public:
  Http2ClientSession(ClientSessionParts parts, std::string_view early);
  ~Http2ClientSession() override;

  void OnReady(bool readable, bool writable) override;
  stream::Progress Run() override;
  void Flush() override;
  void Drain() override;
  void Abort() override;
  // Of answers whose exchanges are over, whose streams alone are given up, and of a header block that does
  // not end, or input that turns do not get to the end of, with which the connection ends.
  size_t HeldBytes() const override;
  void GiveUp(const RequestError& why) override;

 private:
  class Exchanged;
  // kServing -> kDraining (GOAWAY with the highest id) -> kClosing (GOAWAY with the last id) -> kDead
  enum class State : uint8_t { kServing, kDraining, kClosing, kDead };
  void OnHead(const http2::Event& event) override;
  void OnStreamOver(const stream::Stream& stream, const http2::Event& event) override;
  void OnGoAway() override {}
  stream::Runnable& AsRunnable() override { return *this; }
  stream::Flushable& AsFlushable() override { return *this; }
  // Of the domains that its listener enforces; "": there are none, or nobody it is for.
  static std::string MakeHello(const config::HttpOptions& options, time::WallTime now);
  void LookAtHalfHead();
  void LookAtLargeHead();
  void LookAtUnread();
  size_t HeldHeadBytes() const;
  size_t HeldInputBytes() const;
  bool AtMemorysEnd() const;
  void CheckTimer();
  void Close();
  void ArmTimer();

  WorkerMemory& memory_;
  stream::ExchangeFactory& factory_;
  const PressureGauge* const pressure_;
  std::shared_ptr<const config::HttpServer> config_;
  stream::Timer timer_;
  State state_ = State::kServing;
  uint32_t requests_ = 0;
  time::MonotonicTime hello_at_ = time::MonotonicTime::max();  // when it says hello again
  time::MonotonicTime since_;  // no stream is open since, or the drain began; closing: the last progress
  const time::MonotonicTime born_;
  time::MonotonicTime head_since_ = time::MonotonicTime::max();  // of one that is half received
  // Of those that are worth giving up (Codec::HeldHeadBytes).
  time::MonotonicTime none_large_since_{};  // max: one is half received
  time::MonotonicTime large_heads_since_{};
  // Of the input that waits for another turn: since when some of it does (max: there is none), and which byte
  // was the last one then.
  time::MonotonicTime unread_since_ = time::MonotonicTime::max();
  uint64_t unread_until_ = 0;
  bool input_over_ = false;
};

}  // namespace pillion::session

#endif  // PILLION_SIDECAR_SESSION_HTTP2_CLIENT_H_
