// Which worker serves an accepted connection. The kernel spreads connections over the workers' sockets by
// hash; a few long HTTP/2 connections can then all lie on one worker while the others idle. So a connection
// goes to the worker with the fewest, before its first byte is read, when the one that accepted it has
// clearly more.
//
// One for the process, used by all workers: thread-safe. What it writes is written once per connection, never
// per request.
#ifndef PILLION_SIDECAR_LISTENER_PLACEMENT_H_
#define PILLION_SIDECAR_LISTENER_PLACEMENT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/net/loop.h"
#include "sidecar/telemetry/stats.h"

namespace pillion::listener {

class Placement {
 public:
  // Takes a connection of the listener of that name to the mailbox of a worker.
  using Deliver =
      std::function<void(size_t worker, const std::string& listener, std::unique_ptr<net::Socket>)>;

  // Worker i counts its ended connections in workers[i]. All outlive the placement.
  // `max_open`: clients' connections of the whole process. Attack: connections until no descriptor is left,
  // also none for the upstreams of those who are served.
  Placement(const std::vector<const telemetry::WorkerStats*>& workers, Deliver deliver,
            uint64_t max_open = UINT64_MAX);
  // As many connections are open as may be.
  bool Full() const;

  // The worker for a connection that `self` has accepted. It counts as that worker's from now on.
  size_t Choose(size_t self);
  // As above, and it is `self`.
  size_t Keep(size_t self) {
    slots_[self]->placed.fetch_add(1, std::memory_order_relaxed);
    return self;
  }
  void Send(size_t worker, const std::string& listener, std::unique_ptr<net::Socket> socket) const {
    deliver_(worker, listener, std::move(socket));
  }

 private:
  struct Slot {
    const telemetry::WorkerStats* stats;
    std::atomic<uint64_t> placed{0};  // ever; minus those that ended = open
  };
  static uint64_t OpenOf(const Slot& slot, uint64_t placed);

  std::vector<std::unique_ptr<Slot>> slots_;
  Deliver deliver_;
  const uint64_t max_open_;
};

}  // namespace pillion::listener

#endif  // PILLION_SIDECAR_LISTENER_PLACEMENT_H_
