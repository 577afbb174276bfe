#include "tests/simulation/tokens/sidecar_config.h"

#include <string>
#include <utility>

#include "sidecar/config/filters.h"
#include "tests/simulation/tokens/redis/redis_deployment.h"

namespace pillion::simulation::tokens {
namespace {

using std::chrono::milliseconds;

std::shared_ptr<const std::vector<config::FilterEntry>> Filters(config::FilterOptions options) {
  auto entries = std::make_shared<std::vector<config::FilterEntry>>();
  entries->push_back({"tokens", false, config::FilterKind::kIdempotency,
                      std::make_shared<const config::FilterOptions>(std::move(options))});
  return entries;
}

config::ClusterEntry MakeCluster(const char* name, config::UpstreamProtocol protocol) {
  auto cluster = std::make_shared<config::Cluster>();
  cluster->name = name;
  cluster->connect_timeout = milliseconds(300);
  cluster->protocol = protocol;
  cluster->retry_budget = {.share = 1, .per_second = 1000};
  return {cluster, std::make_shared<config::Assignment>()};
}

config::ClusterEntry OneEndpoint(const char* name, config::UpstreamProtocol protocol,
                                 const net::Address& at) {
  config::ClusterEntry entry = MakeCluster(name, protocol);
  auto assignment = std::make_shared<config::Assignment>();
  assignment->endpoints.emplace_back().address = at;
  entry.endpoints = assignment;
  return entry;
}

config::Route RouteTo(const char* cluster) {
  config::Route route;
  route.match.text = "/";
  route.clusters = {{cluster, 1}};
  route.total_weight = 1;
  return route;
}

std::shared_ptr<config::HttpServer> MakeServer(config::Direction direction) {
  auto server = std::make_shared<config::HttpServer>();
  server->name = "l";
  server->direction = direction;
  server->http.access_log = config::AccessLog{"/dev/null"};
  server->http.generate_request_id = false;
  return server;
}

void AddListener(config::Snapshot& snapshot, const net::Address& at,
                 const std::shared_ptr<config::HttpServer>& server, std::vector<config::Route> routes) {
  auto listener = std::make_shared<config::Listener>();
  listener->name = server->name;
  listener->address = at;
  listener->direction = server->direction;
  listener->chains.emplace_back().http = server;
  auto table = std::make_shared<config::RouteTable>();
  table->virtual_hosts.push_back({"all", {"*"}, std::move(routes)});
  snapshot.listeners["l"] = {listener, {table}};
}

std::shared_ptr<const config::TokenStore> MakeStore(const SharedSettings& shared) {
  auto store = std::make_shared<config::TokenStore>();
  store->cluster = "store";
  store->runs_when_down = shared.runs_when_down;
  store->terms.service = "orders";
  store->terms.replicas = shared.replicas;
  store->terms.lease = kLease;
  store->terms.recent = kRecent;
  store->terms.unconfirmed_doubt = kUnconfirmedDoubt;
  // As the main loop does when it has read them.
  store->secrets->Set(std::make_shared<const config::StoreSecrets>(config::StoreSecrets{"", {1, 2, 3}}));
  return store;
}

void AddStoreCluster(config::Snapshot& snapshot, const SharedSettings& shared, size_t replica,
                     const Configured& configured) {
  config::ClusterEntry& entry = snapshot.clusters["store"] =
      MakeCluster("store", config::UpstreamProtocol::kHttp1);
  auto assignment = std::make_shared<config::Assignment>();
  for (size_t i = 0; i < shared.servers; ++i) {
    if (shared.told_primary && i != configured.primary) continue;
    assignment->endpoints.emplace_back().address = ServerAddress(i, replica);
  }
  entry.endpoints = assignment;
}

config::TokenDomain MakeDomain(const Settings& settings, uint64_t version) {
  config::TokenDomain domain;
  domain.id = kDomain + version;
  domain.conflict = settings.conflict;
  domain.keeps_answers = settings.keeps_answers;
  domain.max_request_bytes = kMaxRequestBytes;
  domain.max_response_bytes = kMaxResponseBytes;
  domain.max_detached = settings.max_detached;
  domain.terms.validity = kValidity;
  domain.terms.skew = kSkew;
  domain.terms.max_execution = kMaxExecution;
  domain.terms.waiters = kWaiters;
  domain.terms.room = {.records = settings.records,
                       .bytes = settings.bytes,
                       .caller_percent = 10,
                       .waiters = settings.max_waiters};
  if (settings.is_shared()) domain.store = MakeStore(settings.shared);
  return domain;
}

}  // namespace

std::shared_ptr<const config::Snapshot> InboundConfig(const Settings& settings, size_t replica,
                                                      const Configured& configured) {
  auto snapshot = std::make_shared<config::Snapshot>();
  snapshot->clusters["app"] = OneEndpoint("app", config::UpstreamProtocol::kHttp1, At(kAppPort, replica));
  snapshot->clusters["grpc"] =
      OneEndpoint("grpc", config::UpstreamProtocol::kHttp2, At(kGrpcAppPort, replica));
  if (settings.is_shared()) AddStoreCluster(*snapshot, settings.shared, replica, configured);
  auto server = MakeServer(config::Direction::kInbound);
  server->http.accept_peer_headers = true;
  config::TokenDomains domains;
  if (configured.enforces) domains.all.push_back(MakeDomain(settings, configured.version));
  server->http.filters = Filters(std::move(domains));
  config::Route grpc = RouteTo("grpc");
  grpc.match.grpc = true;
  AddListener(*snapshot, At(kInboundPort, replica), server, {grpc, RouteTo("app")});
  return snapshot;
}

std::shared_ptr<const config::Snapshot> OutboundConfig(const Settings& settings, size_t outbound,
                                                       const Configured& configured) {
  auto snapshot = std::make_shared<config::Snapshot>();
  config::ClusterEntry& entry = snapshot->clusters["app"] =
      MakeCluster("app", config::UpstreamProtocol::kHttp1);
  auto assignment = std::make_shared<config::Assignment>();
  for (size_t i = 0; i < settings.replicas; ++i) {
    if (configured.unlisted.contains(i)) continue;
    config::Endpoint& endpoint = assignment->endpoints.emplace_back();
    endpoint.address = At(kInboundPort, i);
    endpoint.pillion_sidecar = true;
  }
  entry.endpoints = assignment;
  if (settings.poor) {
    auto cluster = std::make_shared<config::Cluster>(*entry.cluster);
    cluster->retry_budget = {.share = 0.1, .per_second = 1};
    entry.cluster = cluster;
  }
  auto server = MakeServer(config::Direction::kOutbound);
  server->http.filters = Filters(config::TokenDomains());
  config::Route route = RouteTo("app");
  route.timeout = kRouteTimeout;
  route.tells_timeout = settings.tells_timeout;
  config::TokenPolicy policy;
  policy.domain = kDomain + configured.version;
  policy.of.grpc_methods = {"/shop.Orders/Place"};
  policy.max_request_bytes = kMaxRequestBytes;
  policy.shared = settings.is_shared();
  if (settings.own_retry) {
    route.retry = config::TokenPolicy::TwoRetries();
    route.retry->per_try_timeout = settings.per_try;
    route.retry->on = config::kRetry5xx;
  }
  route.filters = Filters(policy);
  AddListener(*snapshot, At(kOutboundPort, outbound), server, {route});
  return snapshot;
}

}  // namespace pillion::simulation::tokens
