// What a whole engine makes of attempts whose answers do not begin, on a simulated network and virtual time.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/exchange/exchange.h"
#include "sidecar/testing/sim_peer.h"
#include "sidecar/worker/engine_fixture.h"

namespace pillion::worker {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint16_t kPort = 15001;
constexpr uint16_t kFirstApp = 9000;

class Hedges : public EngineFixture {
 protected:
  Hedges() {
    policy_.on = config::kRetry5xx;
    policy_.max_retries = 2;
    policy_.per_try_timeout = milliseconds(100);
    policy_.hedge.on_per_try_timeout = true;
    policy_.backoff_base = policy_.backoff_max = milliseconds(1);
  }
  void Start(size_t apps, config::Cluster cluster = {}) {
    ProxyConfig proxy(kPort, kFirstApp);
    proxy.server->http.allow_explain = true;
    proxy.server->http.access_log = config::AccessLog{"kept"};
    cluster.name = "app";
    auto assignment = std::make_shared<config::Assignment>();
    for (size_t i = 0; i < apps; ++i) {
      const net::Address at = At(static_cast<uint16_t>(kFirstApp + i));
      assignment->endpoints.emplace_back().address = at;
      if (i < labels_.size()) assignment->endpoints.back().labels = labels_[i];
      apps_.push_back(std::make_unique<testing::SimServer>(*peers_, at));
      apps_.back()->on_accept = [this](testing::SimPeer& peer) { taken_.push_back(&peer); };
    }
    proxy.snapshot->clusters["app"] = {std::make_shared<const config::Cluster>(cluster), assignment};
    auto table = std::make_shared<config::RouteTable>();
    config::Route route;
    route.name = "r";
    route.match.text = "/";
    route.clusters = {{"app", 1}};
    route.total_weight = 1;
    route.timeout = seconds(5);
    route.retry = policy_;
    table->virtual_hosts.push_back({"all", {"*"}, {route}});
    proxy.snapshot->listeners["l"].routes = {table};
    Apply(proxy.snapshot);
  }
  std::unique_ptr<testing::SimPeer> Ask(const std::string& method = "GET", const std::string& rest = "\r\n") {
    auto client = std::make_unique<testing::SimPeer>(*peers_, At(kPort));
    Pass(milliseconds(1));
    client->Send(method + " / HTTP/1.1\r\nhost: a\r\n" + rest);
    Pass(milliseconds(1));
    return client;
  }
  // What has come at the connection that was accepted as number `i`, whoever did.
  const std::string& Seen(size_t i) {
    taken_.at(i)->Read();
    return taken_[i]->text;
  }
  void Answer(size_t i, const std::string& status, const std::string& body) {
    taken_.at(i)->Send("HTTP/1.1 " + status + "\r\ncontent-length: " + std::to_string(body.size()) +
                       "\r\n\r\n" + body);
    Pass(milliseconds(1));
  }
  telemetry::RouteStats& stats() { return stats_.Route({"l", "r", "app"}); }

