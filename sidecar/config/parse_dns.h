// What a Cluster says of DNS. For the parsers in this folder only. Pure; any thread.
#ifndef PILLION_SIDECAR_CONFIG_PARSE_DNS_H_
#define PILLION_SIDECAR_CONFIG_PARSE_DNS_H_

#include <string>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "sidecar/config/cluster.h"
#include "sidecar/config/validated.h"

namespace pillion::config {

// `discovery` and `dns` of a cluster of those types; of another: an error for each field that belongs to
// them.
void ReadDns(const envoy::config::cluster::v3::Cluster& proto, const std::string& path, Cluster& result,
             ConfigErrors& errors);

// It is a text that is no IP literal.
bool IsHostName(const envoy::config::core::v3::Address& address);
// Such an address. `endpoint`: what is known of it beside.
NamedEndpoint ReadNamed(const envoy::config::core::v3::Address& address, const std::string& path,
                        Endpoint endpoint, ConfigErrors& errors);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_PARSE_DNS_H_
