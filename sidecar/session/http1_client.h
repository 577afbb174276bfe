// A client's HTTP/1 connection: requests in, one at a time; pipelined ones wait in the input.
//
//   kIdle -> kHead -> kActive -> kIdle          a request at a time
//                       |-> kTunnel             after 101: bytes both ways
//                       |-> kLingering          the last answer is out; waits for the client's end, so that
//                       no reset eats it
//   any -> kDead                                deleted by the turn
#ifndef PILLION_SIDECAR_SESSION_HTTP1_CLIENT_H_
#define PILLION_SIDECAR_SESSION_HTTP1_CLIENT_H_

#include <memory>
#include <string>
#include <string_view>

#include "sidecar/http1/parser.h"
#include "sidecar/http1/serializer.h"
#include "sidecar/session/client_session.h"

namespace pillion::session {

class Http1ClientSession final : public ClientSession {
 public:
  // `early`: bytes an inspector has read already. Wake it once after construction.
  Http1ClientSession(ClientSessionParts parts, std::string_view early);
  ~Http1ClientSession() override;

  void OnReady(bool readable, bool writable) override;
  stream::Progress Run() override;
  void Flush() override;
  void Drain() override;
  void Abort() override;
  // Of an answer whose exchange is over, of a head or trailers that are not complete, and of requests that
  // wait for the one before them.
  size_t HeldBytes() const override;
  void GiveUp(const RequestError& why) override;

 private:
  class Exchanged;  // the stream
  enum class State : uint8_t { kIdle, kHead, kActive, kTunnel, kLingering, kDead };
  enum class BodyMode : uint8_t { kNone, kSized, kChunked, kUntilClose };

  void Read();
  bool Parse();  // true: more input is wanted
  bool Take(const http1::Parser::Step& step);
  void Rest(time::MonotonicTime since);
  void BeginStream();
  void OnInputEnd();
  void StreamGone(bool response_finished);
  void CloseAfterFlush();
  void Die();
  void CheckTimer();
  void ArmTimer();
  time::Duration LingerTimeout() const;
  void WakeOwner();

  stream::Turn& turn_;
  WorkerMemory& memory_;
  telemetry::WorkerStats& stats_;
  stream::ExchangeFactory& factory_;
  std::shared_ptr<const config::HttpServer> config_;
  Wire wire_;
  http1::Limits limits_;
  std::unique_ptr<http1::Parser> parser_;  // from the first byte of a head until its exchange ends
  State state_ = State::kIdle;
  Exchanged* stream_ = nullptr;  // owned by its exchange
  stream::Timer timer_;
  time::MonotonicTime since_;  // start of the present idle, head or lingering time; lingering: last progress
  const time::MonotonicTime born_;
  uint32_t requests_ = 0;
  uint8_t empty_lines_ = 0;  // since the last request, while it rests
  bool draining_ = false;
  bool last_request_ = false;  // no further request is taken on this connection
  bool input_ended_ = false;
  bool told_ = false;  // by the loop that something has come, since the last Run
};

}  // namespace pillion::session

#endif  // PILLION_SIDECAR_SESSION_HTTP1_CLIENT_H_
