#include "sidecar/config/parse_listener.h"

#include "sidecar/config/field_path.h"
#include "sidecar/config/fields.h"

namespace pillion::config {
namespace {

namespace core = envoy::config::core::v3;
namespace listener = envoy::config::listener::v3;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;

// More would be a window that HTTP/2 cannot express.
constexpr uint32_t kMaxStreamBufferBytes = 0x7fff'ffff;

Direction ReadDirection(core::TrafficDirection direction, const std::string& path, ConfigErrors& errors) {
  switch (direction) {
    case core::UNSPECIFIED:
      return Direction::kUnspecified;
    case core::INBOUND:
      return Direction::kInbound;
    case core::OUTBOUND:
      return Direction::kOutbound;
    default:
      Add(errors, path, "expected UNSPECIFIED, INBOUND or OUTBOUND");
      return Direction::kUnspecified;
  }
}

void ReadFilterChains(const listener::Listener& proto, const std::string& path, Origin origin,
                      size_t stream_buffer_bytes, Listener& result, ConfigErrors& errors) {
  const std::string chains_path = FieldPath(path, "filter_chains");
  if (proto.filter_chains_size() != 1) {
    Add(errors, chains_path, "expected exactly one; others are not implemented");
  }
  if (proto.filter_chains_size() < 1) return;
  const std::string filters_path = FieldPath(ElementPath(chains_path, 0), "filters");
  const auto& filters = proto.filter_chains(0).filters();
  if (filters.size() != 1) {
    Add(errors, filters_path, "expected exactly one, an HTTP connection manager; others are not implemented");
  }
  if (filters.empty()) return;
  const std::string config_path = FieldPath(ElementPath(filters_path, 0), "typed_config");
  const auto http = Unpack<HttpConnectionManager>(filters[0].typed_config(), config_path, errors);
  if (http == nullptr) return;
  auto server = std::make_shared<HttpServer>();
  server->name = result.name;
  server->direction = result.direction;
  server->stream_buffer_bytes = stream_buffer_bytes;
  server->http = ReadHttpOptions(*http, config_path, origin, errors);
  FilterChain& chain = result.chains.emplace_back();
  chain.name = proto.filter_chains(0).name();
  chain.http = std::move(server);
}

}  // namespace

Listener ReadListener(const listener::Listener& proto, const std::string& path, Origin origin,
                      ConfigErrors& errors) {
  Listener result;
  const bool any_port = origin == Origin::kFile;
  result.address = ReadAddress(proto.address(), FieldPath(path, "address"), errors, any_port);
  result.name = proto.name();
  if (origin == Origin::kPushed) {
    RequireText(proto.name(), FieldPath(path, "name"), errors);
  } else if (result.name.empty() && proto.has_address()) {
    result.name = result.address.ToString();
  }
  result.direction = ReadDirection(proto.traffic_direction(), FieldPath(path, "traffic_direction"), errors);
  size_t stream_buffer_bytes = HttpServer().stream_buffer_bytes;
  if (proto.has_per_connection_buffer_limit_bytes()) {
    stream_buffer_bytes =
        ReadNumber(proto.per_connection_buffer_limit_bytes(),
                   FieldPath(path, "per_connection_buffer_limit_bytes"), errors, 1, kMaxStreamBufferBytes);
  }
  ReadFilterChains(proto, path, origin, stream_buffer_bytes, result, errors);
  return result;
}

Validated<Listener> ParseListener(const listener::Listener& proto, const std::string& version,
                                  Origin origin) {
  ConfigErrors errors;
  Listener result = ReadListener(proto, "", origin, errors);
  result.version = version;
  return Finish(std::move(result), std::move(errors), proto);
}

}  // namespace pillion::config
