// Sidecars, clients and applications on a simulated network and virtual time: one seed is one story.
//
//   Http1Client, Http2Client --> outbound engine ==HTTP/2==> one or two inbound engines --> Http1App,
//   Http2App
//
// The engines are the sidecar's own worker, session and exchange code. Their configurations change and they
// are drained and replaced in mid-story. Clients and apps check every byte; the verdict compares what clients
// were told with what apps ran.
#ifndef PILLION_TESTS_SIMULATION_MESH_SIMULATION_H_
#define PILLION_TESTS_SIMULATION_MESH_SIMULATION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/simulation/mesh_identity.h"
#include "tests/simulation/story.h"

namespace pillion::simulation {

struct Options {
  uint64_t seed = 1;
  // The network resets and refuses, apps close connections under way, changes of configuration leave holes,
  // drains end early. Else every well-meant request must be answered.
  bool stormy = false;
  bool verbose = false;
  // Of the process. Null: no TLS; else in a part of the stories, or in all of them.
  const MeshIdentities* identities = nullptr;
  bool always_tls = false;
};

struct Outcome {
  std::vector<std::string> wrong;  // empty: a good story
  uint64_t handshakes = 0;         // of TLS, that succeeded at a sidecar's end
  uint64_t resumed = 0;            // of them
  // Of all that happened, and when: equal for two runs of one story.
  uint64_t fingerprint = 0;
  uint64_t stale_reuse = 0;  // a request on a connection that was closed meanwhile, provably not sent
};

// Runs one story to its end.
Outcome RunStory(const Options& options, Ledger& ledger);

}  // namespace pillion::simulation

#endif  // PILLION_TESTS_SIMULATION_MESH_SIMULATION_H_
