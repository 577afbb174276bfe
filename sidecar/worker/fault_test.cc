// Faults through a whole engine, on virtual time.
//
//   client --HTTP/1.1--> inbound engine --HTTP/1.1--> app
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sidecar/config/filters.h"
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
constexpr time::Duration kNow{};
constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

class FaultInEngine : public EngineFixture {
 protected:
  FaultInEngine() : app_(*peers_, At(kAppPort)) {}
  void Start(config::Fault fault) {
    const ProxyConfig proxy(kPort, kAppPort);
    auto entries = std::make_shared<std::vector<config::FilterEntry>>();
    entries->push_back({"fault", false, config::FilterKind::kFault,
                        std::make_shared<const config::FilterOptions>(std::move(fault))});
    proxy.server->http.filters = entries;
    proxy.server->http.allow_explain = true;
    proxy.server->http.access_log = config::AccessLog();
    Apply(proxy.snapshot);
  }
  static config::Fault DelayOf(time::Duration delay) {
    config::Fault fault;
    fault.delay = {.time = delay, .share = {1, 1}};
    return fault;
  }
  static config::Fault AbortWith(uint16_t status) {
    config::Fault fault;
    fault.abort = {.kind = config::Fault::Abort::Kind::kHttp, .status = status, .share = {1, 1}};
    return fault;
  }
  std::unique_ptr<SimPeer> Ask(const std::string& fields = "") {
    auto client = std::make_unique<SimPeer>(*peers_, At(kPort));
    Pass(kNow);
    client->Send("GET / HTTP/1.1\r\nhost: a\r\n" + fields + "\r\n");
    Pass(kNow);
    return client;
  }
  size_t alive() { return engine_.environment().active_inbound; }
  std::string Flags() {
    std::string flags;
    for (const telemetry::RequestRecord& record : engine_.records().Take()) flags += record.flags + ";";
    return flags;
  }
  SimServer app_;
};

TEST_F(FaultInEngine, ADelayedRequestWaitsAndHoldsNobodyElse) {
  config::Fault fault = DelayOf(seconds(3));
  config::HeaderMatch slow{.name = "x-slow"};
  fault.headers = {slow};
  Start(fault);
  const auto delayed = Ask("x-slow: 1\r\n");
  EXPECT_EQ(alive(), 1u);
  const auto other = Ask();
  ASSERT_EQ(app_.taken.size(), 1u);
  app_.taken[0]->Send(kAnswer);
  Pass(seconds(3) - milliseconds(1));
  other->Read();
  EXPECT_TRUE(other->text.starts_with("HTTP/1.1 200 OK")) << other->text;
  app_.taken[0]->Read();
  EXPECT_EQ(app_.taken[0]->text.find("x-slow"), std::string::npos);
  Pass(milliseconds(1));
  app_.taken[0]->Read();
  EXPECT_NE(app_.taken[0]->text.find("x-slow"), std::string::npos);
  app_.taken[0]->Send(kAnswer);
  Pass(kNow);
  delayed->Read();
  EXPECT_TRUE(delayed->text.ends_with("ok")) << delayed->text;
  EXPECT_EQ(Flags(), ";DI;");
  EXPECT_EQ(stats_.worker.faults_delayed.value(), 1u);
}

TEST_F(FaultInEngine, ADelayedRequestWhoseClientLeavesIsOver) {
  const config::Fault fault = DelayOf(seconds(60));
  Start(fault);
  const auto client = Ask();
  EXPECT_EQ(alive(), 1u);
  EXPECT_EQ(*fault.active, 1u);
  client->Reset();
  Pass(kNow);
  EXPECT_EQ(alive(), 0u);
  EXPECT_EQ(*fault.active, 0u);
  EXPECT_TRUE(app_.taken.empty());
}

TEST_F(FaultInEngine, AWaitCountsForTheTimeOutOfTheRoute) {
  const config::Fault fault = DelayOf(seconds(60));
  Start(fault);  // the route has 15 s
  const auto client = Ask();
  Pass(seconds(15));
  client->Read();
  EXPECT_TRUE(client->text.starts_with("HTTP/1.1 504 ")) << client->text;
  EXPECT_EQ(*fault.active, 0u);
  EXPECT_EQ(Flags(), "DI,UT;");
  EXPECT_TRUE(app_.taken.empty());
}

TEST_F(FaultInEngine, AnAbortIsAnsweredLoggedCountedAndExplained) {
  config::Fault fault = AbortWith(418);
  fault.delay = DelayOf(seconds(2)).delay;
  Start(fault);
  const auto client = Ask("x-pillion-explain: 1\r\n");
  Pass(seconds(2));
  client->Read();
  EXPECT_TRUE(client->text.starts_with("HTTP/1.1 418 ")) << client->text;
  EXPECT_TRUE(client->text.ends_with("\r\n\r\nfault filter abort\n")) << client->text;
  EXPECT_NE(client->text.find("error=fault; side=local; outcome=answered; reason=\"policy makes it fail\""),
            std::string::npos)
      << client->text;
  EXPECT_NE(client->text.find(",delayed:2000@"), std::string::npos) << client->text;
  EXPECT_EQ(Flags(), "DI,FI;");
  EXPECT_EQ(stats_.worker.faults_aborted.value(), 1u);
  EXPECT_TRUE(app_.taken.empty());
}

TEST_F(FaultInEngine, AGrpcClientIsToldAGrpcStatus) {
  Start(AbortWith(429));
  const auto client = Ask("content-type: application/grpc\r\n");
  client->Read();
  EXPECT_TRUE(client->text.starts_with("HTTP/1.1 200 ")) << client->text;
  EXPECT_NE(client->text.find("grpc-status: 14\r\n"), std::string::npos) << client->text;
  EXPECT_NE(client->text.find("grpc-message: fault filter abort\r\n"), std::string::npos) << client->text;
}

TEST_F(FaultInEngine, AnAnswerThatHasNoContentHasNone) {
  Start(AbortWith(204));
  const auto client = Ask();
  client->Read();
  EXPECT_TRUE(client->text.starts_with("HTTP/1.1 204 ")) << client->text;
  EXPECT_TRUE(client->text.ends_with("\r\n\r\n")) << client->text;
  EXPECT_EQ(client->text.find("content-type"), std::string::npos) << client->text;
}

}  // namespace
}  // namespace pillion::worker
