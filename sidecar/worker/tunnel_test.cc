// Tunnels of HTTP/1.1 through a whole engine: what is no clean end must not look like one, at either side.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "sidecar/testing/sim_peer.h"
#include "sidecar/worker/engine_fixture.h"

namespace pillion::worker {
namespace {

using std::chrono::milliseconds;
using testing::SimPeer;
using testing::SimServer;

constexpr uint16_t kPort = 15001;
constexpr uint16_t kAppPort = 8080;
constexpr uint32_t kWindowBytes = 10'000;
constexpr std::string_view kAsk = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
constexpr std::string_view kGrant =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";

class TunnelTest : public EngineFixture {
 protected:
  TunnelTest() : app_(*peers_, At(kAppPort)) {
    const ProxyConfig made(kPort, kAppPort);
    made.cluster->stream_window_bytes = kWindowBytes;
    made.server->http.pass_upgrades = true;
    Apply(made.snapshot);
  }
  // A client whose request has reached the app.
  std::unique_ptr<SimPeer> Ask() {
    auto client = std::make_unique<SimPeer>(*peers_, At(kPort));
    Pass(milliseconds(1));
    client->Send(kAsk);
    Pass(milliseconds(1));
    return client;
  }
  std::unique_ptr<SimPeer> Open() {
    auto client = Ask();
    app_.taken.at(0)->Send(kGrant);
    Pass(milliseconds(1));
    return client;
  }
  static void ExpectReset(SimPeer& peer) {
    peer.Read();
    EXPECT_TRUE(peer.reset);
    EXPECT_FALSE(peer.ended);
  }

  SimServer app_;
};

TEST_F(TunnelTest, AClientThatResetsIsPassedOnAsAReset) {
  auto client = Open();
  client->Send("half a mess");
  Pass(milliseconds(1));
  client->Reset();
  Pass(milliseconds(1));
  ExpectReset(*app_.taken.at(0));
}

TEST_F(TunnelTest, AClientThatLeavesBeforeItIsOpenLeavesNoEndBehind) {
  auto client = Ask();
  client->Reset();
  Pass(milliseconds(1));
  ExpectReset(*app_.taken.at(0));
}

TEST_F(TunnelTest, TheDeadlineOfADrainResetsBothEnds) {
  auto client = Open();
  engine_.Drain(true);
  engine_.Abort();
  Pass(milliseconds(1));
  ExpectReset(*client);
  ExpectReset(*app_.taken.at(0));
}

TEST_F(TunnelTest, OfARemovedListenerNoTunnelOutlivesTheDrain) {
  auto client = Open();
  auto snapshot = std::make_shared<config::Snapshot>();
  Apply(snapshot);
  for (int third = 0; third < 3; ++third) {  // it is not idle
    client->Send("still here");
    Pass(time::Duration(listener::kDrainTimeout) / 3 - (third == 0 ? milliseconds(1) : milliseconds(0)));
  }
  client->Read();
  EXPECT_FALSE(client->ended || client->reset);
  Pass(milliseconds(2));
  ExpectReset(*client);
  ExpectReset(*app_.taken.at(0));
}

TEST_F(TunnelTest, TheDrainOfTheProcessIsNotTheListeners) {
  auto client = Open();
  engine_.Drain(true);
  for (int third = 0; third < 6; ++third) {  // it is not idle
    client->Send("still here");
    Pass(time::Duration(listener::kDrainTimeout) / 3);
    client->Read();
    ASSERT_FALSE(client->ended || client->reset) << third;
  }
  app_.taken.at(0)->Read();
  EXPECT_TRUE(app_.taken.at(0)->text.ends_with("still here"));
}

TEST_F(TunnelTest, AResetThatAWriteMeetsFirstIsNoEnd) {
  auto client = Open();
  SimPeer& app = *app_.taken.at(0);
  // More than anybody on the way takes: nobody reads any more when the reset comes.
  const std::string bytes(1000, 'x');
  while (app.SendSome(bytes) > 0) Pass(milliseconds(1));
  app.Reset();
  Pass(milliseconds(1));
  client->Send("more");
  Pass(milliseconds(1));
  for (int i = 0; i < 1000 && !client->ended && !client->reset; ++i) {
    client->Read();
    Pass(milliseconds(1));
  }
  EXPECT_TRUE(client->reset);
  EXPECT_FALSE(client->ended);
}

}  // namespace
}  // namespace pillion::worker
