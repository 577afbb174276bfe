// What the ends of all stories prove to one another by TLS. Keys and certificates are made once for the
// process, credentials for each story: what they remember of sessions must not come from another one.
//
// A seed is one story with TLS as well. Keys, randoms and signatures differ from run to run, and no length
// does: Ed25519 signs in 64 bytes, where the DER of ECDSA varies, and resumed sessions are kept by servers,
// not in tickets, whose length varies too. Only lengths and order reach the simulated network.
#ifndef PILLION_TESTS_SIMULATION_MESH_IDENTITY_H_
#define PILLION_TESTS_SIMULATION_MESH_IDENTITY_H_

#include <memory>

#include "sidecar/config/tls.h"
#include "sidecar/tls/credentials.h"

namespace pillion::simulation {

// Which certificate an end shows. Two authorities are trusted by all.
enum class Proof : uint8_t { kFirst, kSecond, kUntrusted };

// One version of TLS; both ends prove who they are.
class MeshIdentity {
 public:
  explicit MeshIdentity(tls::Version version);
  std::shared_ptr<const tls::ServerCredentials> Server(Proof proof, bool resume) const;
  // `alpn`: offers HTTP/2 and HTTP/1.1.
  std::shared_ptr<const tls::ClientCredentials> Client(Proof proof, bool resume, bool alpn) const;

 private:
  tls::CommonSettings Common(Proof proof) const;
  tls::CommonSettings common_;
  tls::Certificate leaves_[3];
  std::shared_ptr<const tls::TicketKeys> ticket_keys_;
};

struct MeshIdentities {
  MeshIdentity tls12{tls::Version::k12};
  MeshIdentity tls13{tls::Version::k13};
};

// Where a story has TLS.
struct TlsMood {
  const MeshIdentity* identity = nullptr;  // null: nowhere
  bool clients = false;                    // towards the outbound sidecar
  bool mesh = false;                       // between the sidecars
  bool apps = false;                       // behind the inbound ones
  bool resume = false;
};

}  // namespace pillion::simulation

#endif  // PILLION_TESTS_SIMULATION_MESH_IDENTITY_H_
