// (request head, route table) -> the route that serves it. Pure; any thread.
#ifndef PILLION_SIDECAR_ROUTE_ROUTE_H_
#define PILLION_SIDECAR_ROUTE_ROUTE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "sidecar/config/route_table.h"
#include "sidecar/http/head.h"
#include "sidecar/route/by_length.h"
#include "sidecar/route/match.h"

namespace pillion::route {

// Answers of MatchRoute.
struct Match {
  const config::VirtualHost* virtual_host = nullptr;  // null: no domain fits
  const config::Route* route = nullptr;               // null: no route of the host fits
  size_t place = 0;                                   // of the route among all of the table
};

// The routes of one virtual host. Those that name a path, or what one begins with, are found by it; all
// others, and all when they are few, are tried one by one.
class HostRoutes {
 public:
  // `routes` outlive it.
  explicit HostRoutes(const std::vector<config::Route>& routes);
  // The first in order that matches, or nullptr.
  const config::Route* Find(const Request& request) const;
  // Some of them take a share of requests.
  bool has_shares() const { return has_shares_; }

 private:
  struct Candidate {
    uint32_t place;
    bool path_alone;  // matches where its path does
  };
  using Candidates = absl::InlinedVector<Candidate, 1>;  // in order
  const std::vector<config::Route>* routes_;
  // Those of paths and prefixes, one behind the other: in the routes, which are large, each would be a line
  // of the cache by itself.
  std::unique_ptr<char[]> texts_;
  absl::flat_hash_map<std::string_view, Candidates> paths_;
  ByLength<Candidates> prefixes_;
  ByLength<Candidates> element_prefixes_;
  std::vector<Candidate> others_;
  bool found_by_path_ = false;  // some of them
  bool has_shares_ = false;
};

// A route table prepared for look-up. Built once per table, shared by all workers.
class RouteIndex {
 public:
  explicit RouteIndex(std::shared_ptr<const config::RouteTable> table);
  const config::RouteTable& table() const { return *table_; }
  // The virtual host by :authority (exact, longest "*.suffix", longest "prefix.*", "*"), then its first
  // matching route. Case of the authority does not matter; a port in it does (Envoy's rule). `draw`: see
  // Request; not looked at unless `has_shares`.
  Match Find(const http::RequestHead& head, uint64_t draw) const;
  bool has_shares() const { return has_shares_; }

 private:
  struct Host {
    const config::VirtualHost* host;
    HostRoutes routes;
    size_t first_place;
  };
  const Host* FindHost(std::string_view authority) const;

  std::shared_ptr<const config::RouteTable> table_;
  std::vector<Host> hosts_;
  absl::flat_hash_map<std::string_view, const Host*> exact_;
  ByLength<const Host*> suffixes_;  // without their '*'
  ByLength<const Host*> prefixes_;
  const Host* any_ = nullptr;
  bool has_shares_ = false;
};

}  // namespace pillion::route

#endif  // PILLION_SIDECAR_ROUTE_ROUTE_H_
