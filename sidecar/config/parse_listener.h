// envoy.config.listener.v3.Listener with its HTTP connection manager -> Listener. Pure; any thread.
#ifndef PILLION_SIDECAR_CONFIG_PARSE_LISTENER_H_
#define PILLION_SIDECAR_CONFIG_PARSE_LISTENER_H_

#include <string>

#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "sidecar/config/listener.h"
#include "sidecar/config/validated.h"

namespace pillion::config {

// The name of the HTTP filter entry that carries pillion.sidecar.v1.Peering.
inline constexpr char kPeeringFilter[] = "pillion.peering";

// `previous`: the generation that it replaces, or null; chains that did not change are shared with it.
Validated<Listener> ParseListener(const envoy::config::listener::v3::Listener& proto,
                                  const std::string& version, Origin origin,
                                  const Listener* previous = nullptr);

// The same for a listener inside another message, at `path`.
Listener ReadListener(const envoy::config::listener::v3::Listener& proto, const std::string& path,
                      Origin origin, ConfigErrors& errors);

// The parts below are for the files of this parser.
// What a filter chain takes over from its listener beside what Listener itself holds.
struct ChainFrame {
  Origin origin;
  size_t stream_buffer_bytes;
};
// `listener`: as far as it is read, its inspections included.
FilterChain ReadFilterChain(const envoy::config::listener::v3::FilterChain& proto, const std::string& path,
                            const ChainFrame& frame, const Listener& listener, ConfigErrors& errors);
std::optional<AccessLog> ReadAccessLog(
    const google::protobuf::RepeatedPtrField<envoy::config::accesslog::v3::AccessLog>& proto,
    const std::string& path, ConfigErrors& errors);
HttpOptions ReadHttpOptions(
    const envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager& proto,
    const std::string& path, Origin origin, ConfigErrors& errors);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_PARSE_LISTENER_H_
