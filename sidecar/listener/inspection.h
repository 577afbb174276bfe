// A connection from its acceptance until it is known what serves it. Deleted by the turn.
//
//   kProxyHeader -> kChain [-> kHandshake] -> kStart -> a session or a relay
//
//   kProxyHeader  the PROXY protocol header, where the listener has one, says who the client is
//   kChain        which filter chain is for it; reads as much as the chains depend on, and decides as soon as
//                 the bytes contradict all but one
//   kHandshake    TLS, where the chain has it; what follows sees what is in it
//   kStart        HTTP: by ALPN where one was agreed, else HTTP/2 by its preface (RFC 9113 section 3.4), or
//   HTTP/1
//
// A client that says nothing may wait for a server that speaks first. Where such a connection would be
// relayed as it is, one to the upstream is made after a moment, and whoever speaks first decides.
#ifndef PILLION_SIDECAR_LISTENER_INSPECTION_H_
#define PILLION_SIDECAR_LISTENER_INSPECTION_H_

#include <memory>
#include <optional>
#include <string>

#include "sidecar/listener/chain_match.h"
#include "sidecar/listener/listener.h"
#include "sidecar/relay/dial.h"

namespace pillion::listener {

// Attack: TLS handshakes that are begun and not ended.
inline constexpr auto kTlsHandshakeTimeout = std::chrono::seconds(15);

class Inspection final : public session::ClientSession {
 public:
  // `generation` outlives it, or is replaced by Move: it is in the generation's list.
  Inspection(ListenerParts parts, Generation& generation, std::unique_ptr<net::Socket> socket);
  ~Inspection() override;

  void OnReady(bool readable, bool writable) override;
  stream::Progress Run() override;
  void Flush() override {}
  // What it sends within a moment is still answered, once.
  void Drain() override;
  void Abort() override;
  size_t HeldBytes() const override { return bytes_.size(); }
  void GiveUp(const RequestError& why) override;
  // Nothing of the configuration was decided on yet, so another one may take its place.
  bool undecided() const { return stage_ == Stage::kProxyHeader || stage_ == Stage::kChain; }
  void Move(Generation& generation);

 private:
  enum class Stage : uint8_t { kProxyHeader, kChain, kHandshake, kStart };
  enum class Step : uint8_t {
    kMore,   // the next stage is set
    kWait,   // more bytes of the client are needed
    kDone,   // something else serves the connection now
    kClose,  // nothing will
  };
  Step Advance();
  Step ReadProxyHeader();
  Step ChooseChain();
  Step BeginTls();
  Step ShakeHands();
  Step Start();
  // The client's bytes, up to what the present stage can need. False: none now; `ended_` when there never
  // will be.
  bool ReadSome();
  Step StopAsking();
  Step OnNoMore();
  Step OnLate();
  void RestoreDestination();
  void LearnDestination();
  void LearnTls();
  void LearnHttp();
  std::optional<size_t> FallbackChain() const;
  bool MayRelay() const;
  void Speculate();
  void StartRelay();
  void BecomeSession(bool http2);
  void ArmTimer();
  time::MonotonicTime After(time::Duration limit) const;
  time::MonotonicTime FirstWordDeadline() const;

  ListenerParts parts_;
  Generation* generation_;
  std::unique_ptr<net::Socket> socket_;
  stream::Timer timer_;
  const time::MonotonicTime accepted_;
  time::MonotonicTime deadline_ = time::MonotonicTime::max();
  time::MonotonicTime speculate_at_ = time::MonotonicTime::max();
  ConnectionFacts facts_;
  std::string bytes_;
  std::unique_ptr<relay::Dial> dial_;  // towards the cluster of dial_chain_
  size_t dial_chain_ = 0;
  Stage stage_ = Stage::kChain;
  // Facts about the socket and the process around it, each told by another event.
  bool readable_ = true;
  bool ended_ = false;
  bool draining_ = false;
  bool aborted_ = false;
};

}  // namespace pillion::listener

#endif  // PILLION_SIDECAR_LISTENER_INSPECTION_H_
