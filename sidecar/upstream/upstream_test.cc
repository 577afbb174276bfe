#include <gtest/gtest.h>

#include <map>
#include <string>

#include "sidecar/ledger/ledger.h"
#include "sidecar/upstream/cluster_state.h"

namespace pillion::upstream {
namespace {

config::ClusterEntry Entry(const std::string& name, const std::map<uint16_t, uint32_t>& weight_by_port) {
  auto cluster = std::make_shared<config::Cluster>();
  cluster->name = name;
  auto assignment = std::make_shared<config::Assignment>();
  for (const auto& [port, weight] : weight_by_port) {
    config::Endpoint endpoint;
    endpoint.address = *net::Address::Parse("127.0.0.1", port);
    endpoint.weight = weight;
    assignment->endpoints.push_back(endpoint);
  }
  return {cluster, assignment};
}

const time::MonotonicTime kNow(std::chrono::hours(1));

LedgerSeat Seat() {
  static ledger::Ledger ledger(1);
  return {ledger, 0};
}

Random& Dice() {
  static Random random(1);
  return random;
}

TriedEndpoints Only(EndpointState* endpoint) {
  TriedEndpoints tried;
  tried.emplace_back(endpoint);
  return tried;
}

PickQuery Query(Tried tried, time::MonotonicTime now) {
  return {.tried = tried, .now = now, .random = Dice()};
}
PickQuery Query(time::MonotonicTime now) { return Query({}, now); }

net::Address NumberedAddress(size_t number) {
  return net::Address::Parse("10.0." + std::to_string(number / 250) + "." + std::to_string(number % 250), 80)
      .value_or(net::Address());
}

config::ClusterEntry Dialled() {
  auto cluster = std::make_shared<config::Cluster>();
  cluster->name = "dialled";
  cluster->original_destination.emplace();
  return {cluster, std::make_shared<config::Assignment>()};
}

TEST(DialledEndpoints, AreMadeOnceAndStayWhileTheyAreInUse) {
  ClusterState cluster(Dialled(), Seat());
  EndpointState* const one = cluster.AtDialled(NumberedAddress(1), kNow);
  ASSERT_NE(one, nullptr);
  EXPECT_EQ(one->address(), NumberedAddress(1));
  EXPECT_EQ(one->standing(), Standing::kGood);
  EXPECT_EQ(one->health(), nullptr);
  EXPECT_EQ(one->circuits().get(), cluster.circuits().get());
  EXPECT_EQ(cluster.AtDialled(NumberedAddress(1), kNow), one);
  EndpointState* const two = cluster.AtDialled(NumberedAddress(2), kNow);
  two->active_attempts = 1;
  EXPECT_EQ(cluster.eligible(), 0u) << "there is no other to try";
  const auto limit =
      cluster.config().original_destination.value_or(config::OriginalDestination()).forget_after;
  cluster.ForgetIdle(kNow + limit - std::chrono::nanoseconds(1));
  EXPECT_EQ(cluster.endpoints().size(), 2u);
  cluster.ForgetIdle(kNow + limit);
  ASSERT_EQ(cluster.endpoints().size(), 1u);
  EXPECT_EQ(cluster.AtDialled(NumberedAddress(2), kNow + limit), two);
  two->active_attempts = 0;
  EXPECT_NE(cluster.AtDialled(NumberedAddress(3), kNow + limit), two);
  cluster.ForgetIdle(kNow + 2 * limit - std::chrono::nanoseconds(1));
  EXPECT_EQ(cluster.endpoints().size(), 2u);
  cluster.ForgetIdle(kNow + 2 * limit);
  EXPECT_TRUE(cluster.endpoints().empty());
}

TEST(DialledEndpoints, MakeWayForOthersUnlessTheyAreInUse) {
  ClusterState cluster(Dialled(), Seat());
  for (size_t i = 0; i < kMaxDialledEndpoints; ++i) {
    EndpointState* const made = cluster.AtDialled(NumberedAddress(i), kNow);
    ASSERT_NE(made, nullptr);
    made->active_attempts = i == 700 || i == 701 ? 0 : 1;
  }
  const LocalRef<EndpointState> held = cluster.endpoints()[700];
  EXPECT_NE(cluster.AtDialled(NumberedAddress(5000), kNow), nullptr);
  EXPECT_EQ(cluster.endpoints().size(), kMaxDialledEndpoints);
  EXPECT_EQ(cluster.Find(NumberedAddress(700)), nullptr);
  EXPECT_EQ(held->address(), NumberedAddress(700)) << "who holds it keeps it";
  EXPECT_NE(cluster.Find(NumberedAddress(701)), nullptr);
  EXPECT_NE(cluster.AtDialled(NumberedAddress(5001), kNow), nullptr);
  EXPECT_EQ(cluster.Find(NumberedAddress(701)), nullptr) << "it has waited longest for its turn";
  EXPECT_EQ(cluster.AtDialled(NumberedAddress(5000), kNow), cluster.Find(NumberedAddress(5000)));
  for (const auto& endpoint : cluster.endpoints()) endpoint->active_attempts = 1;
  EXPECT_EQ(cluster.AtDialled(NumberedAddress(5002), kNow), nullptr);
  EXPECT_EQ(cluster.AtDialled(NumberedAddress(700), kNow), nullptr) << "another has its place";
  EXPECT_EQ(cluster.AtDialled(NumberedAddress(3), kNow), cluster.endpoints()[3].get());
}

TEST(RoundRobin, GivesEachEndpointItsExactShareInEveryRound) {
  ClusterState cluster(Entry("a", {{1, 1}, {2, 2}, {3, 5}}), Seat());
  for (int round = 0; round < 10; ++round) {
    std::map<uint16_t, int> picks;
    for (int i = 0; i < 8; ++i) ++picks[cluster.Pick(Query(kNow))->address().port()];
    EXPECT_EQ(picks, (std::map<uint16_t, int>{{1, 1}, {2, 2}, {3, 5}}));
  }
}

TEST(RoundRobin, AvoidsTheFailedEndpointWhenThereIsAnother) {
  ClusterState cluster(Entry("a", {{1, 1}, {2, 1}}), Seat());
  EndpointState* first = cluster.Pick(Query(kNow));
  for (int i = 0; i < 10; ++i) EXPECT_NE(cluster.Pick(Query(Only(first), kNow)), first);
  ClusterState alone(Entry("b", {{1, 1}}), Seat());
  EndpointState* only = alone.Pick(Query(kNow));
  EXPECT_EQ(alone.Pick(Query(Only(only), kNow)), only);
  ClusterState none(Entry("c", {}), Seat());
  EXPECT_EQ(none.Pick(Query(kNow)), nullptr);
}

ClusterState Balanced(config::Balancer balancer, const std::map<uint16_t, uint32_t>& weight_by_port) {
  config::ClusterEntry entry = Entry("a", weight_by_port);
  auto cluster = std::make_shared<config::Cluster>(*entry.cluster);
  cluster->balancer = balancer;
  entry.cluster = cluster;
  return ClusterState(entry, Seat());
}

TEST(Drawn, AnIdleClusterIsDrawnFromByWeight) {
  for (const auto kind : {config::Balancer::Kind::kRandom, config::Balancer::Kind::kLeastRequest}) {
    ClusterState cluster = Balanced({.kind = kind}, {{1, 1}, {2, 3}, {3, 6}});
    std::map<uint16_t, int> picks;
    for (int i = 0; i < 10000; ++i) ++picks[cluster.Pick(Query(kNow))->address().port()];
    EXPECT_NEAR(picks[1], 1000, 150);  // five standard deviations
    EXPECT_NEAR(picks[2], 3000, 230);
    EXPECT_NEAR(picks[3], 6000, 250);
  }
}

TEST(Drawn, OfTwoTheOneWithLessToDoForItsWeightIsTaken) {
  ClusterState cluster = Balanced({.kind = config::Balancer::Kind::kLeastRequest}, {{1, 1}, {2, 1}, {3, 4}});
  cluster.endpoints()[0]->active_attempts = 2;
  cluster.endpoints()[1]->active_attempts = 1;
  cluster.endpoints()[2]->active_attempts = 3;  // of four times the weight: the least
  std::map<uint16_t, int> picks;
  for (int i = 0; i < 1000; ++i) ++picks[cluster.Pick(Query(kNow))->address().port()];
  EXPECT_EQ(picks[1], 0) << "there is always one with less";
  EXPECT_GT(picks[2], 0) << "drawn with the first";
  EXPECT_GT(picks[3], picks[2]);
}

// What balancing is for: the most loaded of a hundred has a few requests, where draws alone give many.
TEST(Drawn, TwoChoicesKeepTheLoadLevel) {
  const auto most = [](config::Balancer balancer) {
    std::map<uint16_t, uint32_t> ports;
    for (uint16_t port = 1; port <= 100; ++port) ports[port] = 1;
    ClusterState cluster = Balanced(balancer, ports);
    uint32_t largest = 0;
    for (int i = 0; i < 1000; ++i) largest = std::max(largest, ++cluster.Pick(Query(kNow))->active_attempts);
    return largest;
  };
  EXPECT_LE(most({.kind = config::Balancer::Kind::kLeastRequest}), 13u);
  EXPECT_LE(most({.kind = config::Balancer::Kind::kLeastRequest, .choices = 5}), 12u);
  EXPECT_GE(most({.kind = config::Balancer::Kind::kRandom}), 16u);
}

TEST(Drawn, WhatWasTriedOrCannotBeReachedIsPassedOver) {
  for (const auto kind : {config::Balancer::Kind::kRandom, config::Balancer::Kind::kLeastRequest}) {
    ClusterState cluster = Balanced({.kind = kind}, {{1, 1000000}, {2, 1}, {3, 1000000}});
    TriedEndpoints tried = Only(cluster.endpoints()[0].get());
    cluster.endpoints()[2]->CouldNotConnect(kNow);
    for (int i = 0; i < 100; ++i) ASSERT_EQ(cluster.Pick(Query(tried, kNow))->address().port(), 2);
  }
}

TEST(Unreachable, IsLeftAloneForAWhileAndThenTriedByOneRequest) {
  ClusterState cluster(Entry("a", {{1, 1}, {2, 1}, {3, 1}}), Seat());
  EndpointState* const down = cluster.endpoints()[0].get();
  time::MonotonicTime now = kNow;
  const auto picks = [&](int count) {
    int times = 0;
    for (int i = 0; i < count; ++i) times += cluster.Pick(Query(now)) == down ? 1 : 0;
    return times;
  };
  time::Duration pause = kFirstEndpointPause;
  for (int failure = 0; failure < 12; ++failure) {
    down->CouldNotConnect(now);
    down->CouldNotConnect(now);  // one that was under way to it as well: no second failure
    now += pause - time::Duration(1);
    ASSERT_EQ(picks(30), 0) << failure;
    now += time::Duration(1);
    ASSERT_EQ(picks(30), 1) << failure << ": a trial, and no more while it lasts";
    pause = std::min<time::Duration>(2 * pause, kLongestEndpointPause);
  }
  down->Reached(now);
  EXPECT_EQ(picks(30), 10);
}

TEST(Unreachable, ATrialThatNeverEndsIsFollowedByAnother) {
  ClusterState cluster(Entry("a", {{1, 1}, {2, 1}}), Seat());
  EndpointState* const down = cluster.endpoints()[0].get();
  down->CouldNotConnect(kNow);
  time::MonotonicTime now = kNow + kFirstEndpointPause;
  const auto tried = [&] { return cluster.Pick(Query(now)) == down || cluster.Pick(Query(now)) == down; };
  EXPECT_TRUE(tried());
  EXPECT_FALSE(tried());
  now += cluster.config().connect_timeout;
  EXPECT_TRUE(tried());
}

TEST(Unreachable, WhoIsNotHeardOfWhileRequestsWaitForItGetsNoMore) {
  ClusterState cluster(Entry("a", {{1, 1}, {2, 1}, {3, 1}}), Seat());
  EndpointState* const silent = cluster.endpoints()[0].get();
  time::MonotonicTime now = kNow;
  const auto picks = [&] {
    int times = 0;
    for (int i = 0; i < 30; ++i) times += cluster.Pick(Query(now)) == silent ? 1 : 0;
    return times;
  };
  const auto pass = [&](time::Duration time) { now += time; };
  silent->BeginWait(now);
  pass(kFirstEndpointPause - time::Duration(1));
  EXPECT_EQ(picks(), 10);
  silent->BeginWait(now);
  pass(time::Duration(1));
  EXPECT_EQ(picks(), 0) << "the first of them counts";
  silent->Reached(now);
  pass(kFirstEndpointPause - time::Duration(1));
  EXPECT_EQ(picks(), 10) << "although they wait";
  pass(time::Duration(1));
  EXPECT_EQ(picks(), 0);
  silent->EndWait();
  EXPECT_EQ(picks(), 0);
  silent->EndWait();
  EXPECT_EQ(picks(), 10) << "nobody waits";
  silent->BeginWait(now);
  EXPECT_EQ(picks(), 10) << "and this one only begins to";
}

TEST(RoundRobin, GoesThroughAllBeforeOneIsTriedAgain) {
  ClusterState cluster(Entry("a", {{1, 1}, {2, 5}, {3, 1}, {4, 1}}), Seat());
  TriedEndpoints tried;
  std::map<uint16_t, int> picks;
  for (int i = 0; i < 4; ++i) {
    tried.emplace_back(cluster.Pick(Query(tried, kNow)));
    ++picks[tried.back()->address().port()];
  }
  EXPECT_EQ(picks, (std::map<uint16_t, int>{{1, 1}, {2, 1}, {3, 1}, {4, 1}}));
  for (int i = 0; i < 10; ++i) EXPECT_NE(cluster.Pick(Query(tried, kNow)), tried.back().get());
  tried.pop_back();
  EndpointState* const left = cluster.Pick(Query(tried, kNow));
  left->CouldNotConnect(kNow);
  EXPECT_NE(cluster.Pick(Query(tried, kNow)), left)
      << "rather one that has been tried than one that cannot be reached";
}

TEST(Unreachable, WhereAllAreTheyAreAsked) {
  ClusterState cluster(Entry("a", {{1, 1}, {2, 1}}), Seat());
  for (const auto& endpoint : cluster.endpoints()) endpoint->CouldNotConnect(kNow);
  std::map<uint16_t, int> picks;
  for (int i = 0; i < 10; ++i) ++picks[cluster.Pick(Query(kNow))->address().port()];
  EXPECT_EQ(picks, (std::map<uint16_t, int>{{1, 5}, {2, 5}}));
  EndpointState* const first = cluster.endpoints()[0].get();
  first->Reached(kNow);
  EXPECT_NE(cluster.Pick(Query(Only(first), kNow)), first)
      << "another than the one that just failed, even so";
}

TEST(Connections, ATenthAndOneMoreIsKeptFree) {
  ledger::Ledger ledger(1);
  const auto of = ledger.ClusterOf("a");
  Circuits circuits(of, 1);
  config::CircuitLimits limits;
  limits.connections = 30;
  circuits.set_limits({limits, limits});
  int taken = 0;
  while (circuits.HasSpare(Circuit::kConnections, 0)) {
    ASSERT_TRUE(circuits.Take(Circuit::kConnections, 0));
    ++taken;
  }
  EXPECT_EQ(taken, 27) << "a 28th would leave less than four";
}

TEST(Connections, OneThatEndsIsItsEndpointsNoMore) {
  ledger::Ledger ledger(1);
  const auto of = ledger.ClusterOf("a");
  const LocalRef<Circuits> circuits(new Circuits(of, 1));
  config::CircuitLimits limits;
  limits.endpoint_connections = 1;
  circuits->set_limits({limits, limits});
  const LocalRef<EndpointConnections> endpoint(
      new EndpointConnections(of->ConnectionsOf("1"), {limits, limits}, 1));
  const auto refused = [&] { return of->Counts().refused[0][static_cast<size_t>(Circuit::kConnections)]; };
  {
    ConnectionHold first = ConnectionHold::Take(circuits, 0, false);
    EXPECT_TRUE(first.MoveTo(endpoint, false));
    ConnectionHold second = ConnectionHold::Take(circuits, 0, false);
    EXPECT_FALSE(second.MoveTo(endpoint, false));
    EXPECT_EQ(refused(), 1u);
    EXPECT_TRUE(second.MoveTo(endpoint, true)) << "in any case";
    EXPECT_EQ(endpoint->held(), 2);
  }
  EXPECT_EQ(endpoint->held(), 0);
  EXPECT_EQ(circuits->held(Circuit::kConnections, 0), 0);
  EXPECT_EQ(refused(), 1u);
}

TEST(ClusterTable, KeepsTheStateOfEndpointsThatStay) {
  ClusterTable table(Seat());
  config::Snapshot snapshot;
  snapshot.clusters["a"] = Entry("a", {{1, 1}, {2, 1}});
  table.Apply(snapshot);
  EndpointState* kept = table.Find("a")->endpoints()[0].get();
  kept->active_attempts = 7;
  config::ClusterEntry changed = Entry("a", {{1, 3}, {9, 1}});
  changed.cluster = snapshot.clusters["a"].cluster;
  snapshot.clusters["a"] = changed;
  LocalRef<ClusterState> pinned(table.Find("a"));
  table.Apply(snapshot);
  EXPECT_EQ(table.Find("a")->endpoints()[0]->active_attempts, 7u);
  EXPECT_EQ(table.Find("a")->endpoints()[1]->address().port(), 9);
  snapshot.clusters.clear();
  table.Apply(snapshot);
  EXPECT_EQ(table.Find("a"), nullptr);
  EXPECT_EQ(pinned->endpoints().size(), 2u);
}

}  // namespace
}  // namespace pillion::upstream
