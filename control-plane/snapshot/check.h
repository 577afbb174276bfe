// A set read with the sidecar's own config/: what it says here, every sidecar of this version would say.
#ifndef PILLION_CONTROL_PLANE_SNAPSHOT_CHECK_H_
#define PILLION_CONTROL_PLANE_SNAPSHOT_CHECK_H_

#include <string>
#include <vector>

#include "control-plane/snapshot/resource_set.h"

namespace pillion::control {

// "<kind> <name>: <path>: <what was expected>" for each thing that a sidecar would reject. What is in
// `accepted` as well, with the same version, is not looked at again; null: nothing is.
std::vector<std::string> CheckAsSidecar(const ResourceSet& set, const ResourceSet* accepted = nullptr);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_SNAPSHOT_CHECK_H_
