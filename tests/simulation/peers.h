// The simulated application and its clients: simple-minded HTTP/1.1 over the simulated sockets.
#ifndef PILLION_TESTS_SIMULATION_PEERS_H_
#define PILLION_TESTS_SIMULATION_PEERS_H_

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/net/loop.h"
#include "tests/simulation/mesh_simulation.h"

namespace pillion::simulation {

// A connection as a pair of strings: what came, what is to go.
class TextConnection : public net::Observer {
 public:
  virtual ~TextConnection() = default;
  void OnReady(bool readable, bool writable) override {
    readable_ = readable_ || readable;
    writable_ = writable_ || writable;
  }
  bool ready() const { return readable_ || (writable_ && !out.empty()); }
  // Reads and writes what goes; false: the connection is over.
  bool Pump();
  std::unique_ptr<net::Socket> socket;
  std::string in;
  std::string out;
  bool ended = false;
  bool broken = false;

 private:
  bool readable_ = true;
  bool writable_ = true;
};

// A message cut out of `text`: head, decoded body. 0: incomplete; else the bytes it took. Independent of the
// sidecar's codec.
struct Message {
  std::string first_line;
  std::map<std::string, std::string> fields;  // lower-case names
  std::string body;
};
size_t CutMessage(const std::string& text, bool ended, Message& message, std::string& error);

class SimApp final : public net::Observer {
 public:
  SimApp(net::Loop& loop, const net::Address& at, Ledger& ledger, uint64_t seed);
  void OnReady(bool, bool) override { accept_ = true; }
  // True when something was done.
  bool Run();

 private:
  struct Connection : TextConnection {
    bool closing = false;
  };
  bool Serve(Connection& connection);
  net::Loop& loop_;
  Ledger& ledger_;
  Random random_;
  std::unique_ptr<net::ListenSocket> listen_;
  std::vector<std::unique_ptr<Connection>> connections_;
  bool accept_ = true;
};

class SimClient {
 public:
  SimClient(net::Loop& loop, const net::Address& to, std::deque<Plan> plans, Ledger& ledger)
      : loop_(loop), to_(to), plans_(std::move(plans)), ledger_(ledger) {}
  bool Run();
  bool done() const { return plans_.empty() && !connection_; }

 private:
  void Ask(const Plan& plan);
  bool Take();
  void Over(std::map<uint64_t, int>& where);
  net::Loop& loop_;
  net::Address to_;
  std::deque<Plan> plans_;
  Ledger& ledger_;
  std::unique_ptr<TextConnection> connection_;
  bool asking_ = false;
};

}  // namespace pillion::simulation

#endif  // PILLION_TESTS_SIMULATION_PEERS_H_
