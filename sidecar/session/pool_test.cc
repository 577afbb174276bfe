// The HTTP/2 pool's limits, and what it does when connections fail, on a simulated network.
#include "sidecar/session/pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/session/pools_fixture.h"

namespace pillion::session {
namespace {

// That others ask a full connection for room is no sign of life of its peer.
TEST_F(Pools, APeerThatHangsIsGivenUpAlsoWhileRequestsCome) {
  cluster_->keep_alive = config::KeepAlive{std::chrono::seconds(1), std::chrono::seconds(1)};
  const auto peers = network_.NewLoop();
  Server server(*peers, At(80), 2);
  std::array<stream::Ticket*, 2> tickets = {};
  for (auto& ticket : tickets) {
    ticket = &Ask();
    Settle(&server);
    Send(*ticket);
  }
  Settle(&server);
  for (int i = 0; i < 6; ++i) {
    Pass(std::chrono::milliseconds(500), nullptr);
    Ask();
  }
  EXPECT_TRUE(tickets[0]->stream->in().error);
  tickets_.clear();
}

// A peer ends the connection that opens streams and gives them up at once: others carry what comes then, and
// the one that is used up leaves. What had time to be answered does not count, but where the peer stands
// still, it will meet head and reset at once.
TEST_F(Pools, StreamsThatAreGivenUpEarlyOrUnheardUseAConnectionUp) {
  struct Case {
    time::Duration waits;
    bool heard;
    int dials;
  };
  uint16_t port = 80;
  for (const auto& [waits, heard, dials] :
       {Case{std::chrono::milliseconds(100), true, 2}, Case{std::chrono::seconds(2), true, 1},
        Case{std::chrono::seconds(2), false, 2}}) {
    const auto peers = network_.NewLoop();
    Server server(*peers, At(++port), 1000);
    UseEndpoint(port);
    loop_.dials = 0;
    for (int round = 0; round < 2; ++round) {
      for (int i = 0; i < 300; ++i) {
        stream::Ticket& ticket = Ask();
        if (!ticket.settled()) Settle(&server);
        Send(ticket);
      }
      Settle(&server);
      Pass(waits / 2, &server);
      if (heard) server.Ping();
      Pass(waits / 2, &server);
      tickets_.clear();
      Settle(&server);
    }
    EXPECT_EQ(loop_.dials, dials) << waits << " " << heard;
    EXPECT_EQ(connections(), 1u) << waits << " " << heard;
  }
}

TEST_F(Pools, AConnectionThatIsUsedUpLeavesAfterItsLastStream) {
  const auto peers = network_.NewLoop();
  Server server(*peers, At(80), 1000);
  const auto ask = [&](int count) {
    for (int i = 0; i < count; ++i) {
      stream::Ticket& ticket = Ask();
      if (!ticket.settled()) Settle(&server);
      Send(ticket);
    }
    Settle(&server);
  };
  ask(350);
  tickets_.resize(1);
  Settle(&server);
  ask(20);  // what it would still bear
  EXPECT_EQ(loop_.dials, 1);
  tickets_.resize(1);
  Settle(&server);
  EXPECT_EQ(connections(), 1u) << "one stream goes on";
  tickets_.clear();
  Settle(&server);
  EXPECT_EQ(connections(), 0u);
  ask(1);
  EXPECT_EQ(loop_.dials, 2);
  tickets_.clear();
  Settle(&server);
  EXPECT_EQ(connections(), 1u) << "it has hardly been used";
}

// The first of many that it will refuse says how many it takes: another connection, by which they will go, is
// not filled with more, or they would be refused once more.
TEST_F(Pools, APeerThatRefusesAStreamTakesNoMoreThanItHadThen) {
  const auto peers = network_.NewLoop();
  Server server(*peers, At(80), 1000);
  for (int i = 0; i < 100; ++i) {
    stream::Ticket& ticket = Ask();
    if (!ticket.settled()) Settle(&server);
    Send(ticket);
  }
  Settle(&server);
  server.Refuse(1 + 2 * 40);
  Settle(&server);
  EXPECT_EQ(tickets_[40]->stream->in().error.outcome, Outcome::kRefused);
  for (int i = 0; i < 50; ++i) Ask();
  Settle(&server);
  EXPECT_EQ(std::ranges::count_if(tickets_, [](const auto& ticket) { return ticket->settled(); }), 150);
  EXPECT_EQ(loop_.dials, 3) << "40 by the second, the others by a third";
  tickets_.clear();
}

TEST_F(Pools, APeerThatHasRoomForFewIsAskedByMoreConnections) {
  const auto peers = network_.NewLoop();
  Server server(*peers, At(80), 1000);
  for (int i = 0; i < 10; ++i) {
    stream::Ticket& ticket = Ask();
    if (!ticket.settled()) Settle(&server);
    Send(ticket);
  }
  Settle(&server);
  server.Refuse(1 + 2 * 5);
  Settle(&server);
  EXPECT_FALSE(Ask().settled());
  Settle(&server);
  EXPECT_TRUE(tickets_.back()->settled());
  EXPECT_EQ(loop_.dials, 2);
  tickets_.clear();
}

// Else it would be behind as many as before on the next connection, and refused again.
TEST_F(Pools, WhoWasRefusedBeforeIsServedFirst) {
  const auto peers = network_.NewLoop();
  Server server(*peers, At(80), 1);
  Send([&]() -> stream::Ticket& {
    stream::Ticket& first = Ask();
    Settle(&server);
    return first;
  }());
  stream::Ticket& waits = Ask();
  auto& again = *tickets_.emplace_back(std::make_unique<stream::Ticket>(&nobody_));
  again.again = true;
  pools_.Acquire(*endpoint_, true, again);
  EXPECT_FALSE(again.settled());
  for (int i = 0; i < 50 && !again.settled() && !waits.settled(); ++i) Step(&server);
  EXPECT_TRUE(again.settled());
  EXPECT_FALSE(waits.settled());
  tickets_.clear();
}

// Connections that were made for clients who did not wait, each introduced as somebody else.
TEST_F(Pools, AnIdleConnectionOfAnotherClientMakesRoom) {
  const auto peers = network_.NewLoop();
  const Server server(*peers, At(80), 1);
  const auto ask_as = [this](size_t client) -> stream::Ticket& {
    auto& ticket = *tickets_.emplace_back(std::make_unique<stream::Ticket>(&nobody_));
    ticket.introduction = std::make_unique<const std::string>("client " + std::to_string(client));
    pools_.Acquire(*endpoint_, false, ticket);
    return ticket;
  };
  for (size_t i = 0; i < kMaxConnectionsPerEndpoint; ++i) ASSERT_FALSE(ask_as(i).error);
  EXPECT_EQ(ask_as(kMaxConnectionsPerEndpoint).error.kind, ErrorKind::kOverflow) << "none is idle";
  tickets_.clear();
  for (int i = 0; i < 200; ++i) Settle(nullptr);
  EXPECT_FALSE(ask_as(kMaxConnectionsPerEndpoint).error);
  EXPECT_NE(ask_as(7).stream, nullptr) << "one that is as wanted is used";
  EXPECT_EQ(endpoint_->http1_pool->connections(), kMaxConnectionsPerEndpoint);
}

// Servers close what is idle for long, and readiness tells of it a turn later.
TEST_F(Pools, WhatWasIdleForLongIsLookedAtBeforeItIsUsedAgain) {
  struct Case {
    std::chrono::milliseconds idle;
    const char* what;  // the server has done
    bool seen;
  };
  uint16_t port = 80;
  for (const Case& one : {Case{std::chrono::milliseconds(1500), "end", true},
                          Case{std::chrono::milliseconds(1500), "reset", true},
                          Case{std::chrono::milliseconds(1500), "said", true},
                          Case{std::chrono::milliseconds(1500), "nothing", false},
                          Case{std::chrono::milliseconds(500), "end", false}}) {
    const auto peers = network_.NewLoop();
    testing::SimServer server(*peers, At(++port));
    UseEndpoint(port);
    loop_.dials = 0;
    stream::Ticket& first = AskHttp1();
    Settle(nullptr);
    Send(first);
    Settle(nullptr);
    ASSERT_EQ(server.taken.size(), 1u);
    server.taken[0]->Send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    Settle(nullptr);
    first.stream.reset();
    Pass(one.idle, nullptr);
    loop_.late = true;
    if (one.what == std::string_view("end")) server.taken.clear();
    if (one.what == std::string_view("reset")) server.taken[0]->Reset();
    if (one.what == std::string_view("said")) server.taken[0]->Send("HTTP/1.1 408 Request Timeout\r\n\r\n");
    Settle(nullptr);
    EXPECT_EQ(AskHttp1().settled(), !one.seen) << one.what << " " << one.idle.count();
    loop_.late = false;
    Settle(nullptr);
    EXPECT_EQ(loop_.dials, one.seen ? 2 : 1) << one.what << " " << one.idle.count();
    tickets_.clear();
    Settle(nullptr);
  }
}

// The circuit's limit: who comes after waits for a connection to be free, in turn.
TEST_F(Pools, BeyondTheClustersConnectionsRequestsWaitForOneToBeFree) {
  cluster_->circuits[0].connections = 2;
  UseEndpoint(80);
  const auto peers = network_.NewLoop();
  testing::SimServer server(*peers, At(80));
  stream::Ticket& first = AskHttp1();
  stream::Ticket& second = AskHttp1();
  stream::Ticket& third = AskHttp1();
  stream::Ticket& fourth = AskHttp1();
  Settle(nullptr);
  EXPECT_NE(first.stream, nullptr);
  EXPECT_NE(second.stream, nullptr);
  EXPECT_FALSE(third.settled());
  EXPECT_EQ(endpoint_->http1_pool->connections(), 2u);
  EXPECT_EQ(loop_.dials, 2);
  Send(first);
  Settle(nullptr);
  for (const auto& peer : server.taken) {
    peer->Read();
    if (!peer->text.empty()) peer->Send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  }
  Settle(nullptr);
  ASSERT_TRUE(first.stream->in().ended);
  first.stream.reset();  // answered: its connection carries the next one
  Settle(nullptr);
  EXPECT_NE(third.stream, nullptr);
  EXPECT_FALSE(fourth.settled());
  EXPECT_EQ(loop_.dials, 2);
  Send(second);
  second.stream.reset();  // given up: its connection ends, and another may be made
  Settle(nullptr);
  EXPECT_NE(fourth.stream, nullptr);
  EXPECT_EQ(loop_.dials, 3);
  EXPECT_EQ(state_->circuits()->held(upstream::Circuit::kConnections, 0), 2);
}

TEST_F(Pools, BeyondTheEndpointsConnectionsRequestsWaitForOneToBeFree) {
  cluster_->circuits[0].endpoint_connections = 2;
  UseEndpoint(80);
  const auto peers = network_.NewLoop();
  const testing::SimServer server(*peers, At(80));
  stream::Ticket& first = AskHttp1();
  stream::Ticket& second = AskHttp1();
  stream::Ticket& third = AskHttp1();
  Settle(nullptr);
  EXPECT_NE(first.stream, nullptr);
  EXPECT_NE(second.stream, nullptr);
  EXPECT_FALSE(third.settled());
  EXPECT_EQ(loop_.dials, 2);
  EXPECT_EQ(endpoint_->connections()->held(), 2);
  EXPECT_EQ(state_->circuits()->held(upstream::Circuit::kConnections, 0), 2);
  EXPECT_EQ(state_->ledger().Counts().refused[0][0], 1u);
  Send(first);
  first.stream.reset();  // given up: its connection ends, and another may be made
  Settle(nullptr);
  EXPECT_NE(third.stream, nullptr);
  EXPECT_EQ(loop_.dials, 3);
  EXPECT_EQ(endpoint_->connections()->held(), 2);
  // Whoever they were made for, they are there; the other priority has no limit.
  auto& high = *tickets_.emplace_back(std::make_unique<stream::Ticket>(&nobody_));
  high.priority = 1;
  pools_.Acquire(*endpoint_, false, high);
  Settle(nullptr);
  EXPECT_NE(high.stream, nullptr);
  EXPECT_EQ(endpoint_->connections()->held(), 3);
  Send(second);
  second.stream.reset();
  EXPECT_FALSE(AskHttp1().settled());
  Settle(nullptr);
  EXPECT_EQ(endpoint_->connections()->held(), 2);
  EXPECT_EQ(loop_.dials, 4) << "two are still there";
}

// Also while what was made under an old configuration is there.
TEST_F(Pools, AnEndpointsConnectionsAreThoseOfAllWorkers) {
  cluster_->circuits[0].endpoint_connections = 3;
  UseEndpoint(80);
  const auto peers = network_.NewLoop();
  const testing::SimServer server(*peers, At(80));
  const testing::SimServer other_server(*peers, At(81));
  const auto assignment = std::make_shared<config::Assignment>();
  for (const uint16_t port : {uint16_t{80}, uint16_t{81}})
    assignment->endpoints.emplace_back().address = At(port);
  const LocalRef<upstream::ClusterState> other(
      new upstream::ClusterState({cluster_, assignment}, upstream::LedgerSeat{ledger_, 0}));
  {
    const auto one = other->endpoints()[0]->TakeConnection(0, false);
    const auto two = other->endpoints()[0]->TakeConnection(0, false);
    EXPECT_TRUE(two);
    AskHttp1();
    Settle(nullptr);
    EXPECT_FALSE(other->endpoints()[0]->TakeConnection(0, false));
    EXPECT_FALSE(other->endpoints()[0]->HasSpareConnection(0));
    EXPECT_TRUE(other->endpoints()[0]->HasSpareConnection(1));
    EXPECT_TRUE(other->endpoints()[1]->TakeConnection(0, false)) << "each endpoint has its own";
    EXPECT_EQ(other->circuits()->held(upstream::Circuit::kConnections, 0), 2) << "what was refused is back";
    EXPECT_FALSE(AskHttp1().settled());
  }
  EXPECT_FALSE(AskHttp1().error);
  EXPECT_EQ(endpoint_->connections()->held(), 2);
  auto changed = std::make_shared<config::Cluster>(*cluster_);
  changed->circuits[0].endpoint_connections = 2;
  other->Update({changed, assignment});
  EXPECT_FALSE(other->endpoints()[0]->TakeConnection(0, false));
  changed = std::make_shared<config::Cluster>(*changed);
  changed->circuits[0].endpoint_connections = config::CircuitLimits::kUnlimited;
  other->Update({changed, assignment});
  EXPECT_FALSE(other->endpoints()[0]->connections()) << "nothing is counted where there is no limit";
}

TEST_F(Pools, WhoWaitsAtALimitLooksAgainWhetherOtherWorkersHaveLeft) {
  cluster_->circuits[0].endpoint_connections = 2;
  UseEndpoint(80);
  const auto peers = network_.NewLoop();
  const testing::SimServer server(*peers, At(80));
  const auto assignment = std::make_shared<config::Assignment>();
  assignment->endpoints.emplace_back().address = At(80);
  const LocalRef<upstream::ClusterState> other(
      new upstream::ClusterState({cluster_, assignment}, upstream::LedgerSeat{ledger_, 0}));
  auto held = other->endpoints()[0]->TakeConnection(0, false);
  ASSERT_TRUE(held);
  AskHttp1();
  stream::Ticket& second = AskHttp1();
  Pass(std::chrono::milliseconds(250), nullptr);
  EXPECT_FALSE(second.settled());
  held = upstream::ConnectionHold();
  Pass(std::chrono::milliseconds(100), nullptr);
  EXPECT_NE(second.stream, nullptr);
  EXPECT_EQ(loop_.dials, 2);
}

TEST_F(Pools, AnEndpointsConnectionsAreLimitedForHttp2Too) {
  cluster_->circuits[0].endpoint_connections = 1;
  cluster_->preconnect_permille = 3000;
  UseEndpoint(80);
  const auto peers = network_.NewLoop();
  Server server(*peers, At(80), 1);
  stream::Ticket& first = Ask();
  Settle(&server);
  ASSERT_NE(first.stream, nullptr);
  Send(first);
  stream::Ticket& second = Ask();
  Pass(std::chrono::seconds(5), &server);
  EXPECT_FALSE(second.settled());
  EXPECT_EQ(server.connections(), 1u);
  first.stream.reset();
  Pass(std::chrono::seconds(1), &server);
  EXPECT_NE(second.stream, nullptr);
  tickets_.clear();
}

// Whatever others hold: without a connection nothing would ever be free.
TEST_F(Pools, AnEndpointsFirstConnectionIsMadeInAnyCase) {
  cluster_->circuits[0].connections = 0;
  cluster_->circuits[0].endpoint_connections = 0;
  UseEndpoint(80);
  const auto peers = network_.NewLoop();
  testing::SimServer server(*peers, At(80));
  stream::Ticket& first = AskHttp1();
  stream::Ticket& second = AskHttp1();
  Settle(nullptr);
  EXPECT_NE(first.stream, nullptr);
  EXPECT_FALSE(second.settled());
  Server http2_server(*peers, At(81), 1);
  tickets_.clear();
  UseEndpoint(81);
  stream::Ticket& third = Ask();
  Settle(&http2_server);
  EXPECT_NE(third.stream, nullptr);
  Send(third);
  stream::Ticket& fourth = Ask();
  Pass(std::chrono::seconds(10), &http2_server);
  EXPECT_FALSE(fourth.settled()) << "all streams of the only connection are in use";
  EXPECT_EQ(http2_server.connections(), 1u);
  tickets_.clear();
}

// Its connections are counted until they end, also when nobody knows the cluster any more.
TEST_F(Pools, ConnectionsAreGivenBackWhenTheyFailAndWhenTheyEnd) {
  cluster_->circuits[0].connections = 5;
  UseEndpoint(80);
  stream::Ticket& refused = AskHttp1();
  Settle(nullptr);
  EXPECT_EQ(refused.error.kind, ErrorKind::kConnectFailed);
  EXPECT_EQ(state_->circuits()->held(upstream::Circuit::kConnections, 0), 0);
  const auto peers = network_.NewLoop();
  testing::SimServer server(*peers, At(80));
  stream::Ticket& kept = AskHttp1();
  Settle(nullptr);
  ASSERT_NE(kept.stream, nullptr);
  const LocalRef<upstream::Circuits> circuits = state_->circuits();
  endpoint_.Reset();
  state_.Reset();
  Settle(nullptr);
  EXPECT_EQ(circuits->held(upstream::Circuit::kConnections, 0), 1);
  tickets_.clear();
  Settle(nullptr);
  EXPECT_EQ(circuits->held(upstream::Circuit::kConnections, 0), 0);
}

TEST_F(Pools, WhenAConnectionCannotBeMadeWhoWaitedForItIsToldAndTheNextTries) {
  cluster_->circuits[0].connections = 1;
  UseEndpoint(80);
  stream::Ticket& first = AskHttp1();
  stream::Ticket& second = AskHttp1();
  EXPECT_FALSE(second.settled());
  Settle(nullptr);
  EXPECT_EQ(first.error.kind, ErrorKind::kConnectFailed);
  EXPECT_EQ(second.error.kind, ErrorKind::kConnectFailed);
  EXPECT_EQ(loop_.dials, 2);
}

// An HTTP/1 peer that answers at once, and ends what was idle for so long.
class IdleServer {
 public:
  IdleServer(net::Loop& loop, const std::string& fields) : server_(loop, At(80)), fields_(fields) {}
  void Run() {
    for (const auto& peer : server_.taken) {
      peer->Read();
      if (peer->text.empty()) continue;
      peer->text.clear();
      peer->Send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n" + fields_ + "\r\n");
    }
  }
  void CloseAll() {
    for (const auto& peer : server_.taken) peer->Close();
  }
  size_t connections() const { return server_.taken.size(); }

