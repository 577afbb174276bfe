// What a whole engine makes of endpoints that do badly, of circuit limits and of hashes, on a simulated
// network and virtual time.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/testing/sim_peer.h"
#include "sidecar/worker/apps_fixture.h"

namespace pillion::worker {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

using Answers = std::map<std::string, int>;

TEST_F(Apps, AnEndpointThatFailsTooOftenIsLeftAloneForAWhile) {
  config::Cluster cluster;
  cluster.outlier.emplace();
  cluster.outlier->most_percent = 50;
  Start(3, cluster);
  ASSERT_EQ(GetMany(9), (Answers{{"app0", 3}, {"app1", 3}, {"app2", 3}}));
  apps_[1]->Answer(503);
  ASSERT_EQ(GetMany(15)["503"], 5);
  EXPECT_EQ(GetMany(10), (Answers{{"app0", 5}, {"app2", 5}}));
  EXPECT_EQ(engine_.clusters().Find("app")->ledger().ejected(), 1u);
  apps_[1]->Answer(200);
  PassAll(seconds(29));
  EXPECT_EQ(GetMany(10).count("app1"), 0u);
  PassAll(seconds(2));
  EXPECT_EQ(GetMany(9), (Answers{{"app0", 3}, {"app1", 3}, {"app2", 3}}));
}

TEST_F(Apps, WhatCannotBeReachedCountsAsBadAnswersDo) {
  config::Cluster cluster;
  cluster.outlier.emplace();
  cluster.outlier->most_percent = 50;
  Start(2, cluster);
  GetMany(4);
  apps_.erase(apps_.begin());
  // It is passed over for a while after each failure, so that it takes time until it has failed so often.
  for (int i = 0; i < 60 && engine_.clusters().Find("app")->ledger().ejected() == 0; ++i) {
    EXPECT_EQ(Get(), "app1") << "retried at the other one";
    PassAll(milliseconds(500));
  }
  EXPECT_EQ(engine_.clusters().Find("app")->ledger().ejected(), 1u);
}

config::HealthCheck HttpCheck() {
  config::HealthCheck check;
  check.timeout = seconds(1);
  check.interval = check.unhealthy_interval = check.unhealthy_edge_interval = check.healthy_edge_interval =
      seconds(5);
  check.no_traffic_interval = seconds(60);
  check.unhealthy_threshold = 2;
  check.healthy_threshold = 2;
  check.path = "/healthz";
  check.expected = {{200, 201}};
  return check;
}

TEST_F(Apps, AnEndpointThatFailsItsChecksGetsNoRequests) {
  config::Cluster cluster;
  cluster.balancer.panic_percent = 0;
  cluster.health_checks = {HttpCheck()};
  cluster.health_checks[0].retriable = {{503, 504}};
  Start(2, cluster);
  PassAll(milliseconds(10));
  EXPECT_EQ(GetMany(4), (Answers{{"app0", 2}, {"app1", 2}}));
  apps_[0]->Answer(503);
  PassAll(seconds(61));  // nothing had been sent when the last interval began
  EXPECT_EQ(GetMany(4)["503"], 2) << "one that may pass is not enough";
  PassAll(seconds(6));
  EXPECT_EQ(GetMany(4), (Answers{{"app1", 4}}));
  apps_[0]->Answer(200);
  PassAll(seconds(6));
  EXPECT_EQ(GetMany(4), (Answers{{"app1", 4}})) << "one good check is not enough";
  PassAll(seconds(6));
  EXPECT_EQ(GetMany(4), (Answers{{"app0", 2}, {"app1", 2}}));
}

TEST_F(Apps, AnAnswerThatNobodyExpectsFailsItAtOnce) {
  config::Cluster cluster;
  cluster.balancer.panic_percent = 0;
  cluster.health_checks = {HttpCheck()};
  cluster.health_checks[0].unhealthy_threshold = 10;
  cluster.health_checks[0].no_traffic_interval = seconds(5);
  Start(2, cluster);
  PassAll(milliseconds(10));
  apps_[0]->Answer(404);
  PassAll(seconds(6));
  EXPECT_EQ(GetMany(4), (Answers{{"app1", 4}}));
}

TEST_F(Apps, TheFirstCheckDecidesAlone) {
  config::Cluster cluster;
  cluster.balancer.panic_percent = 0;
  cluster.health_checks = {HttpCheck()};
  apps_.clear();
  Start(3, cluster);
  apps_[2]->Answer(503);
  PassAll(milliseconds(10));
  EXPECT_EQ(GetMany(4), (Answers{{"app0", 2}, {"app1", 2}}));
  apps_[0]->Answer(503);
  apps_[1]->Answer(503);
  PassAll(seconds(120));
  EXPECT_EQ(Get(), "503");
  EXPECT_NE(answer_.find("no healthy endpoint"), std::string::npos) << answer_;
}

// A check that does not come to its end, and one whose connection is refused.
TEST_F(Apps, SilenceFailsACheckAndSoDoesARefusal) {
  config::Cluster cluster;
  cluster.balancer.panic_percent = 0;
  cluster.health_checks = {HttpCheck()};
  cluster.health_checks[0].alt_port = 9100;
  cluster.health_checks[0].unhealthy_threshold = 1;
  cluster.health_checks[0].no_traffic_interval = seconds(5);
  testing::SimServer silent(*peers_, At(9100));
  Start(1, cluster);
  PassAll(milliseconds(500));
  EXPECT_EQ(Get(), "app0") << "not checked yet, and there is no other";
  ASSERT_EQ(silent.taken.size(), 1u);
  silent.taken[0]->Read();
  EXPECT_TRUE(silent.taken[0]->text.starts_with("GET /healthz HTTP/1.1\r\nhost: app\r\n"))
      << silent.taken[0]->text;
  PassAll(seconds(1));
  EXPECT_EQ(Get(), "503");
  cluster.health_checks[0].alt_port = 9101;
  Configure(1, cluster);
  PassAll(milliseconds(100));
  EXPECT_EQ(Get(), "503") << "refused";
  cluster.health_checks.clear();
  Configure(1, cluster);
  EXPECT_EQ(Get(), "app0");
}

TEST_F(Apps, TcpChecksConnectSendAndLookForWhatComes) {
  config::Cluster cluster;
  cluster.balancer.panic_percent = 0;
  config::HealthCheck check = HttpCheck();
  check.kind = config::HealthCheck::Kind::kTcp;
  check.alt_port = 9100;
  check.send = "PING";
  check.receive = {"PO", "NG"};
  check.no_traffic_interval = seconds(5);
  cluster.health_checks = {check};
  testing::SimServer server(*peers_, At(9100));
  Start(1, cluster);
  PassAll(milliseconds(10));
  ASSERT_EQ(server.taken.size(), 1u);
  server.taken[0]->Read();
  EXPECT_EQ(server.taken[0]->text, "PING");
  const auto health = engine_.clusters().Find("app")->endpoints()[0]->health();
  EXPECT_EQ(health->flags(), ledger::EndpointHealth::kUnchecked);
  server.taken[0]->Send("xxP");
  PassAll(milliseconds(10));
  server.taken[0]->Send("ONyyG");
  PassAll(milliseconds(10));
  server.taken[0]->Send("POyy");
  PassAll(milliseconds(10));
  EXPECT_EQ(health->flags(), ledger::EndpointHealth::kUnchecked);
  server.taken[0]->Send("NG");
  PassAll(milliseconds(10));
  EXPECT_EQ(health->flags(), 0u);
  server.taken[0]->Read();
  EXPECT_TRUE(server.taken[0]->ended) << "the check is over";
  server.on_accept = [](testing::SimPeer& peer) { peer.Close(); };
  PassAll(seconds(11));
  EXPECT_EQ(health->flags(), ledger::EndpointHealth::kCheckFailed);
}

TEST_F(Apps, WhatATcpCheckLooksForComesInThatOrder) {
  config::Cluster cluster;
  config::HealthCheck check = HttpCheck();
  check.kind = config::HealthCheck::Kind::kTcp;
  check.alt_port = 9100;
  check.receive = {"NG", "PO"};
  cluster.health_checks = {check};
  testing::SimServer server(*peers_, At(9100));
  Start(1, cluster);
  PassAll(milliseconds(10));
  const auto health = engine_.clusters().Find("app")->endpoints()[0]->health();
  server.taken.at(0)->Send("PONG");
  PassAll(milliseconds(10));
  EXPECT_EQ(health->flags(), ledger::EndpointHealth::kUnchecked);
  server.taken.at(0)->Send("PO");
  PassAll(milliseconds(10));
  EXPECT_EQ(health->flags(), 0u);
}

TEST_F(Apps, WhatHasBeenFoundSaysHowLongTheNextCheckIsAway) {
  config::Cluster cluster;
  config::HealthCheck check = HttpCheck();
  check.kind = config::HealthCheck::Kind::kTcp;
  check.alt_port = 9100;
  check.receive = {"up"};
  check.interval = seconds(5);
  check.unhealthy_interval = seconds(7);
  check.unhealthy_edge_interval = seconds(2);
  check.healthy_edge_interval = seconds(3);
  check.no_traffic_interval = seconds(60);
  cluster.health_checks = {check};
  std::vector<int64_t> at;  // seconds
  bool up = true;
  const time::MonotonicTime begin = clock_.Now();
  testing::SimServer server(*peers_, At(9100));
  server.on_accept = [&](testing::SimPeer& peer) {
    at.push_back(std::chrono::round<seconds>(clock_.Now() - begin).count());
    if (up) {
      peer.Send("up");
    } else {
      peer.Close();
    }
  };
  Start(1, cluster);
  PassAll(seconds(1));
  EXPECT_EQ(Get(), "app0");
  PassAll(seconds(60));
  up = false;
  PassAll(seconds(12));
  up = true;
  PassAll(seconds(22));
  EXPECT_EQ(at, (std::vector<int64_t>{0, 60, 65, 70, 72, 79, 86, 89, 94}));
}

TEST_F(Apps, AnEndpointMaySayWhereItIsChecked) {
  config::Cluster cluster;
  cluster.health_checks = {HttpCheck()};
  cluster.health_checks[0].alt_port = 9101;
  cluster.health_checks[0].host = "all.example";
  endpoint_.check_port = 9100;
  endpoint_.check_host = "own.example";
  testing::SimServer server(*peers_, At(9100));
  Start(1, cluster);
  PassAll(milliseconds(10));
  ASSERT_EQ(server.taken.size(), 1u);
  server.taken[0]->Read();
  EXPECT_TRUE(server.taken[0]->text.starts_with("GET /healthz HTTP/1.1\r\nhost: own.example\r\n"))
      << server.taken[0]->text;
}

TEST_F(Apps, WhoIsNotCheckedAnyMoreServesAgain) {
  config::Cluster cluster;
  cluster.balancer.panic_percent = 0;
  cluster.health_checks = {HttpCheck()};
  testing::SimServer refuses(*peers_, At(9100));
  refuses.on_accept = [](testing::SimPeer& peer) { peer.Close(); };
  endpoint_.check_port = 9100;
  Start(1, cluster);
  PassAll(milliseconds(10));
  EXPECT_EQ(Get(), "503");
  endpoint_.checked = false;
  Configure(1, cluster);
  EXPECT_EQ(Get(), "app0");
}

TEST_F(Apps, ARetryThatIsOverMakesRoomForTheNext) {
  config::Cluster cluster;
  cluster.circuits[0].retries = 1;
  cluster.retry_budget = {.share = 1, .per_second = 1000};
  config::Route route;
  route.retry.emplace();
  route.retry->on = config::kRetry5xx;
  route.retry->backoff_base = route.retry->backoff_max = milliseconds(1);
  Start(2, cluster, route);
  apps_[0]->Answer(503);
  EXPECT_EQ(GetMany(12), (Answers{{"app1", 12}}));
}

TEST_F(Apps, ACheckThatPassesEndsAnEjection) {
  config::Cluster cluster;
  cluster.outlier.emplace();
  cluster.outlier->most_percent = 50;
  cluster.health_checks = {HttpCheck()};
  Start(3, cluster);
  PassAll(milliseconds(10));
  GetMany(3);
  PassAll(seconds(60));
  auto& ledger = engine_.clusters().Find("app")->ledger();
  const auto health = engine_.clusters().Find("app")->endpoints()[0]->health();
  ASSERT_TRUE(ledger.Eject(*health, clock_.Now(), {seconds(300), seconds(300), 50}, {}));
  PassAll(seconds(6));
  EXPECT_EQ(ledger.ejected(), 0u);
}

TEST_F(Apps, BeyondTheRequestsOfACircuitTheAnswerIs503AtOnce) {
  config::Cluster cluster;
  cluster.circuits[0].requests = 2;
  cluster.circuits[1].requests = 1;
  testing::SimServer silent(*peers_, At(kFirstApp));
  Configure(1, cluster);
  auto first = Ask();
  const auto second = Ask();
  EXPECT_EQ(first->text, "");
  const auto third = Ask();
  EXPECT_TRUE(third->text.starts_with("HTTP/1.1 503 ")) << third->text;
  EXPECT_NE(third->text.find("x-envoy-overloaded: true\r\n"), std::string::npos) << third->text;
  first->Reset();
  PassAll(milliseconds(5));
  const auto fourth = Ask();
  EXPECT_EQ(fourth->text, "") << "one has gone";
  config::Route high;
  high.priority = 1;
  Configure(1, cluster, high);
  const auto fifth = Ask();
  EXPECT_EQ(fifth->text, "") << "the other priority's limit is its own";
  EXPECT_TRUE(Ask()->text.starts_with("HTTP/1.1 503 "));
}

TEST_F(Apps, BeyondTheRequestsThatMayWaitTheAnswerIs503AtOnce) {
  config::Cluster cluster;
  cluster.circuits[0].connections = 1;
  cluster.circuits[0].pending = 1;
  testing::SimServer server(*peers_, At(kFirstApp));
  config::Route route;
  route.timeout = seconds(2);
  Configure(1, cluster, route);
  const auto first = Ask();
  const auto waits = Ask();
  const auto refused = Ask();
  EXPECT_EQ(waits->text, "");
  EXPECT_TRUE(refused->text.starts_with("HTTP/1.1 503 ")) << refused->text;
  ASSERT_EQ(server.taken.size(), 1u);
  server.taken[0]->Send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
  PassAll(milliseconds(5));
  first->Read();
  EXPECT_TRUE(first->text.starts_with("HTTP/1.1 200 ")) << first->text;
  server.taken[0]->Send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
  PassAll(milliseconds(5));
  waits->Read();
  EXPECT_TRUE(waits->text.starts_with("HTTP/1.1 200 ")) << "it had its turn on the one connection";
  // A request that waits until its time is over was not too slow: 503, not 504.
  const auto busy = Ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n");
  const auto late = Ask();
  PassAll(seconds(3));
  late->Read();
  EXPECT_TRUE(late->text.starts_with("HTTP/1.1 503 ")) << late->text;
  busy->Send("hello");
  PassAll(seconds(3));
  busy->Read();
  EXPECT_TRUE(busy->text.starts_with("HTTP/1.1 504 ")) << busy->text;
}

// Also where the answers have content: good ones between the others end a streak.
TEST_F(Apps, WhoFailsNowAndThenIsNotEjected) {
  config::Cluster cluster;
  cluster.outlier.emplace();
  cluster.outlier->most_percent = 100;
  Start(2, cluster);
  for (int i = 0; i < 60; ++i) {
    for (const auto& app : apps_) app->Answer(i % 3 == 0 ? 500 : 200);
    Get();
  }
  const upstream::ClusterState& state = *engine_.clusters().Find("app");
  for (const auto& endpoint : state.endpoints()) {
    const ledger::TallySums sums = endpoint->health()->Sum();
    EXPECT_EQ(sums.external, 30u);
    EXPECT_EQ(sums.external_good, 20u);
  }
  EXPECT_EQ(engine_.clusters().Find("app")->ledger().Counts().ejections, 0u);
}

// A call's status, in trailers that a filter makes content of, is the app's word all the same.
TEST_F(Apps, WhatFailsBehindAFilterHasFailed) {
  filters_ = std::make_shared<const std::vector<config::FilterEntry>>(std::vector<config::FilterEntry>{
      {.name = "web",
       .kind = config::FilterKind::kGrpcWeb,
       .options = std::make_shared<const config::FilterOptions>(config::Present{})}});
  config::Cluster cluster;
  cluster.outlier.emplace();
  testing::SimServer server(*peers_, At(kFirstApp));
  Configure(1, cluster);
  const auto client =
      Ask("POST /a.B/C HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc-web\r\n"
          "content-length: 5\r\n");
  client->Send(std::string(5, '\0'));
  PassAll(milliseconds(5));
  ASSERT_EQ(server.taken.size(), 1u);
  server.taken[0]->Send(
      "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\n\r\n");
  PassAll(milliseconds(5));
  server.taken[0]->Send("5\r\n" + std::string(5, '\0') + "\r\n0\r\ngrpc-status: 14\r\n\r\n");
  PassAll(milliseconds(5));
  client->Read();
  EXPECT_NE(client->text.find("grpc-status: 14"), std::string::npos) << client->text;
  const ledger::TallySums sums = engine_.clusters().Find("app")->endpoints()[0]->health()->Sum();
  EXPECT_EQ(sums.external, 1u);
  EXPECT_EQ(sums.external_good, 0u);
}

// Where the route has no time-out the idle time-out is the limit; nobody was too slow then, either.
TEST_F(Apps, WhoWaitsForAConnectionUntilItIsIdleTooLongGets503) {
  testing::SimServer server(*peers_, At(kFirstApp));
  config::Cluster cluster;
  cluster.circuits[0].connections = 1;
  config::Route route;
  route.timeout = seconds(0);
  route.idle_timeout = seconds(2);
  Configure(1, cluster, route);
  const auto busy = Ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n");
  const auto waits = Ask("GET / HTTP/1.1\r\nhost: a\r\n");
  PassAll(milliseconds(1900));
  busy->Send("h");  // not idle, and not over
  waits->Read();
  EXPECT_EQ(waits->text, "");
  PassAll(milliseconds(200));
  busy->Read();
  EXPECT_EQ(busy->text, "");
  waits->Read();
  EXPECT_TRUE(waits->text.starts_with("HTTP/1.1 503 ")) << waits->text;
}

// The request's host is no field of its head here.
TEST_F(Apps, TheSameHostGoesToTheSameApp) {
  config::Cluster cluster;
  cluster.balancer.kind = config::Balancer::Kind::kRingHash;
  config::Route route;
  route.hash_policy = {{.kind = config::HashPolicy::Kind::kHeader, .name = ":authority"}};
  Start(4, cluster, route);
  EXPECT_EQ(GetMany(12).size(), 1u);
}

TEST_F(Apps, TheSameHashGoesToTheSameApp) {
  config::Cluster cluster;
  cluster.balancer.kind = config::Balancer::Kind::kRingHash;
  config::Route route;
  route.hash_policy = {{.kind = config::HashPolicy::Kind::kHeader, .name = "user", .terminal = true},
                       {.kind = config::HashPolicy::Kind::kQuery, .name = "q"}};
  Start(4, cluster, route);
  std::map<std::string, int> apps;
  for (int user = 0; user < 30; ++user) {
    const std::string field = "user: " + std::to_string(user) + "\r\n";
    const std::string app = Get(field);
    ++apps[app];
    for (int i = 0; i < 3; ++i) ASSERT_EQ(Get(field), app);
  }
  EXPECT_EQ(apps.size(), 4u);
  EXPECT_EQ(GetMany(60).size(), 4u) << "without it: any";
}

TEST_F(Apps, HashesAreMixedUntilOneThatIsTerminal) {
  config::Cluster cluster;
  cluster.balancer.kind = config::Balancer::Kind::kRingHash;
  config::Route route;
  route.hash_policy = {{.kind = config::HashPolicy::Kind::kHeader, .name = "user", .terminal = true},
                       {.kind = config::HashPolicy::Kind::kQuery, .name = "q"}};
  const auto apps = [&](const std::string& field) {
    std::map<std::string, int> answers;
    for (int i = 0; i < 30; ++i) {
      path_ = "/?p=1&q=" + std::to_string(i);
      const std::string app = Get(field);
      EXPECT_EQ(Get(field), app);
      ++answers[app];
    }
    return answers.size();
  };
  Start(4, cluster, route);
  EXPECT_EQ(apps("user: u\r\n"), 1u) << "what comes after it does not count";
  EXPECT_EQ(apps(""), 4u);
  route.hash_policy[0].terminal = false;
  Configure(4, cluster, route);
  EXPECT_EQ(apps("user: u\r\n"), 4u);
}

TEST_F(Apps, AClientsAddressIsTheSameOnEachOfItsConnections) {
  config::Cluster cluster;
  cluster.balancer.kind = config::Balancer::Kind::kRingHash;
  config::Route route;
  route.hash_policy = {{.kind = config::HashPolicy::Kind::kSourceIp, .name = ""}};
  Start(4, cluster, route);
  EXPECT_EQ(GetMany(20).size(), 1u);
}

TEST_F(Apps, AClientWithoutTheCookieIsGivenOneThatLeadsBack) {
  config::Cluster cluster;
  cluster.balancer.kind = config::Balancer::Kind::kMaglev;
  config::Route route;
  route.hash_policy = {
      {.kind = config::HashPolicy::Kind::kCookie, .name = "lb", .ttl = seconds(60), .path = "/x"}};
  Start(4, cluster, route);
  for (int client = 0; client < 10; ++client) {
    const std::string app = Get();
    const size_t at = answer_.find("set-cookie: lb=");
    ASSERT_NE(at, std::string::npos) << answer_;
    const std::string cookie = answer_.substr(at + 12, answer_.find("\r\n", at) - at - 12);
    EXPECT_TRUE(cookie.ends_with("; Max-Age=60; Path=/x; HttpOnly")) << cookie;
    const std::string value = cookie.substr(0, cookie.find(';'));
    for (int i = 0; i < 3; ++i) {
      ASSERT_EQ(Get("cookie: other=1; " + value + "\r\n"), app);
      EXPECT_EQ(answer_.find("set-cookie"), std::string::npos);
    }
  }
  route.hash_policy[0].ttl = seconds(0);
  Configure(4, cluster, route);
  Get();
  EXPECT_NE(answer_.find("; Path=/x; HttpOnly"), std::string::npos) << answer_;
  EXPECT_EQ(answer_.find("Max-Age"), std::string::npos) << "it is kept until the client ends";
}

}  // namespace
}  // namespace pillion::worker
