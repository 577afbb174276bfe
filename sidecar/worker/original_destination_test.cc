// Requests and connections that go where their client dialled, or says, through a whole engine on a
// simulated network and virtual time.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/testing/sim_peer.h"
#include "sidecar/worker/engine_fixture.h"

namespace pillion::worker {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::SimPeer;
using testing::SimServer;

constexpr uint16_t kPort = 15001;

net::Address Address(std::string_view text) {
  return net::Address::ParseWithPort(text).value_or(net::Address());
}

const net::Address kFirst = Address("10.0.0.1:80");
const net::Address kSecond = Address("10.0.0.2:81");

class OriginalDestinations : public EngineFixture {
 protected:
  OriginalDestinations() : first_(*peers_, kFirst), second_(*peers_, kSecond) {
    // What the clients dial comes to us; what we dial does not.
    network_.Redirect(*peers_, kFirst, At(kPort));
    network_.Redirect(*peers_, kSecond, At(kPort));
    listener_.original_destination = true;
    cluster_.name = "original";
    cluster_.discovery = config::Cluster::Discovery::kOriginalDestination;
    http_->name = "l";
    http_->port = kPort;
    http_->http.access_log = config::AccessLog{"kept"};
    listener_.name = "l";
    listener_.address = At(kPort);
    listener_.direction = http_->direction = config::Direction::kOutbound;
    listener_.chains.emplace_back().http = http_;
    tcp_->listener = "l";
    tcp_->stream_buffer_bytes = 10'000;
    tcp_->clusters = {{"original", 1}};
    tcp_->total_weight = 1;
  }
  void Start() {
    auto snapshot = std::make_shared<config::Snapshot>();
    cluster_.original_destination = rules_;
    cluster_entry_ = std::make_shared<const config::Cluster>(cluster_);
    snapshot->clusters["original"] = {cluster_entry_, no_endpoints_};
    auto table = std::make_shared<config::RouteTable>();
    config::Route route;
    route.match.text = "/";
    route.clusters = {{"original", 1}};
    route.total_weight = 1;
    table->virtual_hosts.push_back({"all", {"*"}, {route}});
    config::ListenerEntry entry;
    entry.listener = std::make_shared<const config::Listener>(listener_);
    for (size_t i = 0; i < listener_.chain_count(); ++i)
      entry.routes.push_back(listener_.chain(i).http == nullptr ? nullptr : table);
    snapshot->listeners["l"] = entry;
    snapshot_ = snapshot;
    Apply(snapshot);
  }
  std::unique_ptr<SimPeer> Dial(const net::Address& to) {
    auto client = std::make_unique<SimPeer>(*peers_, to);
    Pass(milliseconds(1));
    return client;
  }
  void Ask(SimPeer& client, const std::string& fields = "") {
    client.Send("GET / HTTP/1.1\r\nhost: a\r\n" + fields + "\r\n");
    Pass(milliseconds(10));
  }
  // The last connection of that server gets `body` as the answer to what it asked.
  void Answer(SimServer& server, const std::string& body) {
    ASSERT_FALSE(server.taken.empty());
    SimPeer& asking = *server.taken.back();
    asking.Read();
    EXPECT_TRUE(asking.text.starts_with("GET / HTTP/1.1\r\n")) << asking.text;
    asking.text.clear();
    asking.Send("HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    Pass(milliseconds(10));
  }
  static std::string Taken(SimPeer& client) {
    client.Read();
    return std::exchange(client.text, {});
  }
  // What came back without an answer of a server, and what the log says of it.
  std::pair<std::string, std::string> Refused(SimPeer& client) {
    const std::string text = Taken(client);
    auto records = engine_.records().Take();
    return {text.substr(0, text.find("\r\n")), records.empty() ? "" : records.back().detail};
  }
  size_t Endpoints() { return engine_.clusters().Find("original")->endpoints().size(); }

  SimServer first_;
  SimServer second_;
  config::Cluster cluster_;
  config::OriginalDestination rules_;
  std::shared_ptr<const config::Cluster> cluster_entry_;
  std::shared_ptr<const config::Assignment> no_endpoints_ = std::make_shared<const config::Assignment>();
  config::Listener listener_;
  std::shared_ptr<config::HttpServer> http_ = std::make_shared<config::HttpServer>();
  std::shared_ptr<config::TcpServer> tcp_ = std::make_shared<config::TcpServer>();
  std::shared_ptr<config::Snapshot> snapshot_;
};

TEST_F(OriginalDestinations, RequestsGoWhereTheirClientDialled) {
  Start();
  auto one = Dial(kFirst);
  auto two = Dial(kSecond);
  Ask(*one);
  Ask(*two);
  Answer(first_, "of the first");
  Answer(second_, "of the second");
  EXPECT_TRUE(Taken(*one).ends_with("of the first"));
  EXPECT_TRUE(Taken(*two).ends_with("of the second"));
  // The next request takes the pooled connection.
  Ask(*one);
  Answer(first_, "again");
  EXPECT_TRUE(Taken(*one).ends_with("again"));
  EXPECT_EQ(first_.taken.size(), 1u);
  EXPECT_EQ(Endpoints(), 2u);
}

TEST_F(OriginalDestinations, FilterChainsAreChosenByIt) {
  auto other = std::make_shared<config::HttpServer>(*http_);
  other->http.listener = "second";
  config::FilterChain& chain = listener_.chains.emplace_back();
  chain.http = other;
  chain.match.destination_port = kSecond.port();
  chain.match.destinations.push_back({Address("10.0.0.2:0"), 32});
  Start();
  auto one = Dial(kFirst);
  Ask(*one);
  Answer(first_, "1");
  auto two = Dial(kSecond);
  Ask(*two);
  Answer(second_, "2");
  const auto records = engine_.records().Take();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].reporting->listener, "");
  EXPECT_EQ(records[1].reporting->listener, "second");
}

