// Clusters that call what the client dialled.
#ifndef PILLION_SIDECAR_CONFIG_PARSE_ORIGINAL_DESTINATION_H_
#define PILLION_SIDECAR_CONFIG_PARSE_ORIGINAL_DESTINATION_H_

#include <string>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "sidecar/config/cluster.h"
#include "sidecar/config/validated.h"

namespace pillion::config {

// Of a cluster of type ORIGINAL_DST its discovery, too; of another one an error for each field that is for
// those alone.
void ReadOriginalDestination(const envoy::config::cluster::v3::Cluster& proto, const std::string& path,
                             Cluster& result, ConfigErrors& errors);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_PARSE_ORIGINAL_DESTINATION_H_
