// Two sidecars, clients and an application on a simulated network and virtual time: one seed is one story.
//
//   SimClient(s) --HTTP/1.1--> outbound engine ==HTTP/2==> inbound engine --HTTP/1.1--> SimApp
//
// The engines are the sidecar's own worker, session and exchange code. The clients remember what they asked,
// the app what it ran; Check() compares.
#ifndef PILLION_TESTS_SIMULATION_MESH_SIMULATION_H_
#define PILLION_TESTS_SIMULATION_MESH_SIMULATION_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/testing/sim_network.h"
#include "sidecar/worker/engine.h"

namespace pillion::simulation {

// One request as its client planned it. The body and the answer are functions of the id, so that any mix-up
// shows.
struct Plan {
  uint64_t id = 0;
  bool post = false;
  bool chunked = false;
  size_t request_bytes = 0;
  size_t response_bytes = 0;
  bool response_chunked = false;
  bool app_closes = false;
};

std::string BodyOf(uint64_t id, size_t bytes, char salt);

// What happened to requests, by id.
struct Ledger {
  std::map<uint64_t, int> run_by_app;
  std::map<uint64_t, int> answered_200;
  std::map<uint64_t, int> answered_error;  // 5xx from a sidecar
  std::map<uint64_t, int> broken;          // the connection ended
  std::map<uint64_t, Plan> plans;
  std::vector<std::string> wrong;  // corruption of any kind
};

struct Options {
  uint64_t seed = 1;
  bool faults = false;
  bool verbose = false;
};

// Runs one story to its end. Returns what is wrong with it; empty: nothing.
std::vector<std::string> RunStory(const Options& options, Ledger& ledger);

}  // namespace pillion::simulation

#endif  // PILLION_TESTS_SIMULATION_MESH_SIMULATION_H_
