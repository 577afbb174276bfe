// (request head, route table) -> the route that serves it. Pure; any thread.
#ifndef PILLION_SIDECAR_ROUTE_ROUTE_H_
#define PILLION_SIDECAR_ROUTE_ROUTE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/config/route_table.h"
#include "sidecar/config/string_match.h"
#include "sidecar/http/head.h"

namespace pillion::route {

// Answers of MatchRoute.
struct Match {
  const config::VirtualHost* virtual_host = nullptr;  // null: no domain fits
  const config::Route* route = nullptr;               // null: no route of the host fits
};

// A route table prepared for look-up by host. Built once per table, shared by all workers.
class RouteIndex {
 public:
  explicit RouteIndex(std::shared_ptr<const config::RouteTable> table);
  const config::RouteTable& table() const { return *table_; }
  // The virtual host by :authority (exact, longest "*.suffix", longest "prefix.*", "*"), then its first
  // matching route. Case of the authority does not matter; a port in it does (Envoy's rule).
  Match Find(const http::RequestHead& head) const;

 private:
  const config::VirtualHost* FindHost(std::string_view authority) const;
  std::shared_ptr<const config::RouteTable> table_;
  std::map<std::string, const config::VirtualHost*, std::less<>> exact_;
  std::vector<std::pair<std::string, const config::VirtualHost*>> suffixes_;  // longest first, without '*'
  std::vector<std::pair<std::string, const config::VirtualHost*>> prefixes_;
  const config::VirtualHost* any_ = nullptr;
};

bool Matches(const config::RouteMatch& match, const http::RequestHead& head);
using config::Matches;

// Which of weighted clusters (one or more, their weights add up to `total_weight`) serves; `random` is
// uniform over all 64-bit values.
const config::WeightedCluster& PickCluster(const std::vector<config::WeightedCluster>& clusters,
                                           uint64_t total_weight, uint64_t random);
inline const config::WeightedCluster& PickCluster(const config::Route& route, uint64_t random) {
  return PickCluster(route.clusters, route.total_weight, random);
}

}  // namespace pillion::route

#endif  // PILLION_SIDECAR_ROUTE_ROUTE_H_
