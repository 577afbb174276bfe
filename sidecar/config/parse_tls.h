// TLS protos -> domain. What stands in PEM is not looked at here: that takes OpenSSL.
#ifndef PILLION_SIDECAR_CONFIG_PARSE_TLS_H_
#define PILLION_SIDECAR_CONFIG_PARSE_TLS_H_

#include <memory>
#include <string>

#include "envoy/config/core/v3/core.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "sidecar/config/tls.h"
#include "sidecar/config/validated.h"

namespace pillion::config {

// `required`: it must say something.
DataSource ReadDataSource(const envoy::config::core::v3::DataSource& proto, const std::string& path,
                          ConfigErrors& errors, bool required);

// Of a filter chain and of a cluster; null: plain text, or there were errors. `path` is the field's.
std::shared_ptr<const ServerTls> ReadServerTls(const envoy::config::core::v3::TransportSocket& proto,
                                               const std::string& path, ConfigErrors& errors);
std::shared_ptr<const ClientTls> ReadClientTls(const envoy::config::core::v3::TransportSocket& proto,
                                               const std::string& path, ConfigErrors& errors);

Secret ReadSecret(const envoy::extensions::transport_sockets::tls::v3::Secret& proto, const std::string& path,
                  ConfigErrors& errors);
Validated<Secret> ParseSecret(const envoy::extensions::transport_sockets::tls::v3::Secret& proto,
                              const std::string& version);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_PARSE_TLS_H_
