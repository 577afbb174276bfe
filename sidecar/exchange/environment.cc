#include "sidecar/exchange/environment.h"

#include <algorithm>

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
            {nullptr, OrNone(route.edits), nullptr, nullptr, stats.Route({listener.name, route.name, ""})});
      }
      for (const config::WeightedCluster& one : route.clusters) {
        targets_.push_back({&one.cluster, OrNone(one.edits), one.labels.get(), one.filters.get(),
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

std::span<const RouteScope::Target> RouteScope::TargetsOf(const config::Route& route,
                                                          const Target& chosen) const {
  const auto own = std::ranges::find_if(
      route.clusters, [&](const config::WeightedCluster& one) { return &one.cluster == chosen.cluster; });
  return {&chosen - (own - route.clusters.begin()), route.clusters.size()};
}

void RouteScope::GiveBack(const config::Route& route, const Target& chosen) {
  if (route.clusters.size() < 2) return;
  const Target* const first = TargetsOf(route, chosen).data();
  route::GiveTurnBack(
      route.clusters, route.total_weight,
      std::span(credits_).subspan(static_cast<size_t>(first - targets_.data()), route.clusters.size()),
      static_cast<size_t>(&chosen - first));
}

}  // namespace pillion::exchange
