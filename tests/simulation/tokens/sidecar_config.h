// The configurations of the sidecars of one schedule.
#ifndef PILLION_TESTS_SIMULATION_TOKENS_SIDECAR_CONFIG_H_
#define PILLION_TESTS_SIMULATION_TOKENS_SIDECAR_CONFIG_H_

#include <memory>

#include "sidecar/config/snapshot.h"
#include "tests/simulation/tokens/sidecar.h"

namespace pillion::simulation::tokens {

// Of the replica with that number: HTTP/2 from sidecars, HTTP/1.1 and gRPC to its app.
std::shared_ptr<const config::Snapshot> InboundConfig(const Settings& settings, size_t replica,
                                                      const Configured& configured);
// Of the client's sidecar with that number.
std::shared_ptr<const config::Snapshot> OutboundConfig(const Settings& settings, size_t outbound,
                                                       const Configured& configured);

}  // namespace pillion::simulation::tokens

#endif  // PILLION_TESTS_SIMULATION_TOKENS_SIDECAR_CONFIG_H_
