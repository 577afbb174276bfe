// PROXY protocol headers as a client's load balancer would write them; independent of the sidecar's codec.
#ifndef PILLION_TESTS_SIMULATION_PROXY_HEADER_H_
#define PILLION_TESTS_SIMULATION_PROXY_HEADER_H_

#include <cstdint>
#include <string>

#include "tests/simulation/relay_story.h"

namespace pillion::simulation {

// The client that a header of relay `id` tells, IPv4 or IPv6, as logs write it.
std::string ToldClient(uint64_t id);
// `version` 1 or 2. With a fault it is one that nobody may take for a header, nor for data.
std::string ProxyHeaderOf(uint64_t id, int version, HeaderFault fault);

}  // namespace pillion::simulation

#endif  // PILLION_TESTS_SIMULATION_PROXY_HEADER_H_
