// envoy.config.cluster.v3.Cluster -> Cluster. Pure; any thread.
#ifndef PILLION_SIDECAR_CONFIG_PARSE_CLUSTER_H_
#define PILLION_SIDECAR_CONFIG_PARSE_CLUSTER_H_

#include <string>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "sidecar/config/cluster.h"
#include "sidecar/config/validated.h"

namespace pillion::config {

Validated<Cluster> ParseCluster(const envoy::config::cluster::v3::Cluster& proto, const std::string& version);

// The same for a cluster inside another message, at `path`.
Cluster ReadCluster(const envoy::config::cluster::v3::Cluster& proto, const std::string& path,
                    ConfigErrors& errors);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_PARSE_CLUSTER_H_
