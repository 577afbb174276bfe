// What a cluster says of how an endpoint is chosen: balancer, localities, subsets. Protos -> domain. Pure.
#ifndef PILLION_SIDECAR_CONFIG_PARSE_BALANCER_H_
#define PILLION_SIDECAR_CONFIG_PARSE_BALANCER_H_

#include <memory>
#include <optional>
#include <string>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/core/v3/core.pb.h"
#include "sidecar/config/cluster.h"
#include "sidecar/config/validated.h"

namespace pillion::config {

// `path`: the cluster's.
Balancer ReadBalancer(const envoy::config::cluster::v3::Cluster& proto, const std::string& path,
                      ConfigErrors& errors);

std::optional<Subsets> ReadSubsets(const envoy::config::cluster::v3::Cluster& proto, const std::string& path,
                                   ConfigErrors& errors);

// The fields of a Struct as text: strings as they are, numbers and booleans as JSON has them. `path`: the
// Struct's.
Labels ReadLabels(const google::protobuf::Struct& proto, const std::string& path, ConfigErrors& errors);

// Metadata of which `envoy.lb` alone may be there. Null: it is not.
std::optional<Labels> ReadLabelMatch(const envoy::config::core::v3::Metadata& proto, const std::string& path,
                                     ConfigErrors& errors);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_PARSE_BALANCER_H_