TEST_F(OriginalDestinations, AFieldOfTheRequestMayNameAnother) {
  rules_.field = "x-to";
  Start();
  auto client = Dial(kFirst);
  Ask(*client, "X-To: 10.0.0.2:81\r\n");
  Answer(second_, "by field");
  EXPECT_TRUE(Taken(*client).ends_with("by field"));
  Ask(*client);
  Answer(first_, "as dialled");
  EXPECT_TRUE(Taken(*client).ends_with("as dialled"));
}

TEST_F(OriginalDestinations, AFieldThatNamesNoAddressIsAnsweredHere) {
  rules_.field = "x-to";
  Start();
  for (const char* wrong : {"", "app:80", "10.0.0.2", "10.0.0.2:", "10.0.0.2:0", "10.0.0.2:65617",
                            "10.0.0.2:81x", "0.0.0.0:81", "[::]:81", "::1:81", "[10.0.0.2]:81"}) {
    auto client = Dial(kFirst);
    Ask(*client, std::string("x-to: ") + wrong + "\r\n");
    const auto [status, detail] = Refused(*client);
    EXPECT_EQ(status, "HTTP/1.1 503 Service Unavailable") << wrong;
    EXPECT_EQ(detail, "the field that names the endpoint has no IP address with a port") << wrong;
  }
  EXPECT_TRUE(first_.taken.empty()) << "nor does it go where the client dialled";
}

TEST_F(OriginalDestinations, ThePortMayBeAnother) {
  rules_.port = kSecond.port();
  SimServer there(*peers_, Address("10.0.0.1:81"));
  Start();
  auto client = Dial(kFirst);
  Ask(*client);
  Answer(there, "on 81");
  EXPECT_TRUE(Taken(*client).ends_with("on 81"));
}

TEST_F(OriginalDestinations, WhoDialsTheListenerItselfGetsNoLoop) {
  rules_.field = "x-to";
  Start();
  auto client = Dial(At(kPort));
  Ask(*client);
  EXPECT_EQ(Refused(*client).first, "HTTP/1.1 508 Loop Detected");
  auto named = Dial(kFirst);
  Ask(*named, "x-to: 127.0.0.1:15001\r\n");
  EXPECT_EQ(Refused(*named).first, "HTTP/1.1 508 Loop Detected");
}

