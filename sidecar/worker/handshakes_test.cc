// Handshakes on a worker that has more to do than its turns hold.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "sidecar/testing/sim_peer.h"
#include "sidecar/tls/test_pair.h"
#include "sidecar/worker/engine_fixture.h"

namespace pillion::worker {
namespace {

using testing::SimPeer;
using testing::SimServer;

constexpr uint16_t kPort = 15001;
constexpr uint16_t kTlsPort = 15002;
constexpr uint16_t kAppPort = 8080;

// One listener in plain text and one with TLS; turns end as early as they can.
class HandshakesTest : public EngineFixture {
 protected:
  HandshakesTest() : EngineFixture({}, time::Duration(-1)), app_(*peers_, At(kAppPort)) {
    const tls::Issued issued = authority_.Issue({.names = "DNS:a.example"});
    tls::ServerSettings of_server;
    of_server.common.certificates = {{.chain = issued.certificate, .key = issued.key, .password = ""}};
    auto server_tls = std::make_shared<config::ServerTls>();
    server_tls->credentials->Set(
        tls::Good(tls::ServerCredentials::Make(of_server, std::make_shared<tls::TicketKeys>(clock_.Now()))));
    const ProxyConfig proxy(kPort, kAppPort);
    auto entry = proxy.snapshot->listeners["l"];
    auto listener = std::make_shared<config::Listener>(*entry.listener);
    listener->name = "tls";
    listener->address = At(kTlsPort);
    listener->chains[0].tls = server_tls;
    entry.listener = listener;
    proxy.snapshot->listeners["tls"] = entry;
    snapshot_ = proxy.snapshot;
    Apply(snapshot_);
    tls::ClientSettings of_client;
    of_client.common.validation.trusted_ca = authority_.pem();
    of_client.sni = "a.example";
    client_credentials_ = tls::Good(tls::ClientCredentials::Make(of_client));
  }

  struct Client {
    explicit Client(HandshakesTest& test) {
      int error = 0;
      socket =
          tls::Dial(test.peers_->Connect(At(kTlsPort), ears, &error), test.client_credentials_, tools, {});
      test.peers_->Observe(*socket, ears);
    }
    bool Done() {
      tools.pacer.BeginTurn();
      return socket->ConnectError() == 0;
    }
    tls::Ears ears;
    tls::WorkerTools tools;
    std::unique_ptr<net::Socket> socket;
  };

  SimServer app_;
  std::shared_ptr<config::Snapshot> snapshot_;
  tls::TestAuthority authority_{"authority"};
  std::shared_ptr<const tls::ClientCredentials> client_credentials_;
};

// Each of them has something new to say in each turn: their queue never ends.
TEST_F(HandshakesTest, GoOnBesideConnectionsThatTakeAllTurns) {
  constexpr size_t kBusy = 50;
  constexpr size_t kHandshakes = 100;  // more than turns that one waits in the queue
  std::vector<std::unique_ptr<SimPeer>> busy(kBusy);
  for (auto& one : busy) one = std::make_unique<SimPeer>(*peers_, At(kPort));
  Pass(std::chrono::milliseconds(1));
  for (auto& one : busy) one->Send("GET / HTTP/1.1\r\nhost: a\r\nx: ");
  std::vector<std::unique_ptr<Client>> clients(kHandshakes);
  for (auto& one : clients) one = std::make_unique<Client>(*this);
  size_t turns = 0;
  const auto shaking = [&] { return std::ranges::count_if(clients, [](auto& one) { return !one->Done(); }); };
  while (shaking() > 0 && turns < 1000) {
    for (auto& one : busy) one->SendSome("v");
    network_.Deliver();
    engine_.RunTurn();
    ++turns;
  }
  EXPECT_EQ(shaking(), 0) << "after " << turns << " turns";
  EXPECT_TRUE(engine_.turn().has_work()) << "there was not more to do than a turn holds";
}

// Bytes that come with a SYN may come twice: only where all of them are TLS.
TEST_F(HandshakesTest, AloneTakeBytesWithASyn) {
  EXPECT_TRUE(network_.fast_open(At(kTlsPort)));
  EXPECT_FALSE(network_.fast_open(At(kPort)));
  const config::ListenerEntry all_tls = snapshot_->listeners["tls"];
  const config::ListenerEntry plain = snapshot_->listeners["l"];
  config::ListenerEntry mixed = all_tls;
  auto listener = std::make_shared<config::Listener>(*mixed.listener);
  listener->chains.push_back(plain.listener->chains[0]);
  listener->chains[0].match.application_protocols = {"h2"};
  mixed.listener = listener;
  mixed.routes.push_back(plain.routes[0]);
  for (const auto& [entry, wanted] : {std::pair(mixed, false), std::pair(all_tls, true)}) {
    auto changed = std::make_shared<config::Snapshot>(*snapshot_);
    changed->listeners["tls"] = entry;
    Apply(changed);
    EXPECT_EQ(network_.fast_open(At(kTlsPort)), wanted);
  }
}

}  // namespace
}  // namespace pillion::worker
