// One immutable configuration. Snapshots share the objects that did not change; a worker swaps to the next
// between turns. Only complete objects are in a snapshot: a listener whose routes are here, a cluster whose
// endpoints are.
#ifndef PILLION_SIDECAR_CONFIG_SNAPSHOT_H_
#define PILLION_SIDECAR_CONFIG_SNAPSHOT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/config/cluster.h"
#include "sidecar/config/listener.h"
#include "sidecar/config/route_table.h"
#include "sidecar/config/tls.h"

namespace pillion::config {

struct ClusterEntry {
  std::shared_ptr<const Cluster> cluster;
  std::shared_ptr<const Assignment> endpoints;  // never null; may hold no endpoint
};

struct ListenerEntry {
  std::shared_ptr<const Listener> listener;
  std::vector<std::shared_ptr<const RouteTable>> routes;  // by number of chain; null for TCP only
};

struct Snapshot {
  uint64_t generation = 0;
  std::map<std::string, ListenerEntry, std::less<>> listeners;
  std::map<std::string, ClusterEntry, std::less<>> clusters;
  // All that are held, by whether they were pushed, and name. TLS waits for those it names, as routes are
  // waited for.
  std::map<std::pair<bool, std::string>, std::shared_ptr<const Secret>> secrets;
  OwnPlace own;  // the same in all of a process
};

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_SNAPSHOT_H_
