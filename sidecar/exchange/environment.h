// What an exchange finds around it: its worker's parts, and the listener and routes it came in under.
#ifndef PILLION_SIDECAR_EXCHANGE_ENVIRONMENT_H_
#define PILLION_SIDECAR_EXCHANGE_ENVIRONMENT_H_

#include <memory>
#include <vector>

#include "sidecar/base/intrusive_list.h"
#include "sidecar/base/local_ref.h"
#include "sidecar/base/pressure.h"
#include "sidecar/base/random.h"
#include "sidecar/config/listener.h"
#include "sidecar/filter/filter.h"
#include "sidecar/route/route.h"
#include "sidecar/stream/doorbell.h"
#include "sidecar/stream/turn.h"
#include "sidecar/stream/upstream_source.h"
#include "sidecar/telemetry/request_record.h"
#include "sidecar/telemetry/stats.h"
#include "sidecar/upstream/cluster_state.h"

namespace pillion::exchange {

class Exchange;
class Mirrors;
struct AliveTag;

// Parts of one worker; all outlive its exchanges.
struct Environment {
  stream::Turn& turn;
  upstream::ClusterTable& clusters;
  stream::UpstreamSource& source;
  Random& random;
  telemetry::Shard& stats;
  telemetry::RecordBuffer& records;
  filter::FilterList filters;
  // Exchanges alive, by the direction of their listener: what a drain waits for.
  size_t active_inbound = 0;
  size_t active_outbound = 0;
  // Null: memory is never short.
  const PressureGauge* pressure = nullptr;
  IntrusiveList<Exchange, AliveTag> alive = {};
  // What is under way ends with its client, whoever wants it to go on.
  bool aborted = false;
  Mirrors* mirrors = nullptr;            // null: nothing is mirrored
  stream::Doorbell* doorbell = nullptr;  // null: no filter is waited for but by time
};

// One route table as one worker uses it under one listener: counted by that worker only; pins its table while
// a request uses it.
class RouteScope : public LocalCounted {
 public:
  RouteScope(const config::HttpServer& listener, std::shared_ptr<const route::RouteIndex> index,
             telemetry::Shard& stats);
  const route::RouteIndex& index() const { return *index_; }
  // Where a route sends its requests.
  struct Target {
    const std::string* cluster;                       // null: the route answers by itself
    const config::Edits* edits;                       // of the messages that take it; null: none
    const config::LabelMatch* labels;                 // that endpoints must have; null: none
    const std::vector<config::FilterEntry>* filters;  // that it says more of than its route; null: none
    telemetry::RouteStats& stats;
  };
  // The next request's, of a route that matched: smooth weighted round robin, which begins at a random place,
  // so that sidecars that start together do not choose together. It lives as long as the scope.
  const Target& Choose(const route::Match& match, Random& random);
  // All of a route that has clusters, of which `chosen` is one, in the order of its clusters.
  std::span<const Target> TargetsOf(const config::Route& route, const Target& chosen) const;
  // The request goes elsewhere for a reason of its own: the turn that chose is the next one's.
  void GiveBack(const config::Route& route, const Target& chosen);

 private:
  std::shared_ptr<const route::RouteIndex> index_;
  // Those of each route of the table in turn: one for each of its clusters, or just one.
  std::vector<Target> targets_;
  std::vector<int64_t> credits_;
  std::vector<uint32_t> first_;  // of those, by the place of a route
};

// One listener as one worker uses it. `routes` is replaced when the table changes; running exchanges keep
// theirs.
class ListenerScope : public LocalCounted {
 public:
  ListenerScope(std::shared_ptr<const config::HttpServer> listener, LocalRef<RouteScope> routes,
                const Environment& env)
      : config(std::move(listener)),
        routes(std::move(routes)),
        filters(filter::FiltersOf(env.filters, config->http)),
        unrouted(env.stats.Route({config->name, "", ""})) {}
  std::shared_ptr<const config::HttpServer> config;
  LocalRef<RouteScope> routes;
  const std::vector<const filter::Filter*> filters;  // that requests pass; the environment's
  telemetry::RouteStats& unrouted;                   // requests that matched nothing
  bool of_side_calls = false;                        // of our own, which no client has made
  bool tried_once = false;                           // no attempt follows the first, whatever it came to
};

}  // namespace pillion::exchange

#endif  // PILLION_SIDECAR_EXCHANGE_ENVIRONMENT_H_