// Without the filter nothing is known of a redirect: the destination is our own address.
TEST_F(OriginalDestinations, AListenerThatDoesNotAskKnowsOfNone) {
  listener_.original_destination = false;
  Start();
  auto client = Dial(kFirst);
  Ask(*client);
  EXPECT_EQ(Refused(*client).first, "HTTP/1.1 508 Loop Detected");
}

TEST_F(OriginalDestinations, WhatAProxySaysOfTheDestinationCounts) {
  listener_.proxy_protocol.emplace();
  Start();
  auto client = Dial(kFirst);
  client->Send("PROXY TCP4 10.9.9.9 10.0.0.2 4000 81\r\n");
  Ask(*client);
  Answer(second_, "as the proxy said");
  auto unknown = Dial(kFirst);
  unknown->Send("PROXY UNKNOWN\r\n");
  Ask(*unknown);
  Answer(first_, "as dialled");
  EXPECT_TRUE(Taken(*unknown).ends_with("as dialled"));
}

// Two chains, so that it is not known which one it is before the client has spoken.
TEST_F(OriginalDestinations, AListenerThatBeginsOrEndsToAskDoesSoForThoseWhoHaveSaidNothingYet) {
  listener_.inspect_http = true;
  listener_.chains[0].match.application_protocols = {"http/1.1"};
  config::FilterChain& other = listener_.chains.emplace_back();
  other.match.application_protocols = {"http/1.0"};
  other.http = http_;
  listener_.original_destination = false;
  Start();
  auto before = Dial(kFirst);
  listener_.original_destination = true;
  Start();
  Ask(*before);
  Answer(first_, "as dialled");
  EXPECT_TRUE(Taken(*before).ends_with("as dialled"));
  auto after = Dial(kSecond);
  listener_.original_destination = false;
  Start();
  Ask(*after);
  EXPECT_EQ(Refused(*after).first, "HTTP/1.1 508 Loop Detected");
  EXPECT_TRUE(second_.taken.empty());
}

TEST_F(OriginalDestinations, ConnectionsAreRelayedWhereTheirClientDialled) {
  listener_.chains[0].http = nullptr;
  listener_.chains[0].tcp = tcp_;
  Start();
  auto client = Dial(kSecond);
  Pass(milliseconds(10));
  ASSERT_EQ(second_.taken.size(), 1u);
  second_.taken[0]->Send("hello");
  client->Send("ping");
  Pass(milliseconds(10));
  second_.taken[0]->Read();
  EXPECT_EQ(second_.taken[0]->text, "ping");
  EXPECT_EQ(Taken(*client), "hello");
  // In use it is not forgotten, however long nothing is said.
  Pass(seconds(60));
  EXPECT_EQ(Endpoints(), 1u);
  client->Reset();
  Pass(seconds(11));
  EXPECT_EQ(Endpoints(), 0u);
  auto itself = Dial(At(kPort));
  Pass(milliseconds(10));
  itself->Read();
  EXPECT_TRUE(itself->reset);
  EXPECT_EQ(stats_.Tcp({"l", "original"}).failed.value(), 1u);
}

TEST_F(OriginalDestinations, RelaysTakeThePortOfThePolicy) {
  rules_.port = kSecond.port();
  SimServer there(*peers_, Address("10.0.0.1:81"));
  listener_.chains[0].http = nullptr;
  listener_.chains[0].tcp = tcp_;
  Start();
  auto client = Dial(kFirst);
  Pass(milliseconds(10));
  EXPECT_EQ(there.taken.size(), 1u);
}

