#include <algorithm>

#include "tests/simulation/sidecar_host.h"

namespace pillion::simulation {
namespace {

constexpr uint32_t kSmallestWindow = 65535;
// A simulated HTTP/2 client does not wait for our SETTINGS and is refused what is too much: in calm stories
// as many as there may ever be at once fit. Sidecars wait: towards them one is enough.
constexpr uint32_t kFewStreams = 12;

config::ClusterEntry Cluster(const std::string& name, const std::vector<uint16_t>& ports, bool sidecars,
                             bool http2) {
  auto cluster = std::make_shared<config::Cluster>();
  cluster->name = name;
  cluster->protocol = http2 ? config::UpstreamProtocol::kHttp2 : config::UpstreamProtocol::kHttp1;
  auto assignment = std::make_shared<config::Assignment>();
  for (const uint16_t port : ports) {
    config::Endpoint endpoint;
    endpoint.address = At(port);
    endpoint.pillion_sidecar = sidecars;
    assignment->endpoints.push_back(endpoint);
  }
  return {cluster, assignment};
}

}  // namespace

net::Address At(uint16_t port) { return net::Address::Parse("127.0.0.1", port).value_or(net::Address()); }

SidecarConfig::SidecarConfig(std::optional<size_t> inbound, const Mood& mood, Random& random)
    : inbound_(inbound),
      direction_(inbound ? config::Direction::kInbound : config::Direction::kOutbound),
      mood_(mood),
      random_(random) {
  const auto both = [&mood](const uint16_t(&ports)[2]) {
    return mood.two_ways ? std::vector<uint16_t>{ports[0], ports[1]} : std::vector<uint16_t>{ports[0]};
  };
  if (inbound) {
    clusters_["app"] = Cluster("app", both(kAppPorts), false, false);
    clusters_["grpc"] = Cluster("grpc", {kGrpcPort}, false, true);
    clusters_["tcp"] = Cluster("tcp", both(kTcpAppPorts), false, false);
    clusters_["tcp-a"] = Cluster("tcp-a", {kTcpAppPorts[0]}, false, false);
    clusters_["tcp-b"] = Cluster("tcp-b", {kTcpAppPorts[mood.two_ways ? 1 : 0]}, false, false);
  } else {
    clusters_["next"] = Cluster("next", both(kInboundPorts), true, false);
    clusters_["next-a"] = Cluster("next-a", {kInboundPorts[0]}, true, false);
    clusters_["next-b"] = Cluster("next-b", {kInboundPorts[mood.two_ways ? 1 : 0]}, true, false);
    clusters_["tcp"] = Cluster("tcp", both(kInboundRelayPorts), true, false);
    clusters_["tcp-a"] = Cluster("tcp-a", {kInboundRelayPorts[0]}, true, false);
    clusters_["tcp-b"] = Cluster("tcp-b", {kInboundRelayPorts[mood.two_ways ? 1 : 0]}, true, false);
  }
  UseTls();
  first_ = clusters_;
  NewListener();
  NewRelay();
  NewRoutes();
}

void SidecarConfig::UseTls() {
  const TlsMood& tls = mood_.tls;
  if (tls.identity == nullptr) return;
  if (inbound_ ? tls.mesh : tls.clients) server_tls_ = std::make_shared<config::ServerTls>();
  if (inbound_ ? tls.apps : tls.mesh) client_tls_ = std::make_shared<config::ClientTls>();
  Prove(Proof::kFirst);
  if (client_tls_ == nullptr) return;
  for (auto& [name, entry] : clusters_) {
    auto cluster = std::make_shared<config::Cluster>(*entry.cluster);
    cluster->tls = client_tls_;
    entry.cluster = cluster;
  }
}

void SidecarConfig::Prove(Proof proof) {
  proof_ = proof;
  const TlsMood& tls = mood_.tls;
  if (server_tls_ != nullptr) server_tls_->credentials->Set(tls.identity->Server(proof, tls.resume));
  if (client_tls_ != nullptr) client_tls_->credentials->Set(tls.identity->Client(proof, tls.resume, true));
}

// One chain that relays all; or what is HTTP goes to one of its own, which nobody asks.
void SidecarConfig::NewRelay() {
  auto listener = std::make_shared<config::Listener>();
  listener->name = inbound_ ? "relay-" + std::to_string(*inbound_) : "relay";
  listener->direction = direction_;
  listener->address = At(inbound_ ? kInboundRelayPorts[*inbound_] : kOutboundRelayPort);
  if (mood_.proxy_headers && inbound_)
    listener->proxy_protocol = config::ProxyProtocolIn{.may_be_missing = true};
  if (mood_.shared_port && !inbound_) {
    listener->inspect_tls = listener->inspect_http = true;
    listener->chains.push_back(listener_->chains[0]);
    listener->chains[0].match.application_protocols = {"http/1.0", "http/1.1", "h2c"};
  }
  auto server = std::make_shared<config::TcpServer>();
  server->listener = listener->name;
  server->direction = direction_;
  server->access_log = config::AccessLog{"kept for the verdict"};
  server->stream_buffer_bytes = mood_.relay_buffer_bytes;
  server->idle_timeout = mood_.relay_idle;
  server->max_connect_attempts = 1 + static_cast<uint32_t>(Up(3));
  server->clusters = {{"tcp", 1}};
  server->total_weight = 1;
  if (mood_.lasting_weights || Up(2) == 0) {
    const auto second = static_cast<uint32_t>(mood_.lasting_weights ? 0 : Up(4));
    server->clusters = {{"tcp-a", 1}, {"tcp-b", second}};
    server->total_weight = 1 + second;
  }
  config::FilterChain& chain = listener->chains.emplace_back();
  chain.tcp = server;
  chain.tls = server_tls_;
  relay_ = listener;
}

void SidecarConfig::NewListener() {
  auto listener = std::make_shared<config::Listener>();
  listener->name = inbound_ ? "inbound-" + std::to_string(*inbound_) : "outbound";
  listener->direction = direction_;
  listener->address = At(inbound_ ? kInboundPorts[*inbound_] : kOutboundPort);
  auto server = std::make_shared<config::HttpServer>();
  server->name = listener->name;
  server->direction = direction_;
  server->stream_buffer_bytes = 1024 + Up(100000);
  config::HttpOptions& http = server->http;
  http.accept_peer_headers = inbound_.has_value();
  http.pass_upgrades = true;
  http.access_log = config::AccessLog{"kept for the verdict"};
  http.stream_window_bytes = kSmallestWindow + static_cast<uint32_t>(Up(200000));
  http.max_concurrent_streams =
      Up(3) == 0 ? (mood_.harmless && !inbound_ ? kFewStreams : 1) + static_cast<uint32_t>(Up(4)) : 100;
  http.drain_timeout = mood_.drain_timeout;
  http.generate_request_id = Up(2) == 0;
  listener->chains = {{.name = "", .match = {}, .http = server, .tcp = nullptr, .tls = server_tls_}};
  listener_ = listener;
}

config::Route SidecarConfig::RouteTo(const std::string& prefix, const std::string& cluster) {
  config::Route route;
  route.name = prefix;
  route.match.text = prefix;
  route.clusters = {{cluster, 1}};
  route.total_weight = 1;
  route.timeout = mood_.route_timeout;
  // The caller's side retries; both do in some stories.
  if (!inbound_ || Up(3) == 0) route.retry = mood_.retry;
  return route;
}

void SidecarConfig::NewRoutes() {
  auto table = std::make_shared<config::RouteTable>();
  table->name = "routes";
  config::VirtualHost host{"all", {"*"}, {}};
  if (inbound_) {
    host.routes = {RouteTo("/g/", "grpc"), RouteTo("/", "app")};
  } else {
    host.routes = {RouteTo("/g/", "next"), RouteTo("/", "next")};
    if (mood_.lasting_weights || Up(2) == 0) {
      config::Route& route = host.routes[1];
      const auto second = static_cast<uint32_t>(mood_.lasting_weights ? 0 : Up(4));
      route.clusters = {{"next-a", 1}, {"next-b", second}};
      route.total_weight = 1 + second;
    }
  }
  table->virtual_hosts.push_back(std::move(host));
  routes_ = table;
}

// Other options: its endpoints get new states and connections.
void SidecarConfig::NewCluster(const std::string& name) {
  auto cluster = std::make_shared<config::Cluster>(*clusters_[name].cluster);
  cluster->stream_window_bytes = kSmallestWindow + static_cast<uint32_t>(Up(200000));
  cluster->max_concurrent_streams = Up(3) == 0 ? 1 + static_cast<uint32_t>(Up(4)) : 100;
  clusters_[name].cluster = cluster;
}

void SidecarConfig::NewEndpoints(const std::string& name) {
  auto assignment = std::make_shared<config::Assignment>(*first_[name].endpoints);
  auto& endpoints = assignment->endpoints;
  const bool relays = name == "tcp";
  const uint16_t(&ports)[2] =
      relays ? (inbound_ ? kTcpAppPorts : kInboundRelayPorts) : (inbound_ ? kAppPorts : kInboundPorts);
  if (mood_.two_ways && (relays || name == "app" || name == "next")) {
    config::Endpoint endpoint = endpoints.front();
    endpoints.clear();
    const size_t which = Up(3);
    for (size_t i = 0; i < 2; ++i) {
      if (which != 2 && which != i) continue;
      endpoint.address = At(ports[i]);
      endpoint.weight = 1 + static_cast<uint32_t>(Up(3));
      endpoints.push_back(endpoint);
    }
    if (Up(2) == 0) std::reverse(endpoints.begin(), endpoints.end());
  }
  if (!mood_.harmless && Up(6) == 0) endpoints.clear();
  clusters_[name].endpoints = assignment;
}

void SidecarConfig::Change() {
  std::vector<std::string> names;
  names.reserve(clusters_.size());
  for (const auto& [name, entry] : clusters_) names.push_back(name);
  const std::string& name = names[Up(names.size())];
  listening_ = true;
  left_out_.clear();
  switch (Up(8)) {
    case 0:
      NewListener();
      return;
    case 1:
      NewRoutes();
      return;
    case 2:
      NewCluster(name);
      return;
    case 3:
    case 4:
      NewEndpoints(name);
      return;
    case 5:
      NewRelay();
      return;
    case 6:
      if (!mood_.harmless) left_out_ = name;
      return;
    default:
      // Clients of the outbound listener come again until somebody listens; sidecars do not.
      listening_ = mood_.harmless && inbound_;
      return;
  }
}

void SidecarConfig::MakeWhole() {
  listening_ = true;
  left_out_.clear();
  if (proof_ == Proof::kUntrusted) Prove(Proof::kSecond);
  for (auto& [name, entry] : clusters_) {
    if (entry.endpoints->endpoints.empty()) entry.endpoints = first_[name].endpoints;
  }
}

std::shared_ptr<const worker::PreparedSnapshot> SidecarConfig::Build() {
  auto snapshot = std::make_shared<config::Snapshot>();
  snapshot->generation = last_ == nullptr ? 1 : last_->snapshot->generation + 1;
  if (listening_) {
    snapshot->listeners[listener_->name] = {listener_, {routes_}};
    config::ListenerEntry& relay = snapshot->listeners[relay_->name];
    relay.listener = relay_;
    relay.routes.resize(relay_->chain_count());
    if (relay.routes.size() > 1) relay.routes[0] = routes_;
  }
  snapshot->clusters = clusters_;
  if (!left_out_.empty()) snapshot->clusters.erase(left_out_);
  last_ = worker::Prepare(snapshot, last_.get());
  return last_;
}

}  // namespace pillion::simulation
