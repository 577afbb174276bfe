// What the sidecars of all stories prove to one another by TLS: made once for the process.
//
// A seed is one story with TLS as well. Keys, randoms and signatures differ from run to run, and no length
// does: Ed25519 signs in 64 bytes, where the DER of ECDSA varies, and there are no tickets, whose length does
// too. Only lengths and order reach the simulated network. Nor are sessions resumed: a story would depend on
// those before it.
#ifndef PILLION_TESTS_SIMULATION_MESH_IDENTITY_H_
#define PILLION_TESTS_SIMULATION_MESH_IDENTITY_H_

#include <memory>

#include "sidecar/config/tls.h"

namespace pillion::simulation {

// One version of TLS; both ends prove who they are.
struct MeshIdentity {
  explicit MeshIdentity(tls::Version version);
  std::shared_ptr<config::ServerTls> server = std::make_shared<config::ServerTls>();
  std::shared_ptr<config::ClientTls> client = std::make_shared<config::ClientTls>();
};

struct MeshIdentities {
  MeshIdentity tls12{tls::Version::k12};
  MeshIdentity tls13{tls::Version::k13};
};

}  // namespace pillion::simulation

#endif  // PILLION_TESTS_SIMULATION_MESH_IDENTITY_H_
