// What a cluster says of how its endpoints are judged: outlier detection, health checks. Protos -> domain.
// Pure.
#ifndef PILLION_SIDECAR_CONFIG_PARSE_HEALTH_H_
#define PILLION_SIDECAR_CONFIG_PARSE_HEALTH_H_

#include <optional>
#include <string>
#include <vector>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "sidecar/config/cluster.h"
#include "sidecar/config/validated.h"

namespace pillion::config {

// `path`: the cluster's.
std::optional<OutlierDetection> ReadOutlierDetection(const envoy::config::cluster::v3::Cluster& proto,
                                                     const std::string& path, ConfigErrors& errors);
std::vector<HealthCheck> ReadHealthChecks(const envoy::config::cluster::v3::Cluster& proto,
                                          const std::string& path, ConfigErrors& errors);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_PARSE_HEALTH_H_
