// What a seed makes of a story.
#ifndef PILLION_TESTS_SIMULATION_PLANS_H_
#define PILLION_TESTS_SIMULATION_PLANS_H_

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/testing/sim_network.h"
#include "tests/simulation/mesh_simulation.h"
#include "tests/simulation/sidecar_host.h"
#include "tests/simulation/story.h"

namespace pillion::simulation {

enum class Trouble : uint8_t { kChange, kRestart, kCertificate };

// Something that happens to a host in mid-story.
struct Disturbance {
  time::Duration after;
  size_t host;  // 0: outbound, then the inbound ones; kCertificate: then all clients and apps
  Trouble trouble;
  // Then, when something has come that nobody has looked at: connections wait in accept queues, bytes in
  // sockets.
  bool on_arrival = false;
  std::optional<time::Duration> patience = {};  // of a restart: what is not over then is cut off
  Proof proof = Proof::kFirst;                  // kCertificate
};

struct Script {
  testing::SimFaults faults;
  Mood mood;
  std::vector<Disturbance> disturbances;  // in the order of their times
  std::vector<std::deque<uint64_t>> http1_clients;
  std::vector<std::deque<uint64_t>> http2_clients;
  std::vector<std::deque<uint64_t>> relay_clients;
};

// Puts the requests and relays into the ledger.
Script MakeScript(const Options& options, Random& random, Ledger& ledger);
std::string Describe(const TlsMood& tls);
std::string Describe(const Plan& plan);
std::string Describe(const RelayPlan& plan);

}  // namespace pillion::simulation

#endif  // PILLION_TESTS_SIMULATION_PLANS_H_