TEST_F(OriginalDestinations, WhatNobodyCallsIsForgottenWithItsConnections) {
  rules_.forget_after = seconds(2);
  Start();
  auto one = Dial(kFirst);
  auto two = Dial(kSecond);
  Ask(*one);
  Answer(first_, "1");
  Ask(*two);
  Answer(second_, "2");
  Ask(*two);  // under way from now on
  for (int i = 0; i < 4; ++i) {
    Pass(seconds(1));
    Ask(*one);
    Answer(first_, "1");
  }
  EXPECT_EQ(Endpoints(), 2u) << "one was called again and again, the other is in use";
  EXPECT_EQ(first_.taken.size(), 1u);
  Pass(seconds(5));
  EXPECT_EQ(Endpoints(), 1u);
  first_.taken[0]->Read();
  EXPECT_TRUE(first_.taken[0]->ended);
  Answer(second_, "late");
  EXPECT_TRUE(Taken(*two).ends_with("late"));
  Pass(seconds(5));
  EXPECT_EQ(Endpoints(), 0u);
  Ask(*one);
  Answer(first_, "again");
  EXPECT_EQ(first_.taken.size(), 2u);
}

TEST_F(OriginalDestinations, AClientCannotMakeAnyNumberOfEndpoints) {
  rules_.field = "x-to";
  Start();
  auto client = Dial(kFirst);
  for (size_t i = 0; i < upstream::kMaxDialledEndpoints + 100; ++i) {
    client->Send("GET / HTTP/1.1\r\nhost: a\r\nx-to: 10.1." + std::to_string(i / 250) + "." +
                 std::to_string(1 + i % 250) + ":80\r\n\r\n");
    Pass(milliseconds(1));
    client->Read();
  }
  EXPECT_EQ(Endpoints(), upstream::kMaxDialledEndpoints);
  Ask(*client);
  Answer(first_, "served all the same");
  EXPECT_TRUE(Taken(*client).ends_with("served all the same"));
}

TEST_F(OriginalDestinations, RequestsUnderWaySurviveConfigurations) {
  Start();
  auto client = Dial(kFirst);
  Ask(*client);
  const size_t before = Endpoints();
  EXPECT_TRUE(engine_.Apply(Prepare(std::make_shared<config::Snapshot>(*snapshot_), nullptr)).empty());
  EXPECT_EQ(Endpoints(), before) << "nothing has changed";
  cluster_.connect_timeout = seconds(1);
  Start();
  EXPECT_EQ(Endpoints(), 0u) << "its connections were made under other options";
  Answer(first_, "of the old one");
  EXPECT_TRUE(Taken(*client).ends_with("of the old one"));
  Ask(*client);
  EXPECT_EQ(first_.taken.size(), 2u);
  Answer(first_, "of the new one");
  EXPECT_TRUE(Taken(*client).ends_with("of the new one"));
  Ask(*client);
  auto without = std::make_shared<config::Snapshot>(*snapshot_);
  without->clusters.clear();
  EXPECT_TRUE(engine_.Apply(Prepare(without, nullptr)).empty());
  Answer(first_, "of none");
  EXPECT_TRUE(Taken(*client).ends_with("of none"));
}

TEST_F(OriginalDestinations, AClusterMayChangeItsKind) {
  Start();
  auto client = Dial(kFirst);
  Ask(*client);
  Answer(first_, "1");
  EXPECT_TRUE(Taken(*client).ends_with("1"));
  auto fixed = std::make_shared<config::Cluster>();
  fixed->name = "original";
  auto assignment = std::make_shared<config::Assignment>();
  assignment->endpoints.emplace_back().address = kSecond;
  auto snapshot = std::make_shared<config::Snapshot>(*snapshot_);
  snapshot->clusters["original"] = {fixed, assignment};
  Apply(snapshot);
  Ask(*client);
  Answer(second_, "2");
  EXPECT_TRUE(Taken(*client).ends_with("2"));
  Start();
  Ask(*client);
  Answer(first_, "3");
  EXPECT_TRUE(Taken(*client).ends_with("3"));
}

TEST_F(OriginalDestinations, CircuitsCountForAllOfThem) {
  cluster_.circuits[0].requests = 1;
  Start();
  auto one = Dial(kFirst);
  auto two = Dial(kSecond);
  Ask(*one);
  Ask(*two);
  EXPECT_EQ(Refused(*two).second, "as many requests are under way to the cluster as its circuit allows");
  Answer(first_, "1");
  Ask(*two);
  Answer(second_, "2");
  EXPECT_TRUE(Taken(*two).ends_with("2"));
}

}  // namespace
}  // namespace pillion::worker
