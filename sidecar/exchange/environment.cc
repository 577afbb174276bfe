#include "sidecar/exchange/environment.h"

#include "sidecar/route/weights.h"

namespace pillion::exchange {
namespace {

const config::Edits* OrNone(const config::Edits& edits) {
  return edits.request != nullptr || edits.response != nullptr ? &edits : nullptr;
}

}  // namespace

RouteScope::RouteScope(const config::HttpServer& listener, std::shared_ptr<const route::RouteIndex> index,
                       telemetry::Shard& stats)
    : index_(std::move(index)) {
  for (const config::VirtualHost& host : index_->table().virtual_hosts) {
    for (const config::Route& route : host.routes) {
      first_.push_back(static_cast<uint32_t>(targets_.size()));
      if (route.answers()) {
        targets_.push_back(
            {nullptr, OrNone(route.edits), nullptr, stats.Route({listener.name, route.name, ""})});
      }
      for (const config::WeightedCluster& one : route.clusters) {
        targets_.push_back({&one.cluster, OrNone(one.edits), one.labels.get(),
                            stats.Route({listener.name, route.name, one.cluster})});
      }
    }
  }
  credits_.resize(targets_.size());
}

const RouteScope::Target& RouteScope::Choose(const route::Match& match, Random& random) {
  const config::Route& route = *match.route;
  const size_t first = first_[match.place];
  size_t chosen = 0;
  if (route.clusters.size() > 1) {
    chosen = route::TakeTurn(route.clusters, route.total_weight,
                             std::span(credits_).subspan(first, route.clusters.size()), random.Next());
  }
  return targets_[first + chosen];
}

}  // namespace pillion::exchange
