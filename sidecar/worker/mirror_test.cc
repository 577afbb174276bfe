// Mirrors through a whole engine, on virtual time: what goes to the other app, and that nothing of it shows.
//
//   client --HTTP/1.1--> engine --HTTP/1.1--> app
//                            \--copies--> other app
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/exchange/mirror.h"
#include "sidecar/testing/sim_peer.h"
#include "sidecar/worker/engine_fixture.h"

namespace pillion::worker {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::SimPeer;
using testing::SimServer;

constexpr uint16_t kPort = 15006;
constexpr uint16_t kAppPort = 8080;
constexpr uint16_t kOtherPort = 8081;
constexpr time::Duration kNow{};
constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
constexpr std::string_view kGet = "GET /a?b HTTP/1.1\r\nhost: shop:80\r\n\r\n";

struct OtherApp final : SimServer {
  using SimServer::SimServer;
};

class MirrorInEngine : public EngineFixture {
 protected:
  MirrorInEngine() : app_(*peers_, At(kAppPort)), other_(std::in_place, *peers_, At(kOtherPort)) {}
  void Start(std::vector<config::Mirror> mirrors) {
    const ProxyConfig proxy(kPort, kAppPort);
    auto cluster = std::make_shared<config::Cluster>();
    cluster->name = "other";
    auto assignment = std::make_shared<config::Assignment>();
    assignment->endpoints.emplace_back().address = At(kOtherPort);
    proxy.snapshot->clusters["other"] = {cluster, assignment};
    auto table = std::make_shared<config::RouteTable>(*proxy.snapshot->listeners["l"].routes[0]);
    table->virtual_hosts[0].routes[0].mirrors =
        std::make_shared<const std::vector<config::Mirror>>(std::move(mirrors));
    proxy.snapshot->listeners["l"].routes[0] = table;
    Apply(proxy.snapshot);
    client_ = std::make_unique<SimPeer>(*peers_, At(kPort));
    Pass(kNow);
  }
  void Send(std::string_view bytes) {
    client_->Send(bytes);
    Pass(kNow);
  }
  // The app's end of the first connection, with what came.
  SimPeer& App() {
    app_.taken.at(0)->Read();
    return *app_.taken[0];
  }
  std::string OtherGot(size_t connection = 0) {
    if (other_->taken.size() <= connection) return "(nothing)";
    other_->taken[connection]->Read();
    return other_->taken[connection]->text;
  }
  std::string ClientGot() {
    client_->Read();
    return std::exchange(client_->text, "");
  }
  size_t mirrors() { return engine_.environment().mirrors->alive(); }
  const telemetry::WorkerStats& stats() { return stats_.worker; }
  SimServer app_;
  std::optional<OtherApp> other_;
  std::unique_ptr<SimPeer> client_;
};

TEST_F(MirrorInEngine, ACopyGoesToTheOtherAppAndItsAnswerToNobody) {
  Start({{.cluster = "other"}});
  Send(kGet);
  EXPECT_TRUE(App().text.starts_with("GET /a?b HTTP/1.1\r\nhost: shop:80\r\n")) << App().text;
  EXPECT_TRUE(OtherGot().starts_with("GET /a?b HTTP/1.1\r\nhost: shop-shadow:80\r\n")) << OtherGot();
  other_->taken[0]->Send("HTTP/1.1 500 No\r\ncontent-length: 3\r\n\r\nbad");
  Pass(kNow);
  EXPECT_EQ(ClientGot(), "");
  EXPECT_EQ(mirrors(), 0u);
  App().Send(kAnswer);
  Pass(kNow);
  EXPECT_TRUE(ClientGot().starts_with("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(stats().mirrors.value(), 1u);
}

TEST_F(MirrorInEngine, TheHostMayStayAsItIs) {
  Start({{.cluster = "other", .add_suffix = false}});
  Send(kGet);
  EXPECT_NE(OtherGot().find("host: shop:80\r\n"), std::string::npos) << OtherGot();
}

TEST_F(MirrorInEngine, ContentGoesAsItStreams) {
  Start({{.cluster = "other"}});
  Send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nabc");
  EXPECT_TRUE(App().text.ends_with("\r\n\r\nabc")) << App().text;
  EXPECT_TRUE(OtherGot().ends_with("\r\n\r\nabc")) << OtherGot();
  Send("def");
  EXPECT_TRUE(App().text.ends_with("\r\n\r\nabcdef")) << App().text;
  EXPECT_TRUE(OtherGot().ends_with("\r\n\r\nabcdef")) << OtherGot();
  EXPECT_NE(OtherGot().find("content-length: 6\r\n"), std::string::npos) << OtherGot();
}

TEST_F(MirrorInEngine, AnAnswerThatIsDoneLeavesTheMirrorToEndByItself) {
  Start({{.cluster = "other"}});
  Send(kGet);
  App().Send(kAnswer);
  Pass(kNow);
  EXPECT_TRUE(ClientGot().ends_with("ok"));
  EXPECT_EQ(mirrors(), 1u);
  other_->taken[0]->Send(kAnswer);
  Pass(kNow);
  EXPECT_EQ(mirrors(), 0u);
}

TEST_F(MirrorInEngine, ATargetThatNeverAnswersIsGivenUpAfterItsTime) {
  Start({{.cluster = "other"}});
  Send(kGet);
  App().Send(kAnswer);
  Pass(exchange::kMirrorTimeout - milliseconds(1));
  EXPECT_EQ(mirrors(), 1u);
  Pass(milliseconds(2));
  EXPECT_EQ(mirrors(), 0u);
  EXPECT_EQ(other_->taken.size(), 1u) << "tried once";
}

TEST_F(MirrorInEngine, ATargetThatIsDownChangesNothing) {
  other_.reset();
  Start({{.cluster = "other"}, {.cluster = "unknown"}});
  Send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc");
  EXPECT_TRUE(App().text.ends_with("abc"));
  App().Send(kAnswer);
  Pass(seconds(1));
  EXPECT_TRUE(ClientGot().ends_with("ok"));
  EXPECT_EQ(mirrors(), 0u);
  EXPECT_EQ(stats().mirrors.value(), 2u);
}

TEST_F(MirrorInEngine, ATargetThatDiesIsNotTriedAgain) {
  Start({{.cluster = "other"}});
  Send(kGet);
  ASSERT_EQ(other_->taken.size(), 1u);
  other_->taken[0]->Close();
  Pass(seconds(1));
  EXPECT_EQ(mirrors(), 0u);
  EXPECT_EQ(other_->taken.size(), 1u);
}

TEST_F(MirrorInEngine, ATargetThatReadsNothingHoldsNobodyUp) {
  Start({{.cluster = "other"}});
  constexpr size_t kBody = 4 * exchange::kMaxMirrorBytes;
  Send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: " + std::to_string(kBody) + "\r\n\r\n");
  const std::string piece(2048, 'x');
  size_t received = 0;
  for (size_t sent = 0; sent < kBody; sent += piece.size()) {
    Send(piece);
    received += App().text.size();
    App().text.clear();
  }
  EXPECT_GT(received, kBody);  // and a head
  EXPECT_EQ(stats().mirrors_given_up.value(), 1u);
  EXPECT_EQ(mirrors(), 0u);
  App().Send(kAnswer);
  Pass(kNow);
  EXPECT_TRUE(ClientGot().ends_with("ok"));
}

TEST_F(MirrorInEngine, AClientThatLeavesTakesItsMirrorAlong) {
  Start({{.cluster = "other"}});
  Send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nabc");
  EXPECT_EQ(mirrors(), 1u);
  client_->Reset();
  Pass(kNow);
  EXPECT_EQ(mirrors(), 0u);
  EXPECT_TRUE(OtherGot().ends_with("abc"));
  EXPECT_TRUE(other_->taken[0]->ended || other_->taken[0]->reset) << "it must not take that for all of it";
}

TEST_F(MirrorInEngine, OnlyAShareIsMirrored) {
  Start({{.cluster = "other", .share = {1, 4}}});
  for (int i = 0; i < 400; ++i) {
    Send(kGet);
    App().Send(kAnswer);
    for (const auto& one : other_->taken) {
      one->Read();
      if (!one->text.empty()) one->Send(kAnswer);
      one->text.clear();
    }
    Pass(kNow);
  }
  EXPECT_NEAR(static_cast<double>(stats().mirrors.value()), 100, 30);
}

TEST_F(MirrorInEngine, NoMoreThanSoManyAtOnce) {
  Start({{.cluster = "unread"}});
  // A cluster that is not known ends them in the turn in which they begin: here they only begin.
  std::vector<config::Mirror> many(exchange::kMaxMirrors + 3, config::Mirror{.cluster = "other"});
  http::RequestHead head;
  head.method_text = "GET";
  head.path = "/";
  auto feed = engine_.environment().mirrors->Start(many, head);
  EXPECT_EQ(mirrors(), exchange::kMaxMirrors);
  EXPECT_EQ(stats().mirrors_left_out.value(), 3u);
  feed.reset();
  Pass(kNow);
  EXPECT_EQ(mirrors(), 0u);
}

TEST_F(MirrorInEngine, TunnelsAreNotMirrored) {
  Start({{.cluster = "other"}});
  Send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
  EXPECT_EQ(stats().mirrors.value(), 0u);
}

TEST_F(MirrorInEngine, AnEngineMayEndWhileItsMirrorsAreAlive) {
  Start({{.cluster = "other"}});
  Send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nabc");
  EXPECT_EQ(mirrors(), 1u);
}

}  // namespace
}  // namespace pillion::worker
