// An app on the simulated network that does as badly as it is told: it is slow, has room for so many requests
// at once, or resets its connections. HTTP/1.1, one request at a time on a connection.
#ifndef PILLION_TESTS_SIMULATION_POLICIES_APP_H_
#define PILLION_TESTS_SIMULATION_POLICIES_APP_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/net/loop.h"
#include "sidecar/testing/sim_peer.h"
#include "sidecar/time/clock.h"

namespace pillion::simulation {

inline constexpr std::string_view kRequestBody = "abc";  // of each POST

// An end that knows when something has come, and says so to its owner: `called` outlives it.
class Peer : public testing::SimPeer {
 public:
  Peer(bool& called, net::Loop& loop, const net::Address& to) : SimPeer(loop, to), called_(called) {}
  Peer(bool& called, net::Loop& loop, std::unique_ptr<net::Socket> socket)
      : SimPeer(loop, std::move(socket)), called_(called) {
    OnReady(true, true);
  }
  void OnReady(bool readable, bool) override {
    ready = ready || readable;
    called_ = true;
  }
  bool gone() const { return ended || reset; }
  bool ready = false;

 private:
  bool& called_;
};

// How often each request was run, by the number in its path.
using Executions = std::unordered_map<uint64_t, uint32_t>;

struct AppTraits {
  time::Duration takes = std::chrono::milliseconds(2);  // from the beginning of a request to its answer
  uint32_t at_once = 0;                                 // requests that are run at a time; 0: any number
  size_t waiting = SIZE_MAX;                            // others that wait; beyond it the answer is 503
  // What waits is not run when who asked has gone.
  bool looks_for_gone = false;
  double fails_percent = 0;  // of what it has run it answers 500
  double loses_percent = 0;  // of what it has run: the connection is reset instead of an answer
};

class App final : public net::Observer {
 public:
  // The loop outlives it.
  App(net::Loop& loop, const net::Address& at, const AppTraits& traits);
  void OnReady(bool, bool) override { called_ = true; }
  // Takes what has come, runs and answers what is due; true when there was something to do.
  bool Run(time::MonotonicTime now, Executions& executions);
  time::MonotonicTime NextDeadline() const;
  // From now on everything takes so many times as long.
  void set_slowness(double factor) { slowness_ = factor; }
  // Of all connections; what was being run is not answered.
  void ResetConnections();

 private:
  struct Request {
    std::shared_ptr<Peer> from;
    uint64_t id;
  };
  void Receive();
  // False: no whole one is here.
  static bool TakeRequest(Peer& peer, uint64_t& id);
  bool HasRoom() const { return traits_.at_once == 0 || running_.size() < traits_.at_once; }
  void Begin(Request request, time::MonotonicTime now, Executions& executions);
  void Answer(Peer& peer);

  net::Loop& loop_;
  const AppTraits traits_;
  double slowness_ = 1;
  Random random_;
  std::unique_ptr<net::ListenSocket> listening_;
  std::vector<std::shared_ptr<Peer>> peers_;
  std::deque<Request> waiting_;
  std::multimap<time::MonotonicTime, std::shared_ptr<Peer>> running_;  // by when it is over
  bool called_ = false;
};

}  // namespace pillion::simulation

#endif  // PILLION_TESTS_SIMULATION_POLICIES_APP_H_