 private:
  testing::SimServer server_;
  std::string fields_;
};

// The peer's time-out is learnt, so that no request meets the end of its connection.
TEST_F(Pools, AnIdleTimeoutThatThePeerTellsIsObeyedBeforeItIsOver) {
  const auto peers = network_.NewLoop();
  IdleServer server(*peers, "keep-alive: max=9, timeout=5\r\n");
  const auto exchange = [&] {
    stream::Ticket& ticket = AskHttp1();
    Settle(nullptr);
    Send(ticket);
    Settle(nullptr);
    server.Run();
    Settle(nullptr);
    EXPECT_TRUE(ticket.stream->in().ended);
    ticket.stream.reset();
    Settle(nullptr);
  };
  exchange();
  Pass(std::chrono::milliseconds(3900), nullptr);
  exchange();
  EXPECT_EQ(server.connections(), 1u) << "used again";
  Pass(std::chrono::milliseconds(4100), nullptr);
  EXPECT_EQ(endpoint_->http1_pool->connections(), 0u) << "a second before the peer would end it";
}

TEST_F(Pools, AnIdleTimeoutThatThePeerShowsTwiceIsLearnt) {
  const auto peers = network_.NewLoop();
  IdleServer server(*peers, "");
  const auto exchange = [&](size_t count) {
    std::vector<stream::Ticket*> tickets;
    tickets.reserve(count);
    for (size_t i = 0; i < count; ++i) tickets.push_back(&AskHttp1());
    Settle(nullptr);
    for (stream::Ticket* const ticket : tickets) Send(*ticket);
    Settle(nullptr);
    server.Run();
    Settle(nullptr);
    for (stream::Ticket* const ticket : tickets) ticket->stream.reset();
    Settle(nullptr);
  };
  const auto idle = [&] { return static_cast<Http1Pool&>(*endpoint_->http1_pool).idle_limit(); };
  const time::Duration none = idle_limit_of_nothing();
  exchange(3);
  Pass(std::chrono::seconds(5), nullptr);
  server.CloseAll();
  Settle(nullptr);
  EXPECT_EQ(idle(), none) << "many at once: it may have ended";
  exchange(1);
  Pass(std::chrono::seconds(2), nullptr);
  server.CloseAll();
  Settle(nullptr);
  EXPECT_EQ(idle(), none) << "another time each";
  exchange(1);
  Pass(std::chrono::milliseconds(2100), nullptr);
  server.CloseAll();
  Settle(nullptr);
  EXPECT_LT(idle(), std::chrono::milliseconds(1200));
  EXPECT_GT(idle(), std::chrono::milliseconds(900));
}

TEST_F(Pools, RequestsThatWaitForAConnectionHaveALimit) {
  for (size_t i = 0; i < kMaxWaitingPerEndpoint; ++i) ASSERT_FALSE(Ask().settled());
  EXPECT_EQ(Ask().error.kind, ErrorKind::kOverflow);
  EXPECT_EQ(Ask().error.outcome, Outcome::kNotSent);
  tickets_.erase(tickets_.begin());  // one gives up: there is room for one
  EXPECT_FALSE(Ask().settled());
  EXPECT_EQ(Ask().error.kind, ErrorKind::kOverflow);
}

TEST_F(Pools, APeerThatAllowsNoStreamsIsNotDialledWithoutEnd) {
  const auto peers = network_.NewLoop();
  Server server(*peers, At(80), 0);
  for (size_t i = 0; i < kMaxConnectionsPerEndpoint + 20; ++i) {
    Ask();
    Settle(&server);
    ASSERT_LE(connections(), kMaxConnectionsPerEndpoint);
  }
}

TEST_F(Pools, TheLastConnectionEndsWhileRequestsWaitAndNoOtherCanBeMade) {
  cluster_->max_concurrent_streams = 1;
  const auto peers = network_.NewLoop();
  Server server(*peers, At(80), 1);
  stream::Ticket& first = Ask();
  stream::Ticket& second = Ask();
  loop_.poor = true;
  Settle(&server);
  Send(first);
  EXPECT_FALSE(second.settled());  // waits for the first's end, since no other connection can be made
  const stream::Ticket& third = Ask();
  EXPECT_FALSE(third.settled());
  EXPECT_EQ(connections(), 1u);
  server.CloseAll();
  Pass(kFirstRedialPause, nullptr);
  EXPECT_EQ(third.error.kind, ErrorKind::kConnectFailed);
  EXPECT_EQ(second.error.kind, ErrorKind::kConnectFailed);
  EXPECT_EQ(second.error.outcome, Outcome::kNotSent);
  EXPECT_EQ(connections(), 0u);
}

TEST(LinkMeter, IsFullByWhatWasMeasuredSinceTheLastLook) {
  using std::chrono::milliseconds;
  time::MonotonicTime now(std::chrono::hours(1));
  LinkMeter meter(now);
  EXPECT_FALSE(meter.Full(0, now));
  meter.SetBlocked(true, now);
  now += milliseconds(400);
  EXPECT_FALSE(meter.Full(0, now)) << "too early to say";
  now += milliseconds(200);
  EXPECT_TRUE(meter.Full(0, now));
  meter.SetBlocked(false, now + milliseconds(100));
  now += milliseconds(600);
  EXPECT_FALSE(meter.Full(0, now)) << "a sixth of the time";
  now += milliseconds(1000);
  EXPECT_TRUE(meter.Full(257'000'000, now));
  now += milliseconds(1000);
  EXPECT_FALSE(meter.Full(500'000'000, now));
}

// One connection, with all the streams it may have.
class PoolsThatAreFull : public Pools {
 protected:
  PoolsThatAreFull() {
    cluster_->max_concurrent_streams = 1;
    stream::Ticket& first = Ask();
    Settle(&server_);
    Send(first);
  }