  config::RetryPolicy policy_;
  std::vector<config::Labels> labels_;  // of the first apps
  std::vector<std::unique_ptr<testing::SimServer>> apps_;
  std::vector<testing::SimPeer*> taken_;  // connections of apps, in the order of their coming
};

bool Got(testing::SimPeer& client, std::string_view status, std::string_view body) {
  client.Read();
  return client.text.starts_with("HTTP/1.1 " + std::string(status)) && client.text.ends_with(body);
}

TEST_F(Hedges, AnotherIsAskedAndTheFirstThatAnswersWins) {
  Start(2);
  const auto client = Ask();
  ASSERT_EQ(taken_.size(), 1u);
  Pass(milliseconds(90));
  ASSERT_EQ(taken_.size(), 1u) << "its time is not over";
  Pass(milliseconds(20));
  ASSERT_EQ(taken_.size(), 2u);
  EXPECT_TRUE(Seen(1).starts_with("GET / HTTP/1.1\r\n"));
  EXPECT_EQ(apps_[0]->taken.size(), 1u) << "the other endpoint";
  Seen(0);
  EXPECT_FALSE(taken_[0]->ended || taken_[0]->reset) << "the first goes on";
  Answer(1, "200 OK", "second");
  EXPECT_TRUE(Got(*client, "200", "second")) << client->text;
  Seen(0);
  EXPECT_TRUE(taken_[0]->ended || taken_[0]->reset) << "nobody waits for it any more";
  EXPECT_EQ(stats().hedges.value(), 1u);
  EXPECT_EQ(stats().hedges_won.value(), 1u);
  EXPECT_EQ(engine_.clusters().Find("app")->active_attempts, 0u);
}

TEST_F(Hedges, TheFirstMayStillWin) {
  Start(2);
  const auto client = Ask();
  Pass(milliseconds(150));
  ASSERT_EQ(taken_.size(), 2u);
  Answer(0, "200 OK", "first");
  EXPECT_TRUE(Got(*client, "200", "first")) << client->text;
  Seen(1);
  EXPECT_TRUE(taken_[1]->ended || taken_[1]->reset);
  EXPECT_EQ(stats().hedges_won.value(), 0u);
}

TEST_F(Hedges, ABadAnswerIsNoneWhileAnotherMayBeGood) {
  Start(3);
  policy_.max_retries = 1;
  const auto client = Ask();
  Pass(milliseconds(150));
  ASSERT_EQ(taken_.size(), 2u);
  Answer(0, "503 Service Unavailable", "bad");
  client->Read();
  EXPECT_EQ(client->text, "");
  Answer(1, "200 OK", "good");
  EXPECT_TRUE(Got(*client, "200", "good")) << client->text;
}

// The later one fails, and no retry is left: the one before it is still there.
TEST_F(Hedges, WhatIsLeftIsWaitedForWhenRetriesAreUsedUp) {
  policy_.max_retries = 1;
  Start(3);
  const auto client = Ask();
  Pass(milliseconds(150));
  ASSERT_EQ(taken_.size(), 2u);
  Answer(1, "503 Service Unavailable", "bad");
  Pass(milliseconds(500));
  client->Read();
  EXPECT_EQ(client->text, "");
  EXPECT_EQ(taken_.size(), 2u);
  Answer(0, "503 Service Unavailable", "last");
  EXPECT_TRUE(Got(*client, "503", "last")) << "nothing is left: " << client->text;
  EXPECT_EQ(engine_.clusters().Find("app")->active_attempts, 0u);
}

// While a retry waits for its back-off, the one before it may answer.
TEST_F(Hedges, ItMayAnswerDuringABackoff) {
  policy_.backoff_max = seconds(3);
  Start(3);
  const auto client = Ask();
  Pass(milliseconds(150));
  ASSERT_EQ(taken_.size(), 2u);
  Answer(1, "503 Service Unavailable\r\nretry-after: 3", "bad");
  EXPECT_EQ(stats().retries.value(), 1u);
  Pass(seconds(1));
  Answer(0, "200 OK", "first");
  EXPECT_TRUE(Got(*client, "200", "first")) << client->text;
  Pass(seconds(10));
  EXPECT_EQ(taken_.size(), 2u);
}

TEST_F(Hedges, AsManyAsThePolicyHasRetries) {
  policy_.max_retries = 2;
  Start(5);
  const auto client = Ask();
  Pass(seconds(2));
  EXPECT_EQ(taken_.size(), 3u);
  EXPECT_EQ(stats().hedges.value(), 2u);
  Pass(seconds(4));
  client->Read();
  EXPECT_TRUE(client->text.starts_with("HTTP/1.1 504 ")) << client->text;
  for (size_t i = 0; i < 3; ++i) {
    Seen(i);
    EXPECT_TRUE(taken_[i]->ended || taken_[i]->reset) << i;
  }
}

TEST_F(Hedges, OneInTheMiddleMayWin) {
  Start(3);
  const auto client = Ask();
  Pass(milliseconds(250));
  ASSERT_EQ(taken_.size(), 3u);
  Answer(1, "200 OK", "second");
  EXPECT_TRUE(Got(*client, "200", "second")) << client->text;
  EXPECT_EQ(stats().hedges_won.value(), 1u) << "it was a hedge itself";
}

TEST_F(Hedges, NotWhereTooLittleTimeIsLeft) {
  Start(2);
  for (int i = 0; i < 40; ++i) stats().AttemptTook(seconds(20));
  const auto client = Ask();
  Pass(seconds(1));
  EXPECT_EQ(taken_.size(), 1u) << "another would take longer than the 4.9 s that are left";
  Answer(0, "200 OK", "late");
  EXPECT_TRUE(Got(*client, "200", "late")) << client->text;
}

// The one that time runs out for was never sent, but the one before it was.
TEST_F(Hedges, WhatWasAskedBeforeMayHaveRun) {
  config::Cluster cluster;
  cluster.connect_timeout = seconds(30);
  Start(2, cluster);
  const auto client = Ask("GET", "x-pillion-explain: 1\r\n\r\n");
  ASSERT_EQ(taken_.size(), 1u);
  const size_t other = apps_[0]->taken.empty() ? 0 : 1;
  network_.BlackHole(At(static_cast<uint16_t>(kFirstApp + other)), true);
  Pass(seconds(6));
  EXPECT_EQ(stats().hedges.value(), 1u);
  EXPECT_EQ(taken_.size(), 1u);
  client->Read();
  EXPECT_TRUE(client->text.starts_with("HTTP/1.1 504 ")) << client->text;
  EXPECT_NE(client->text.find("outcome=ambiguous"), std::string::npos) << client->text;
}

TEST_F(Hedges, NotForWhatMayNotRunTwice) {
  Start(2);
  const auto client = Ask("POST", "content-length: 2\r\n\r\nhi");
  Pass(seconds(1));
  ASSERT_EQ(taken_.size(), 1u);
  EXPECT_TRUE(Got(*client, "504", "")) << "its per-try time-out is one: " << client->text;
}

TEST_F(Hedges, WhatLatencyWouldHedgeSoonerKeepsItsTimeoutWhereItMayNotRunTwice) {
  policy_.hedge = {.on_per_try_timeout = true, .quantile = 0.9, .at_least = milliseconds(20)};
  Start(2);
  for (int i = 0; i < 40; ++i) stats().AttemptTook(milliseconds(1));
  const auto client = Ask("POST", "content-length: 2\r\n\r\nhi");
  Pass(milliseconds(60));
  client->Read();
  EXPECT_EQ(client->text, "");
  Pass(milliseconds(60));
  EXPECT_TRUE(Got(*client, "504", "")) << client->text;
  EXPECT_EQ(taken_.size(), 1u);
}

TEST_F(Hedges, NotWhereNoOtherEndpointIs) {
  Start(2);
  const auto first = Ask();
  Pass(seconds(1));
  EXPECT_EQ(taken_.size(), 2u) << "each once, although two retries are left";
  EXPECT_EQ(stats().hedges.value(), 1u);
}

TEST_F(Hedges, ButWhereThePolicySaysSoWithTheBody) {
  policy_.non_idempotent = true;
  Start(2);
  const auto client = Ask("POST", "content-length: 2\r\n\r\n");
  Pass(seconds(1));
  EXPECT_EQ(taken_.size(), 1u) << "the request has not ended";
  client->Send("hi");
  Pass(milliseconds(50));
  EXPECT_EQ(taken_.size(), 1u) << "it waits from its end on";
  Pass(milliseconds(100));
  ASSERT_EQ(taken_.size(), 2u);
  EXPECT_TRUE(Seen(1).ends_with("\r\n\r\nhi")) << Seen(1);
  Answer(1, "200 OK", "ok");
  EXPECT_TRUE(Got(*client, "200", "ok")) << client->text;
}

TEST_F(Hedges, TheBudgetPaysForThem) {
  config::Cluster cluster;
  cluster.retry_budget = {.share = 0, .per_second = 0};
  Start(2, cluster);
  const auto client = Ask();
  Pass(seconds(1));
  EXPECT_EQ(taken_.size(), 1u);
  Answer(0, "200 OK", "late");
  EXPECT_TRUE(Got(*client, "200", "late"));
}

TEST_F(Hedges, TheyCountInTheCircuitOfRetriesUntilTheyEnd) {
  config::Cluster cluster;
  cluster.circuits[0].retries = 1;
  Start(3, cluster);
  const auto first = Ask();
  Pass(milliseconds(150));
  ASSERT_EQ(taken_.size(), 2u);
  const auto second = Ask();
  Pass(milliseconds(150));
  ASSERT_EQ(taken_.size(), 3u) << "none for the second: the first one's is under way";
  Answer(0, "200 OK", "ok");
  EXPECT_TRUE(Got(*first, "200", "ok"));
  const auto third = Ask();
  Pass(milliseconds(150));
  EXPECT_EQ(stats().hedges.value(), 2u) << "its own, and one beside it";
}

TEST_F(Hedges, AClientThatGoesTakesAllWithIt) {
  Start(2);
  const auto client = Ask();
  Pass(milliseconds(150));
  ASSERT_EQ(taken_.size(), 2u);
  client->Reset();
  Pass(milliseconds(5));
  for (size_t i = 0; i < 2; ++i) {
    Seen(i);
    EXPECT_TRUE(taken_[i]->ended || taken_[i]->reset) << i;
  }
  EXPECT_EQ(engine_.clusters().Find("app")->active_attempts, 0u);
}

TEST_F(Hedges, AfterAsLongAsMostAnswersTake) {
  policy_.per_try_timeout = {};
  policy_.hedge = {.quantile = 0.9, .at_least = milliseconds(20)};
  Start(2);
  const auto ask = [&](milliseconds takes) {
    const size_t before = taken_.size();
    const auto client = Ask();
    Pass(takes);
    size_t asked = 0;
    for (testing::SimPeer* const peer : taken_) {
      peer->Read();
      if (peer->text.empty()) continue;
      ++asked;
      peer->text.clear();
      peer->Send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    }
    Pass(milliseconds(1));
    EXPECT_TRUE(Got(*client, "200", "\r\n\r\n")) << client->text << before;
    return asked;
  };
  EXPECT_EQ(ask(seconds(2)), 1u) << "nothing is known yet";
  for (int i = 0; i < 40; ++i) EXPECT_EQ(ask(milliseconds(3)), 1u);
  EXPECT_EQ(ask(milliseconds(15)), 1u) << "longer than most, but not as long as the policy wants at least";
  EXPECT_EQ(ask(milliseconds(30)), 2u);
}

// One that is ended by its own time leaves the other alone.
TEST_F(Hedges, ByLatencyEachAttemptKeepsItsOwnTimeout) {
  policy_.hedge = {.quantile = 0.9, .at_least = milliseconds(50)};
  policy_.max_retries = 1;
  Start(2);
  for (int i = 0; i < 40; ++i) stats().AttemptTook(milliseconds(1));
  const auto client = Ask();
  Pass(milliseconds(60));
  ASSERT_EQ(taken_.size(), 2u);
  Pass(milliseconds(50));
  Seen(0);
  EXPECT_TRUE(taken_[0]->ended || taken_[0]->reset) << "100 ms";
  Seen(1);
  EXPECT_FALSE(taken_[1]->ended || taken_[1]->reset);
  Answer(1, "200 OK", "ok");
  EXPECT_TRUE(Got(*client, "200", "ok"));
}

TEST_F(Hedges, NoRetryWhereTooLittleTimeIsLeftForWhatAttemptsUsuallyTake) {
  policy_.hedge = {};
  policy_.per_try_timeout = {};
  Start(2);
  for (int i = 0; i < 40; ++i) stats().AttemptTook(seconds(20));
  const auto client = Ask("GET", "x-pillion-explain: 1\r\n\r\n");
  Answer(0, "503 Service Unavailable", "busy");
  EXPECT_TRUE(Got(*client, "503", "busy")) << client->text;
  EXPECT_NE(client->text.find("not_retried=deadline"), std::string::npos) << client->text;
  EXPECT_EQ(taken_.size(), 1u);
  EXPECT_EQ(stats().not_retried[static_cast<size_t>(NoRetry::kDeadline)].value(), 1u);
}

TEST_F(Hedges, RetriesAvoidWhomThePolicySays) {
  policy_.hedge = {};
  policy_.per_try_timeout = {};
  policy_.max_retries = 1;
  policy_.avoided = {{{"canary", "true"}}};
  labels_ = {{}, {{"canary", "true"}}, {{"canary", "true"}}, {}};
  config::Cluster cluster;
  cluster.balancer.kind = config::Balancer::Kind::kRandom;
  Start(4, cluster);
  const auto app_of = [&](const testing::SimPeer* peer) {
    const auto took = [&](const auto& app) {
      return std::ranges::any_of(app->taken, [&](const auto& one) { return one.get() == peer; });
    };
    return std::ranges::find_if(apps_, took) - apps_.begin();
  };
  int canaries = 0;
  for (int i = 0; i < 20; ++i) {
    taken_.clear();
    const auto client = Ask();
    ASSERT_EQ(taken_.size(), 1u);
    taken_[0]->Send("HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    Pass(milliseconds(5));
    ASSERT_EQ(taken_.size(), 2u);
    taken_[1]->Send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
    Pass(milliseconds(5));
    EXPECT_TRUE(Got(*client, "200", "ok")) << client->text;
    canaries += app_of(taken_[0]) % 3 == 0 ? 0 : 1;
    EXPECT_EQ(app_of(taken_[1]) % 3, 0) << app_of(taken_[1]);
  }
  EXPECT_GT(canaries, 5) << "for first attempts they are like the others";
}

// Somebody was asked, though not the one that time runs out for: 504, which is not asked for again.
TEST_F(Hedges, ARetryThatFindsNoConnectionInTimeIsTooSlow) {
  policy_.hedge = {};
  policy_.per_try_timeout = {};
  policy_.max_retries = 1;
  config::Cluster cluster;
  cluster.connect_timeout = seconds(30);
  Start(2, cluster);
  const auto client = Ask();
  ASSERT_EQ(taken_.size(), 1u);
  const size_t other = apps_[0]->taken.empty() ? 0 : 1;
  network_.BlackHole(At(static_cast<uint16_t>(kFirstApp + other)), true);
  Answer(0, "503 Service Unavailable", "busy");
  Pass(seconds(6));
  EXPECT_EQ(stats().retries.value(), 1u);
  client->Read();
  EXPECT_TRUE(client->text.starts_with("HTTP/1.1 504 ")) << client->text;
}

// More than is kept has gone: the attempt goes on, and is the only one.
TEST_F(Hedges, ABodyThatIsNotKeptIsCountedLoggedAndExplained) {
  policy_.hedge = {};
  policy_.per_try_timeout = {};
  policy_.non_idempotent = true;
  Start(2);
  const std::string body(exchange::kMaxReplayBytes + 1, 'x');
  const auto client =
      Ask("POST", "x-pillion-explain: 1\r\ncontent-length: " + std::to_string(body.size()) + "\r\n\r\n");
  for (size_t sent = 0, i = 0; i < 1000 && sent < body.size(); ++i) {
    sent += client->SendSome(std::string_view(body).substr(sent));
    Pass(milliseconds(1));
    for (testing::SimPeer* const peer : taken_) peer->Read();
  }
  Answer(0, "503 Service Unavailable", "busy");
  EXPECT_TRUE(Got(*client, "503", "busy")) << client->text;
  EXPECT_NE(client->text.find("not_retried=body; retry_budget=20"), std::string::npos) << client->text;
  EXPECT_EQ(stats().not_retried[static_cast<size_t>(NoRetry::kBody)].value(), 1u);
  const auto records = engine_.records().Take();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].no_retry, NoRetry::kBody);
  EXPECT_EQ(records[0].retry_budget, 20);
}

