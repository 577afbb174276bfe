// HTTP/2 peers of the mesh: a client and an application, on the codec that the sidecar uses too.
#ifndef PILLION_TESTS_SIMULATION_HTTP2_PEERS_H_
#define PILLION_TESTS_SIMULATION_HTTP2_PEERS_H_

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/http2/codec.h"
#include "sidecar/net/loop.h"
#include "sidecar/time/clock.h"
#include "tests/simulation/dialling_client.h"
#include "tests/simulation/story.h"
#include "tests/simulation/text_connection.h"

namespace pillion::simulation {

// One stream, of either role: what is to be sent, what came.
struct Call {
  Fate* fate = nullptr;
  std::string to_send;  // the whole content
  size_t sent = 0;
  size_t may_send = 0;  // so far: a round's message waits for the answer to the one before
  std::string received;
  size_t owed = 0;  // of it: credit that is held back
  int status = 0;
  std::string grpc_status;
  std::string sum;  // of the trailers
  // What has happened.
  bool answering = false;
  bool finished = false;
  bool ended = false;
};

struct Http2Connection : TextConnection {
  Http2Connection(http2::Role role, const http2::Limits& limits) : codec(role, limits) {}
  // Socket -> codec. False: the peer broke HTTP/2.
  bool Feed();
  // Codec -> socket.
  void Flush();
  // Sends what may go, and then the trailers or the end, unless it is to `stay_open`. True when something was
  // given to the codec.
  bool SendContent(http2::StreamId id, Call& call, const http::HeaderList* trailers, bool stay_open = false);
  http2::Codec codec;
  std::map<http2::StreamId, Call> calls;
  bool leaving = false;
};

class Http2Client : DiallingClient {
 public:
  Http2Client(const PeerParts& parts, const net::Address& to, std::deque<uint64_t> ids, uint64_t seed);
  bool Run();
  bool done() const { return ids_.empty() && !connection_; }
  time::MonotonicTime NextDeadline() const { return done() ? time::MonotonicTime::max() : wait_until_; }

 private:
  bool Open();
  static http::RequestHead HeadOf(const Plan& plan);
  void HandleEvents();
  void OnHead(const http2::Event& event, Call& call);
  void OnClosed(const http2::Event& event, Call& call);
  bool SendMore(http2::StreamId id, Call& call);
  bool SendIntoTunnel(http2::StreamId id, Call& call);
  void ReadSlowly();
  void Check(const Call& call);
  void Wrong(uint64_t id, const std::string& what) {
    ledger_.wrong.push_back("HTTP/2 answer to " + std::to_string(id) + ": " + what);
  }
  http2::Limits limits_;
  std::unique_ptr<Http2Connection> connection_;
  size_t depth_;
};

class Http2App final : public net::Observer {
 public:
  Http2App(const PeerParts& parts, const net::Address& at, uint64_t seed);
  void OnReady(bool, bool) override { accept_ = true; }
  bool Run();

 private:
  bool Accept();
  void HandleEvents(Http2Connection& connection);
  void OnHead(Http2Connection& connection, const http2::Event& event);
  void OnEnd(Http2Connection& connection, http2::StreamId id, Call& call);
  void Answer(Http2Connection& connection, http2::StreamId id, Call& call);
  bool SendMore(Http2Connection& connection, http2::StreamId id, Call& call);
  const PeerParts parts_;
  Ledger& ledger_;
  Random random_;
  http2::Limits limits_;
  std::unique_ptr<net::ListenSocket> listen_;
  std::vector<std::unique_ptr<Http2Connection>> connections_;
  bool accept_ = true;
};

}  // namespace pillion::simulation

#endif  // PILLION_TESTS_SIMULATION_HTTP2_PEERS_H_
