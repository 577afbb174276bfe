#include "sidecar/exchange/environment.h"

#include "sidecar/route/weights.h"

namespace pillion::exchange {

RouteScope::RouteScope(const config::HttpServer& listener, std::shared_ptr<const route::RouteIndex> index,
                       telemetry::Shard& stats)
    : index_(std::move(index)) {
  for (const config::VirtualHost& host : index_->table().virtual_hosts) {
    for (const config::Route& route : host.routes) {
      first_.push_back(static_cast<uint32_t>(stats_.size()));
      if (route.direct) stats_.push_back(&stats.Route({listener.name, route.name, ""}));
      for (const config::WeightedCluster& target : route.clusters)
        stats_.push_back(&stats.Route({listener.name, route.name, target.cluster}));
    }
  }
  credits_.resize(stats_.size());
}

RouteScope::Choice RouteScope::Choose(const route::Match& match, Random& random) {
  const config::Route& route = *match.route;
  const size_t first = first_[match.place];
  if (route.clusters.empty()) return {nullptr, *stats_[first]};
  size_t chosen = 0;
  if (route.clusters.size() > 1) {
    chosen = route::TakeTurn(route.clusters, route.total_weight,
                             std::span(credits_).subspan(first, route.clusters.size()), random.Next());
  }
  return {&route.clusters[chosen], *stats_[first + chosen]};
}

}  // namespace pillion::exchange