TEST_F(Hedges, WhatTheBudgetHasLeftIsLoggedAndExplained) {
  policy_.hedge = {};
  policy_.per_try_timeout = {};
  policy_.max_retries = 1;
  Start(2);
  const auto client = Ask("GET", "x-pillion-explain: 1\r\n\r\n");
  Answer(0, "503 Service Unavailable", "busy");
  Pass(milliseconds(5));
  ASSERT_EQ(taken_.size(), 2u);
  Answer(1, "200 OK", "ok");
  EXPECT_TRUE(Got(*client, "200", "ok")) << client->text;
  EXPECT_NE(client->text.find("attempts=2; retry_budget=19"), std::string::npos) << client->text;
  const auto records = engine_.records().Take();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].attempts.size(), 2u);
  EXPECT_EQ(records[0].retry_budget, 19);
  const auto plain = Ask();
  Answer(0, "200 OK", "ok");
  EXPECT_EQ(engine_.records().Take().at(0).retry_budget, -1) << "nothing failed";
}

// The status of a call that has failed comes behind its head, but with it.
TEST_F(Hedges, AGrpcStatusInTrailersIsReasonEnough) {
  policy_ = {};
  policy_.on = config::kRetryGrpcUnavailable;
  policy_.backoff_base = policy_.backoff_max = milliseconds(1);
  policy_.non_idempotent = true;
  Start(3);
  const auto client =
      Ask("POST", "te: trailers\r\ncontent-type: application/grpc\r\ncontent-length: 5\r\n\r\n12345");
  ASSERT_EQ(taken_.size(), 1u);
  const std::string head =
      "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\n\r\n";
  taken_[0]->Send(head + "0\r\ngrpc-status: 14\r\n\r\n");
  Pass(milliseconds(5));
  ASSERT_EQ(taken_.size(), 2u) << "at another one";
  taken_[1]->Send(head + "3\r\nabc\r\n0\r\ngrpc-status: 0\r\n\r\n");
  Pass(milliseconds(5));
  client->Read();
  EXPECT_NE(client->text.find("abc"), std::string::npos) << client->text;
  EXPECT_NE(client->text.find("grpc-status: 0"), std::string::npos) << client->text;
  EXPECT_EQ(taken_.size(), 2u);
}

