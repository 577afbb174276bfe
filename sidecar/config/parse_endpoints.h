// ClusterLoadAssignment -> Assignment. Pure; any thread.
#ifndef PILLION_SIDECAR_CONFIG_PARSE_ENDPOINTS_H_
#define PILLION_SIDECAR_CONFIG_PARSE_ENDPOINTS_H_

#include <string>

#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "sidecar/config/cluster.h"
#include "sidecar/config/validated.h"

namespace pillion::config {

// The key of our endpoint metadata, and the field in it that says "a Pillion sidecar listens there".
inline constexpr char kMetadataKey[] = "pillion";
inline constexpr char kSidecarField[] = "sidecar";
// The key of the metadata that subsets are made of.
inline constexpr char kLabelsKey[] = "envoy.lb";

Health ReadHealth(envoy::config::core::v3::HealthStatus status, const std::string& path,
                  ConfigErrors& errors);

enum class Hosts : bool { kAddresses, kAlsoNames };

Validated<Assignment> ParseAssignment(const envoy::config::endpoint::v3::ClusterLoadAssignment& proto,
                                      const std::string& version);

// The same for an assignment inside another message, at `path`. `hosts`: what an endpoint's address may be.
Assignment ReadAssignment(const envoy::config::endpoint::v3::ClusterLoadAssignment& proto,
                          const std::string& path, ConfigErrors& errors, Hosts hosts = Hosts::kAddresses);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_PARSE_ENDPOINTS_H_
