// Whole engines on a simulated network and virtual time: what clients see of drains, time-outs and slow
// reading.
#include "sidecar/worker/engine_fixture.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <utility>

#include "sidecar/http2/frames.h"
#include "sidecar/testing/sim_peer.h"

namespace pillion::worker {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr uint16_t kPort = 15001;

class Nobody : public net::Observer {
 public:
  void OnReady(bool, bool) override {}
};

class Client : public testing::SimPeer {
 public:
  explicit Client(net::Loop& loop, uint16_t port = kPort) : SimPeer(loop, At(port)) {}
};

class Engines : public EngineFixture {
 protected:
  // One listener that answers `body` itself.
  static std::shared_ptr<config::Snapshot> Snapshot(const config::HttpOptions& http, const std::string& body,
                                                    bool continue_after_timeout = false) {
    auto snapshot = std::make_shared<config::Snapshot>();
    Add(*snapshot, "l", kPort, http, body, continue_after_timeout);
    return snapshot;
  }
  static void Add(config::Snapshot& snapshot, const std::string& name, uint16_t port,
                  const config::HttpOptions& http, const std::string& body,
                  bool continue_after_timeout = false) {
    auto listener = std::make_shared<config::Listener>();
    listener->continue_after_timeout = continue_after_timeout;
    listener->name = name;
    listener->address = At(port);
    listener->direction = config::Direction::kOutbound;
    auto server = std::make_shared<config::HttpServer>();
    server->name = name;
    server->direction = listener->direction;
    server->http = http;
    listener->chains = {{.name = "", .match = {}, .http = server, .tcp = nullptr}};
    auto table = std::make_shared<config::RouteTable>();
    config::Route route;
    route.name = "direct";
    route.direct = config::DirectResponse{200, body};
    table->virtual_hosts.push_back({"all", {"*"}, {route}});
    snapshot.listeners[name] = {listener, {table}};
  }
  // Reads until nothing comes any more.
  void ReadAll(Client& client) {
    for (size_t before = SIZE_MAX; before != client.text.size();) {
      before = client.text.size();
      client.Read();
      Pass(std::chrono::milliseconds(200));
      client.Read();
    }
  }
};

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
constexpr std::string_view kGetAndClose = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

TEST_F(Engines, ARequestThatHadArrivedWhenTheDrainBeganIsAnswered) {
  for (const config::CodecType codec : {config::CodecType::kAuto, config::CodecType::kHttp1}) {
    Engine engine(clock_, *loop_, registry_.NewShard(), 1);
    config::HttpOptions http;
    http.codec = codec;
    engine.Apply(Prepare(Snapshot(http, "hi"), nullptr));
    Client waiting(*peers_);
    Travel();
    waiting.Send(kGet);  // in the accept queue
    Travel();
    engine.Drain(false);
    for (int i = 0; i < 10; ++i) {
      while (engine.RunTurn()) {
      }
      Travel();
    }
    waiting.Read();
    EXPECT_TRUE(waiting.text.starts_with("HTTP/1.1 200 OK\r\n")) << waiting.text;
    EXPECT_NE(waiting.text.find("onnection: close"), std::string::npos) << waiting.text;
    EXPECT_TRUE(engine.Drained(false));
  }
}

// Work of others, in the run queue.
struct Busy final : stream::Runnable {
  stream::Progress Run() override { return stream::Progress::kIdle; }
};

// Its turns are over before the retired listener has run.
TEST_F(Engines, ARequestThatHadArrivedWhenItsListenerWasRemovedIsAnsweredByABusyWorkerToo) {
  Engine engine(clock_, *loop_, registry_.NewShard(), 1, {.look = {}, .longest_turn = time::Duration(-1)});
  engine.Apply(Prepare(Snapshot({}, "hi"), nullptr));
  std::array<Busy, 8> others;
  for (Busy& other : others) engine.turn().Wake(other);
  Client waiting(*peers_);
  Travel();
  waiting.Send(kGet);  // in the accept queue
  Travel();
  engine.Apply(Prepare(std::make_shared<config::Snapshot>(), nullptr));
  EXPECT_FALSE(engine.Drained(false));
  for (int i = 0; i < 20; ++i) {
    engine.TurnOnce(clock_.Now());
    Travel();
  }
  waiting.Read();
  EXPECT_TRUE(waiting.text.starts_with("HTTP/1.1 200 OK\r\n")) << waiting.text;
  EXPECT_TRUE(engine.Drained(false));
  Client late(*peers_);
  Travel();
  EXPECT_FALSE(late.connected());
}

TEST_F(Engines, AnEngineThatEndsDeletesWhateverIsLeftHoweverMuchThatIs) {
  struct Mortal final : stream::Runnable {
    explicit Mortal(int& alive) : alive(alive) { ++alive; }
    ~Mortal() override { --alive; }
    stream::Progress Run() override { return stream::Progress::kDone; }
    int& alive;
  };
  int alive = 0;
  {
    Engine engine(clock_, *loop_, registry_.NewShard(), 1, {.look = {}, .longest_turn = time::Duration(-1)});
    for (int i = 0; i < 50'000; ++i) engine.turn().Wake(*new Mortal(alive));
  }
  EXPECT_EQ(alive, 0);
}

TEST_F(Engines, AClientMayConnectLongBeforeItSpeaksButNotDawdleThen) {
  config::HttpOptions http;
  http.idle_timeout = minutes(10);
  Apply(Snapshot(http, "hi", true));  // which has nothing to do with clients that have nothing to be asked
  Client ahead(*peers_);
  Client dawdler(*peers_);
  Client silent(*peers_);
  Travel();
  dawdler.Send("PRI");  // may become HTTP/2 or HTTP/1
  Pass(minutes(9));
  ahead.Send(kGet);
  Pass(seconds(1));
  for (Client* client : {&ahead, &dawdler, &silent}) client->Read();
  EXPECT_TRUE(ahead.text.ends_with("hi")) << ahead.text;
  EXPECT_TRUE(dawdler.ended || dawdler.reset);
  EXPECT_FALSE(silent.ended || silent.reset);
  Pass(minutes(2));
  silent.Read();
  EXPECT_TRUE(silent.ended || silent.reset);
}

// A loop whose kernel watches no further socket.
class FullLoop : public net::Loop {
 public:
  explicit FullLoop(net::Loop& loop) : loop_(loop) {}
  std::unique_ptr<net::Socket> Connect(const net::Address& to, net::Observer& observer, int* error) override {
    return loop_.Connect(to, observer, error);
  }
  bool Observe(net::Socket&, net::Observer&) override { return false; }
  std::unique_ptr<net::ListenSocket> Listen(const net::Address& at, net::Observer& observer,
                                            int* error) override {
    return loop_.Listen(at, observer, error);
  }
  void Wait(time::MonotonicTime deadline) override { loop_.Wait(deadline); }
  void Wake() override { loop_.Wake(); }

 private:
  net::Loop& loop_;
};

TEST_F(Engines, AClientThatCannotBeWatchedIsClosedAndCounted) {
  FullLoop full(*loop_);
  Engine engine(clock_, full, registry_.NewShard(), 1);
  engine.Apply(Prepare(Snapshot({}, "hi"), nullptr));
  Client client(*peers_);
  Travel();
  while (engine.RunTurn()) {
  }
  Travel();
  client.Read();
  EXPECT_TRUE(client.ended || client.reset);
  const telemetry::WorkerStats& stats = engine.worker_stats();
  EXPECT_EQ(stats.client_connections_shed.value(), 1u);
  EXPECT_EQ(stats.client_connections_closed.value(), stats.client_connections.value());
  EXPECT_TRUE(engine.Drained(false));
}

TEST_F(Engines, ARouteTakesItsShareOfRequests) {
  const auto snapshot = Snapshot({}, "unused");
  auto table = std::make_shared<config::RouteTable>();
  config::Route some;
  some.name = "some";
  some.direct = config::DirectResponse{200, "some"};
  some.match.share = config::Fraction{.numerator = 30, .denominator = 100};
  config::Route rest;
  rest.name = "rest";
  rest.direct = config::DirectResponse{200, "rest"};
  table->virtual_hosts.push_back({"all", {"*"}, {some, rest}});
  snapshot->listeners["l"].routes = {table};
  Apply(snapshot);
  Client client(*peers_);
  Travel();
  constexpr int kRequests = 1000;
  for (int i = 0; i < kRequests; ++i) {
    client.Send(kGet);
    Pass(std::chrono::milliseconds(50));
    client.Read();
  }
  const auto count = [&](std::string_view body) {
    int found = 0;
    for (size_t at = 0; (at = client.text.find(body, at)) != std::string::npos; ++at) ++found;
    return found;
  };
  EXPECT_EQ(count("some") + count("rest"), kRequests);
  EXPECT_NEAR(count("some"), 300, 75) << "5 standard deviations; the seed is fixed";
}

TEST_F(Engines, AnAdoptedConnectionIsServedOrClosedWhenItsListenerIsGone) {
  Apply(Snapshot({}, "hi"));
  const std::unique_ptr<net::Loop> acceptor = network_.NewLoop();  // another worker's
  Nobody nobody;
  int error = 0;
  const auto listening = acceptor->Listen(At(kPort + 1), nobody, &error);
  ASSERT_NE(listening, nullptr);
  for (const auto& [listener, served] : {std::pair("l", true), std::pair("gone", false)}) {
    Client client(*peers_, kPort + 1);
    Travel();
    client.Send(kGet);
    Travel();
    engine_.Adopt(listener, listening->Accept());
    Pass(seconds(1));
    client.Read();
    EXPECT_EQ(client.text.ends_with("hi"), served) << client.text;
    EXPECT_EQ(client.ended || client.reset, !served);
  }
  EXPECT_EQ(engine_.worker_stats().client_connections.value(), 2u);
  EXPECT_EQ(engine_.worker_stats().client_connections_closed.value(),
            2u);  // each counts once, whatever its fate
}

TEST_F(Engines, ARequestOnAKeptConnectionThatTheDrainCrossesIsAnswered) {
  Apply(Snapshot({}, "hi"));
  Client client(*peers_);
  Travel();
  client.Send(kGet);
  Pass(seconds(1));
  client.Read();
  EXPECT_TRUE(client.text.ends_with("hi")) << client.text;
  client.text.clear();
  client.Send(kGet);
  Travel();
  engine_.Drain(false);
  Pass(seconds(5));
  client.Read();
  EXPECT_TRUE(client.text.ends_with("hi")) << client.text;
  EXPECT_NE(client.text.find("onnection: close"), std::string::npos) << client.text;
  EXPECT_TRUE(client.ended);
  EXPECT_TRUE(engine_.Drained(false));
}

TEST_F(Engines, AClientThatHasSaidNothingDoesNotHoldTheDrainUp) {
  Apply(Snapshot({}, "hi"));
  Client client(*peers_);
  Pass(seconds(1));
  engine_.Drain(false);
  Pass(seconds(1));
  EXPECT_TRUE(engine_.Drained(false));
}

TEST_F(Engines, AListenerPushedDuringTheDrainIsNotOpened) {
  const auto first = Snapshot({}, "hi");
  Apply(first);
  engine_.Drain(false);
  const auto second = std::make_shared<config::Snapshot>(*first);
  Add(*second, "late", kPort + 1, {}, "hi");
  Apply(second);
  Pass(seconds(1));
  Client late(*peers_, kPort + 1);
  Pass(seconds(1));
  late.Read();
  EXPECT_TRUE(late.reset);
}

TEST_F(Engines, ASlowClientGetsTheWholeOfItsLastAnswer) {
  const std::string body(30'000, 'b');
  Apply(Snapshot({}, body));
  Client client(*peers_);
  Travel();
  client.Send(kGetAndClose);
  Pass(minutes(1));  // takes nothing for long, but less than an idle stream may
  ReadAll(client);
  EXPECT_TRUE(client.text.ends_with(body)) << client.text.size();
  EXPECT_TRUE(client.ended);
}

TEST_F(Engines, AClientThatEndsItsSideBeforeItHasReadItsAnswerGetsAllOfIt) {
  const std::string body(30'000, 'b');
  Apply(Snapshot({}, body));
  for (const std::string_view request : {kGet, kGetAndClose}) {
    Client client(*peers_);
    Travel();
    client.Send(request);
    Pass(std::chrono::milliseconds(500));
    client.EndSending();
    Pass(std::chrono::milliseconds(500));
    ReadAll(client);
    EXPECT_TRUE(client.text.ends_with(body)) << client.text.size();
    EXPECT_TRUE(client.ended);
  }
}

TEST_F(Engines, AClientThatNeverReadsItsLastAnswerIsLetGo) {
  Apply(Snapshot({}, std::string(30'000, 'b')));
  Client client(*peers_);
  Travel();
  client.Send(kGetAndClose);
  Pass(minutes(1));
  EXPECT_EQ(network_.open_sockets(), 2u);
  Pass(minutes(6));  // stream_idle_timeout is five
  EXPECT_EQ(network_.open_sockets(), 1u);
}

TEST_F(Engines, ABegunHeadEndsAlsoWhereNoTimeoutOfHeadsIsSet) {
  Apply(Snapshot({}, "hi"));
  Client client(*peers_);
  Travel();
  client.Send("GET / HTTP/1.1\r\nhost");
  Pass(minutes(6));
  client.Read();
  EXPECT_TRUE(client.text.starts_with("HTTP/1.1 408 ")) << client.text;
  EXPECT_TRUE(client.ended);
}

TEST_F(Engines, AnEmptyLineBehindARequestIsNotTheBeginningOfAHead) {
  config::HttpOptions http;
  http.request_headers_timeout = seconds(2);
  http.idle_timeout = minutes(1);
  Apply(Snapshot(http, "hi"));
  Client client(*peers_);
  Travel();
  client.Send(std::string(kGet) + "\r\n");
  Pass(seconds(30));
  client.Send("\r\n");
  Pass(seconds(10));
  client.Read();
  EXPECT_TRUE(client.text.ends_with("hi")) << client.text;
  EXPECT_FALSE(client.ended);
  client.text.clear();
  client.Send("\r\n" + std::string(kGet) + "\r\n\r\n");
  Pass(seconds(30));
  client.Read();
  EXPECT_TRUE(client.text.ends_with("hi")) << client.text;
  client.Send("\r\n");
  Pass(seconds(31));
  client.Read();
  EXPECT_TRUE(client.ended) << "it rests since its last request";
}

TEST_F(Engines, EmptyLinesAreCountedHoweverTheyCome) {
  for (const bool at_once : {true, false}) {
    Apply(Snapshot({}, "hi"));
    Client client(*peers_);
    Travel();
    for (int i = 0; i < 5; ++i) {
      client.Send("\r\n");
      if (!at_once) Pass(seconds(1));
    }
    client.Send(std::string(kGet) + "\r\n");
    Pass(seconds(1));
    client.Read();
    EXPECT_TRUE(client.text.starts_with("HTTP/1.1 400 ")) << at_once << client.text;
  }
}

TEST_F(Engines, AnEmptyLineBehindARequestDoesNotHoldTheDrainUp) {
  Apply(Snapshot({}, "hi"));
  Client client(*peers_);
  Travel();
  client.Send(std::string(kGet) + "\r\n");
  Pass(seconds(1));
  engine_.Drain(false);
  Pass(seconds(2));
  EXPECT_TRUE(engine_.Drained(false));
}

TEST_F(Engines, AnHttp2ClientThatOpensNoWindowIsLetGoInTheEnd) {
  config::HttpOptions http;
  http.idle_timeout = minutes(10);
  Apply(Snapshot(http, "hi"));
  Client client(*peers_);
  Travel();
  client.Send(std::string(http2::kPreface) + http2::Raw(http2::kSettings, 0, 0, http2::Setting(4, 0)) +
              http2::Head(1, http2::Get()));
  Pass(minutes(9));
  EXPECT_EQ(network_.open_sockets(), 2u);
  client.Read();
  EXPECT_EQ(client.text.find("hi"), std::string::npos);
  Pass(minutes(2));  // idle: GOAWAY, but the answer may still be taken
  EXPECT_EQ(registry_.shards()[0]->worker.client_idle.value(), 1u);
  EXPECT_EQ(network_.open_sockets(), 2u);
  Pass(minutes(6));
  EXPECT_EQ(network_.open_sockets(), 1u);
}

// A chain for HTTP/1.1 and one for HTTP/2, told apart by the first bytes.
struct TwoChains {
  static std::shared_ptr<const config::HttpServer> Server() {
    auto server = std::make_shared<config::HttpServer>();
    server->name = "l";
    return server;
  }
  std::shared_ptr<const config::HttpServer> http1 = Server();
  std::shared_ptr<const config::HttpServer> http2 = Server();
  std::shared_ptr<config::Snapshot> Snapshot(const std::string& body) const {
    auto listener = std::make_shared<config::Listener>();
    listener->name = "l";
    listener->address = At(kPort);
    listener->direction = config::Direction::kOutbound;
    listener->inspect_http = true;
    config::ListenerEntry entry;
    for (const auto& [http, protocol] : {std::pair(http1, "http/1.1"), std::pair(http2, "h2c")}) {
      config::FilterChain& chain = listener->chains.emplace_back();
      chain.match.application_protocols = {protocol};
      chain.http = http;
      auto table = std::make_shared<config::RouteTable>();
      config::Route route;
      route.direct = config::DirectResponse{200, body};
      table->virtual_hosts.push_back({"all", {"*"}, {route}});
      entry.routes.push_back(table);
    }
    entry.listener = listener;
    auto snapshot = std::make_shared<config::Snapshot>();
    snapshot->listeners["l"] = entry;
    return snapshot;
  }
};

TEST_F(Engines, OfAChangedListenerOnlyTheConnectionsOfChangedChainsDrain) {
  for (const bool first_changes : {true, false}) {
    TwoChains chains;
    Apply(chains.Snapshot("old"));
    Client http1(*peers_);
    Client http2(*peers_);
    Client silent(*peers_);
    Pass(seconds(1));
    http1.Send(kGet);
    http2.Send(http2::ClientStart() + http2::Head(1, http2::Get()));
    ReadAll(http1);
    ReadAll(http2);
    EXPECT_TRUE(http1.text.ends_with("old"));
    (first_changes ? chains.http1 : chains.http2) = TwoChains::Server();
    Apply(chains.Snapshot("new"));
    Pass(seconds(20));
    ReadAll(http1);
    ReadAll(http2);
    EXPECT_EQ(http1.ended, first_changes);
    EXPECT_EQ(http2.ended, !first_changes);
    Client& kept = first_changes ? http2 : http1;
    kept.text.clear();
    kept.Send(first_changes ? http2::Head(3, http2::Get()) : std::string(kGet));
    ReadAll(kept);
    EXPECT_NE(kept.text.find("new"), std::string::npos) << "its routes are the new ones";
    silent.Send(kGet);
    ReadAll(silent);
    EXPECT_TRUE(silent.text.ends_with("new")) << "nothing was decided about it: " << silent.text;
    EXPECT_FALSE(silent.ended);
  }
}

// What may become the preface of HTTP/2, or nothing, is not waited for longer than a head.
TEST_F(Engines, HalfAPrefaceEndsAlsoWhereInspectionGoesOnAfterItsTimeout) {
  TwoChains chains;
  auto http = std::make_shared<config::HttpServer>(*TwoChains::Server());
  http->http.request_headers_timeout = seconds(2);
  chains.http1 = http;
  const auto snapshot = chains.Snapshot("hi");
  auto listener = std::make_shared<config::Listener>(*snapshot->listeners["l"].listener);
  listener->chains[0].match = {};  // for whatever is not found out
  listener->inspection_timeout = seconds(1);
  listener->continue_after_timeout = true;
  snapshot->listeners["l"].listener = listener;
  Apply(snapshot);
  Client client(*peers_);
  Travel();
  client.Send("PRI * HT");
  Pass(seconds(2));
  client.Read();
  EXPECT_FALSE(client.ended || client.reset);
  Pass(seconds(2));
  client.Read();
  EXPECT_TRUE(client.ended || client.reset);
}

TEST_F(Engines, WhoHasSaidNothingYetIsAskedForTheProxyHeaderThatIsNewlyWanted) {
  const TwoChains chains;
  Apply(chains.Snapshot("old"));
  Client with(*peers_);
  Client without(*peers_);
  Pass(seconds(1));
  const auto snapshot = chains.Snapshot("new");
  auto changed = std::make_shared<config::Listener>(*snapshot->listeners["l"].listener);
  changed->proxy_protocol.emplace();
  snapshot->listeners["l"].listener = changed;
  Apply(snapshot);
  with.Send("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + std::string(kGet));
  without.Send(kGet);
  ReadAll(with);
  ReadAll(without);
  EXPECT_TRUE(with.text.ends_with("new")) << with.text;
  EXPECT_EQ(without.text, "");
  EXPECT_TRUE(without.ended || without.reset);
}

// Also in a later generation, when the chain that was kept changes in the end.
TEST_F(Engines, AChainThatWasKeptOnceMayStillChange) {
  TwoChains chains;
  Apply(chains.Snapshot("a"));
  Client client(*peers_);
  Pass(seconds(1));
  client.Send(kGet);
  Pass(seconds(1));
  chains.http2 = TwoChains::Server();
  Apply(chains.Snapshot("b"));
  Pass(seconds(20));
  client.Send(kGet);
  ReadAll(client);
  EXPECT_FALSE(client.ended);
  chains.http1 = TwoChains::Server();
  Apply(chains.Snapshot("c"));
  Pass(seconds(20));
  ReadAll(client);
  EXPECT_TRUE(client.ended);
}

// Answers that were given whole and are not taken belong to no exchange any more.
TEST_F(Engines, AnswersThatNobodyTakesAreGivenUpWhereMemoryIsShort) {
  Apply(Snapshot({}, std::string(30'000, 'b')));
  Client http1(*peers_);
  Travel();
  http1.Send(kGet);
  Pass(seconds(1));
  EXPECT_EQ(engine_.ShedLargest(), 1u);
  Pass(seconds(1));
  http1.Read();
  EXPECT_TRUE(http1.reset) << "what has come must not look whole";
  EXPECT_EQ(engine_.ShedLargest(), 0u);
}

TEST_F(Engines, OfAnHttp2ConnectionOnlyTheStreamsThatHoldAreGivenUp) {
  Apply(Snapshot({}, std::string(30'000, 'b')));
  Client client(*peers_);
  Travel();
  client.Send(http2::ClientStart() + http2::Raw(http2::kSettings, 0, 0, http2::Setting(4, 0)) +
              http2::Head(1, http2::Get()));
  Pass(seconds(1));
  EXPECT_EQ(engine_.ShedLargest(), 1u);
  Pass(seconds(1));
  EXPECT_EQ(engine_.ShedLargest(), 0u);
  client.Read();
  EXPECT_NE(client.text.find(http2::Raw(http2::kRstStream, 0, 1, http2::U32(2))), std::string::npos)
      << "INTERNAL_ERROR";
  EXPECT_FALSE(client.ended);
  client.text.clear();
  client.Send(http2::Raw(http2::kSettings, 0, 0, http2::Setting(4, 1'000'000)) +
              http2::Raw(http2::kWindowUpdate, 0, 0, http2::U32(1'000'000)) + http2::Head(3, http2::Get()));
  ReadAll(client);
  EXPECT_GT(client.text.size(), 30'000u) << "the connection serves on";
}

TEST_F(Engines, AnHttp2ConnectionThatBreaksTheProtocolIsCounted) {
  Apply(Snapshot({}, "hi"));
  Client client(*peers_);
  Travel();
  client.Send(std::string(http2::kPreface) + http2::Raw(http2::kSettings, 0, 0, "") +
              http2::Raw(http2::kData, 0, 1, "no stream"));
  Pass(seconds(1));
  client.Read();
  EXPECT_TRUE(client.ended || client.reset);
  EXPECT_EQ(registry_.shards()[0]->worker.client_protocol_errors.value(), 1u);
}

TEST_F(Engines, RequestRecordsAreBoundedByTheirBytes) {
  config::HttpOptions http;
  http.access_log = config::AccessLog{"kept"};
  Apply(Snapshot(http, "hi"));
  Client client(*peers_);
  Travel();
  std::string request(kGet);
  request.insert(request.size() - 2, "user-agent: " + std::string(3000, 'u') + "\r\n");
  size_t sent = 0;
  for (; sent < 4000; ++sent) {
    client.Send(request);
    Pass(std::chrono::milliseconds(1));
    client.Read();
    client.text.clear();
  }
  EXPECT_LT(engine_.records().Take().size(), telemetry::RecordBuffer::kMaxBytes / 3000);
}

}  // namespace
}  // namespace pillion::worker