// Nothing is taken from a client before a connection takes it: what is kept for a retry stays whole.
TEST_F(Hedges, AClientIsHeldBackUntilThereIsAConnection) {
  policy_ = {};
  constexpr size_t kBody = size_t{200} * 1024;  // more than is kept for a retry
  config::Cluster cluster;
  cluster.connect_timeout = milliseconds(100);
  Start(2, cluster);
  const auto before = Ask();
  Answer(0, "200 OK", "ok");
  ASSERT_TRUE(Got(*before, "200", "ok"));
  // It is the other one's turn.
  const size_t other = apps_[0]->taken.empty() ? 0 : 1;
  network_.BlackHole(At(static_cast<uint16_t>(kFirstApp + other)), true);
  const auto client = Ask("POST", "content-length: " + std::to_string(kBody) + "\r\n\r\n");
  const std::string body(kBody, 'x');
  size_t sent = 0;
  for (int i = 0; i < 1000; ++i) {
    sent += client->SendSome(std::string_view(body).substr(sent));
    Pass(milliseconds(1));
    for (testing::SimPeer* const peer : taken_) peer->Read();
  }
  ASSERT_EQ(sent, kBody);
  ASSERT_EQ(taken_.size(), 1u);
  EXPECT_GE(Seen(0).size(), kBody) << "all of it has come at the first one";
  Answer(0, "200 OK", "ok");
  EXPECT_TRUE(Got(*client, "200", "ok")) << client->text;
  EXPECT_EQ(stats().retries.value(), 1u);
}

}  // namespace
}  // namespace pillion::worker
