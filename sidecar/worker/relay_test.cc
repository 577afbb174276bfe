// Relayed connections through a whole engine on a simulated network: what both ends see, and how it is found
// out that a connection is to be relayed.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/testing/sim_peer.h"
#include "sidecar/worker/engine_fixture.h"

namespace pillion::worker {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::SimPeer;
using testing::SimServer;

constexpr uint16_t kPort = 15001;
constexpr uint16_t kServerPort = 6000;
constexpr uint16_t kDeadPort = 6001;
constexpr size_t kBufferBytes = 10'000;

class RelayTest : public EngineFixture {
 protected:
  explicit RelayTest(time::Duration max_delay = {})
      : EngineFixture(max_delay), server_(*peers_, At(kServerPort)) {
    tcp_->listener = "l";
    tcp_->stream_buffer_bytes = kBufferBytes;
    tcp_->clusters = {{"up", 1}};
    tcp_->total_weight = 1;
    tcp_->access_log = config::AccessLog{"kept"};
    AddCluster("up", {kServerPort});
  }
  // The first endpoint has that weight, the others 1.
  void AddCluster(const std::string& name, const std::vector<uint16_t>& ports, uint32_t weight = 1) {
    auto cluster = std::make_shared<config::Cluster>();
    cluster->name = name;
    auto assignment = std::make_shared<config::Assignment>();
    for (const uint16_t port : ports) assignment->endpoints.emplace_back().address = At(port);
    assignment->endpoints[0].weight = weight;
    snapshot_->clusters[name] = {cluster, assignment};
  }
  // Of cluster "up", to each of its endpoints.
  void LimitConnections(uint32_t most) {
    auto limited = std::make_shared<config::Cluster>(*snapshot_->clusters["up"].cluster);
    limited->circuits[0].endpoint_connections = most;
    snapshot_->clusters["up"].cluster = limited;
  }
  // A listener with that TCP chain alone, or as the fallback beside one of HTTP.
  void Start(bool with_http = false) {
    auto listener = std::make_shared<config::Listener>();
    listener->name = "l";
    listener->address = At(kPort);
    listener->direction = config::Direction::kOutbound;
    listener->proxy_protocol = proxy_protocol_;
    listener->inspection_timeout = seconds(15);
    listener->continue_after_timeout = continue_after_timeout_;
    config::ListenerEntry entry;
    if (with_http) {
      listener->inspect_tls = listener->inspect_http = true;
      auto http = std::make_shared<config::HttpServer>();
      http->name = "l";
      config::FilterChain& chain = listener->chains.emplace_back();
      chain.match.application_protocols = {"http/1.0", "http/1.1", "h2c"};
      chain.http = http;
      auto table = std::make_shared<config::RouteTable>();
      config::Route route;
      route.direct = config::DirectResponse{200, "by http"};
      table->virtual_hosts.push_back({"all", {"*"}, {route}});
      entry.routes.push_back(table);
    }
    listener->chains.emplace_back().tcp = tcp_;
    entry.routes.emplace_back();
    entry.listener = listener;
    snapshot_->listeners["l"] = entry;
    Apply(snapshot_);
  }
  std::unique_ptr<SimPeer> Connect() {
    auto client = std::make_unique<SimPeer>(*peers_, At(kPort));
    Pass(milliseconds(1));
    return client;
  }
  // Sends piece by piece, and reads at the other end as it comes.
  void Carry(SimPeer& from, SimPeer& to, std::string_view bytes) {
    while (!bytes.empty()) {
      bytes.remove_prefix(from.SendSome(bytes.substr(0, 1000)));
      Pass(milliseconds(1));
      to.Read();
    }
    Pass(milliseconds(100));
    to.Read();
  }
  const telemetry::TcpStats& Stats() { return stats_.Tcp({"l", "up"}); }
  telemetry::RequestRecord TakeLog() {
    auto records = engine_.records().Take();
    EXPECT_EQ(records.size(), 1u);
    return records.empty() ? telemetry::RequestRecord() : std::move(records[0]);
  }

