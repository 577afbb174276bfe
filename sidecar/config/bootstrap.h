// What a bootstrap file says, validated.
#ifndef PILLION_SIDECAR_CONFIG_BOOTSTRAP_H_
#define PILLION_SIDECAR_CONFIG_BOOTSTRAP_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/config/cluster.h"
#include "sidecar/config/listener.h"
#include "sidecar/config/tls.h"
#include "sidecar/net/address.h"

namespace pillion::config {

// Something wrong in a configuration object: which field, and what was expected.
struct ConfigError {
  std::string path;     // "filter_chains[0].filters[0].typed_config.stat_prefix"
  std::string message;  // "expected at least 1 character"
};

struct Bootstrap {
  std::string node_id;
  std::string node_cluster;
  std::string serialized_node;  // envoy.config.core.v3.Node as written, for DiscoveryRequest.node
  std::vector<std::shared_ptr<const Listener>> listeners;
  std::vector<std::shared_ptr<const Cluster>> clusters;
  std::vector<std::shared_ptr<const Secret>> secrets;
  // ADS: the cluster that the control plane is reached through; listeners and clusters are asked of it when
  // set.
  std::optional<std::string> ads_cluster;
  bool dynamic_listeners = false;
  bool dynamic_clusters = false;
  std::optional<net::Address> admin_address;
  OwnPlace own;
};

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_BOOTSTRAP_H_
