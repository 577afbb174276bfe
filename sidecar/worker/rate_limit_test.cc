// Limits of the rate of requests through whole engines: what a client sees, and that a limit is the
// process's, whatever configuration comes.
//
//   client --HTTP/1.1--> engine, one of two
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/config/filters.h"
#include "sidecar/ledger/limiter.h"
#include "sidecar/testing/sim_peer.h"
#include "sidecar/worker/engine_fixture.h"

namespace pillion::worker {
namespace {

using std::chrono::seconds;
using testing::SimPeer;

constexpr uint16_t kPort = 15006;
constexpr uint16_t kOtherPort = 15007;

class RateLimitInEngine : public EngineFixture {
 protected:
  // A route that answers itself, so many times at once.
  std::shared_ptr<config::Snapshot> Limited(uint16_t port, uint32_t tokens,
                                            const std::string& place = "t/v/r/0") {
    const ProxyConfig proxy(port, 1);
    const auto entry = [](std::shared_ptr<const config::FilterOptions> options) {
      auto entries = std::make_shared<std::vector<config::FilterEntry>>();
      entries->push_back({"limit", false, config::FilterKind::kLocalRateLimit, std::move(options)});
      return entries;
    };
    proxy.server->http.filters = entry(std::make_shared<const config::FilterOptions>(config::RateLimit()));
    config::RateLimit limit;
    limit.limit = config::Limit{.max_tokens = tokens, .token = seconds(10)};
    limit.counted = limit.enforced = {1, 1};
    limit.tell_left = limit.tell_retry_after = true;
    auto here = entry(std::make_shared<const config::FilterOptions>(limit));
    here->front().place = place;
    auto table = std::make_shared<config::RouteTable>(*proxy.snapshot->listeners["l"].routes[0]);
    config::Route& route = table->virtual_hosts[0].routes[0];
    route.clusters.clear();
    route.direct = config::DirectResponse{200, "ok"};
    route.filters = here;
    proxy.snapshot->listeners["l"].routes[0] = table;
    return proxy.snapshot;
  }
  void Push(Engine& engine, const std::shared_ptr<config::Snapshot>& snapshot) {
    auto prepared = Prepare(snapshot, last_.get(), &limits_);
    EXPECT_TRUE(engine.Apply(prepared).empty());
    last_ = prepared;
  }
  std::string Ask(uint16_t port, const std::string& fields = "") {
    SimPeer client(*peers_, At(port));
    Pass({});
    client.Send("GET / HTTP/1.1\r\nhost: a\r\n" + fields + "\r\n");
    Pass({});
    client.Read();
    return client.text;
  }
  std::string Status(uint16_t port) {
    const std::string text = Ask(port);
    return text.size() < 12 ? "none" : text.substr(9, 3);
  }
  ledger::Limits limits_;
  std::shared_ptr<const PreparedSnapshot> last_;
};

TEST_F(RateLimitInEngine, AClientIsToldWhatIsLeftAndWhenToComeAgain) {
  Push(engine_, Limited(kPort, 1));
  const std::string first = Ask(kPort);
  EXPECT_TRUE(first.starts_with("HTTP/1.1 200 ")) << first;
  EXPECT_NE(first.find("ratelimit-remaining: 0\r\n"), std::string::npos) << first;
  const std::string second = Ask(kPort);
  EXPECT_TRUE(second.starts_with("HTTP/1.1 429 ")) << second;
  EXPECT_NE(second.find("retry-after: 10\r\n"), std::string::npos) << second;
  EXPECT_NE(second.find("\r\nx-envoy-ratelimited: true\r\n"), std::string::npos) << second;
  EXPECT_TRUE(second.ends_with("\r\n\r\nlocal_rate_limited\n")) << second;
  const std::string grpc = Ask(kPort, "content-type: application/grpc\r\n");
  EXPECT_TRUE(grpc.starts_with("HTTP/1.1 200 ")) << grpc;
  EXPECT_NE(grpc.find("grpc-status: 14\r\n"), std::string::npos) << grpc;
  Pass(seconds(10));
  EXPECT_EQ(Status(kPort), "200");
}

TEST_F(RateLimitInEngine, AConfigurationThatStatesTheSameLimitFillsNothing) {
  Push(engine_, Limited(kPort, 2));
  EXPECT_EQ(Status(kPort), "200");
  EXPECT_EQ(Status(kPort), "200");
  EXPECT_EQ(Status(kPort), "429");
  Push(engine_, Limited(kPort, 2));
  EXPECT_EQ(Status(kPort), "429") << "all parts are new, the limit is the same";
  Push(engine_, Limited(kPort, 3));
  EXPECT_EQ(Status(kPort), "200") << "another limit";
  Push(engine_, Limited(kPort, 3, "t/v/other/0"));
  EXPECT_EQ(Status(kPort), "200");
  EXPECT_EQ(Status(kPort), "200");
  EXPECT_EQ(Status(kPort), "200") << "another place";
  EXPECT_EQ(Status(kPort), "429");
}

TEST_F(RateLimitInEngine, WorkersTakeFromOneBucket) {
  telemetry::Shard& stats = registry_.NewShard();
  Push(engine_, Limited(kPort, 3));
  Engine other(clock_, *loop_, stats, 2);
  auto elsewhere = Limited(kOtherPort, 3);
  // The same routes, on another port: the network here has one listener for each.
  EXPECT_TRUE(other.Apply(Prepare(elsewhere, nullptr, &limits_)).empty());
  const auto pass = [&](uint16_t port) {
    SimPeer client(*peers_, At(port));
    client.Send("");
    for (int i = 0; i < 20; ++i) {
      network_.Deliver();
      while (engine_.RunTurn() || other.RunTurn()) {
      }
      if (i == 5) client.Send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
      client.Read();
    }
    return client.text.size() < 12 ? "none" : client.text.substr(9, 3);
  };
  EXPECT_EQ(pass(kPort), "200");
  EXPECT_EQ(pass(kOtherPort), "200");
  EXPECT_EQ(pass(kPort), "200");
  EXPECT_EQ(pass(kOtherPort), "429");
  EXPECT_EQ(pass(kPort), "429");
}

}  // namespace
}  // namespace pillion::worker
