// Which endpoint a request goes to, by everything but the plain balancers (upstream_test.cc).
#include "sidecar/upstream/endpoint_set.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/upstream/cluster_state.h"

namespace pillion::upstream {
namespace {

using Kind = config::Balancer::Kind;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr time::Duration kHour = std::chrono::hours(1);

struct Wanted {
  uint16_t port;
  uint32_t priority = 0;
  config::Health health = config::Health::kGood;
  uint32_t weight = 1;
  config::Labels labels = {};
};

// A cluster whose localities are its priorities.
class Mesh {
 public:
  explicit Mesh(const std::vector<Wanted>& endpoints) { Set(endpoints); }
  void Set(const std::vector<Wanted>& endpoints) {
    auto assignment = std::make_shared<config::Assignment>();
    for (const Wanted& one : endpoints) {
      while (assignment->localities.size() <= one.priority) {
        config::Locality& locality = assignment->localities.emplace_back();
        locality.priority = static_cast<uint32_t>(assignment->localities.size()) - 1;
      }
      config::Endpoint endpoint;
      endpoint.address = net::Address::Parse("127.0.0.1", one.port).value_or(net::Address());
      endpoint.health = one.health;
      endpoint.weight = one.weight;
      endpoint.locality = one.priority;
      endpoint.labels = one.labels;
      assignment->endpoints.push_back(endpoint);
    }
    assignment_ = assignment;
  }
  // The first call of `state` fixes these.
  config::Cluster options = [] {
    config::Cluster cluster;
    cluster.name = "a";
    return cluster;
  }();
  config::Assignment& assignment() { return *assignment_; }
  ClusterState& state() {
    if (state_ == nullptr) {
      cluster_ = std::make_shared<const config::Cluster>(options);
      state_ =
          std::make_unique<ClusterState>(config::ClusterEntry{cluster_, assignment_}, LedgerSeat{ledger_, 0});
    }
    return *state_;
  }
  void Push() { state().Update({cluster_, assignment_}); }
  uint16_t Pick(std::optional<uint64_t> hash = std::nullopt, const config::LabelMatch* labels = nullptr) {
    EndpointState* const found = state().Pick({.now = now, .random = random, .hash = hash}, labels);
    return found == nullptr ? uint16_t{0} : found->address().port();
  }
  std::map<uint16_t, int> Picks(int count, const config::LabelMatch* labels = nullptr) {
    std::map<uint16_t, int> picks;
    for (int i = 0; i < count; ++i) ++picks[Pick(std::nullopt, labels)];
    return picks;
  }
  EndpointState& at(size_t i) { return *state().endpoints()[i]; }

  time::MonotonicTime now{kHour};
  Random random{1};

