#include "sidecar/config/parse_transport_socket.h"

#include "envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol.pb.h"
#include "envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "sidecar/config/field_path.h"
#include "sidecar/config/fields.h"
#include "sidecar/config/parse_tls.h"

namespace pillion::config {
namespace {

namespace core = envoy::config::core::v3;
namespace sockets = envoy::extensions::transport_sockets;
using sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport;
using sockets::raw_buffer::v3::RawBuffer;
using sockets::tls::v3::UpstreamTlsContext;

template <typename T>
bool Is(const core::TransportSocket& proto) {
  return TypeName(proto.typed_config()) == T::descriptor()->full_name();
}

}  // namespace

UpstreamTransport ReadUpstreamTransport(const core::TransportSocket& proto, const std::string& path,
                                        ConfigErrors& errors) {
  const std::string config_path = FieldPath(path, "typed_config");
  if (Is<RawBuffer>(proto)) return {};
  if (Is<UpstreamTlsContext>(proto)) return {ReadClientTls(proto, path, errors), {}};
  if (!Is<ProxyProtocolUpstreamTransport>(proto)) {
    Add(errors, config_path,
        "expected a " + UpstreamTlsContext::descriptor()->full_name() + ", a " +
            RawBuffer::descriptor()->full_name() + " or a " +
            ProxyProtocolUpstreamTransport::descriptor()->full_name());
    return {};
  }
  const auto proxy = Unpack<ProxyProtocolUpstreamTransport>(proto.typed_config(), config_path, errors);
  if (proxy == nullptr) return {};
  const std::string inner_path = FieldPath(config_path, "transport_socket");
  if (!proxy->has_transport_socket()) {
    Add(errors, inner_path, "expected what follows the header: TLS, or a raw buffer");
    return {};
  }
  UpstreamTransport result = ReadUpstreamTransport(proxy->transport_socket(), inner_path, errors);
  if (result.proxy_protocol) Add(errors, inner_path, "expected no second PROXY protocol header");
  switch (proxy->config().version()) {
    case core::ProxyProtocolConfig::V1:
      result.proxy_protocol = 1;
      break;
    case core::ProxyProtocolConfig::V2:
      result.proxy_protocol = 2;
      break;
    default:
      Add(errors, FieldPath(config_path, "config.version"), "expected V1 or V2");
  }
  return result;
}

std::shared_ptr<const ServerTls> ReadListenerTransport(const core::TransportSocket& proto,
                                                       const std::string& path, ConfigErrors& errors) {
  return Is<RawBuffer>(proto) ? nullptr : ReadServerTls(proto, path, errors);
}

}  // namespace pillion::config