  const std::unique_ptr<net::Loop> peers_ = network_.NewLoop();
  Server server_{*peers_, At(80), 1};
};

TEST_F(PoolsThatAreFull, ASecondConnectionThatFailsLeavesThoseWhoWaitToTheFirst) {
  server_.StopListening();
  const stream::Ticket& second = Ask();
  EXPECT_EQ(connections(), 2u);
  Settle(&server_);
  EXPECT_EQ(connections(), 1u) << "nobody listens";
  EXPECT_FALSE(second.settled());
  tickets_.pop_front();
  Settle(&server_);
  EXPECT_NE(second.stream, nullptr);
}

// A first request that stays, and a second that waits; nobody listens any more.
class PoolsThatFail : public PoolsThatAreFull {
 protected:
  PoolsThatFail() {
    server_.StopListening();
    loop_.dials = 0;
    second_ = &Ask();
    Settle(&server_);
  }

  const stream::Ticket* second_ = nullptr;
};

TEST_F(PoolsThatFail, WhoWaitsGetsAConnectionWhenOneCanBeMadeAgain) {
  Pass(std::chrono::seconds(1), &server_);
  EXPECT_FALSE(second_->settled());
  Server again(*peers_, At(80), 1);
  Pass(kLongestRedialPause, &again);
  EXPECT_NE(second_->stream, nullptr);
  EXPECT_EQ(connections(), 2u);
}

TEST_F(PoolsThatFail, TheFirstConnectionIsNoReasonToDialWithoutPause) {
  for (int i = 0; i < 40; ++i) {
    server_.Ping();  // so that the first connection runs
    Ask();
    Pass(std::chrono::milliseconds(100), &server_);
  }
  EXPECT_EQ(loop_.dials, 6) << "after 0, 0.1, 0.3, 0.7, 1.5 and 3.1 s";
}

TEST_F(PoolsThatFail, WhoWaitsLongerThanTheConnectTimeoutIsFailed) {
  const time::MonotonicTime asked = clock_.Now();
  Pass(cluster_->connect_timeout / 2, &server_);
  const stream::Ticket& later = Ask();
  while (!second_->settled() && clock_.Now() < asked + 2 * cluster_->connect_timeout)
    Pass(std::chrono::milliseconds(10), &server_);
  EXPECT_EQ(second_->error.kind, ErrorKind::kConnectFailed);
  EXPECT_EQ(second_->error.outcome, Outcome::kNotSent);
  EXPECT_GE(clock_.Now(), asked + cluster_->connect_timeout);
  EXPECT_FALSE(later.settled()) << "it has not waited for so long";
  Pass(cluster_->connect_timeout / 2 + std::chrono::milliseconds(100), &server_);
  EXPECT_EQ(later.error.kind, ErrorKind::kConnectFailed);
  EXPECT_EQ(connections(), 1u) << "which serves on";
}

TEST_F(PoolsThatAreFull, ASecondConnectionThatGoesAwayAtOnceIsReplaced) {
  server_.goes_away = true;
  const stream::Ticket& second = Ask();
  Pass(kFirstRedialPause / 2, &server_);
  EXPECT_FALSE(second.settled());
  EXPECT_EQ(connections(), 1u);
  EXPECT_EQ(loop_.dials, 2);
  server_.goes_away = false;
  Pass(kLongestRedialPause, &server_);
  EXPECT_NE(second.stream, nullptr);
}

TEST_F(Pools, WhoWaitsForAPeerThatAllowsNoStreamsIsFailedInTheEnd) {
  const auto peers = network_.NewLoop();
  Server server(*peers, At(80), 0);
  const stream::Ticket& ticket = Ask();
  Pass(3 * cluster_->connect_timeout, &server);
  EXPECT_EQ(ticket.error.kind, ErrorKind::kConnectFailed);
  EXPECT_LT(loop_.dials, 20);
}

TEST_F(Pools, AConnectionThatBreaksIsNoProofThatItsPeerTakesMoreStreams) {
  const auto peers = network_.NewLoop();
  Server server(*peers, At(80), 100);
  stream::Ticket& first = Ask();
  Settle(&server);
  Send(first);
  auto& pool = static_cast<Http2Pool&>(*endpoint_->http2_pool);
  pool.StreamRefused(2);
  Send(Ask());
  Settle(&server);
  server.BreakTheProtocol();
  Settle(&server);
  EXPECT_TRUE(first.stream->in().error);
  EXPECT_EQ(pool.takes(), 2u);
}

// The peer takes nothing of an upload: what comes later has another way.
TEST_F(Pools, AConnectionThatCarriesAllItCanGetsCompany) {
  const auto peers = network_.NewLoop();
  Server server(*peers, At(80), 100);
  Upload(server);
  EXPECT_EQ(Ask().stream != nullptr, true);
  EXPECT_EQ(connections(), 1u) << "not measured for long enough";
  clock_.AdvanceTo(clock_.Now() + std::chrono::seconds(1));
  Settle(nullptr);
  const stream::Ticket& second = Ask();
  EXPECT_NE(second.stream, nullptr) << "nobody waits for the new one";
  EXPECT_EQ(connections(), 2u);
  Settle(&server);
  EXPECT_EQ(server.connections(), 2u);
}

TEST_F(Pools, CompanyThatCannotBeHadIsNotAskedForEveryTime) {
  const auto peers = network_.NewLoop();
  Server server(*peers, At(80), 100);
  Upload(server);
  clock_.AdvanceTo(clock_.Now() + std::chrono::seconds(1));
  Settle(nullptr);
  loop_.poor = true;
  loop_.dials = 0;
  for (int i = 0; i < 3; ++i) EXPECT_NE(Ask().stream, nullptr);
  EXPECT_EQ(loop_.dials, 1);
  clock_.AdvanceTo(clock_.Now() + kForBandwidthEvery);
  Settle(nullptr);
  for (int i = 0; i < 3; ++i) EXPECT_NE(Ask().stream, nullptr);
  EXPECT_EQ(loop_.dials, 2);
  EXPECT_EQ(connections(), 1u);
}

}  // namespace
}  // namespace pillion::session
