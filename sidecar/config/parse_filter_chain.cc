// One filter chain: which connections it is for, and what serves them.
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "sidecar/config/field_path.h"
#include "sidecar/config/fields.h"
#include "sidecar/config/parse_listener.h"
#include "sidecar/config/parse_transport_socket.h"

namespace pillion::config {
namespace {

namespace core = envoy::config::core::v3;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
using ProtoMatch = envoy::config::listener::v3::FilterChainMatch;

constexpr uint32_t kMaxPort = 65535;
constexpr uint32_t kMaxWeightSum = 0xffff'ffff;

std::vector<CidrRange> ReadCidrs(const google::protobuf::RepeatedPtrField<core::CidrRange>& protos,
                                 const std::string& path, ConfigErrors& errors) {
  std::vector<CidrRange> result;
  result.reserve(static_cast<size_t>(protos.size()));
  for (int i = 0; i < protos.size(); ++i)
    result.push_back(ReadCidr(protos[i], ElementPath(path, static_cast<size_t>(i)), errors));
  return result;
}

// Exact, or "*.suffix"; held in lower case.
std::vector<std::string> ReadServerNames(const ProtoMatch& proto, const std::string& path,
                                         ConfigErrors& errors) {
  std::vector<std::string> result;
  for (int i = 0; i < proto.server_names_size(); ++i) {
    std::string name = proto.server_names(i);
    for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    const size_t star = name.find_last_of('*');
    const bool wildcard = name.size() > 2 && name.starts_with("*.") && star == 0;
    if (name.empty() || (star != std::string::npos && !wildcard)) {
      Add(errors, ElementPath(FieldPath(path, "server_names"), static_cast<size_t>(i)),
          "expected a name, or *. and a suffix");
    }
    result.push_back(std::move(name));
  }
  return result;
}

void ReadSource(const ProtoMatch& proto, const std::string& path, FilterChainMatch& result,
                ConfigErrors& errors) {
  switch (proto.source_type()) {
    case ProtoMatch::ANY:
      break;
    case ProtoMatch::SAME_IP_OR_LOOPBACK:
      result.source = FilterChainMatch::Source::kLocal;
      break;
    case ProtoMatch::EXTERNAL:
      result.source = FilterChainMatch::Source::kExternal;
      break;
    default:
      Add(errors, FieldPath(path, "source_type"), "expected ANY, SAME_IP_OR_LOOPBACK or EXTERNAL");
  }
  for (int i = 0; i < proto.source_ports_size(); ++i) {
    if (proto.source_ports(i) == 0 || proto.source_ports(i) > kMaxPort) {
      Add(errors, ElementPath(FieldPath(path, "source_ports"), static_cast<size_t>(i)),
          "expected 1 to 65535");
    }
    result.source_ports.push_back(static_cast<uint16_t>(proto.source_ports(i)));
  }
}

// A criterion that nobody looks at would never, or always, hold.
void CheckInspected(const FilterChainMatch& match, const Listener& listener, const std::string& path,
                    ConfigErrors& errors) {
  const std::string_view needs_tls =
      "expected a TlsInspector among the listener_filters: nothing else knows this";
  if (!match.server_names.empty() && !listener.inspect_tls)
    Add(errors, FieldPath(path, "server_names"), std::string(needs_tls));
  if (match.transport == FilterChainMatch::Transport::kTls && !listener.inspect_tls)
    Add(errors, FieldPath(path, "transport_protocol"), std::string(needs_tls));
  if (!match.application_protocols.empty() && !listener.inspect_tls && !listener.inspect_http) {
    Add(errors, FieldPath(path, "application_protocols"),
        "expected a TlsInspector or HttpInspector among the listener_filters: nothing else knows this");
  }
}

FilterChainMatch ReadMatch(const ProtoMatch& proto, const std::string& path, const Listener& listener,
                           ConfigErrors& errors) {
  FilterChainMatch result;
  if (proto.has_destination_port()) {
    result.destination_port = static_cast<uint16_t>(
        ReadNumber(proto.destination_port(), FieldPath(path, "destination_port"), errors, 1, kMaxPort));
  }
  result.destinations = ReadCidrs(proto.prefix_ranges(), FieldPath(path, "prefix_ranges"), errors);
  result.direct_sources =
      ReadCidrs(proto.direct_source_prefix_ranges(), FieldPath(path, "direct_source_prefix_ranges"), errors);
  result.sources = ReadCidrs(proto.source_prefix_ranges(), FieldPath(path, "source_prefix_ranges"), errors);
  result.server_names = ReadServerNames(proto, path, errors);
  if (proto.transport_protocol() == "tls") {
    result.transport = FilterChainMatch::Transport::kTls;
  } else if (proto.transport_protocol() == "raw_buffer") {
    result.transport = FilterChainMatch::Transport::kPlain;
  } else if (!proto.transport_protocol().empty()) {
    Add(errors, FieldPath(path, "transport_protocol"), "expected \"tls\" or \"raw_buffer\"");
  }
  result.application_protocols.assign(proto.application_protocols().begin(),
                                      proto.application_protocols().end());
  ReadSource(proto, path, result, errors);
  CheckInspected(result, listener, path, errors);
  return result;
}

// Whether clients are hashed.
bool ReadTcpHash(const TcpProxy& proto, const std::string& path, ConfigErrors& errors) {
  const std::string list = FieldPath(path, "hash_policy");
  if (proto.hash_policy_size() > 1) Add(errors, list, "expected at most one");
  for (int i = 0; i < proto.hash_policy_size(); ++i) {
    if (!proto.hash_policy(i).has_source_ip())
      Add(errors, ElementPath(list, static_cast<size_t>(i)), "expected source_ip");
  }
  return proto.hash_policy_size() > 0;
}

std::shared_ptr<const TcpServer> ReadTcpProxy(const TcpProxy& proto, const std::string& path,
                                              const ChainFrame& frame, const Listener& listener,
                                              ConfigErrors& errors) {
  auto result = std::make_shared<TcpServer>();
  result->listener = listener.name;
  result->direction = listener.direction;
  result->stream_buffer_bytes = frame.stream_buffer_bytes;
  result->stat_prefix = proto.stat_prefix();
  RequireText(proto.stat_prefix(), FieldPath(path, "stat_prefix"), errors);
  if (proto.has_weighted_clusters()) {
    const std::string clusters_path = FieldPath(FieldPath(path, "weighted_clusters"), "clusters");
    if (proto.weighted_clusters().clusters().empty()) Add(errors, clusters_path, "expected at least one");
    for (int i = 0; i < proto.weighted_clusters().clusters_size(); ++i) {
      const auto& target = proto.weighted_clusters().clusters(i);
      const std::string target_path = ElementPath(clusters_path, static_cast<size_t>(i));
      RequireText(target.name(), FieldPath(target_path, "name"), errors);
      if (target.weight() == 0) Add(errors, FieldPath(target_path, "weight"), "expected at least 1");
      result->clusters.push_back({target.name(), target.weight()});
      result->total_weight += target.weight();
    }
    if (result->total_weight > kMaxWeightSum)
      Add(errors, clusters_path, "expected weights that add up to less than 2^32");
  } else {
    RequireText(proto.cluster(), FieldPath(path, "cluster"), errors);
    result->clusters.push_back({proto.cluster(), 1});
    result->total_weight = 1;
  }
  if (proto.has_idle_timeout())
    result->idle_timeout = ReadDuration(proto.idle_timeout(), FieldPath(path, "idle_timeout"), errors);
  if (proto.has_max_connect_attempts()) {
    result->max_connect_attempts = ReadNumber(proto.max_connect_attempts(),
                                              FieldPath(path, "max_connect_attempts"), errors, 1, UINT32_MAX);
  }
  result->hash_client = ReadTcpHash(proto, path, errors);
  result->access_log = ReadAccessLog(proto.access_log(), FieldPath(path, "access_log"), errors);
  return result;
}

}  // namespace

FilterChain ReadFilterChain(const envoy::config::listener::v3::FilterChain& proto, const std::string& path,
                            const ChainFrame& frame, const Listener& listener, ConfigErrors& errors) {
  FilterChain result;
  result.name = proto.name();
  // With what it takes over from its listener.
  result.source = listener.name + " " + std::to_string(listener.address.port()) + " " +
                  std::to_string(static_cast<int>(listener.direction)) + " " +
                  std::to_string(frame.stream_buffer_bytes) + " " + proto.SerializeAsString();
  result.match =
      ReadMatch(proto.filter_chain_match(), FieldPath(path, "filter_chain_match"), listener, errors);
  if (proto.has_transport_socket())
    result.tls = ReadListenerTransport(proto.transport_socket(), FieldPath(path, "transport_socket"), errors);
  const std::string filters_path = FieldPath(path, "filters");
  if (proto.filters_size() != 1) {
    Add(errors, filters_path,
        "expected exactly one, an HTTP connection manager or a TCP proxy; others are not implemented");
  }
  if (proto.filters().empty()) return result;
  const std::string config_path = FieldPath(ElementPath(filters_path, 0), "typed_config");
  const auto& any = proto.filters(0).typed_config();
  if (TypeName(any) == TcpProxy::descriptor()->full_name()) {
    if (const auto tcp = Unpack<TcpProxy>(any, config_path, errors))
      result.tcp = ReadTcpProxy(*tcp, config_path, frame, listener, errors);
    return result;
  }
  const auto http = Unpack<HttpConnectionManager>(any, config_path, errors);
  if (http == nullptr) return result;
  auto server = std::make_shared<HttpServer>();
  server->name = listener.name;
  server->port = listener.address.port();
  server->direction = listener.direction;
  server->stream_buffer_bytes = frame.stream_buffer_bytes;
  server->http = ReadHttpOptions(*http, config_path, frame.origin, errors);
  server->http.listener = listener.name;
  result.http = std::move(server);
  return result;
}

}  // namespace pillion::config
