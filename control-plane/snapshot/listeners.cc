// Listeners with their HTTP connection managers.
#include "control-plane/snapshot/parts.h"
#include "control-plane/snapshot/route_filters.h"
#include "control-plane/snapshot/tokens.h"
#include "envoy/config/trace/v3/trace.pb.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/http/stateful_session/v3/stateful_session.pb.h"
#include "envoy/extensions/filters/listener/http_inspector/v3/http_inspector.pb.h"
#include "envoy/extensions/filters/listener/original_dst/v3/original_dst.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "pillion/sidecar/v1/peering.pb.h"

namespace pillion::control {
namespace {

using envoy::config::listener::v3::Listener;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter;

constexpr std::chrono::hours kIdle{1};
// Long polls and quiet gRPC streams are the app's business; an hour only ends what leaked.
constexpr std::chrono::hours kStreamIdle{1};
constexpr std::chrono::seconds kRequestHeaders{60};
constexpr std::chrono::seconds kDrain{5};
constexpr uint32_t kStreamBufferBytes = 256 * 1024;
constexpr uint32_t kMaxHeadKb = 60;
constexpr uint32_t kMaxFields = 100;
constexpr uint32_t kMaxStreams = 1024;
constexpr uint32_t kStreamWindowBytes = 256 * 1024;

void SetTracing(HttpConnectionManager& hcm, const MeshTracing& tracing, const NodeFacts& node) {
  auto& to = *hcm.mutable_tracing();
  to.mutable_client_sampling()->set_value(100);
  to.mutable_random_sampling()->set_value(tracing.sampling_percent);
  to.mutable_overall_sampling()->set_value(100);
  envoy::config::trace::v3::OpenTelemetryConfig exporter;
  exporter.mutable_grpc_service()->mutable_envoy_grpc()->set_cluster_name(
      OutboundCluster(tracing.collector, tracing.collector_port));
  exporter.set_service_name(!node.service.name.empty() ? node.service.name : node.id);
  to.mutable_provider()->set_name("envoy.tracers.opentelemetry");
  to.mutable_provider()->mutable_typed_config()->PackFrom(exporter);
}

void SetProtocols(HttpConnectionManager& hcm) {
  hcm.set_codec_type(HttpConnectionManager::AUTO);
  hcm.mutable_http_protocol_options()->set_accept_http_10(true);
  hcm.mutable_http_protocol_options()->set_enable_trailers(true);
  auto& http2 = *hcm.mutable_http2_protocol_options();
  http2.mutable_max_concurrent_streams()->set_value(kMaxStreams);
  http2.mutable_initial_stream_window_size()->set_value(kStreamWindowBytes);
  SetDuration(hcm.mutable_common_http_protocol_options()->mutable_idle_timeout(), kIdle);
  hcm.mutable_common_http_protocol_options()->mutable_max_headers_count()->set_value(kMaxFields);
  hcm.mutable_max_request_headers_kb()->set_value(kMaxHeadKb);
  SetDuration(hcm.mutable_stream_idle_timeout(), kStreamIdle);
  SetDuration(hcm.mutable_request_timeout(), std::chrono::milliseconds(0));
  SetDuration(hcm.mutable_request_headers_timeout(), kRequestHeaders);
  SetDuration(hcm.mutable_drain_timeout(), kDrain);
  // As few changes as can be: an app must not notice us. Dot segments are resolved, because whoever looks at
  // a path must see the one that the app acts on, and no client of ours sends them with another meaning;
  // empty segments and %2F are data to many apps and stay.
  hcm.set_server_header_transformation(HttpConnectionManager::PASS_THROUGH);
  hcm.set_proxy_100_continue(true);
  hcm.mutable_use_remote_address()->set_value(false);
  hcm.mutable_normalize_path()->set_value(true);
  hcm.set_merge_slashes(false);
  hcm.set_path_with_escaped_slashes_action(HttpConnectionManager::KEEP_UNCHANGED);
  // The app's request must reach the other app as it was; x-request-id would be an addition.
  hcm.mutable_generate_request_id()->set_value(false);
}

std::set<std::string> FiltersOf(const envoy::config::route::v3::RouteConfiguration& routes) {
  std::set<std::string> names;
  for (const auto& host : routes.virtual_hosts()) {
    for (const auto& route : host.routes()) {
      for (const auto& [name, config] : route.typed_per_filter_config()) names.insert(name);
      for (const auto& share : route.route().weighted_clusters().clusters()) {
        for (const auto& [name, config] : share.typed_per_filter_config()) names.insert(name);
      }
    }
  }
  return names;
}

// What its routes say of it holds; by itself it does nothing.
void AddFilter(HttpConnectionManager& hcm, const char* name, const google::protobuf::Message& idle) {
  auto& filter = *hcm.add_http_filters();
  filter.set_name(name);
  filter.mutable_typed_config()->PackFrom(idle);
}

envoy::config::accesslog::v3::AccessLog MakeAccessLog(const NodeFacts& node) {
  envoy::extensions::access_loggers::file::v3::FileAccessLog file;
  file.set_path(node.access_log);
  envoy::config::accesslog::v3::AccessLog log;
  log.set_name("envoy.access_loggers.file");
  log.mutable_typed_config()->PackFrom(file);
  return log;
}

// `table`: of routes. `tokens`: what the filter says of that name, where it is among the filters.
HttpConnectionManager MakeManager(const std::string& name, const std::string& table, const NodeFacts& node,
                                  const MeshTracing* tracing, const sidecar::v1::Peering& peering,
                                  const std::set<std::string>& filters,
                                  const sidecar::v1::Idempotency& tokens = {}) {
  HttpConnectionManager hcm;
  hcm.set_stat_prefix(name);
  auto& rds = *hcm.mutable_rds();
  rds.mutable_config_source()->mutable_ads();
  rds.mutable_config_source()->set_resource_api_version(envoy::config::core::v3::V3);
  rds.set_route_config_name(table);
  SetProtocols(hcm);
  if (tracing != nullptr) SetTracing(hcm, *tracing, node);
  if (!node.access_log.empty()) *hcm.add_access_log() = MakeAccessLog(node);
  if (filters.contains(kCorsFilter))
    AddFilter(hcm, kCorsFilter, envoy::extensions::filters::http::cors::v3::Cors());
  if (filters.contains(kFaultFilter))
    AddFilter(hcm, kFaultFilter, envoy::extensions::filters::http::fault::v3::HTTPFault());
  if (filters.contains(kRateLimitFilter)) {
    envoy::extensions::filters::http::local_ratelimit::v3::LocalRateLimit idle;
    idle.set_stat_prefix("local_rate_limiter");
    AddFilter(hcm, kRateLimitFilter, idle);
  }
  if (filters.contains(kSessionFilter)) {
    AddFilter(hcm, kSessionFilter, envoy::extensions::filters::http::stateful_session::v3::StatefulSession());
  }
  if (filters.contains(kTokenFilter)) AddFilter(hcm, kTokenFilter, tokens);
  auto& filter = *hcm.add_http_filters();
  filter.set_name("pillion.peering");
  filter.mutable_typed_config()->PackFrom(peering);
  // A foreign proxy skips it: it grants nothing that one could not do without, but for what is listed here.
  filter.set_is_optional(true);
  hcm.add_upgrade_configs()->set_upgrade_type("websocket");
  auto& router = *hcm.add_http_filters();
  router.set_name("envoy.filters.http.router");
  router.mutable_typed_config()->PackFrom(envoy::extensions::filters::http::router::v3::Router());
  return hcm;
}

void AddManager(envoy::config::listener::v3::FilterChain& chain, const HttpConnectionManager& hcm) {
  auto& filter = *chain.add_filters();
  filter.set_name("envoy.filters.network.http_connection_manager");
  filter.mutable_typed_config()->PackFrom(hcm);
}

HttpConnectionManager MakeOutboundManager(const NodeFacts& node, const MeshTracing* tracing,
                                          const envoy::config::route::v3::RouteConfiguration& routes) {
  sidecar::v1::Peering peering;
  peering.set_allow_explain(node.explain);
  peering.set_pass_upgrades(true);
  return MakeManager(kOutbound, routes.name(), node, tracing, peering, FiltersOf(routes));
}

void AddDestination(envoy::config::listener::v3::FilterChainMatch& match, const std::string& ip) {
  auto& range = *match.add_prefix_ranges();
  range.set_address_prefix(ip);
  range.mutable_prefix_len()->set_value(ip.find(':') == std::string::npos ? 32 : 128);
}

Listener MakeListener(const std::string& name, const SocketAddress& address,
                      const HttpConnectionManager& hcm) {
  Listener listener;
  listener.set_name(name);
  auto& socket = *listener.mutable_address()->mutable_socket_address();
  socket.set_address(address.ip);
  socket.set_port_value(address.port);
  listener.mutable_per_connection_buffer_limit_bytes()->set_value(kStreamBufferBytes);
  AddManager(*listener.add_filter_chains(), hcm);
  return listener;
}

}  // namespace

Listener MakeOutboundListener(const NodeFacts& node, const SocketAddress& address, const MeshTracing* tracing,
                              const envoy::config::route::v3::RouteConfiguration& routes) {
  Listener listener = MakeListener(kOutbound, address, MakeOutboundManager(node, tracing, routes));
  listener.set_traffic_direction(envoy::config::core::v3::OUTBOUND);
  return listener;
}

void SetCapture(Listener& listener, const NodeFacts& node) {
  auto& original = *listener.add_listener_filters();
  original.set_name("envoy.filters.listener.original_dst");
  original.mutable_typed_config()->PackFrom(
      envoy::extensions::filters::listener::original_dst::v3::OriginalDst());
  auto& inspector = *listener.add_listener_filters();
  inspector.set_name("envoy.filters.listener.http_inspector");
  inspector.mutable_typed_config()->PackFrom(
      envoy::extensions::filters::listener::http_inspector::v3::HttpInspector());
  const auto& own = listener.address().socket_address();
  auto& direct = *listener.mutable_filter_chains(0);
  direct.set_name(kOutbound);
  direct.mutable_filter_chain_match()->mutable_destination_port()->set_value(own.port_value());
  if (own.address() != "0.0.0.0" && own.address() != "::")
    AddDestination(*direct.mutable_filter_chain_match(), own.address());
  envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy relay;
  relay.set_stat_prefix(kPassthrough);
  relay.set_cluster(kPassthrough);
  SetDuration(relay.mutable_idle_timeout(), kIdle);
  if (!node.access_log.empty()) *relay.add_access_log() = MakeAccessLog(node);
  auto& rest = *listener.mutable_default_filter_chain();
  rest.set_name(kPassthrough);
  rest.add_filters()->set_name("envoy.filters.network.tcp_proxy");
  rest.mutable_filters(0)->mutable_typed_config()->PackFrom(relay);
}

void AddCaptured(Listener& listener, const NodeFacts& node, const MeshTracing* tracing,
                 const std::vector<std::string>& ips, const MeshPort& port,
                 const envoy::config::route::v3::RouteConfiguration& routes) {
  auto& chain = *listener.add_filter_chains();
  chain.set_name(routes.name());
  auto& match = *chain.mutable_filter_chain_match();
  for (const std::string& ip : ips) AddDestination(match, ip);
  match.mutable_destination_port()->set_value(port.port);
  // Of a port that nobody has said to be HTTP the first bytes decide; what is none goes where it wanted to.
  if (port.guessed) {
    match.add_application_protocols("http/1.0");
    match.add_application_protocols("http/1.1");
  }
  AddManager(chain, MakeOutboundManager(node, tracing, routes));
}

Listener MakeInboundListener(const NodeFacts& node, const SocketAddress& address, const MeshTracing* tracing,
                             bool limits, const MeshService* own) {
  sidecar::v1::Peering peering;
  peering.set_accept_peer_headers(true);
  peering.set_pass_upgrades(true);
  std::set<std::string> filters;
  if (limits) filters.insert(kRateLimitFilter);
  sidecar::v1::Idempotency tokens;
  if (own != nullptr) {
    const SocketAddress known_as =
        node.local.has_value() ? node.local->inbound_known_as.value_or(address) : address;
    for (ServiceDomain& one : DomainsOf(*own)) {
      filters.insert(kTokenFilter);
      sidecar::v1::TokenDomain& domain = *tokens.add_domains() = std::move(one.domain);
      const TokenRule& rule = one.of->rule;
      if (NeedsTokenKey(rule)) domain.mutable_store()->mutable_key()->set_inline_bytes(own->token_key);
      domain.set_keys_elsewhere(rule.keys_of_one_process() && !KnowsKeys(*own, known_as));
    }
  }
  Listener listener = MakeListener(kInbound, address,
                                   MakeManager(kInbound, kInbound, node, tracing, peering, filters, tokens));
  listener.set_traffic_direction(envoy::config::core::v3::INBOUND);
  return listener;
}

}  // namespace pillion::control
