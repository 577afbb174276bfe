// What all simulated clients and apps of a story share.
#ifndef PILLION_TESTS_SIMULATION_PEER_PARTS_H_
#define PILLION_TESTS_SIMULATION_PEER_PARTS_H_

#include <memory>
#include <string_view>
#include <utility>

#include "sidecar/net/loop.h"
#include "sidecar/time/clock.h"
#include "sidecar/tls/socket.h"
#include "tests/simulation/mesh_identity.h"
#include "tests/simulation/story.h"

namespace pillion::simulation {

// Plain text where credentials are null.
struct PeerTls {
  tls::WorkerTools tools;
  std::shared_ptr<const tls::ServerCredentials> app;
  std::shared_ptr<const tls::ClientCredentials> http_client;
  std::shared_ptr<const tls::ClientCredentials> relay_client;

  // From here on they prove who they are so.
  void Prove(const TlsMood& mood, Proof proof) {
    if (mood.identity == nullptr) return;
    if (mood.apps) app = mood.identity->Server(proof, mood.resume);
    if (!mood.clients) return;
    http_client = mood.identity->Client(proof, mood.resume, true);
    relay_client = mood.identity->Client(proof, mood.resume, false);
  }
};

struct PeerParts {
  const time::Clock& clock;
  net::Loop& loop;
  Ledger& ledger;
  PeerTls& tls;

  // A client's socket, which tells `observer`. `alpn`: what it speaks; "": a relay.
  std::unique_ptr<net::Socket> Dial(const net::Address& to, std::string_view alpn,
                                    net::Observer& observer) const {
    int error = 0;
    auto socket = loop.Connect(to, observer, &error);
    const auto& credentials = alpn.empty() ? tls.relay_client : tls.http_client;
    if (credentials == nullptr) return socket;
    socket = tls::Dial(std::move(socket), credentials, tls.tools, {.sni = {}, .only_alpn = alpn});
    loop.Observe(*socket, observer);
    return socket;
  }
  // The next client of an app as a connection; null when none waits.
  template <typename Connection, typename... Arguments>
  std::unique_ptr<Connection> Accept(net::ListenSocket& listen, Arguments&&... arguments) const {
    auto socket = listen.Accept();
    if (socket == nullptr) return nullptr;
    if (tls.app != nullptr) socket = tls::Accept(std::move(socket), tls.app, tls.tools, "");
    auto connection = std::make_unique<Connection>(std::forward<Arguments>(arguments)...);
    loop.Observe(*socket, *connection);
    connection->socket = std::move(socket);
    return connection;
  }
};

}  // namespace pillion::simulation

#endif  // PILLION_TESTS_SIMULATION_PEER_PARTS_H_
