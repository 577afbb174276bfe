#include "sidecar/exchange/side_calls.h"

#include "sidecar/exchange/exchange.h"

namespace pillion::exchange {

void SideCalls::Begin(std::string_view cluster, std::unique_ptr<stream::ClientStream> client) {
  auto found = scopes_.find(cluster);
  if (found == scopes_.end()) {
    auto table = std::make_shared<config::RouteTable>();
    config::Route route;
    route.name = "side-call";
    route.match.kind = config::RouteMatch::Kind::kPrefix;
    route.clusters = {{std::string(cluster), 1}};
    route.total_weight = 1;
    route.timeout = rules_.timeout;
    route.idle_timeout = rules_.timeout;
    table->virtual_hosts.push_back({"side-call", {"*"}, {std::move(route)}});
    auto listener = std::make_shared<config::HttpServer>();
    listener->name = rules_.name;
    listener->direction = rules_.direction;
    listener->http.generate_request_id = false;
    LocalRef<RouteScope> routes(
        new RouteScope(*listener, std::make_shared<route::RouteIndex>(table), env_.stats));
    LocalRef<ListenerScope> scope(new ListenerScope(listener, routes, env_));
    scope->of_side_calls = true;
    scope->tried_once = rules_.tried_once;
    found = scopes_.emplace(std::string(cluster), scope).first;
  }
  ProxyFactory(env_, found->second).Begin(std::move(client));
}

}  // namespace pillion::exchange
