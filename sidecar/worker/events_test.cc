// Server-sent events and long polls through whole engines, one or the two of a mesh: each leaves in the turn
// in which it comes, and nothing is given up because an app is silent for long.
//
//   client --HTTP/1.1 or HTTP/2--> [outbound engine ==HTTP/2==>] inbound engine --HTTP/1.1--> app
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "sidecar/http2/frames.h"
#include "sidecar/testing/sim_peer.h"
#include "sidecar/worker/engine_fixture.h"

namespace pillion::worker {
namespace {

using testing::SimPeer;
using testing::SimServer;

constexpr uint16_t kInboundPort = 15006;
constexpr uint16_t kOutboundPort = 15001;
constexpr uint16_t kAppPort = 8080;
constexpr time::Duration kNow{};

struct Path {
  bool two_engines;
  bool http2_client;
};

class EventsTest : public EngineFixture, public ::testing::WithParamInterface<Path> {
 protected:
  EventsTest() : app_(*peers_, At(kAppPort)) {
    const ProxyConfig in(kInboundPort, kAppPort);
    in.server->http.accept_peer_headers = true;
    BePatient(in);
    Apply(in.snapshot);
    if (GetParam().two_engines) {
      const ProxyConfig out(kOutboundPort, kInboundPort);
      out.server->direction = config::Direction::kOutbound;
      BePatient(out);
      config::ClusterEntry& next = out.snapshot->clusters["app"];
      auto endpoints = std::make_shared<config::Assignment>(*next.endpoints);
      endpoints->endpoints[0].pillion_sidecar = true;
      next.endpoints = endpoints;
      EXPECT_TRUE(near_.Apply(Prepare(out.snapshot, nullptr)).empty());
    }
    client_ = std::make_unique<SimPeer>(*peers_, At(GetParam().two_engines ? kOutboundPort : kInboundPort));
    Pass(kNow);
  }
  // As our control plane writes it.
  static void BePatient(const ProxyConfig& made) {
    made.server->http.stream_idle_timeout = std::chrono::hours(1);
    config::ListenerEntry& entry = made.snapshot->listeners["l"];
    auto listener = std::make_shared<config::Listener>(*entry.listener);
    listener->direction = made.server->direction;
    entry.listener = listener;
    auto table = std::make_shared<config::RouteTable>(*entry.routes[0]);
    table->virtual_hosts[0].routes[0].timeout = {};
    entry.routes[0] = table;
  }

  // As the fixture's, with both engines.
  void Pass(time::Duration time) {
    const time::MonotonicTime end = clock_.Now() + time;
    while (true) {
      network_.Deliver();
      for (bool work = true; work;) {
        work = near_.RunTurn();
        work = engine_.RunTurn() || work;
      }
      const time::MonotonicTime next =
          std::min({network_.NextEvent(), engine_.turn().NextDeadline(), near_.turn().NextDeadline()});
      if (next > end) break;
      clock_.AdvanceTo(next);
    }
    clock_.AdvanceTo(end);
  }
  // The app's end of a request.
  SimPeer& Ask() {
    client_->Send(GetParam().http2_client ? http2::ClientStart() + http2::Head(1, http2::Get())
                                          : "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    Pass(kNow);
    EXPECT_EQ(near_stats_.worker.upstream_connections_http2.value(), GetParam().two_engines ? 1u : 0u);
    return *app_.taken.at(0);
  }
  // What the client has got since it was asked last: "head" and content, without what frames it.
  std::string Got() {
    client_->Read();
    const std::string text = std::exchange(client_->text, "");
    std::string got;
    if (GetParam().http2_client) {
      for (const http2::FrameSeen& one : http2::Cut(text)) {
        if (one.type == http2::kHeaders) got += "head";
        if (one.type == http2::kData) got += one.payload;
      }
      return got;
    }
    std::string_view rest = text;
    if (rest.starts_with("HTTP/1.1 200 OK\r\n")) {
      got = "head";
      rest.remove_prefix(rest.find("\r\n\r\n") + 4);
    }
    return got.append(rest.starts_with(kFrame) ? rest.substr(kFrame.size(), kEvent.size()) : rest);
  }

  static constexpr std::string_view kFrame = "8\r\n";
  static constexpr std::string_view kEvent = "data: x\n";
  static constexpr std::string_view kChunk = "8\r\ndata: x\n\r\n";
  telemetry::Shard& near_stats_ = registry_.NewShard();
  std::unique_ptr<net::Loop> near_loop_ = network_.NewLoop();
  Engine near_{clock_, *near_loop_, near_stats_, 2};
  SimServer app_;
  std::unique_ptr<SimPeer> client_;
};

TEST_P(EventsTest, AnEventLeavesAtTheMomentAtWhichItComes) {
  SimPeer& app = Ask();
  app.Send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
  Pass(kNow);
  EXPECT_EQ(Got(), "head") << "it does not wait for an event";
  for (int event = 0; event < 5; ++event) {
    app.Send(kChunk);
    Pass(kNow);
    EXPECT_EQ(Got(), kEvent);
    Pass(std::chrono::seconds(2));  // also some time after the last
  }
}

TEST_P(EventsTest, ALongPollIsAnsweredAfterFiftyMinutesOfSilence) {
  SimPeer& app = Ask();
  Got();
  Pass(std::chrono::minutes(50));
  EXPECT_EQ(Got(), "");
  EXPECT_FALSE(client_->ended || client_->reset);
  app.Send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnews");
  Pass(kNow);
  EXPECT_EQ(Got(), "headnews");
}

INSTANTIATE_TEST_SUITE_P(Paths, EventsTest,
                         ::testing::Values(Path{false, false}, Path{false, true}, Path{true, false},
                                           Path{true, true}),
                         [](const ::testing::TestParamInfo<Path>& path) {
                           return std::string(path.param.two_engines ? "Two" : "One") +
                                  (path.param.http2_client ? "WithHttp2" : "WithHttp1");
                         });

}  // namespace
}  // namespace pillion::worker
