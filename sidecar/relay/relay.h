// Two connections joined: a client's, and one of our own to an endpoint of the listener's cluster. Bytes go
// on as they come, both ways; an end of one direction is passed on when what came before it has left
// (half-close); a reset becomes a reset, and so does whatever else breaks the relay off. What one side does
// not take stops the reading of the other.
//
//   kDialling -> kOpen -> kDead        deleted by the turn
//
// The two ends are not parsed: TLS, if any, belongs to the sockets.
#ifndef PILLION_SIDECAR_RELAY_RELAY_H_
#define PILLION_SIDECAR_RELAY_RELAY_H_

#include <memory>
#include <string_view>

#include "sidecar/relay/dial.h"
#include "sidecar/session/client_session.h"

namespace pillion::relay {

class Relay final : public session::ClientSession {
 public:
  // `early`: bytes of the client that were read already. `dial`: begun already, or null. Wake it once after
  // construction; the loop must observe `client` by it.
  Relay(const RelayParts& parts, std::shared_ptr<const config::TcpServer> server,
        std::unique_ptr<net::Socket> client, std::string_view early, std::unique_ptr<Dial> dial);
  ~Relay() override;

  void OnReady(bool readable, bool writable) override;
  stream::Progress Run() override;
  void Flush() override;
  // A relay has no message to end after: it goes on until the listener aborts what is left of the drain.
  void Drain() override {}
  void Abort() override;
  // For both sides, those of the kernel not among them.
  size_t HeldBytes() const override { return client_.wire.out().bytes() + upstream_.wire.out().bytes(); }
  void GiveUp(const RequestError& why) override;

 private:
  enum class State : uint8_t { kDialling, kOpen, kDead };
  // One end of the relay.
  struct End {
    End(session::ReadScratch& scratch, telemetry::WireStats& stats) : wire(scratch, stats) {}
    session::Wire wire;  // its out() holds what the other end sent
    uint64_t received = 0;
    bool ended = false;  // it will send no more
    bool shut = false;   // it has been told that no more will come
    bool reset = false;  // its end, when all that came before is read, is none
    bool told = false;   // by the loop that something has come, since the last Run
  };
  class UpstreamObserver final : public net::Observer {
   public:
    explicit UpstreamObserver(Relay& relay) : relay_(relay) {}
    void OnReady(bool readable, bool writable) override;

   private:
    Relay& relay_;
  };

  void FinishDial();
  static bool Over(End& end);
  void Pump(End& from, End& to);
  void FlushOne(End& end, const End& other);
  void OnReset(const End& by);
  void LookForReset(End& end);
  void BreakOff(const RequestError& error);
  void CheckTimer();
  void ArmTimer();
  void Mark(End& end, bool readable, bool writable);
  void Log();

  RelayParts parts_;
  std::shared_ptr<const config::TcpServer> server_;
  UpstreamObserver upstream_observer_;
  std::unique_ptr<Dial> dial_;
  End client_;
  End upstream_;
  stream::Timer timer_;
  State state_ = State::kDialling;
  time::MonotonicTime started_;
  time::MonotonicTime last_activity_;
  telemetry::TcpStats* stats_ = nullptr;
  RequestError error_;
};

}  // namespace pillion::relay

#endif  // PILLION_SIDECAR_RELAY_RELAY_H_
