// A network in memory on virtual time, for tests: every run with one seed is the same. Loops of several hosts
// share it.
//
//   Write -> [send buffer] --delay--> [receive buffer] -> Read        reads and writes are cut at random
//   places acknowledgements come later than bytes; a reset throws away what was not read (as Linux does)
//
// Single-threaded. Tests only.
#ifndef PILLION_SIDECAR_TESTING_SIM_NETWORK_H_
#define PILLION_SIDECAR_TESTING_SIM_NETWORK_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/net/loop.h"
#include "sidecar/time/clock.h"

namespace pillion::testing {

class VirtualClock : public time::Clock {
 public:
  time::MonotonicTime Now() const override { return now_; }
  time::WallTime Wall() const override {
    return time::WallTime(now_.time_since_epoch() + std::chrono::hours(24 * 365 * 50));
  }
  void AdvanceTo(time::MonotonicTime t) {
    if (t > now_) now_ = t;
  }

 private:
  time::MonotonicTime now_{std::chrono::hours(1)};
};

struct SimFaults {
  double reset_percent = 0;            // of writes: the connection is reset somewhere under way
  double connect_refused_percent = 0;  // of connects
  time::Duration max_delay = std::chrono::milliseconds(2);
  size_t buffer_bytes = size_t{64} * 1024;  // send plus receive buffer of one direction
};

class SimNetwork {
 public:
  SimNetwork(VirtualClock& clock, uint64_t seed, SimFaults faults)
      : clock_(clock), random_(seed), faults_(faults) {}
  // A host's loop; the network outlives it.
  std::unique_ptr<net::Loop> NewLoop();
  // Next event, or max when none is due.
  time::MonotonicTime NextEvent() const;
  // Carries out all events that are due.
  void Deliver();
  size_t open_sockets() const { return open_sockets_; }
  uint64_t resets() const { return resets_; }

 private:
  friend class SimLoop;
  friend class SimSocket;
  friend class SimListen;
  struct Channel;
  void At(time::Duration delay, std::function<void()> act);
  time::Duration Delay();

  VirtualClock& clock_;
  Random random_;
  SimFaults faults_;
  uint64_t next_event_id_ = 0;
  std::map<std::pair<time::MonotonicTime, uint64_t>, std::function<void()>> events_;
  std::map<net::Address, class SimListen*> listening_;
  uint16_t next_port_ = 20000;
  size_t open_sockets_ = 0;
  uint64_t resets_ = 0;
};

}  // namespace pillion::testing

#endif  // PILLION_SIDECAR_TESTING_SIM_NETWORK_H_
