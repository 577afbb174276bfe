// The last good configuration on disk: what a sidecar serves when it starts while the control plane is away.
// Written whole to a new file, then renamed, so that a crash leaves the old one. Blocking; call from the main
// loop, rarely.
#ifndef PILLION_SIDECAR_XDS_LAST_GOOD_H_
#define PILLION_SIDECAR_XDS_LAST_GOOD_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace pillion::xds {

using Responses = std::vector<envoy::service::discovery::v3::DiscoveryResponse>;

// `node_id` guards against another node's file. Errors: the file cannot be written (with errno text).
absl::Status SaveLastGood(const std::string& path, const std::string& node_id, const Responses& responses);
// Errors: NotFound when there is none; DataLoss when it is damaged or another node's.
absl::StatusOr<Responses> LoadLastGood(const std::string& path, const std::string& node_id);

}  // namespace pillion::xds

#endif  // PILLION_SIDECAR_XDS_LAST_GOOD_H_
