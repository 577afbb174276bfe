// Transport sockets: what is between TCP and what a listener or cluster speaks.
#ifndef PILLION_SIDECAR_CONFIG_PARSE_TRANSPORT_SOCKET_H_
#define PILLION_SIDECAR_CONFIG_PARSE_TRANSPORT_SOCKET_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "envoy/config/core/v3/core.pb.h"
#include "sidecar/config/tls.h"
#include "sidecar/config/validated.h"

namespace pillion::config {

struct UpstreamTransport {
  std::shared_ptr<const ClientTls> tls;  // null: plain text, or there were errors
  std::optional<uint8_t> proxy_protocol;
};
// `path` is the field's.
UpstreamTransport ReadUpstreamTransport(const envoy::config::core::v3::TransportSocket& proto,
                                        const std::string& path, ConfigErrors& errors);
std::shared_ptr<const ServerTls> ReadListenerTransport(const envoy::config::core::v3::TransportSocket& proto,
                                                       const std::string& path, ConfigErrors& errors);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_PARSE_TRANSPORT_SOCKET_H_
