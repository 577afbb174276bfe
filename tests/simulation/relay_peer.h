// One end of a relayed connection, the client's or the app's: writes what its plan says, in pieces, reads at
// its pace, ends or resets, and checks what comes. What it did and saw is in the fate.
#ifndef PILLION_TESTS_SIMULATION_RELAY_PEER_H_
#define PILLION_TESTS_SIMULATION_RELAY_PEER_H_

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/net/loop.h"
#include "sidecar/time/clock.h"
#include "tests/simulation/dialling_client.h"
#include "tests/simulation/story.h"
#include "tests/simulation/text_connection.h"

namespace pillion::simulation {

class RelayPeer : public TextConnection {
 public:
  enum class Role : uint8_t { kClient, kApp };
  RelayPeer(const time::Clock& clock, Ledger& ledger, Role role, uint64_t seed)
      : clock_(clock), ledger_(ledger), role_(role), random_(seed) {}
  // Says the banner: an app, on sight of a connection.
  void Greet();
  // From here on it is known which relay this is.
  void Begin(RelayFate& fate);
  // True when something was done.
  bool Run();
  time::MonotonicTime NextDeadline() const;
  // Nothing more happens on this connection.
  bool over() const { return over_; }
  RelayFate* fate() { return fate_; }

 private:
  struct Piece {
    time::Duration wait;
    std::string bytes;
    bool in_answer = false;  // not before something has come
  };
  void Introduce();
  void CutIntoPieces();
  void Check();
  void End();
  const EndPlan& plan() const { return role_ == Role::kClient ? fate_->plan.client : fate_->plan.app; }
  RelayEnd& mine() { return role_ == Role::kClient ? fate_->client : fate_->app; }
  const RelayEnd& other() const { return role_ == Role::kClient ? fate_->app : fate_->client; }
  void Wrong(const std::string& what);

  const time::Clock& clock_;
  Ledger& ledger_;
  const Role role_;
  Random random_;
  RelayFate* fate_ = nullptr;
  std::deque<Piece> pieces_;
  uint64_t queued_ = 0;
  uint64_t header_ = 0;  // of them
  std::string expected_;
  time::MonotonicTime write_at_ = time::MonotonicTime::max();  // the next piece
  time::MonotonicTime read_at_ = time::MonotonicTime::max();   // the next allowance
  bool over_ = false;
};

// Opens one relay after the other.
class RelayClient : DiallingClient {
 public:
  RelayClient(const PeerParts& parts, const net::Address& to, std::deque<uint64_t> ids, uint64_t seed)
      : DiallingClient(parts, to, "", std::move(ids), seed) {}
  bool Run();
  bool done() const { return ids_.empty() && peer_ == nullptr; }
  time::MonotonicTime NextDeadline() const;

 private:
  void Finish();
  std::unique_ptr<RelayPeer> peer_;
};

// Accepts, greets, and learns from the first line whose relay it is.
class TcpApp final : public net::Observer {
 public:
  TcpApp(const PeerParts& parts, const net::Address& at, size_t number, uint64_t seed);
  void OnReady(bool, bool) override { accept_ = true; }
  bool Run();
  time::MonotonicTime NextDeadline() const;
  bool at_rest() const { return peers_.empty(); }

 private:
  void Accept();
  const PeerParts parts_;
  Random random_;
  const size_t number_;
  std::unique_ptr<net::ListenSocket> listen_;
  std::vector<std::unique_ptr<RelayPeer>> peers_;
  bool accept_ = true;
};

}  // namespace pillion::simulation

#endif  // PILLION_TESTS_SIMULATION_RELAY_PEER_H_
