#include "sidecar/exchange/environment.h"

namespace pillion::exchange {

RouteScope::RouteScope(const config::HttpServer& listener, std::shared_ptr<const route::RouteIndex> index,
                       telemetry::Shard& stats)
    : index_(std::move(index)) {
  for (const config::VirtualHost& host : index_->table().virtual_hosts) {
    for (const config::Route& route : host.routes) {
      for (const config::WeightedCluster& target : route.clusters) {
        by_target_[&target] = &stats.Route({listener.name, route.name, target.cluster});
      }
      if (route.direct) by_route_[&route] = &stats.Route({listener.name, route.name, ""});
    }
  }
}

}  // namespace pillion::exchange
