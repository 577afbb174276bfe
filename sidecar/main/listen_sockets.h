// The listening sockets of the process: for each listener one per worker (SO_REUSEPORT), bound here, where a
// failure can be told at once, and lent to the workers with the configuration that needs them. Main loop
// only.
#ifndef PILLION_SIDECAR_MAIN_LISTEN_SOCKETS_H_
#define PILLION_SIDECAR_MAIN_LISTEN_SOCKETS_H_

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/config/snapshot.h"
#include "sidecar/net/epoll_loop.h"

namespace pillion {

class ListenSockets {
 public:
  explicit ListenSockets(size_t workers) : fresh_(workers) {}

  // Binds for the listeners of `snapshot` that have no sockets yet; forgets those that are not in it any
  // more. Returns a sentence for each, by name, that cannot be bound; a worker goes on with that listener's
  // last good address, if it had one. Call again later to try again. (That no two ask for one address is the
  // configuration's business.)
  std::map<std::string, std::string> Bind(const config::Snapshot& snapshot);
  // What the last Bind made for that worker.
  std::vector<net::BoundSocket> Take(size_t worker) { return std::exchange(fresh_[worker], {}); }

 private:
  std::string BindOne(const config::Listener& listener);

  std::set<std::pair<std::string, net::Address>> bound_;  // (listener, address): the workers have its sockets
  std::vector<std::vector<net::BoundSocket>> fresh_;      // by worker
};

}  // namespace pillion

#endif  // PILLION_SIDECAR_MAIN_LISTEN_SOCKETS_H_