  SimServer server_;
  std::shared_ptr<config::TcpServer> tcp_ = std::make_shared<config::TcpServer>();
  std::shared_ptr<config::Snapshot> snapshot_ = std::make_shared<config::Snapshot>();
  std::optional<config::ProxyProtocolIn> proxy_protocol_;
  bool continue_after_timeout_ = false;
};

std::string Pattern(size_t bytes) {
  std::string text;
  for (size_t i = 0; i < bytes; ++i) text += static_cast<char>('a' + i % 23);
  return text;
}

TEST_F(RelayTest, BytesGoBothWaysAndEachEndIsPassedOnAlone) {
  Start();
  auto client = Connect();
  ASSERT_EQ(server_.taken.size(), 1u);
  SimPeer& server = *server_.taken[0];
  const std::string up = Pattern(50'000);
  Carry(*client, server, up);
  EXPECT_EQ(server.text, up);
  EXPECT_FALSE(server.ended);
  client->EndSending();
  Pass(milliseconds(10));
  server.Read();
  EXPECT_TRUE(server.ended);
  client->Read();
  EXPECT_FALSE(client->ended) << "the other direction goes on";
  const std::string down = Pattern(30'000);
  Carry(server, *client, down);
  EXPECT_EQ(client->text, down);
  server.EndSending();
  Pass(milliseconds(10));
  client->Read();
  EXPECT_TRUE(client->ended);
  EXPECT_FALSE(client->reset);
  EXPECT_TRUE(engine_.Drained(false)) << "both have ended";
  EXPECT_EQ(Stats().opened.value(), 1u);
  EXPECT_EQ(Stats().closed.value(), 1u);
  EXPECT_EQ(Stats().received_bytes.value(), up.size());
  EXPECT_EQ(Stats().sent_bytes.value(), down.size());
  const telemetry::RequestRecord record = TakeLog();
  EXPECT_EQ(record.protocol, "TCP");
  EXPECT_EQ(record.request_bytes, up.size());
  EXPECT_EQ(record.response_bytes, down.size());
  EXPECT_EQ(record.cluster, "up");
}

TEST_F(RelayTest, AServerThatEndsFirstIsHeardAndStillSpokenTo) {
  Start();
  auto client = Connect();
  SimPeer& server = *server_.taken.at(0);
  server.Send("bye");
  server.EndSending();
  Pass(milliseconds(10));
  client->Read();
  EXPECT_EQ(client->text, "bye");
  EXPECT_TRUE(client->ended);
  Carry(*client, server, "still here");
  EXPECT_EQ(server.text, "still here");
  EXPECT_FALSE(server.ended);
}

TEST_F(RelayTest, ResetsArePassedOnAsResets) {
  Start();
  for (const bool by_client : {true, false}) {
    auto client = Connect();
    SimPeer& server = *server_.taken.back();
    (by_client ? *client : server).Reset();
    Pass(milliseconds(10));
    SimPeer& other = by_client ? server : *client;
    other.Read();
    EXPECT_TRUE(other.reset);
    EXPECT_FALSE(other.ended);
    EXPECT_TRUE(engine_.Drained(false));
    EXPECT_EQ(TakeLog().detail,
              by_client ? "the client reset the connection" : "the upstream reset the connection");
  }
}

TEST_F(RelayTest, ASideThatDoesNotReadStopsTheOther) {
  Start();
  auto client = Connect();
  SimPeer& server = *server_.taken.at(0);
  const std::string all = Pattern(1'000'000);
  size_t sent = 0;
  for (int i = 0; i < 3000; ++i) {
    sent += client->SendSome(std::string_view(all).substr(sent, 1000));
    Pass(milliseconds(1));
  }
  // Two directions of the network, the relay, and one read of 64 KiB at most.
  EXPECT_LE(sent, 2 * kNetworkBytes + kBufferBytes + 65536);
  EXPECT_GE(sent, kBufferBytes);
  std::string left = all.substr(sent);
  while (!left.empty()) {
    left.erase(0, client->SendSome(left));
    server.Read();
    Pass(milliseconds(1));
  }
  for (size_t before = 0; before != server.text.size();) {
    before = server.text.size();
    Pass(seconds(1));
    server.Read();
  }
  EXPECT_EQ(server.text.size(), all.size());
  EXPECT_TRUE(server.text == all)
      << "differs at "
      << std::mismatch(server.text.begin(), server.text.end(), all.begin()).first - server.text.begin();
}

// The server resets; what it had said before has arrived, and the client takes its time.
TEST_F(RelayTest, WhatCameBeforeAResetIsStillDelivered) {
  Start();
  auto client = Connect();
  SimPeer& server = *server_.taken.at(0);
  const std::string all = Pattern(200'000);
  size_t sent = 0;
  for (int i = 0; i < 300 && sent < all.size(); ++i) {
    sent += server.SendSome(std::string_view(all).substr(sent, 1000));
    Pass(milliseconds(1));
  }
  server.Reset();
  Pass(milliseconds(100));
  EXPECT_FALSE(engine_.Drained(false)) << "the client has not got what is here";
  for (size_t before = SIZE_MAX; before != client->text.size();) {
    before = client->text.size();
    client->Read();
    Pass(milliseconds(100));
  }
  // What the network had not delivered is lost; the relay's part is not.
  EXPECT_GE(client->text.size() + 2 * kNetworkBytes, sent);
  EXPECT_TRUE(all.starts_with(client->text));
  EXPECT_TRUE(client->reset);
}

TEST_F(RelayTest, TheOneThatHoldsMostIsGivenUpWhereMemoryIsShort) {
  Start();
  auto idle = Connect();
  auto busy = Connect();
  EXPECT_EQ(engine_.ShedLargest(), 0u) << "nothing is held";
  const std::string all = Pattern(100'000);
  for (size_t sent = 0, i = 0; i < 100; ++i) {
    sent += busy->SendSome(std::string_view(all).substr(sent, 1000));
    Pass(milliseconds(1));
  }
  EXPECT_EQ(engine_.ShedLargest(), 1u);
  Pass(milliseconds(10));
  busy->Read();
  EXPECT_TRUE(busy->reset);
  server_.taken.at(1)->Read();
  EXPECT_TRUE(server_.taken.at(1)->reset) << "bytes are missing: it must not look like an end";
  EXPECT_EQ(TakeLog().detail, "memory is short");
  EXPECT_EQ(stats_.worker.shed_streams.value(), 1u);
  Carry(*idle, *server_.taken.at(0), "still here");
  EXPECT_EQ(server_.taken.at(0)->text, "still here");
}

TEST_F(RelayTest, SilenceEndsIt) {
  tcp_->idle_timeout = hours(1);
  Start();
  auto client = Connect();
  Pass(hours(1) - seconds(1));
  client->Send("x");
  Pass(hours(1) - seconds(1));
  EXPECT_FALSE(engine_.Drained(false));
  Pass(seconds(2));
  EXPECT_TRUE(engine_.Drained(false));
  EXPECT_EQ(TakeLog().detail, "no byte for too long");
  EXPECT_EQ(stats_.worker.client_idle.value(), 1u);
  for (SimPeer* end : {client.get(), server_.taken.at(0).get()}) {
    end->Read();
    EXPECT_TRUE(end->reset);
    EXPECT_FALSE(end->ended) << "nobody has ended it";
  }
}

TEST_F(RelayTest, WhatIsHeldWhenTheTimeIsOverIsNotFollowedByAnEnd) {
  tcp_->idle_timeout = hours(1);
  Start();
  auto client = Connect();
  SimPeer& server = *server_.taken.at(0);
  EXPECT_EQ(client->SendSome(Pattern(3000)), 3000u);
  Pass(milliseconds(1));
  EXPECT_GT(client->SendSome(Pattern(kNetworkBytes)), 0u);
  client->EndSending();
  Pass(milliseconds(10));  // more than the network holds towards a server that does not read
  server.EndSending();
  Pass(hours(2));
  EXPECT_TRUE(engine_.Drained(false));
  server.Read();
  EXPECT_TRUE(server.reset);
  EXPECT_FALSE(server.ended);
  client->Read();
  EXPECT_TRUE(client->ended) << "it was told before";
}

TEST_F(RelayTest, AnUnreachableUpstreamResetsTheClient) {
  AddCluster("up", {kDeadPort});
  Start();
  auto client = Connect();
  Pass(milliseconds(10));
  client->Read();
  EXPECT_TRUE(client->reset);
  EXPECT_FALSE(client->ended) << "an end could be taken for an answer";
  EXPECT_EQ(Stats().failed.value(), 1u);
}

TEST_F(RelayTest, OtherEndpointsAreTriedAsOftenAsAllowed) {
  AddCluster("up", {kDeadPort, kServerPort}, 10);  // its turn again, were it not for its failure
  tcp_->max_connect_attempts = 2;
  Start();
  for (int i = 0; i < 4; ++i) {
    auto client = Connect();
    Pass(milliseconds(10));
    client->Send("hello");
    Pass(milliseconds(10));
    ASSERT_EQ(server_.taken.size(), static_cast<size_t>(i) + 1);
    server_.taken.back()->Read();
    EXPECT_EQ(server_.taken.back()->text, "hello");
    Pass(milliseconds(500));  // it is not asked again before
  }
  EXPECT_GE(stats_.worker.upstream_connect_failures.value(), 2u);
  EXPECT_EQ(Stats().failed.value(), 0u);
}

TEST_F(RelayTest, AnEndpointWithAllItsConnectionsIsPassedOver) {
  const SimServer other(*peers_, At(kDeadPort));
  AddCluster("up", {kServerPort, kDeadPort}, 100);
  LimitConnections(2);
  tcp_->max_connect_attempts = 2;
  Start();
  std::vector<std::unique_ptr<SimPeer>> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(Connect());
    Pass(milliseconds(10));
  }
  EXPECT_EQ(server_.taken.size(), 2u);
  EXPECT_EQ(other.taken.size(), 2u);
  const auto late = Connect();
  Pass(milliseconds(10));
  late->Read();
  EXPECT_TRUE(late->reset);
  EXPECT_EQ(stats_.worker.upstream_connect_failures.value(), 0u) << "nothing speaks against either";
  clients.front()->Reset();
  Pass(milliseconds(10));
  clients.front() = Connect();
  Pass(milliseconds(10));
  EXPECT_EQ(server_.taken.size() + other.taken.size(), 5u);
}

TEST_F(RelayTest, WhoGoesOnToAnotherEndpointIsNoConnectionOfTheFirst) {
  AddCluster("up", {kDeadPort, kServerPort}, 10);
  LimitConnections(2);
  tcp_->max_connect_attempts = 2;
  Start();
  std::vector<std::unique_ptr<SimPeer>> clients;
  for (int i = 0; i < 2; ++i) {
    clients.push_back(Connect());
    Pass(milliseconds(500));
  }
  EXPECT_GE(stats_.worker.upstream_connect_failures.value(), 1u) << "or nothing went on";
  const auto& endpoints = engine_.clusters().Find("up")->endpoints();
  EXPECT_EQ(endpoints[0]->connections()->held(), 0);
  EXPECT_EQ(endpoints[1]->connections()->held(), 2);
}

// By their addresses, which a header tells here, and not their ports.
TEST_F(RelayTest, ClientsOfOneAddressGoToOneEndpointWhereTheClusterHashes) {
  const SimServer other(*peers_, At(kDeadPort));
  proxy_protocol_.emplace();
  for (const auto kind : {config::Balancer::Kind::kMaglev, config::Balancer::Kind::kRingHash}) {
    AddCluster("up", {kServerPort, kDeadPort});
    auto hashing = std::make_shared<config::Cluster>(*snapshot_->clusters["up"].cluster);
    hashing->balancer.kind = kind;
    snapshot_ = std::make_shared<config::Snapshot>(*snapshot_);
    snapshot_->clusters["up"].cluster = hashing;
    tcp_ = std::make_shared<config::TcpServer>(*tcp_);
    tcp_->hash_client = true;
    Start();
    size_t to_first = 0;
    std::vector<std::unique_ptr<SimPeer>> clients;
    for (int client = 0; client < 20; ++client) {
      const size_t before = server_.taken.size();
      for (int port = 1000; port < 1004; ++port) {
        clients.push_back(Connect());
        clients.back()->Send("PROXY TCP4 10.0.0." + std::to_string(client) + " 10.1.1.1 " +
                             std::to_string(port) + " 80\r\nhello");
        Pass(milliseconds(10));
      }
      const size_t there = server_.taken.size() - before;
      EXPECT_TRUE(there == 0 || there == 4) << client;
      to_first += there / 4;
    }
    EXPECT_GE(to_first, 3u);
    EXPECT_LE(to_first, 17u);
  }
}

TEST_F(RelayTest, ClustersGetTheirShare) {
  AddCluster("other", {kDeadPort});
  tcp_->clusters = {{"up", 3}, {"other", 1}};
  tcp_->total_weight = 4;
  Start();
  for (int i = 0; i < 400; ++i) Connect();
  Pass(seconds(1));
  EXPECT_NEAR(static_cast<double>(server_.taken.size()), 300, 40);
  EXPECT_EQ(server_.taken.size() + stats_.Tcp({"l", "other"}).failed.value(), 400u);
}

TEST_F(RelayTest, AUnknownClusterResetsTheClient) {
  tcp_->clusters = {{"gone", 1}};
  Start();
  auto client = Connect();
  client->Read();
  EXPECT_TRUE(client->reset);
}

TEST_F(RelayTest, TheDeadlineOfADrainEndsIt) {
  Start();
  auto client = Connect();
  engine_.Drain(false);
  Pass(seconds(5));
  SimPeer& server = *server_.taken.at(0);
  Carry(*client, server, "goes on");
  EXPECT_EQ(server.text, "goes on");
  EXPECT_FALSE(engine_.Drained(false));
  engine_.Abort();
  Pass(milliseconds(10));
  EXPECT_TRUE(engine_.Drained(false));
  client->Read();
  EXPECT_TRUE(client->reset);
  EXPECT_FALSE(client->ended);
}

// Detection.

TEST_F(RelayTest, HttpAndOtherBytesAreToldApartHoweverTheyAreCut) {
  Start(true);
  const std::pair<std::string, bool> cases[] = {{"GET / HTTP/1.1\r\nhost: a\r\n\r\n", true},
                                                {"EHLO a.example\r\n", false},
                                                {"PRI * HTTP/2.0\r\n\r\nXX", false},
                                                {"\x16\x03\x01", false},
                                                {"*1\r\n$4\r\nPING\r\n", false}};
  for (const auto& [bytes, http] : cases) {
    for (size_t cut = 1; cut <= bytes.size(); ++cut) {
      const size_t before = server_.taken.size();
      auto client = Connect();
      client->Send(bytes.substr(0, cut));
      Pass(milliseconds(1));
      client->Send(bytes.substr(cut));
      if (bytes == "\x16\x03\x01") client->Send(std::string("\0\0", 2));
      Pass(milliseconds(20));
      client->Read();
      ASSERT_EQ(client->text.ends_with("by http"), http) << bytes << " cut at " << cut;
      if (http) continue;
      ASSERT_EQ(server_.taken.size(), before + 1) << bytes << " cut at " << cut;
      server_.taken.back()->Read();
      EXPECT_TRUE(server_.taken.back()->text.starts_with(bytes));
    }
  }
}

TEST_F(RelayTest, AServerThatSpeaksFirstIsHeardAfterAMomentAndThenAtOnce) {
  Start(true);
  server_.on_accept = [](SimPeer& server) { server.Send("220 hello\r\n"); };
  for (int i = 0; i < 4; ++i) {
    auto client = std::make_unique<SimPeer>(*peers_, At(kPort));
    const bool learned = i >= 2;
    Pass(milliseconds(20));
    client->Read();
    EXPECT_EQ(client->text, learned ? "220 hello\r\n" : "") << i;
    Pass(milliseconds(60));
    client->Read();
    EXPECT_EQ(client->text, "220 hello\r\n") << i;
    client->Send("QUIT\r\n");
    Pass(milliseconds(10));
    server_.taken.back()->Read();
    EXPECT_EQ(server_.taken.back()->text, "QUIT\r\n");
  }
}

TEST_F(RelayTest, WhoWaitsForAServerThatIsGoneIsToldWhereServersSpeakFirst) {
  Start(true);
  server_.on_accept = [](SimPeer& server) { server.Send("220 hello\r\n"); };
  for (int i = 0; i < 2; ++i) {
    auto client = Connect();
    Pass(seconds(1));
  }
  AddCluster("up", {kDeadPort});
  Apply(snapshot_);
  auto client = Connect();
  Pass(seconds(1));
  client->Read();
  EXPECT_TRUE(client->reset);
}

TEST_F(RelayTest, AClientThatSpeaksLateIsStillUnderstood) {
  Start(true);
  for (const bool http : {true, false}) {
    auto client = Connect();
    Pass(seconds(5));  // an upstream connection is waiting by now
    ASSERT_EQ(server_.taken.size(), http ? 1u : 2u);
    client->Send(http ? "GET / HTTP/1.1\r\nhost: a\r\n\r\n" : "EHLO a\r\n");
    Pass(milliseconds(10));
    client->Read();
    EXPECT_EQ(client->text.ends_with("by http"), http);
    SimPeer& server = *server_.taken.back();
    server.Read();
    EXPECT_EQ(server.text, http ? "" : "EHLO a\r\n");
    EXPECT_EQ(server.ended, http) << "dropped, or used";
    EXPECT_EQ(server_.taken.size(), http ? 1u : 2u);
  }
}

class RelayOverDistanceTest : public RelayTest {
 protected:
  RelayOverDistanceTest() : RelayTest(milliseconds(2)) {}
};

// The connection that was begun on suspicion goes on, for the relay now.
TEST_F(RelayOverDistanceTest, AClientThatSpeaksWhileTheUpstreamIsDialledIsRelayed) {
  Start(true);
  for (int i = 0; i < 200; ++i) {
    auto client = Connect();
    Pass(milliseconds(49));
    client->Send("EHLO a\r\n");
    Pass(milliseconds(20));
    ASSERT_EQ(server_.taken.size(), static_cast<size_t>(i) + 1);
    server_.taken.back()->Read();
    EXPECT_EQ(server_.taken.back()->text, "EHLO a\r\n");
  }
}

TEST_F(RelayTest, WordsThatStayAmbiguousAreGivenUpInTime) {
  for (const bool go_on : {false, true}) {
    continue_after_timeout_ = go_on;
    snapshot_ = std::make_shared<config::Snapshot>(*snapshot_);
    Start(true);
    auto client = Connect();
    client->Send("GET /");
    Pass(seconds(14));
    client->Read();
    EXPECT_FALSE(client->ended || client->reset);
    Pass(seconds(2));
    client->Read();
    EXPECT_EQ(client->ended || client->reset, !go_on);
    if (!go_on) continue;
    server_.taken.back()->Read();
    EXPECT_EQ(server_.taken.back()->text, "GET /");
  }
  EXPECT_EQ(stats_.worker.client_connections_undetected.value(), 1u);
}

TEST_F(RelayTest, AClientThatEndsInAmbiguityIsRelayed) {
  Start(true);
  auto client = Connect();
  client->Send("PRI");
  client->EndSending();
  Pass(milliseconds(10));
  ASSERT_EQ(server_.taken.size(), 1u);
  SimPeer& server = *server_.taken[0];
  server.Read();
  EXPECT_EQ(server.text, "PRI");
  EXPECT_TRUE(server.ended);
  server.Send("what?");
  server.EndSending();
  Pass(milliseconds(10));
  client->Read();
  EXPECT_EQ(client->text, "what?");
}

TEST_F(RelayTest, AProxyHeaderTellsTheClientAndIsTakenOff) {
  proxy_protocol_.emplace();
  Start();
  const std::string header = "PROXY TCP4 9.8.7.6 127.0.0.1 1234 15001\r\n";
  for (size_t cut = 1; cut <= header.size(); ++cut) {
    auto client = Connect();
    client->Send(header.substr(0, cut));
    Pass(milliseconds(1));
    client->Send(header.substr(cut) + "body");
    Pass(milliseconds(10));
    SimPeer& server = *server_.taken.back();
    server.Read();
    ASSERT_EQ(server.text, "body") << cut;
    client->Reset();
    Pass(milliseconds(10));
    EXPECT_EQ(TakeLog().client, "9.8.7.6:1234");
  }
}

TEST_F(RelayTest, WithoutTheProxyHeaderThatIsAskedForThereIsNoConnection) {
  for (const bool may_be_missing : {false, true}) {
    proxy_protocol_ = config::ProxyProtocolIn{.may_be_missing = may_be_missing, .allow_v1 = false};
    snapshot_ = std::make_shared<config::Snapshot>(*snapshot_);
    Start();
    auto none = Connect();
    none->Send("body");
    auto forbidden = Connect();
    forbidden->Send("PROXY UNKNOWN\r\nbody");
    auto broken = Connect();
    broken->Send("PROXY TCP4 x\r\nbody");
    Pass(milliseconds(10));
    EXPECT_EQ(server_.taken.size(), may_be_missing ? 1u : 0u);
    for (SimPeer* client : {forbidden.get(), broken.get()}) {
      client->Read();
      EXPECT_TRUE(client->ended || client->reset);
    }
  }
  EXPECT_EQ(stats_.worker.client_connections_undetected.value(), 5u);
}

// A configuration in which the relay is not served any more: what it was allowed to do may have been revoked.
class RetiredRelayTest : public RelayTest {
 public:
  static constexpr auto kStep = seconds(1);
  void Change() {
    tcp_ = std::make_shared<config::TcpServer>(*tcp_);
    snapshot_ = std::make_shared<config::Snapshot>(*snapshot_);
    Start();
  }
  void Remove() {
    snapshot_ = std::make_shared<config::Snapshot>(*snapshot_);
    snapshot_->listeners.clear();
    Apply(snapshot_);
  }
  void Move() {
    snapshot_ = std::make_shared<config::Snapshot>(*snapshot_);
    auto listener = std::make_shared<config::Listener>(*snapshot_->listeners["l"].listener);
    listener->address = At(kPort + 1);
    snapshot_->listeners["l"].listener = listener;
    Apply(snapshot_);
  }
  // Bytes go on flowing all the time.
  static void Flow(SimPeer& client, SimPeer& server) {
    client.Read();  // first: a reset is told once
    server.Read();
    client.SendSome("more");
  }
};

TEST_F(RetiredRelayTest, ItGoesOnForTheTimeOfADrainAndIsReset) {
  for (const auto retire : {&RetiredRelayTest::Change, &RetiredRelayTest::Remove, &RetiredRelayTest::Move}) {
    Start();
    auto client = Connect();
    SimPeer& server = *server_.taken.back();
    const std::weak_ptr<config::TcpServer> old = tcp_;
    (this->*retire)();
    for (time::Duration passed = kStep; passed < listener::kDrainTimeout; passed += kStep) {
      Pass(kStep);
      Flow(*client, server);
      ASSERT_FALSE(client->ended || client->reset);
    }
    Pass(kStep + milliseconds(1));
    Flow(*client, server);
    EXPECT_TRUE(client->reset);
    EXPECT_TRUE(server.reset);
    EXPECT_TRUE(engine_.Drained(false));
    EXPECT_EQ(TakeLog().detail, "the drain's deadline is over");
    if (old.lock() != tcp_) EXPECT_TRUE(old.expired()) << "nothing keeps its configuration";
    Remove();
    Pass(kStep);
  }
}

TEST_F(RetiredRelayTest, AChainThatWasKeptGoesOnAndItsTimeBeginsWhenItChangesInTheEnd) {
  Start();
  auto client = Connect();
  SimPeer& server = *server_.taken.back();
  Start(true);  // another chain comes to it: this one is kept
  for (time::Duration passed{}; passed < 2 * listener::kDrainTimeout; passed += kStep) {
    Pass(kStep);
    Flow(*client, server);
    ASSERT_FALSE(client->ended || client->reset);
  }
  Change();
  Pass(listener::kDrainTimeout - kStep);
  Flow(*client, server);
  EXPECT_FALSE(client->ended || client->reset);
  Pass(kStep + milliseconds(1));
  Flow(*client, server);
  EXPECT_TRUE(client->reset);
}

}  // namespace
}  // namespace pillion::worker