 private:
  ledger::Ledger ledger_{1};
  std::shared_ptr<config::Assignment> assignment_;
  std::shared_ptr<const config::Cluster> cluster_;
  std::unique_ptr<ClusterState> state_;
};

constexpr auto kBad = config::Health::kBad;
constexpr auto kDegraded = config::Health::kDegraded;

TEST(Priorities, TheNextOneGetsWhatTheFirstCannotCarry) {
  Mesh mesh({{1, 0}, {2, 0, kBad}, {11, 1}, {12, 1}});
  auto picks = mesh.Picks(10000);
  EXPECT_NEAR(picks[1], 7000, 250);
  EXPECT_NEAR(picks[11], 1500, 160);
  EXPECT_NEAR(picks[12], 1500, 160);
  EXPECT_EQ(picks[2], 0);
  mesh.Set({{1, 0}, {2, 0}, {11, 1}, {12, 1}});
  mesh.Push();
  picks = mesh.Picks(100);
  EXPECT_EQ(picks, (std::map<uint16_t, int>{{1, 50}, {2, 50}}));
}

TEST(Avoided, AreAskedOnlyWhereNobodyElseIsLeft) {
  const config::Labels canary = {{"canary", "true"}};
  const config::Labels old = {{"version", "1"}, {"zone", "a"}};
  Mesh mesh({{1, 0, config::Health::kGood, 1, canary},
             {2, 0, config::Health::kGood, 1, old},
             {3, 0, config::Health::kGood, 1, {{"version", "1"}}},
             {11, 1}});
  const std::vector<config::Labels> avoided = {canary, old};
  TriedEndpoints tried;
  std::vector<uint16_t> order;
  for (int i = 0; i < 4; ++i) {
    EndpointState* const found =
        mesh.state().Pick({.tried = tried, .now = mesh.now, .random = mesh.random, .avoided = avoided});
    ASSERT_NE(found, nullptr);
    order.push_back(found->address().port());
    tried.emplace_back(found);
  }
  EXPECT_EQ(order[0], 3) << "it has one of two labels alone";
  EXPECT_EQ(order[1], 11) << "also in the next priority";
  EXPECT_EQ(order[2] + order[3], 3);
}

// Without panic, as our control plane writes it.
TEST(Ejected, ServesAgainWhenNobodyElseIsLeft) {
  for (const auto gone : {kBad, config::Health::kDraining}) {
    Mesh mesh({{1}, {2}});
    mesh.options.outlier.emplace();
    mesh.options.outlier->most_percent = 100;
    mesh.options.balancer.panic_percent = 0;
    const auto eject = [&](size_t i) {
      return mesh.state().ledger().Eject(*mesh.at(i).health(), mesh.now,
                                         {.base = seconds(30), .longest = seconds(300), .most_percent = 100},
                                         {});
    };
    EXPECT_EQ(mesh.Picks(10), (std::map<uint16_t, int>{{1, 5}, {2, 5}}));
    ASSERT_TRUE(eject(0));
    EXPECT_EQ(mesh.Picks(10), (std::map<uint16_t, int>{{2, 10}}));
    mesh.Set({{1}, {2, 0, gone}});
    mesh.Push();
    EXPECT_EQ(mesh.Picks(10), (std::map<uint16_t, int>{{1, 10}}));
    mesh.Set({{1}, {2, 0, gone}, {3}});
    mesh.Push();
    EXPECT_EQ(mesh.Picks(10), (std::map<uint16_t, int>{{3, 10}}));
    // Who has failed its checks does not.
    mesh.state().ledger().SetChecked(*mesh.at(0).health(), false);
    mesh.state().ledger().SetChecked(*mesh.at(2).health(), false);
    EXPECT_EQ(mesh.Pick(), 0);
  }
}

TEST(Priorities, ARetryLeavesThePriorityOnlyWhenAllOfItWereTried) {
  Mesh mesh({{1, 0}, {2, 0}, {11, 1}});
  TriedEndpoints tried;
  for (const uint16_t port : {1, 1, 11}) {
    EndpointState* const found = mesh.state().Pick({.tried = tried, .now = mesh.now, .random = mesh.random});
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->address().port() > 10, port > 10);
    tried.emplace_back(found);
  }
}

TEST(Panic, WithTooFewGoodOnesAllAreUsedUnlessThatIsOff) {
  const std::vector<Wanted> endpoints = {{1, 0}, {2, 0, kBad}, {3, 0, kBad}};
  Mesh panics(endpoints);
  EXPECT_EQ(panics.Picks(30), (std::map<uint16_t, int>{{1, 10}, {2, 10}, {3, 10}}));
  Mesh never(endpoints);
  never.options.balancer.panic_percent = 0;
  EXPECT_EQ(never.Picks(30), (std::map<uint16_t, int>{{1, 30}}));
  Mesh none({{1, 0, kBad}});
  none.options.balancer.panic_percent = 0;
  EXPECT_EQ(none.Pick(), 0);
}

TEST(Degraded, AreUsedWhereNoBetterOneIsLeft) {
  Mesh mesh({{1, 0, kDegraded}, {2, 0}, {3, 0, kDegraded}});
  mesh.options.balancer.panic_percent = 0;
  auto picks = mesh.Picks(10000);
  EXPECT_NEAR(picks[2], 4600, 300) << "a third times 1.4, which is cut to 46 %";
  mesh.Set({{1, 0, kDegraded}, {2, 0, kBad}, {3, 0, kDegraded}});
  mesh.Push();
  EXPECT_EQ(mesh.Picks(20), (std::map<uint16_t, int>{{1, 10}, {3, 10}}));
}

TEST(Health, WhatTheLedgerSaysIsSeenByTheNextPick) {
  Mesh mesh({{1}, {2}, {3}});
  mesh.options.outlier.emplace();
  mesh.options.balancer.panic_percent = 0;
  ASSERT_EQ(mesh.Picks(30).size(), 3u);
  ASSERT_TRUE(mesh.state().ledger().Eject(*mesh.at(1).health(), mesh.now, {seconds(1), seconds(1), 100}, {}));
  EXPECT_EQ(mesh.Picks(30), (std::map<uint16_t, int>{{1, 15}, {3, 15}}));
  EXPECT_EQ(DescribeStanding(mesh.at(1)), "ejected");
  mesh.state().ledger().Uneject(mesh.now + seconds(1));
  EXPECT_EQ(mesh.Picks(30), (std::map<uint16_t, int>{{1, 10}, {2, 10}, {3, 10}}));
  mesh.state().ledger().SetUnchecked(*mesh.at(0).health());
  mesh.state().ledger().SetChecked(*mesh.at(1).health(), false);
  EXPECT_EQ(DescribeStanding(mesh.at(0)), "unchecked");
  EXPECT_EQ(mesh.Picks(30), (std::map<uint16_t, int>{{3, 30}})) << "who is not checked yet waits";
  mesh.state().ledger().SetChecked(*mesh.at(2).health(), false);
  EXPECT_EQ(mesh.Picks(30), (std::map<uint16_t, int>{{1, 30}})) << "unless there is no other";
}

TEST(Localities, GetTheirWeightTimesWhatIsGoodOfThem) {
  Mesh mesh({{1, 0}, {2, 0}, {3, 1}, {4, 1, kBad}, {5, 2}});
  for (config::Locality& one : mesh.assignment().localities) one.priority = 0;
  mesh.assignment().localities[0].weight = 3;
  mesh.assignment().localities[1].weight = 1;
  mesh.options.balancer.localities_by_weight = true;
  // 3 x 100 % to 1 x 70 %; the third has no weight.
  auto picks = mesh.Picks(370);
  EXPECT_EQ(picks[1] + picks[2], 300);
  EXPECT_EQ(picks[3], 70);
  EXPECT_EQ(picks[1], 150);
  EXPECT_EQ(picks.count(5), 0u);
  mesh.at(0).CouldNotConnect(mesh.now);
  mesh.at(1).CouldNotConnect(mesh.now);
  mesh.at(2).CouldNotConnect(mesh.now);
  EXPECT_EQ(mesh.Pick(), 5) << "rather one of no weight than one that cannot be reached";
}

TEST(SlowStart, ANewEndpointGetsItsShareByAndBy) {
  for (const Kind kind : {Kind::kRoundRobin, Kind::kLeastRequest}) {
    Mesh mesh({{1}, {2}});
    mesh.options.balancer.kind = kind;
    mesh.options.balancer.slow_start = config::SlowStart{.window = seconds(10)};
    mesh.Pick();
    mesh.now += seconds(20);
    mesh.Set({{1}, {2}, {3}});
    mesh.Push();
    const auto share = [&] { return mesh.Picks(2000)[3]; };
    EXPECT_NEAR(share(), 2000 * 0.1 / 2.1, 40) << "a tenth at first";
    mesh.now += seconds(5);
    EXPECT_NEAR(share(), 2000 * 0.5 / 2.5, 70);
    mesh.now += seconds(5);
    EXPECT_NEAR(share(), 2000 / 3.0, 90);
  }
  Mesh eager({{1}, {2}});
  eager.options.balancer.slow_start = config::SlowStart{.window = seconds(10), .aggression = 2};
  eager.Pick();
  eager.now += seconds(20);
  eager.Set({{1}, {2}, {3}});
  eager.Push();
  eager.Pick();
  eager.now += milliseconds(2500);
  EXPECT_NEAR(eager.Picks(2000)[3], 2000 * 0.5 / 2.5, 20) << "the root of a quarter";
}

TEST(SlowStart, OfOneThatIsBackBeginsAnew) {
  Mesh mesh({{1}, {2}});
  mesh.options.outlier.emplace();
  mesh.options.balancer.slow_start = config::SlowStart{.window = seconds(10)};
  mesh.Pick();
  mesh.now += seconds(20);
  ASSERT_TRUE(mesh.state().ledger().Eject(*mesh.at(0).health(), mesh.now, {seconds(1), seconds(1), 100}, {}));
  mesh.Pick();
  mesh.now += seconds(1);
  mesh.state().ledger().Uneject(mesh.now);
  EXPECT_NEAR(mesh.Picks(1100)[1], 100, 2);
}

TEST(Hashed, TheSameHashGoesToTheSameEndpoint) {
  for (const Kind kind : {Kind::kRingHash, Kind::kMaglev}) {
    Mesh mesh({{1}, {2}, {3}, {4}});
    mesh.options.balancer.kind = kind;
    std::map<uint64_t, uint16_t> owners;
    std::map<uint16_t, int> picks;
    for (uint64_t key = 0; key < 1000; ++key) {
      const uint64_t hash = HashOf(std::to_string(key));
      owners[hash] = mesh.Pick(hash);
      ++picks[owners[hash]];
    }
    EXPECT_EQ(picks.size(), 4u);
    for (const auto& [port, count] : picks) EXPECT_NEAR(count, 250, 90);
    for (const auto& [hash, port] : owners) ASSERT_EQ(mesh.Pick(hash), port);
    // In another order, on another worker: the same.
    Mesh other({{4}, {2}, {1}, {3}});
    other.options.balancer.kind = kind;
    int moved = 0;
    for (const auto& [hash, port] : owners) moved += other.Pick(hash) == port ? 0 : 1;
    EXPECT_LE(moved, kind == Kind::kRingHash ? 0 : 10) << "Maglev's table knows an order";
    EXPECT_EQ(mesh.Picks(400).size(), 4u) << "without a hash: any";
    mesh.at(0).CouldNotConnect(mesh.now);
    for (const auto& [hash, port] : owners) {
      const uint16_t now = mesh.Pick(hash);
      ASSERT_NE(now, 1);
      if (port != 1) ASSERT_EQ(now, port) << "only its own keys are moved";
    }
  }
}

// An endpoint that comes back under another address, with the same name, keeps what was its.
TEST(Hashed, ByNameAnEndpointMayHaveAnotherAddress) {
  for (const Kind kind : {Kind::kRingHash, Kind::kMaglev}) {
    for (const bool by_name : {false, true}) {
      const auto picks = [&](const std::vector<Wanted>& endpoints) {
        Mesh mesh(endpoints);
        mesh.options.balancer.kind = kind;
        mesh.options.balancer.hash_hostnames = by_name;
        size_t name = 0;
        for (config::Endpoint& one : mesh.assignment().endpoints)
          one.hostname = "app-" + std::to_string(name++);
        std::vector<size_t> owners;
        for (uint64_t key = 0; key < 200; ++key) {
          const uint16_t port = mesh.Pick(HashOf(std::to_string(key)));
          owners.push_back(
              static_cast<size_t>(std::ranges::find(endpoints, port, &Wanted::port) - endpoints.begin()));
        }
        return owners;
      };
      EXPECT_EQ(picks({{1}, {2}, {3}}) == picks({{7}, {8}, {9}}), by_name);
    }
  }
}

// What belongs to one endpoint does not move because that one is slow to connect to.
TEST(Hashed, WhoIsNotHeardOfKeepsWhatIsItsOwn) {
  Mesh mesh({{1}, {2}});
  mesh.options.balancer.kind = Kind::kMaglev;
  const uint16_t home = mesh.Pick(7);
  mesh.at(home - 1u).BeginWait(mesh.now);
  mesh.now += 2 * kFirstEndpointPause;
  ASSERT_TRUE(mesh.at(home - 1u).Paused(mesh.now));
  EXPECT_EQ(mesh.Pick(7), home);
  mesh.at(home - 1u).EndWait();
}

TEST(Hashed, PrioritiesAndLocalitiesAreChosenByTheHashToo) {
  Mesh mesh({{1, 0}, {2, 0, kBad}, {11, 1}, {12, 1}});
  mesh.options.balancer.kind = Kind::kMaglev;
  for (config::Locality& one : mesh.assignment().localities) one.weight = 1;
  mesh.options.balancer.localities_by_weight = true;
  int first = 0;
  for (uint64_t key = 0; key < 1000; ++key) {
    const uint64_t hash = HashOf(std::to_string(key));
    const uint16_t port = mesh.Pick(hash);
    first += port == 1 ? 1 : 0;
    for (int i = 0; i < 3; ++i) ASSERT_EQ(mesh.Pick(hash), port);
  }
  EXPECT_NEAR(first, 700, 60);
}

TEST(Hashed, WithABoundNobodyHasMuchMoreThanItsShareOfWhatIsUnderWay) {
  for (const auto kind : {config::Balancer::Kind::kRingHash, config::Balancer::Kind::kMaglev}) {
    Mesh mesh({{1}, {2}, {3, 0, config::Health::kGood, 2}});
    mesh.options.balancer.kind = kind;
    mesh.options.balancer.hash_balance_percent = 125;
    mesh.options.balancer.panic_percent = 0;
    mesh.options.outlier.emplace();
    const uint16_t home = mesh.Pick(7);
    std::map<uint16_t, uint32_t> load;
    for (int i = 0; i < 400; ++i) {
      const uint16_t port = mesh.Pick(7);  // one key that everybody wants
      ++load[port];
      ++mesh.at(port - 1u).active_attempts;
    }
    // ceil(1.25 x share) of those under way when the last one came, at most.
    for (size_t i = 0; i < 3; ++i) EXPECT_LE(load[static_cast<uint16_t>(i + 1)], i == 2 ? 251u : 126u) << i;
    EXPECT_GE(load[home], home == 3 ? 249u : 124u) << "its own endpoint is used first";
    for (size_t i = 0; i < 3; ++i) mesh.at(i).active_attempts = 0;
    EXPECT_EQ(mesh.Pick(7), home) << "nothing has moved";
    // Where all others may not, the bound gives way.
    for (size_t i = 0; i < 3; ++i) mesh.at(i).active_attempts = i + 1u == home ? 100 : 0;
    for (size_t i = 0; i < 3; ++i) {
      if (i + 1u != home) mesh.state().ledger().SetChecked(*mesh.at(i).health(), false);
    }
    EXPECT_EQ(mesh.Pick(7), home);
  }
}

// ceil(1.5 x half of those under way, this one with them): 1, 2, 3, 3.
TEST(Hashed, ABoundIsRoundedUpAndCountsTheRequestItself) {
  Mesh mesh({{1}, {2}});
  mesh.options.balancer.kind = Kind::kRingHash;
  mesh.options.balancer.hash_balance_percent = 150;
  std::vector<uint16_t> picks;
  for (int i = 0; i < 4; ++i) {
    picks.push_back(mesh.Pick(7));
    ++mesh.at(picks.back() - 1u).active_attempts;
  }
  const uint16_t home = picks.front();
  EXPECT_EQ(picks, (std::vector<uint16_t>{home, home, home, static_cast<uint16_t>(3 - home)}));
}

TEST(Hashed, ABoundGivesWayWhereAllWithRoomWereTried) {
  Mesh mesh({{1}, {2}});
  mesh.options.balancer.kind = Kind::kRingHash;
  mesh.options.balancer.hash_balance_percent = 100;
  for (uint64_t key = 0; key < 20; ++key) {
    for (size_t full = 0; full < 2; ++full) {
      TriedEndpoints tried;
      tried.emplace_back(&mesh.at(1 - full));
      mesh.at(full).active_attempts = 100;
      mesh.at(1 - full).active_attempts = 0;
      EndpointState* const found =
          mesh.state().Pick({.tried = tried, .now = mesh.now, .random = mesh.random, .hash = key});
      EXPECT_EQ(found, &mesh.at(full)) << key;
    }
  }
}

TEST(Hashed, WhoCameToAPriorityIsSpreadOverAllOfItsLocalities) {
  Mesh mesh({{1, 0}, {2, 0, kBad}, {11, 1}, {12, 2}});
  mesh.options.balancer.kind = Kind::kRingHash;
  for (config::Locality& one : mesh.assignment().localities) one.weight = 1;
  mesh.assignment().localities[2].priority = 1;
  mesh.options.balancer.localities_by_weight = true;
  std::map<uint16_t, int> picks;
  for (uint64_t key = 0; key < 1000; ++key) ++picks[mesh.Pick(HashOf(std::to_string(key)))];
  EXPECT_NEAR(picks[1], 700, 60);
  EXPECT_NEAR(picks[11], 150, 50);
  EXPECT_NEAR(picks[12], 150, 50);
}

TEST(Checked, WhoIsNotCheckedYetServesBeforeWhoIsEjected) {
  Mesh mesh({{1}, {2}});
  mesh.options.outlier.emplace();
  mesh.options.balancer.panic_percent = 0;
  ledger::ClusterLedger& ledger = mesh.state().ledger();
  ledger.SetUnchecked(*mesh.at(1).health());
  ASSERT_TRUE(ledger.Eject(*mesh.at(0).health(), mesh.now, {seconds(30), seconds(300), 100}, {}));
  EXPECT_EQ(mesh.Picks(20), (std::map<uint16_t, int>{{2, 20}}));
}

// A slower answer counts at once, a faster one by and by; what is not known is taken for a millisecond.
TEST(PeakEwma, FollowsPeaksAtOnce) {
  constexpr auto kDecay = seconds(10);
  const time::MonotonicTime now{kHour};
  PeakEwma latency;
  EXPECT_EQ(latency.Cost(0, now, kDecay), 1'000'000u);
  EXPECT_EQ(latency.Cost(2, now, kDecay), 3'000'000u);
  latency.Observe(milliseconds(10), false, now, kDecay);
  EXPECT_EQ(latency.Cost(0, now, kDecay), 10'000'000u);
  latency.Observe(milliseconds(50), false, now + seconds(1), kDecay);
  EXPECT_EQ(latency.Cost(0, now + seconds(1), kDecay), 50'000'000u);
  latency.Observe(milliseconds(10), false, now + seconds(2), kDecay);
  EXPECT_NEAR(static_cast<double>(latency.Cost(0, now + seconds(2), kDecay)), 46.2e6, 0.1e6);
}

TEST(PeakEwma, TheSlowerIsAskedLessAndWhatIsNotAskedIsForgotten) {
  Mesh mesh({{1}, {2}});
  mesh.options.balancer.kind = Kind::kPeakEwma;
  const auto observe = [&](size_t i, time::Duration took, bool failed = false) {
    mesh.at(i).latency.Observe(took, failed, mesh.now, mesh.options.balancer.decay);
  };
  observe(0, milliseconds(100));
  observe(1, milliseconds(1));
  EXPECT_EQ(mesh.Picks(100), (std::map<uint16_t, int>{{2, 100}}));
  mesh.at(1).active_attempts = 98;
  EXPECT_EQ(mesh.Picks(10), (std::map<uint16_t, int>{{2, 10}})) << "99 x 1 ms < 1 x 100 ms";
  mesh.at(1).active_attempts = 100;
  EXPECT_EQ(mesh.Picks(10), (std::map<uint16_t, int>{{1, 10}}));
  mesh.at(1).active_attempts = 0;
  mesh.now += seconds(50);
  observe(1, milliseconds(1));
  EXPECT_EQ(mesh.Picks(10), (std::map<uint16_t, int>{{1, 10}}))
      << "after five times the decay it is asked again";
  observe(0, milliseconds(100));
  EXPECT_EQ(mesh.Picks(10), (std::map<uint16_t, int>{{2, 10}})) << "slower counts at once";
  observe(0, milliseconds(1));
  EXPECT_EQ(mesh.Picks(10), (std::map<uint16_t, int>{{2, 10}})) << "faster by and by";
  Mesh fails({{1}, {2}});
  fails.options.balancer.kind = Kind::kPeakEwma;
  fails.at(0).latency.Observe(milliseconds(1), true, fails.now, fails.options.balancer.decay);
  fails.at(1).latency.Observe(milliseconds(500), false, fails.now, fails.options.balancer.decay);
  EXPECT_EQ(fails.Picks(10), (std::map<uint16_t, int>{{2, 10}})) << "what fails at once is not fast";
}

TEST(Subsets, AreChosenByLabelsAndFallBackAsTheySay) {
  using Fallback = config::Subsets::Fallback;
  Mesh mesh({{.port = 1, .labels = {{"v", "1"}, {"stage", "prod"}}},
             {.port = 2, .labels = {{"v", "2"}, {"stage", "prod"}}},
             {.port = 3, .labels = {{"v", "2"}, {"stage", "test"}}},
             {.port = 4}});
  config::Subsets subsets;
  subsets.selectors = {{{"v"}, std::nullopt}, {{"stage", "v"}, Fallback::kAny}};
  subsets.fallback = Fallback::kNone;
  mesh.options.subsets = subsets;
  const auto ports = [&](const config::Labels& labels) {
    const config::LabelMatch match = config::LabelMatch::Of(labels);
    std::string found;
    for (const auto& [port, count] : mesh.Picks(40, &match)) found += std::to_string(port);
    return found;
  };
  EXPECT_EQ(ports({{"v", "1"}}), "1");
  EXPECT_EQ(ports({{"v", "2"}}), "23");
  EXPECT_EQ(ports({{"v", "2"}, {"stage", "prod"}}), "2");
  EXPECT_EQ(ports({{"v", "9"}}), "0") << "no fallback";
  EXPECT_EQ(ports({{"v", "9"}, {"stage", "prod"}}), "1234") << "the selector's own";
  EXPECT_EQ(ports({{"stage", "prod"}}), "0") << "no selector has just this key";
  EXPECT_EQ(mesh.Pick(), 0) << "no labels: the fallback";
  Mesh defaults({{.port = 1, .labels = {{"v", "1"}}}, {.port = 2, .labels = {{"v", "2"}}}});
  subsets.selectors = {{{"v"}, std::nullopt}};
  subsets.fallback = Fallback::kDefault;
  subsets.default_labels = {{"v", "1"}};
  defaults.options.subsets = subsets;
  EXPECT_EQ(defaults.Pick(), 1);
  const config::LabelMatch none = config::LabelMatch::Of({{"v", "9"}});
  EXPECT_EQ(defaults.Pick(std::nullopt, &none), 1);
  // A change of endpoints is a change of subsets.
  defaults.Set({{.port = 1, .labels = {{"v", "9"}}}, {.port = 2, .labels = {{"v", "1"}}}});
  defaults.Push();
  EXPECT_EQ(defaults.Pick(), 2);
  EXPECT_EQ(defaults.Pick(std::nullopt, &none), 1);
}

// The port of the endpoint where a session at `port` is kept; 0: nowhere.
uint16_t Kept(Mesh& mesh, uint16_t port, const config::LabelMatch* labels = nullptr) {
  const net::Address address = net::Address::Parse("127.0.0.1", port).value_or(net::Address());
  EndpointState* const found =
      mesh.state().FindSticky(address, {.now = mesh.now, .random = mesh.random}, labels);
  return found == nullptr ? uint16_t{0} : found->address().port();
}

TEST(Sessions, AreKeptWhereAnEndpointServes) {
  constexpr auto kDraining = config::Health::kDraining;
  Mesh mesh({{1}, {2, 0, kBad}, {3, 0, kDraining}, {4, 0, kDegraded}, {5, 1}});
  EXPECT_EQ(Kept(mesh, 1), 1) << "before anybody has picked";
  EXPECT_EQ(Kept(mesh, 2), 0);
  EXPECT_EQ(Kept(mesh, 3), 0);
  EXPECT_EQ(Kept(mesh, 4), 4);
  EXPECT_EQ(Kept(mesh, 5), 5) << "another priority's";
  EXPECT_EQ(Kept(mesh, 6), 0) << "none of the cluster's";
  mesh.Set({{6}, {1, 0, kBad}});
  mesh.Push();
  EXPECT_EQ(Kept(mesh, 6), 6);
  EXPECT_EQ(Kept(mesh, 1), 0);
  EXPECT_EQ(Kept(mesh, 4), 0) << "gone";
  Mesh drains({{1}, {2, 0, kDraining}, {3, 0, kDegraded}});
  drains.options.session_health = config::BitOf(kDraining);
  EXPECT_EQ(Kept(drains, 1), 0);
  EXPECT_EQ(Kept(drains, 2), 2);
  EXPECT_EQ(Kept(drains, 3), 0);
  for (int i = 0; i < 10; ++i) EXPECT_NE(drains.Pick(), 2) << "the others do not go there";
}

TEST(Sessions, AreNotKeptWhereAnEndpointWasEjected) {
  Mesh mesh({{1}, {2, 0, config::Health::kDraining}, {3}, {4}});
  mesh.options.session_health |= config::BitOf(config::Health::kDraining);
  mesh.options.outlier.emplace();
  mesh.options.outlier->most_percent = 60;
  for (const uint16_t port : {1, 2}) {
    ASSERT_EQ(Kept(mesh, port), port);
    for (int i = 0; i < 5; ++i)
      mesh.state().Note(mesh.at(port - 1u), AttemptResult::kServerError, mesh.now, mesh.random);
    EXPECT_EQ(Kept(mesh, port), 0);
  }
  EXPECT_EQ(Kept(mesh, 3), 3);
}

TEST(Sessions, DoNotLeaveTheSubsetOfTheirRoute) {
  Mesh mesh({{.port = 1, .labels = {{"v", "1"}}},
             {.port = 2, .labels = {{"v", "2"}}},
             {.port = 3, .health = config::Health::kDraining, .labels = {{"v", "1"}}}});
  mesh.options.session_health |= config::BitOf(config::Health::kDraining);
  mesh.options.subsets.emplace();
  mesh.options.subsets->selectors = {{{"v"}, config::Subsets::Fallback::kNone},
                                     {{"w"}, config::Subsets::Fallback::kAny}};
  const config::LabelMatch first = config::LabelMatch::Of({{"v", "1"}});
  const config::LabelMatch second = config::LabelMatch::Of({{"v", "2"}});
  const config::LabelMatch any = config::LabelMatch::Of({{"w", "1"}});
  EXPECT_EQ(Kept(mesh, 1, &first), 1);
  EXPECT_EQ(Kept(mesh, 1, &second), 0);
  EXPECT_EQ(Kept(mesh, 2, &second), 2);
  EXPECT_EQ(Kept(mesh, 3, &first), 3);
  EXPECT_EQ(Kept(mesh, 3, &second), 0);
  EXPECT_EQ(Kept(mesh, 2, &any), 2) << "by the fallback";
  EXPECT_EQ(Kept(mesh, 1), 0) << "no labels, no fallback: no endpoint";
}

TEST(Labels, DifferentOnesHaveDifferentKeys) {
  const auto key = [](const config::Labels& labels) { return config::LabelMatch::Of(labels).key; };
  EXPECT_NE(key({{"a", "b"}}), key({{"ab", ""}}));
  EXPECT_NE(key({{"a", "1"}, {"b", "2"}}), key({{"a", "11:b1:2"}}));
  EXPECT_EQ(key({{"b", "2"}, {"a", "1"}}), key({{"a", "1"}, {"b", "2"}}));
}

TEST(RoundRobin, GoesOnWhereItWasWhenConfigurationsCome) {
  Mesh mesh({{.port = 1, .weight = 1}, {.port = 2, .weight = 2}, {.port = 3, .weight = 3}});
  std::map<uint16_t, int> picks;
  for (int i = 0; i < 600; ++i) {
    ++picks[mesh.Pick()];
    mesh.Push();
  }
  EXPECT_EQ(picks, (std::map<uint16_t, int>{{1, 100}, {2, 200}, {3, 300}}));
}

// Sidecars that start together do not all begin with the same endpoint.
TEST(RoundRobin, BeginsAnywhere) {
  std::map<uint16_t, int> first;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    Mesh mesh({{1}, {2}, {3}, {4}});
    mesh.random = Random(seed);
    ++first[mesh.Pick()];
  }
  for (const uint16_t port : {1, 2, 3, 4}) EXPECT_NEAR(first[port], 100, 45);
}

TEST(Find, AnEndpointThatGetsNoRequestsIsNone) {
  Mesh mesh({{1}, {2, 0, kBad}});
  EXPECT_EQ(mesh.state().Find(mesh.at(0).address()), &mesh.at(0));
  EXPECT_EQ(mesh.state().Find(mesh.at(1).address()), nullptr);
  EXPECT_EQ(mesh.state().Find(net::Address::Parse("127.0.0.1", 9).value_or(net::Address())), nullptr);
}

}  // namespace
}  // namespace pillion::upstream
