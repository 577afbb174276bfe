// The simulated HTTP/1.1 application: runs each request as its plan says, and checks that it came as it was
// sent.
#ifndef PILLION_TESTS_SIMULATION_HTTP1_APP_H_
#define PILLION_TESTS_SIMULATION_HTTP1_APP_H_

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/net/loop.h"
#include "sidecar/time/clock.h"
#include "tests/simulation/peer_parts.h"
#include "tests/simulation/story.h"
#include "tests/simulation/text_connection.h"

namespace pillion::simulation {

class Http1App final : public net::Observer {
 public:
  Http1App(const PeerParts& parts, const net::Address& at, uint64_t seed);
  void OnReady(bool, bool) override { accept_ = true; }
  // True when something was done.
  bool Run();
  time::MonotonicTime NextDeadline() const;

 private:
  enum class After : uint8_t { kKeep, kClose, kReset, kSilence };
  struct Piece {
    time::Duration wait;
    std::string bytes;
  };
  struct Connection : TextConnection {
    MessageReader reader;
    Fate* fate = nullptr;  // of the request that is read or answered
    bool complete = false;
    bool answering = false;
    bool closing = false;
    bool tunnel = false;
    std::deque<Piece> pieces;
    time::MonotonicTime next_at{};
    After after = After::kKeep;
  };
  bool Serve(Connection& connection);
  bool SeeHead(Connection& connection);
  void Complete(Connection& connection);
  void RunRequest(Connection& connection);
  bool SendPieces(Connection& connection);
  bool Tunnel(Connection& connection);
  void Answer(Connection& connection, int status);
  void Wrong(std::string what) { ledger_.wrong.push_back(std::move(what)); }

  const PeerParts parts_;
  const time::Clock& clock_;
  Ledger& ledger_;
  Random random_;
  std::unique_ptr<net::ListenSocket> listen_;
  std::vector<std::unique_ptr<Connection>> connections_;
  bool accept_ = true;
};

}  // namespace pillion::simulation

#endif  // PILLION_TESTS_SIMULATION_HTTP1_APP_H_
