// Connections that are made before requests need them.
#include <gtest/gtest.h>

#include <vector>

#include "sidecar/session/pool.h"
#include "sidecar/session/pools_fixture.h"

namespace pillion::session {
namespace {

class WarmPools : public Pools {
 protected:
  explicit WarmPools(uint32_t permille = 2000, testing::SimFaults faults = {})
      : Pools(faults), peers_(network_.NewLoop()), server_(*peers_, At(80)) {
    cluster_->preconnect_permille = permille;
    UseEndpoint(80);
  }
  size_t connections() const { return endpoint_->http1_pool->connections(); }
  // The first that asks gets its answer and is over.
  void Finish(stream::Ticket& ticket) {
    Send(ticket);
    Settle(nullptr);
    for (const auto& peer : server_.taken) {
      peer->Read();
      if (peer->text.empty()) continue;
      peer->text.clear();
      peer->Send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    }
    Settle(nullptr);
    EXPECT_TRUE(ticket.stream->in().ended);
    ticket.stream.reset();
    Settle(nullptr);
  }

  std::unique_ptr<net::Loop> peers_;
  testing::SimServer server_;
};

TEST_F(WarmPools, RequestsFindConnectionsThatWereMadeBefore) {
  stream::Ticket& first = AskHttp1();
  EXPECT_EQ(loop_.dials, 2) << "one for it, one for the next";
  stream::Ticket& second = AskHttp1();
  EXPECT_EQ(loop_.dials, 4);
  Settle(nullptr);
  EXPECT_TRUE(first.stream != nullptr && second.stream != nullptr);
  stream::Ticket& third = AskHttp1();
  EXPECT_NE(third.stream, nullptr) << "without waiting";
  EXPECT_EQ(loop_.dials, 6);
  Settle(nullptr);
  for (stream::Ticket* ticket : {&first, &second, &third}) Finish(*ticket);
  EXPECT_EQ(connections(), 6u);
  for (int i = 0; i < 3; ++i) EXPECT_NE(AskHttp1().stream, nullptr);
  EXPECT_EQ(loop_.dials, 6) << "there is room for as many as before";
  AskHttp1();
  EXPECT_EQ(loop_.dials, 8);
}

TEST_F(WarmPools, RequestsThatAreGivenUpDoNotCountAnyMore) {
  for (int i = 0; i < 4; ++i) {
    AskHttp1();
    tickets_.clear();  // while it waits
  }
  EXPECT_EQ(loop_.dials, 5) << "a dial for each, and one more than the only one that waits";
  Settle(nullptr);
  AskHttp1();
  EXPECT_EQ(loop_.dials, 5);
  Send(*tickets_.back());
  tickets_.clear();  // on its connection, which ends
  Settle(nullptr);
  EXPECT_EQ(connections(), 4u);
  AskHttp1();
  AskHttp1();
  EXPECT_EQ(loop_.dials, 5);
}

TEST_F(WarmPools, NotMoreThanTheClustersConnections) {
  cluster_->circuits[0].connections = 3;
  UseEndpoint(80);
  AskHttp1();
  EXPECT_EQ(loop_.dials, 2);
  AskHttp1();
  EXPECT_EQ(loop_.dials, 3);
  AskHttp1();
  EXPECT_EQ(loop_.dials, 3);
  Settle(nullptr);
  EXPECT_EQ(state_->circuits()->held(upstream::Circuit::kConnections, 0), 3);
}

TEST_F(WarmPools, NotMoreThanTheEndpointsConnections) {
  cluster_->circuits[0].endpoint_connections = 10;
  UseEndpoint(80);
  for (int i = 0; i < 5; ++i) AskHttp1();
  EXPECT_EQ(loop_.dials, 9) << "a tenth is left for those who need them";
  EXPECT_EQ(state_->ledger().Counts().refused[0][0], 0u) << "nobody went without";
}

TEST_F(WarmPools, NotMoreThanAPoolMayHave) {
  cluster_->circuits[0] = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
  UseEndpoint(80);
  for (size_t i = 0; i < kMaxConnectionsPerEndpoint; ++i) AskHttp1();
  EXPECT_EQ(connections(), kMaxConnectionsPerEndpoint);
}

TEST_F(WarmPools, NotWhileTheEndpointCannotBeReached) {
  endpoint_->CouldNotConnect(turn_.now());
  AskHttp1();
  EXPECT_EQ(loop_.dials, 1);
  endpoint_->Reached(turn_.now());
  AskHttp1();
  EXPECT_EQ(loop_.dials, 4);
}

TEST_F(WarmPools, OneThatWasIdleMayHaveGoneStale) {
  stream::Ticket& first = AskHttp1();
  Settle(nullptr);
  ASSERT_NE(first.stream, nullptr);
  EXPECT_FALSE(first.stream->reused());
  Pass(std::chrono::seconds(1), nullptr);
  Settle(nullptr);  // a turn begins
  stream::Ticket& second = AskHttp1();
  ASSERT_NE(second.stream, nullptr);
  EXPECT_TRUE(second.stream->reused()) << "its peer may have ended it meanwhile";
}

// Of 1.1 times ten there are eleven, and not a twelfth because a product was not exact.
class SlightlyWarmPools : public WarmPools {
 protected:
  SlightlyWarmPools() : WarmPools(1100) {}
};
TEST_F(SlightlyWarmPools, TheRatioIsExact) {
  for (int i = 0; i < 10; ++i) AskHttp1();
  EXPECT_EQ(loop_.dials, 11);
  AskHttp1();
  EXPECT_EQ(loop_.dials, 13);
}

// Half of all dials fail.
class UnluckyPools : public WarmPools {
 protected:
  UnluckyPools() : WarmPools(3000, {.connect_refused_percent = 50}) {}
};
TEST_F(UnluckyPools, ADialTooManyThatFailsIsNobodys) {
  int failed = 0;
  for (int i = 0; i < 200; ++i) {
    UseEndpoint(80);
    stream::Ticket& ticket = AskHttp1();
    Settle(nullptr);
    ASSERT_TRUE(ticket.settled());
    failed += ticket.error ? 1 : 0;
    tickets_.clear();
  }
  EXPECT_GT(failed, 5) << "where all three fail";
  EXPECT_LT(failed, 50);
}

class WarmHttp2Pools : public Pools {
 protected:
  WarmHttp2Pools() : peers_(network_.NewLoop()), server_(*peers_, At(80), 10) {
    cluster_->preconnect_permille = 1500;
    UseEndpoint(80);
    Use(1);
  }
  void Use(int streams) {
    for (int i = 0; i < streams; ++i) {
      stream::Ticket& ticket = Ask();
      Settle(&server_);
      Send(ticket);
      Settle(&server_);
    }
  }
  std::unique_ptr<net::Loop> peers_;
  Server server_;
};

TEST_F(WarmHttp2Pools, AConnectionWithRoomForTheStreamsIsEnough) {
  Use(5);
  EXPECT_EQ(connections(), 1u) << "room for ten, nine are wanted";
  Use(1);
  EXPECT_EQ(connections(), 2u) << "ten and a half";
  Use(6);
  EXPECT_EQ(connections(), 2u);
  Use(1);
  EXPECT_EQ(connections(), 3u) << "twenty-one";
}

TEST_F(WarmHttp2Pools, OneThatIsOnItsWayMayHaveRoomForAll) {
  Use(5);
  for (int i = 0; i < 3; ++i) {
    stream::Ticket& ticket = Ask();
    Send(ticket);
  }
  EXPECT_EQ(loop_.dials, 2);
}

TEST_F(WarmHttp2Pools, NotMoreThanTheClustersConnections) {
  tickets_.clear();
  Settle(&server_);
  cluster_->circuits[0].connections = 1;
  UseEndpoint(80);
  Use(9);
  EXPECT_EQ(connections(), 1u);
  EXPECT_EQ(state_->circuits()->held(upstream::Circuit::kConnections, 0), 1);
}

TEST_F(WarmHttp2Pools, NotMoreThanTheEndpointsConnections) {
  tickets_.clear();
  Settle(&server_);
  cluster_->circuits[0].endpoint_connections = 1;
  UseEndpoint(80);
  Use(9);
  EXPECT_EQ(connections(), 1u);
  EXPECT_EQ(state_->ledger().Counts().refused[0][0], 0u) << "nobody went without";
}

TEST_F(WarmHttp2Pools, OneThatCannotBeHadIsNotAskedForWithEachRequest) {
  server_.StopListening();
  const int before = loop_.dials;
  Use(6);
  EXPECT_EQ(loop_.dials, before + 1);
  loop_.poor = true;
  for (int i = 0; i < 3; ++i) {
    stream::Ticket& ticket = Ask();
    ASSERT_NE(ticket.stream, nullptr) << "nobody is failed by it";
    Send(ticket);
  }
  EXPECT_LE(loop_.dials, before + 2);
}

}  // namespace
}  // namespace pillion::session
