// A network in memory on virtual time, for tests: every run with one seed is the same. Loops of several hosts
// share it.
//
//   Write --segment, some delay--> [receive buffer] --> Read        reads and writes are cut at random places
//         <--------acknowledgement, at once, late, or riding on the next segment that way--
//
// It behaves as Linux does where the sidecar depends on it (DESIGN.md section 6; measured on 6.18, see
// sim_network_test.cc):
// - segments of one direction arrive in order; each but a RST acknowledges all that had arrived when it left;
// - closing with nothing unread sends a FIN, with something unread a RST; bytes that reach a closed socket
// are
//   answered by a RST;
// - what had arrived before a RST can still be read; after it a FIN seen earlier reads as end-of-stream, else
//   the error is told once, by the read or the write that comes first, and reads say end-of-stream from then
//   on;
// - nothing is acknowledged after a RST.
//
// Single-threaded. Tests only.
#ifndef PILLION_SIDECAR_TESTING_SIM_NETWORK_H_
#define PILLION_SIDECAR_TESTING_SIM_NETWORK_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
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
  double reset_percent = 0;            // of writes: both ends get a RST, somewhere behind the bytes
  double connect_refused_percent = 0;  // of connects
  double connect_lost_percent = 0;     // of connects: no answer at all
  double late_ack_percent = 50;  // of segments that are acknowledged 40 ms later, if nothing else does it
  double cut_percent = 20;       // of reads and writes that move only a part
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
  // Whether what is sent to that host, or by it, vanishes, as do attempts to connect to it. What vanished
  // comes when this is over, in its order: both kernels have sent it again, also those of sockets that were
  // closed meanwhile.
  void BlackHole(const net::Address& at, bool on);
  // A connection that breaks when so many bytes have gone one way: they arrive, then both ends see a RST.
  struct Cut {
    net::Address to;
    uint32_t connection = 0;  // of those that are dialled to it, counted from 0
    bool answers = false;     // bytes to the end that dialled; else to the other
    uint64_t after = 0;
  };
  // Before that connection is dialled.
  void CutLater(const Cut& cut) { cuts_.push_back(cut); }
  // The process that has this loop is killed: its kernel closes what it had open when the objects of it are
  // destroyed, which has to be at this moment, and nothing that they do meanwhile is sent or heard.
  static void Kill(net::Loop& loop);
  // From now on closing that socket sends a RST (SO_LINGER with 0).
  static void ResetOnClose(net::Socket& socket);
  // From now on who dials `dialled` by that loop reaches `to`, as by a REDIRECT of the kernel.
  void Redirect(const net::Loop& of, const net::Address& dialled, const net::Address& to) {
    redirected_[{&of, dialled}] = to;
  }
  bool listening(const net::Address& at) const { return listening_.count(at) != 0; }
  bool fast_open(const net::Address& at) const;
  size_t open_sockets() const { return open_sockets_; }
  uint64_t resets() const { return resets_; }

 private:
  friend class SimLoop;
  friend class SimSocket;
  friend class SimListen;
  struct Channel;
  struct Event {
    time::MonotonicTime at;
    uint64_t id;  // in the order of their making, when times are equal
    std::function<void()> act;
  };
  static bool Later(const Event& a, const Event& b) { return a.at != b.at ? a.at > b.at : a.id > b.id; }
  void At(time::MonotonicTime at, std::function<void()> act);
  time::Duration Delay();
  bool Vanishes(const Channel& channel) const;
  void Dial(const std::shared_ptr<Channel>& channel);
  void Count(Channel& channel);
  // A segment to end `side` of the channel, behind those under way.
  void Send(const std::shared_ptr<Channel>& channel, int side, std::function<void()> arrive);
  void SendAck(const std::shared_ptr<Channel>& channel, int to);
  // `by_other_end`: the other end's kernel sent it and forgot the connection; else something between them.
  void SendReset(const std::shared_ptr<Channel>& channel, int to, bool by_other_end);

  VirtualClock& clock_;
  Random random_;
  SimFaults faults_;
  uint64_t next_event_id_ = 0;
  std::vector<Event> events_;  // a heap by Later
  std::map<net::Address, class SimListen*> listening_;
  std::map<net::Address, std::vector<std::function<void()>>> vanished_;  // by black hole: sends it again
  std::map<std::pair<const net::Loop*, net::Address>, net::Address> redirected_;
  std::vector<Cut> cuts_;
  std::map<net::Address, uint32_t> dialled_;  // how often, where there are cuts
  uint16_t next_port_ = 20000;
  size_t open_sockets_ = 0;
  uint64_t resets_ = 0;
};

}  // namespace pillion::testing

#endif  // PILLION_SIDECAR_TESTING_SIM_NETWORK_H_
